package tokenauthority_test

import (
	"context"
	"net"
	"testing"

	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// graciousAuthority answers changes that a node of it, which may go on from memory, has not confirmed.
type graciousAuthority struct {
	tokenv1.UnimplementedTokenServiceServer
	silent, unconfirmed *tokenv1.Holder
}

func (a *graciousAuthority) Revoke(context.Context, *tokenv1.RevokeRequest) (*tokenv1.RevokeResponse, error) {
	return &tokenv1.RevokeResponse{
		AcknowledgedCount: 3, Silent: []*tokenv1.Holder{a.silent}, Unconfirmed: []*tokenv1.Holder{a.unconfirmed},
	}, nil
}

func (a *graciousAuthority) RotateKey(context.Context, *tokenv1.RotateKeyRequest) (*tokenv1.RotateKeyResponse, error) {
	return &tokenv1.RotateKeyResponse{
		AcknowledgedCount: 3, Silent: []*tokenv1.Holder{a.silent}, Unconfirmed: []*tokenv1.Holder{a.unconfirmed},
	}, nil
}

func TestTellsWhoHasNotConfirmedAChange(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	authority := &graciousAuthority{
		silent: &tokenv1.Holder{
			Kind: tokenv1.HolderKind_HOLDER_KIND_GATEWAY, Identity: "spiffe://casapay/gateway",
			SinceTime: &timestamppb.Timestamp{Seconds: 1},
		},
		unconfirmed: &tokenv1.Holder{
			Kind: tokenv1.HolderKind_HOLDER_KIND_NODE, Identity: "node-2:1", UntilTime: &timestamppb.Timestamp{Seconds: 2},
		},
	}
	server := grpc.NewServer()
	tokenv1.RegisterTokenServiceServer(server, authority)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	client := dial(t, listener.Addr().String())

	check := func(acknowledged int32, silent, unconfirmed []*tokenv1.Holder) {
		t.Helper()
		if acknowledged != 3 || len(silent) != 1 || len(unconfirmed) != 1 ||
			!proto.Equal(silent[0], authority.silent) || !proto.Equal(unconfirmed[0], authority.unconfirmed) {
			t.Errorf("%d acknowledged, silent %v, unconfirmed %v", acknowledged, silent, unconfirmed)
		}
	}
	revoked, err := client.Revoke(t.Context(), "tok_1", "")
	if err != nil {
		t.Fatal(err)
	}
	check(revoked.GetAcknowledgedCount(), revoked.GetSilent(), revoked.GetUnconfirmed())
	rotated, err := client.RotateKey(t.Context(), &tokenv1.RotateKeyRequest{Id: "tok_1"})
	if err != nil {
		t.Fatal(err)
	}
	check(rotated.AcknowledgedCount, rotated.Silent, rotated.Unconfirmed)
}
