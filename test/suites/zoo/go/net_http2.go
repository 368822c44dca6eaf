package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"golang.org/x/net/http2"
)

// gRPC by hand on golang.org/x/net/http2, as proxies that are written in Go carry it.
var netHTTP2 = stack{
	version: versionOf("golang.org/x/net"),
	dial: func(address, path string) (caller, error) {
		dial := func(ctx context.Context, network, to string, _ *tls.Config) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, to)
		}
		transport := &http2.Transport{AllowHTTP: true, DialTLSContext: dial, StrictMaxConcurrentStreams: true}
		return &http2Caller{&http.Client{Transport: transport}, "http://" + address + path}, nil
	},
	isCancelled: func(err error) bool { return errors.Is(err, context.Canceled) },
	isExpired:   func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
}

type http2Caller struct {
	client *http.Client
	url    string
}

func (one *http2Caller) call(ctx context.Context, request []byte, _ bool) ([]byte, error) {
	message := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(request)))
	// A body of unknown length, as streams have.
	body := io.MultiReader(bytes.NewReader(append(message, request...)))
	asked, err := http.NewRequestWithContext(ctx, http.MethodPost, one.url, body)
	if err != nil {
		return nil, err
	}
	asked.Header.Set("Content-Type", "application/grpc")
	asked.Header.Set("TE", "trailers")
	response, err := one.client.Do(asked)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if status := response.Trailer.Get("Grpc-Status"); response.StatusCode != http.StatusOK || status != "0" || len(answer) < 5 {
		return nil, fmt.Errorf("HTTP status %d, grpc-status %q, %q", response.StatusCode, status, response.Header.Get("Grpc-Message"))
	}
	return answer[5:], nil
}
