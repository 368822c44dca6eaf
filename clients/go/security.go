package tokenauthority

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Security says how a connection is protected: [Plaintext], [MutualTLS] or [MutualTLSFiles]. There is no default, and
// no way from one to another.
type Security struct {
	credentials credentials.TransportCredentials
	isPlaintext bool
	err         error
}

// Plaintext is for an authority on this machine: a loopback address or a unix socket.
func Plaintext() Security {
	return Security{credentials: insecure.NewCredentials(), isPlaintext: true}
}

// MutualTLS takes PEM: the CAs that sign the server's certificate, and the certificate and private key that the caller
// is known by.
func MutualTLS(ca, certificate, key []byte) Security {
	loaded, err := mutualTLS(ca, certificate, key)
	return Security{credentials: loaded, err: err}
}

// MutualTLSFiles is MutualTLS with PEM files. They are read again for every new connection, so that certificates can be
// replaced while the program runs; files that cannot be used then keep those before.
func MutualTLSFiles(ca, certificate, key string) Security {
	files := tlsFiles{ca, certificate, key}
	loaded, err := files.load()
	if err != nil {
		return Security{err: err}
	}
	return Security{credentials: newReloadingCredentials(files, loaded)}
}

// target is the address as grpc-go takes it, or what is wrong with it or with the Security.
func (s Security) target(address string) (string, error) {
	if s.err != nil {
		return "", fmt.Errorf("tokenauthority: %w", s.err)
	}
	if s.credentials == nil {
		return "", errors.New("tokenauthority: security must be Plaintext, MutualTLS or MutualTLSFiles")
	}
	if strings.HasPrefix(address, "unix:") {
		if !s.isPlaintext {
			return "", errors.New("tokenauthority: a unix socket is plaintext")
		}
		return address, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("tokenauthority: the address must be HOST:PORT or unix:/PATH: %w", err)
	}
	if s.isPlaintext && !isLoopback(host) {
		return "", errors.New("tokenauthority: plaintext is for loopback addresses and unix sockets: use mutual TLS")
	}
	// grpc-go's own look-up of names is at most once in 30 s; this way each attempt to connect looks again.
	return "passthrough:///" + address, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func mutualTLS(ca, certificate, key []byte) (credentials.TransportCredentials, error) {
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(ca) {
		return nil, errors.New("the CA has no PEM certificate")
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(&tls.Config{RootCAs: authorities, Certificates: []tls.Certificate{pair}}), nil
}

type tlsFiles struct{ ca, certificate, key string }

func (f tlsFiles) load() (credentials.TransportCredentials, error) {
	var pem [3][]byte
	for i, name := range []string{f.ca, f.certificate, f.key} {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		pem[i] = content
	}
	return mutualTLS(pem[0], pem[1], pem[2])
}

type reloadingCredentials struct {
	credentials.TransportCredentials
	files  tlsFiles
	newest *atomic.Pointer[credentials.TransportCredentials]
}

func newReloadingCredentials(files tlsFiles, loaded credentials.TransportCredentials) reloadingCredentials {
	newest := new(atomic.Pointer[credentials.TransportCredentials])
	newest.Store(&loaded)
	return reloadingCredentials{loaded, files, newest}
}

func (r reloadingCredentials) ClientHandshake(
	ctx context.Context, authority string, connection net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	if loaded, err := r.files.load(); err == nil {
		r.newest.Store(&loaded)
	}
	return (*r.newest.Load()).ClientHandshake(ctx, authority, connection)
}

func (r reloadingCredentials) Clone() credentials.TransportCredentials {
	return r
}
