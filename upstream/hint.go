package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// hintedError is why a connection failed, with what is probably wrong with the
// configuration: the two sides of a wrong tls key speak past each other, and
// neither's own words say so.
type hintedError struct {
	err  error
	hint string
	// certain says that the server has answered what it will answer again.
	certain bool
}

func (e *hintedError) Error() string { return fmt.Sprintf("%v; %s", e.err, e.hint) }

// Unwrap is the error without the hint.
func (e *hintedError) Unwrap() error { return e.err }

// withHint adds what is probably wrong to the error of a connection. secure says
// that this side speaks TLS.
func withHint(secure bool, err error) error {
	if hint, certain := hintOf(secure, err); hint != "" {
		return &hintedError{err, hint, certain}
	}
	return err
}

func hintOf(secure bool, err error) (hint string, certain bool) {
	if !secure {
		switch {
		case errors.Is(err, errHungUp):
			return "if it speaks TLS, give the upstream tls: {}", false
		case errors.Is(err, errNotHTTP2):
			return "is this its gRPC port, and does it want tls: {}?", true
		default:
			return "", false
		}
	}
	var (
		noTLS     tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
	)
	switch {
	case errors.As(err, &noTLS):
		return "it does not speak TLS; leave tls out", true
	case errors.Is(err, errHungUp), errors.Is(err, errNotHTTP2):
		return "is this its gRPC port, and does it want a client certificate (tls.cert, tls.key)?", errors.Is(err, errNotHTTP2)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "if it does not speak TLS, leave tls out", false
	case errors.As(err, &authority):
		return "name the file of its roots in tls.ca", true
	case errors.As(err, &hostname):
		return "name one of the certificate's names in tls.server_name", true
	default:
		return "", false
	}
}
