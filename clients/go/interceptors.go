package tokenauthority

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// errorDomain is that of the google.rpc.ErrorInfo in what the authority and the interceptors answer.
const errorDomain = "token.casapay.com"

// Methods says what the methods of a gRPC service ask of a key, by their full names:
// "/casapay.charges.v1.ChargeService/Get". A method that stands in neither is answered INTERNAL: a forgotten one is not
// open.
type Methods struct {
	Questions map[string]Question
	// Open are the methods that need no key, such as "/grpc.health.v1.Health/Check".
	Open []string
}

// UnaryServerInterceptor is RequireKey for unary methods of a grpc-go server. The key is taken from the metadata
// `authorization` or `x-api-key`. Refusals are answered UNAUTHENTICATED or PERMISSION_DENIED, with the reason in a
// google.rpc.ErrorInfo, whose metadata has the `required_permissions` when the key lacks one; where nothing was decided
// it is UNAVAILABLE, and INTERNAL for a mistake of this program.
func UnaryServerInterceptor(authenticator Authenticator, methods Methods) grpc.UnaryServerInterceptor {
	methods.mustAsk(authenticator)
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		ctx, err := methods.admit(ctx, authenticator, info.FullMethod)
		if err != nil {
			return nil, err
		}
		return handler(ctx, request)
	}
}

// StreamServerInterceptor is UnaryServerInterceptor for streams. The key is decided on once, when the stream begins.
func StreamServerInterceptor(authenticator Authenticator, methods Methods) grpc.StreamServerInterceptor {
	methods.mustAsk(authenticator)
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, err := methods.admit(stream.Context(), authenticator, info.FullMethod)
		if err != nil {
			return err
		}
		return handler(server, admittedStream{stream, ctx})
	}
}

type admittedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s admittedStream) Context() context.Context { return s.ctx }

func (m Methods) mustAsk(authenticator Authenticator) {
	for method, question := range m.Questions {
		mustAsk(authenticator, question)
		if slices.Contains(m.Open, method) {
			panic("tokenauthority: " + method + " is open and has a Question")
		}
	}
}

// admit returns the context that the handler gets: with the Principal, without the key.
func (m Methods) admit(ctx context.Context, authenticator Authenticator, method string) (context.Context, error) {
	if slices.Contains(m.Open, method) {
		return ctx, nil
	}
	question, ok := m.Questions[method]
	if !ok {
		slog.ErrorContext(ctx, "a method has no question for API keys, and is not open", "method", method)
		return nil, misconfigured.grpcStatus()
	}
	header, _ := metadata.FromIncomingContext(ctx)
	principal, refused := admit(ctx, authenticator, question, header["authorization"], header["x-api-key"])
	if refused != nil {
		return nil, refused.grpcStatus()
	}
	header = header.Copy()
	delete(header, "authorization")
	delete(header, "x-api-key")
	return ContextWithPrincipal(metadata.NewIncomingContext(ctx, header), principal), nil
}

// grpcStatus is the error as callers over gRPC see it.
func (e *publicError) grpcStatus() error {
	code := map[int]codes.Code{
		http.StatusUnauthorized:        codes.Unauthenticated,
		http.StatusForbidden:           codes.PermissionDenied,
		http.StatusServiceUnavailable:  codes.Unavailable,
		http.StatusInternalServerError: codes.Internal,
	}[e.status]
	plain := status.New(code, e.message)
	info := &errdetails.ErrorInfo{Reason: strings.ToUpper(e.code), Domain: errorDomain}
	if e.requiredPermissions != nil {
		info.Metadata = map[string]string{"required_permissions": strings.Join(e.requiredPermissions, ",")}
	}
	detailed, err := plain.WithDetails(info)
	if err != nil {
		return plain.Err()
	}
	return detailed.Err()
}
