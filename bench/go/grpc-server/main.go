// Grpc-server is a baseline: a stock grpc-go server that finds keys in a map by their SHA-256. It prints where it
// listens.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"net"
	"os"

	"casapay/token-authority/bench/tokenv1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

type authenticator struct {
	tokens map[[sha256.Size]byte]*tokenv1.Principal
}

func (a *authenticator) authenticate(request *tokenv1.AuthenticateRequest) *tokenv1.AuthenticateResponse {
	principal := a.tokens[sha256.Sum256([]byte(request.Key))]
	if principal == nil {
		refusal := &tokenv1.Refusal{Reason: tokenv1.RefusalReason_REFUSAL_REASON_KEY_UNKNOWN}
		return &tokenv1.AuthenticateResponse{Outcome: &tokenv1.AuthenticateResponse_Refusal{Refusal: refusal}}
	}
	return &tokenv1.AuthenticateResponse{Outcome: &tokenv1.AuthenticateResponse_Principal{Principal: principal}}
}

// What protoc-gen-go-grpc would make for this one call.
var service = grpc.ServiceDesc{
	ServiceName: "casapay.token.v1.TokenService",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Authenticate",
		Handler: func(server any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			request := new(tokenv1.AuthenticateRequest)
			if err := decode(request); err != nil {
				return nil, err
			}
			return server.(*authenticator).authenticate(request), nil
		},
	}},
}

func main() {
	keys := flag.String("keys", "", "file of keys, one a line")
	cert := flag.String("tls-cert", "", "PEM file of the server's certificate: TLS, and no cleartext")
	key := flag.String("tls-key", "", "PEM file of its private key")
	ca := flag.String("tls-ca", "", "PEM file of the CAs of callers")
	flag.Parse()

	server := grpc.NewServer(grpc.Creds(must(transport(*cert, *key, *ca))))
	server.RegisterService(&service, &authenticator{must(readTokens(*keys))})
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	fmt.Printf("{\"address\":\"%s\"}\n", listener.Addr())
	log.Fatal(server.Serve(listener))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func transport(cert, key, ca string) (credentials.TransportCredentials, error) {
	if cert == "" {
		return nil, nil
	}
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	authorities, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authorities)
	return credentials.NewTLS(&tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{own},
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}), nil
}

// Each key gets a principal of the usual size.
func readTokens(path string) (map[[sha256.Size]byte]*tokenv1.Principal, error) {
	text, err := os.ReadFile(path)
	tokens := map[[sha256.Size]byte]*tokenv1.Principal{}
	for number, key := range bytes.Fields(text) {
		tokens[sha256.Sum256(key)] = &tokenv1.Principal{
			TokenId:     fmt.Sprintf("tok_%024d", number),
			Account:     fmt.Sprintf("acct_%d", number),
			Type:        tokenv1.TokenType_TOKEN_TYPE_RESTRICTED,
			Livemode:    true,
			Permissions: []string{"invoices:read", "events:write"},
		}
	}
	return tokens, err
}
