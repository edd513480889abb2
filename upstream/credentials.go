package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ssebridge/ssebridge/internal/regular"
)

// maxPEM bounds a file of certificates: the roots of a whole system are a fifth of it.
const maxPEM = 1 << 20

// transportCredentials is a connection's security, and what sits between it and
// grpc-go: it sees why handshakes fail and reads along the server's settings.
type transportCredentials struct {
	tls  *TLS // nil is clear
	conn *connection
	pool *pool
}

// ClientHandshake secures a new transport.
func (c *transportCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	inner, err := c.current()
	if err == nil {
		var info credentials.AuthInfo
		var conn net.Conn
		if conn, info, err = inner.ClientHandshake(ctx, authority, raw); err == nil {
			l := newLiveConn(conn, raw)
			l.heard = func() { c.pool.heard(c.conn, l) }
			l.ended = func(err error) { c.pool.ended(c.conn, l, err) }
			return newWindowConn(newAnswerConn(&settingsConn{
				Conn: l,
				limit: func(streams uint32) {
					c.pool.live(c.conn, l)
					c.pool.limited(c.conn, streams)
				},
				calm: func() {
					l.leaving.Store(true) // for PINGs, which no RPC has sent
					c.pool.calm(c.conn, l)
				},
				leave:  func() { l.leaving.Store(true) },
				refuse: func(err error) { c.pool.failed(c.conn, withHint(c.tls != nil, l.refused(err))) },
			}, func(error) { l.blamed.Store(true) }), c.pool.params.Intake), info, nil
		}
	}
	err = withHint(true, fmt.Errorf("TLS handshake: %w", err))
	c.pool.failed(c.conn, err)
	return nil, nil, err
}

// current makes the credentials of one handshake, from the files as they are.
func (c *transportCredentials) current() (credentials.TransportCredentials, error) {
	if c.tls == nil {
		return insecure.NewCredentials(), nil
	}
	config, err := c.pool.files.config(c.tls, c.pool.params.Logger)
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(config), nil
}

// tlsFiles is what the files of a TLS held when they could last be used. A file that is
// empty, gone, or half of a pair changes nothing: a backend that restarts just then is
// connected to as before.
type tlsFiles struct {
	mu   sync.Mutex
	good *tls.Config // nil: they never could
	told string      // what the log has heard is wrong with them; "": nothing is
}

// config returns what the files hold, or held.
func (f *tlsFiles) config(files *TLS, logger *slog.Logger) (*tls.Config, error) {
	config, err := files.config()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		f.good, f.told = config, ""
	case f.good == nil:
		return nil, err
	case f.told != err.Error():
		f.told = err.Error()
		logger.Warn("the files of tls cannot be used; what they held before stays", "error", clip(err))
	}
	return f.good, nil
}

// ServerHandshake is not for clients.
func (c *transportCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("upstream: these are a client's credentials")
}

// Info describes the security.
func (c *transportCredentials) Info() credentials.ProtocolInfo {
	if c.tls == nil {
		return insecure.NewCredentials().Info()
	}
	return credentials.NewTLS(&tls.Config{ServerName: c.tls.ServerName, MinVersion: tls.VersionTLS12}).Info()
}

// Clone returns a copy.
func (c *transportCredentials) Clone() credentials.TransportCredentials {
	clone := *c
	return &clone
}

// OverrideServerName is part of the interface, deprecated there and unused.
func (c *transportCredentials) OverrideServerName(string) error {
	return errors.New("upstream: the server's name is TLS.ServerName")
}

// config reads the files. Its errors are *ParamError.
func (t *TLS) config() (*tls.Config, error) {
	config := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := regular.Read(t.CA, maxPEM)
		if err != nil {
			return nil, &ParamError{"tls.ca", regular.Unreadable(err, "a PEM file")}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &ParamError{"tls.ca", fmt.Errorf("%s holds no PEM certificate", t.CA)}
		}
	}
	switch {
	case t.Cert == "" && t.Key == "":
		return config, nil
	case t.Cert == "":
		return nil, &ParamError{"tls.cert", errors.New("is missing while tls.key is given")}
	case t.Key == "":
		return nil, &ParamError{"tls.key", errors.New("is missing while tls.cert is given")}
	}
	certificate, err := keyPair(t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{certificate}
	return config, nil
}

// keyPair reads a certificate and its key. Errors are *ParamError.
func keyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := regular.Read(certFile, maxPEM)
	if err != nil {
		return tls.Certificate{}, &ParamError{"tls.cert", regular.Unreadable(err, "a PEM file")}
	}
	key, err := regular.Read(keyFile, maxPEM)
	if err != nil {
		return tls.Certificate{}, &ParamError{"tls.key", regular.Unreadable(err, "a PEM file")}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, &ParamError{"tls.cert", err}
	}
	return pair, nil
}
