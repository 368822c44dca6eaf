package main

import (
	"bytes"
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

var grpcGo = stack{
	version:     versionOf("google.golang.org/grpc"),
	dial:        dialGrpc,
	isCancelled: func(err error) bool { return status.Code(err) == codes.Canceled },
	isExpired:   func(err error) bool { return status.Code(err) == codes.DeadlineExceeded },
}

type grpcCaller struct {
	conn *grpc.ClientConn
	path string
}

func dialGrpc(address, path string) (caller, error) {
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.WaitForReady(true)))
	return &grpcCaller{conn, path}, err
}

func (one *grpcCaller) call(ctx context.Context, request []byte, compressed bool) ([]byte, error) {
	var options []grpc.CallOption
	if compressed {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	var response []byte
	err := one.conn.Invoke(ctx, one.path, &request, &response, options...)
	return response, err
}

// Messages that are bytes already, for grpc-go and connect-go. The details of connect-go's errors are not.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

// A copy: connect-go uses the bytes again as a buffer.
func (rawCodec) Marshal(message any) ([]byte, error) { return bytes.Clone(*message.(*[]byte)), nil }

func (rawCodec) Unmarshal(data []byte, message any) error {
	if decoded, isMessage := message.(proto.Message); isMessage {
		return proto.Unmarshal(data, decoded)
	}
	*message.(*[]byte) = bytes.Clone(data)
	return nil
}
