package tokenauthority

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
)

type principalKey struct{}

// PrincipalFromContext returns who acts, behind the middleware and the interceptors.
func PrincipalFromContext(ctx context.Context) (*Principal, bool) {
	principal, ok := ctx.Value(principalKey{}).(*Principal)
	return principal, ok && principal != nil
}

// ContextWithPrincipal is for tests of handlers that ask who acts.
func ContextWithPrincipal(ctx context.Context, principal *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, principal)
}

// RequireKey is middleware for net/http: the next handler serves only requests with a key that the authority accepts
// for this question, finds the Principal in their context, and does not see the key.
//
// The key is taken from Authorization (Bearer, or Basic as user name) or X-API-Key, never from a URL; two different
// ones are refused. Refusals are answered with 401 or 403; where a permission is missing, 403 names all that the
// question asks for. Where nothing was decided it is 503 with Retry-After, and 500 for a mistake of this program: never
// 401. Both are logged by slog.Default.
//
// It panics when the question has no Permissions: a route that any key may pass says [NoPermission].
func RequireKey(authenticator Authenticator, question Question) func(http.Handler) http.Handler {
	mustAsk(authenticator, question)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			principal, refused := admit(r.Context(), authenticator, question, r.Header["Authorization"], r.Header["X-Api-Key"])
			if refused != nil {
				refused.write(w, r)
				return
			}
			admitted := r.WithContext(ContextWithPrincipal(r.Context(), principal))
			admitted.Header = r.Header.Clone()
			admitted.Header.Del("Authorization")
			admitted.Header.Del("X-Api-Key")
			next.ServeHTTP(w, admitted)
		})
	}
}

// A forgotten word must not open a route.
func mustAsk(authenticator Authenticator, question Question) {
	if authenticator == nil {
		panic("tokenauthority: no Authenticator")
	}
	if question.Permissions == nil {
		panic("tokenauthority: the Question must say its Permissions: one or more, or NoPermission")
	}
}

// admit returns a Principal, or else what to answer.
func admit(
	ctx context.Context, authenticator Authenticator, question Question, authorization, apiKey []string,
) (*Principal, *publicError) {
	key, refused := presentedKey(authorization, apiKey)
	if refused != nil {
		return nil, refused
	}
	decision, err := decide(ctx, authenticator, key, question)
	switch {
	case err != nil && ctx.Err() == context.Canceled:
		// Whoever asked is gone: nothing is wrong here.
		return nil, &unavailable
	case err != nil:
		slog.ErrorContext(ctx, "an API key was not decided on", "error", err)
		var failure *Error
		if errors.As(err, &failure) && failure.IsMistake() {
			return nil, &misconfigured
		}
		return nil, &unavailable
	case decision.Refusal != nil:
		return nil, publicRefusal(decision.Refusal.Reason, question)
	default:
		return decision.Principal, nil
	}
}

// decide returns exactly one of Principal, Refusal and error, whatever the Authenticator does.
func decide(ctx context.Context, authenticator Authenticator, key string, question Question) (decision Decision, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			// Not its text, which may hold the key.
			decision, err = Decision{}, fmt.Errorf("the Authenticator panicked with a %T", fault)
		}
	}()
	decision, err = authenticator.Authenticate(ctx, key, question)
	if err == nil && (decision.Principal == nil) == (decision.Refusal == nil) {
		err = errors.New("the Authenticator returned no decision")
	}
	return decision, err
}
