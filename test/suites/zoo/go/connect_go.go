package main

import (
	"context"
	"errors"
	"net"
	"net/http"

	"connectrpc.com/connect"
)

var (
	connectGo     = connectStack()
	connectGoGrpc = connectStack(connect.WithGRPC())
)

func connectStack(options ...connect.ClientOption) stack {
	return stack{
		version:     connect.Version,
		dial:        func(address, path string) (caller, error) { return dialConnect(address, path, options), nil },
		isCancelled: func(err error) bool { return connect.CodeOf(err) == connect.CodeCanceled },
		isExpired: func(err error) bool {
			return connect.CodeOf(err) == connect.CodeDeadlineExceeded || errors.Is(err, context.DeadlineExceeded)
		},
	}
}

type connectCaller struct {
	plain, compressed *connect.Client[[]byte, []byte]
}

func dialConnect(address, path string, options []connect.ClientOption) caller {
	client := &http.Client{Transport: &http.Transport{
		Protocols:   cleartextHTTP2(),
		DialContext: (&net.Dialer{}).DialContext,
		HTTP2:       &http.HTTP2Config{StrictMaxConcurrentRequests: true},
	}}
	options = append(options, connect.WithCodec(rawCodec{}))
	url := "http://" + address + path
	return &connectCaller{
		plain:      connect.NewClient[[]byte, []byte](client, url, options...),
		compressed: connect.NewClient[[]byte, []byte](client, url, append(options, connect.WithSendGzip())...),
	}
}

func (one *connectCaller) call(ctx context.Context, request []byte, compressed bool) ([]byte, error) {
	client := one.plain
	if compressed {
		client = one.compressed
	}
	response, err := client.CallUnary(ctx, connect.NewRequest(&request))
	if err != nil {
		return nil, err
	}
	return *response.Msg, nil
}

func cleartextHTTP2() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}
