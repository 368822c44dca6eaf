package tokenauthority_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"casapay.com/tokenauthority"
	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	checkMethod = "/grpc.health.v1.Health/Check"
	watchMethod = "/grpc.health.v1.Health/Watch"
)

// watchedHealth is a service with a unary method and a stream, which notes what they see.
type watchedHealth struct {
	*health.Server
	seen string
}

func (w *watchedHealth) note(ctx context.Context) {
	principal, _ := tokenauthority.PrincipalFromContext(ctx)
	header, _ := metadata.FromIncomingContext(ctx)
	w.seen = fmt.Sprint(principal, header["authorization"], header["x-api-key"], header["x-other"])
}

func (w *watchedHealth) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	w.note(ctx)
	return w.Server.Check(ctx, r)
}

func (w *watchedHealth) Watch(r *healthpb.HealthCheckRequest, stream healthpb.Health_WatchServer) error {
	w.note(stream.Context())
	return w.Server.Watch(r, stream)
}

func startWatched(
	t *testing.T, authenticator tokenauthority.Authenticator, methods tokenauthority.Methods,
) (*watchedHealth, map[string]func(context.Context) error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(
		grpc.UnaryInterceptor(tokenauthority.UnaryServerInterceptor(authenticator, methods)),
		grpc.StreamInterceptor(tokenauthority.StreamServerInterceptor(authenticator, methods)),
	)
	service := &watchedHealth{Server: health.NewServer()}
	healthpb.RegisterHealthServer(server, service)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	client := healthpb.NewHealthClient(connection)
	return service, map[string]func(context.Context) error{
		"unary": func(ctx context.Context) error {
			_, err := client.Check(ctx, &healthpb.HealthCheckRequest{})
			return err
		},
		"stream": func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			stream, err := client.Watch(ctx, &healthpb.HealthCheckRequest{})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
	}
}

var asked = tokenauthority.Methods{Questions: map[string]tokenauthority.Question{
	checkMethod: {Permissions: []string{"charges:read"}}, watchMethod: {Permissions: []string{"charges:read"}},
}}

func TestInterceptorsDecideByTheRealAuthority(t *testing.T) {
	t.Parallel()
	client := dial(t, startAuthority(t).address)
	key := mustCreate(t, client).Key.Reveal()
	ended := mustCreate(t, client)
	if _, err := client.Revoke(t.Context(), ended.Token.GetId(), ""); err != nil {
		t.Fatal(err)
	}
	service, calls := startWatched(t, client, asked)
	for kind, call := range calls {
		for name, c := range map[string]struct {
			header []string
			code   codes.Code
			reason string
		}{
			"bearer":    {[]string{"authorization", "Bearer " + key}, codes.OK, ""},
			"x-api-key": {[]string{"x-api-key", key}, codes.OK, ""},
			"no key":    {nil, codes.Unauthenticated, "KEY_MISSING"},
			"two keys":  {[]string{"authorization", "Bearer " + key, "authorization", "Bearer x"}, codes.Unauthenticated, "KEYS_CONFLICT"},
			"revoked":   {[]string{"x-api-key", ended.Key.Reveal()}, codes.Unauthenticated, "TOKEN_REVOKED"},
		} {
			service.seen = ""
			ctx := metadata.AppendToOutgoingContext(t.Context(), append(c.header, "x-other", "1")...)
			err := call(ctx)
			if status.Code(err) != c.code || reasonOf(err) != c.reason {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
			if (service.seen != "") != (c.code == codes.OK) {
				t.Errorf("%s, %s: the handler saw %q", kind, name, service.seen)
			}
		}
	}
}

func TestHandlersSeeThePrincipalAndNotTheKey(t *testing.T) {
	t.Parallel()
	service, calls := startWatched(t, decided(tokenauthority.Decision{Principal: somebody}, nil), asked)
	for kind, call := range calls {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer key", "x-api-key", "key", "x-other", "1")
		if err := call(ctx); err != nil {
			t.Error(kind, err)
		}
		if want := fmt.Sprint(somebody, []string(nil), []string(nil), []string{"1"}); service.seen != want {
			t.Errorf("%s: the handler saw %s, not %s", kind, service.seen, want)
		}
	}
}

func TestHandlersAreNeverCalledWithoutAPrincipal(t *testing.T) {
	t.Parallel()
	for name, c := range failures {
		service, calls := startWatched(t, c.authenticator, asked)
		for kind, call := range calls {
			err := call(metadata.AppendToOutgoingContext(t.Context(), "x-api-key", "key"))
			if status.Code(err) != c.code || service.seen != "" {
				t.Errorf("%s, %s: %v, the handler saw %q", name, kind, err, service.seen)
			}
		}
	}
}

func TestAMethodIsOpenOnlyWhereItIsSaid(t *testing.T) {
	t.Parallel()
	service, calls := startWatched(t,
		decided(tokenauthority.Decision{Principal: somebody}, nil), tokenauthority.Methods{Open: []string{checkMethod}})
	if err := calls["unary"](t.Context()); err != nil {
		t.Error(err)
	}
	service.seen = ""
	err := calls["stream"](metadata.AppendToOutgoingContext(t.Context(), "x-api-key", "key"))
	if status.Code(err) != codes.Internal || service.seen != "" {
		t.Errorf("%v, the handler saw %q", err, service.seen)
	}
}

func TestAKeyThatLacksAPermissionIsToldWhichItNeeds(t *testing.T) {
	t.Parallel()
	client := dial(t, startAuthority(t).address)
	key := mustCreate(t, client, func(request *tokenv1.CreateRequest) {
		request.Permissions = []string{"events:read"}
	}).Key.Reveal()
	_, calls := startWatched(t, client, tokenauthority.Methods{Questions: map[string]tokenauthority.Question{
		checkMethod: {Permissions: []string{"events:read", "charges:write"}}, watchMethod: {Permissions: []string{"events:write"}},
	}})
	for kind, want := range map[string]string{"unary": "events:read,charges:write", "stream": "events:write"} {
		info := infoOf(calls[kind](metadata.AppendToOutgoingContext(t.Context(), "x-api-key", key)))
		if info.GetReason() != "INSUFFICIENT_PERMISSIONS" || info.GetMetadata()["required_permissions"] != want {
			t.Errorf("%s: %v", kind, info)
		}
	}
}

func reasonOf(err error) string { return infoOf(err).GetReason() }

func infoOf(err error) *errdetails.ErrorInfo {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}
