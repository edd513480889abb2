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

// maxPEM bounds a file of certificates. The roots of a whole system take a fifth of it.
const maxPEM = 1 << 20

// transportCredentials secures a connection and wraps it for grpc-go: it reports why handshakes
// fail and observes the server's settings.
type transportCredentials struct {
	tls  *TLS // nil for clear text
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
			l.unmute = func() { c.pool.unmute(c.conn, l) }
			l.onEnd = func(err error) { c.pool.ended(c.conn, l, err) }
			return newWindowConn(newAnswerConn(&settingsConn{
				Conn: l,
				onLimit: func(streams uint32) {
					c.pool.live(c.conn, l)
					c.pool.setLimit(c.conn, streams)
				},
				onTooManyPings: func() {
					l.leaving.Store(true) // no RPC is the cause: RPCs send no PINGs
					c.pool.pingLess(c.conn, l)
				},
				onGoAway:  func() { l.leaving.Store(true) },
				onRefused: func(err error) { c.pool.failed(c.conn, withHint(c.tls != nil, l.refused(err))) },
			}, func(error) { l.blamed.Store(true) }), c.pool.params.Intake), info, nil
		}
	}
	err = withHint(true, fmt.Errorf("TLS handshake: %w", err))
	c.pool.failed(c.conn, err)
	return nil, nil, err
}

// current returns the credentials of one handshake, from the files' current contents.
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

// tlsFiles keeps the last usable contents of the files of a TLS. A file that is empty, missing, or
// half of a pair changes nothing, so the bridge can reconnect to a backend that restarts just then.
type tlsFiles struct {
	mu       sync.Mutex
	lastGood *tls.Config // nil if the files were never usable
	logged   string      // the error that the log has reported; empty if the files are usable
}

// config returns the configuration from the files, or the last usable one.
func (f *tlsFiles) config(files *TLS, logger *slog.Logger) (*tls.Config, error) {
	config, err := files.config()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		f.lastGood, f.logged = config, ""
	case f.lastGood == nil:
		return nil, err
	case f.logged != err.Error():
		f.logged = err.Error()
		logger.Warn("the files of tls cannot be used; keeping their last usable contents", "error", clip(err))
	}
	return f.lastGood, nil
}

// ServerHandshake fails: these are a client's credentials.
func (c *transportCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("upstream: these are a client's credentials")
}

// Info describes the security protocol.
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

// OverrideServerName is a deprecated part of the interface, and unused.
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

// keyPair reads a certificate and its key. Its errors are *ParamError.
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
