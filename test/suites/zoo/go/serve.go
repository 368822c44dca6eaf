package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Serves the order's answers by grpc-go on one port, and by connect-go on another, and prints where.
func serve(wanted *order) error {
	answers := map[string][]byte{}
	for _, one := range []example{wanted.Good, wanted.Revoked, wanted.Large} {
		answers[string(one.Request)] = one.Response
	}
	listeners := [2]net.Listener{}
	for at := range listeners {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		listeners[at] = listener
	}
	forGrpc := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var request []byte
		if err := stream.RecvMsg(&request); err != nil {
			return err
		}
		answer, isKnown := answers[string(request)]
		if !isKnown {
			return status.Error(codes.InvalidArgument, "not in the order")
		}
		return stream.SendMsg(&answer)
	}))
	answer := func(_ context.Context, asked *connect.Request[[]byte]) (*connect.Response[[]byte], error) {
		found := answers[string(*asked.Msg)]
		return connect.NewResponse(&found), nil
	}
	mux := http.NewServeMux()
	mux.Handle(wanted.Path, connect.NewUnaryHandler(wanted.Path, answer, connect.WithCodec(rawCodec{})))
	protocols := cleartextHTTP2()
	protocols.SetHTTP1(true)
	forHTTP := &http.Server{Handler: mux, Protocols: protocols, ReadHeaderTimeout: 10 * time.Second}
	err := json.NewEncoder(os.Stdout).Encode(map[string]string{"grpc": listeners[0].Addr().String(), "http": listeners[1].Addr().String()})
	if err != nil {
		return err
	}
	go func() { _ = forGrpc.Serve(listeners[0]) }()
	return forHTTP.Serve(listeners[1])
}
