package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// hintedError is the error of a connection with a probable mistake in the configuration. With a
// wrong tls key, the two sides misread each other's bytes, and neither error message names the key.
type hintedError struct {
	err  error
	hint string
	// final is set if the server would answer the same again.
	final bool
}

func (e *hintedError) Error() string { return fmt.Sprintf("%v; %s", e.err, e.hint) }

// Unwrap returns the error without the hint.
func (e *hintedError) Unwrap() error { return e.err }

// withHint adds a probable mistake in the configuration to the error of a connection. secure is set
// if this side speaks TLS.
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
