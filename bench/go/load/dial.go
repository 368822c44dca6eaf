package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
)

type tlsFiles struct{ ca, cert, key string }

// dial opens a connection, in cleartext or over TLS 1.3 with the protocol h2.
func dial(o options) (net.Conn, error) {
	conn, err := net.Dial("tcp", o.address)
	if err != nil || o.tls.ca == "" {
		return conn, err
	}
	config, err := o.tls.config(o.authority)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, config)
	if err := secured.Handshake(); err != nil {
		return nil, err
	}
	if chosen := secured.ConnectionState().NegotiatedProtocol; chosen != "h2" {
		return nil, fmt.Errorf("the server chose the protocol %q, not h2", chosen)
	}
	return secured, nil
}

func (f tlsFiles) config(name string) (*tls.Config, error) {
	ca, err := os.ReadFile(f.ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	own, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		NextProtos:   []string{"h2"},
		RootCAs:      roots,
		ServerName:   name,
		Certificates: []tls.Certificate{own},
	}, nil
}
