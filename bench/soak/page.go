package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// framing is how clients speak to a bridge.
type framing string

const (
	http1 framing = ""
	h2c   framing = "h2c"
	byTLS framing = "TLS"
)

// streamsOfPage is how many streams a page has on one connection of HTTP/2.
const streamsOfPage = 5

// page has clients that share a connection of HTTP/2, as the streams of a page in a browser
// do. The balancer chooses a bridge for each connection, and not for each request.
type page struct {
	framing framing
	client  *http.Client

	mu    sync.Mutex
	first *watcher // which connects before the others
	there chan struct{}
	once  sync.Once
}

func newPage(l *balancer, f framing) *page {
	p := &page{framing: f, there: make(chan struct{})}
	transport := &http.Transport{
		DisableCompression: true,
		Protocols:          new(http.Protocols),
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the certificate is made for the run
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.address())
		},
	}
	transport.Protocols.SetUnencryptedHTTP2(f == h2c)
	transport.Protocols.SetHTTP2(f == byTLS)
	p.client = &http.Client{Transport: transport}
	return p
}

// open puts a client on the page.
func (p *page) open(w *watcher) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first == nil {
		p.first = w
	}
	w.page, w.http = p, p.client
}

// await waits until there is a connection for a client to share. It returns false if ctx
// ended before.
func (p *page) await(ctx context.Context, w *watcher) bool {
	p.mu.Lock()
	first := p.first == w
	p.mu.Unlock()
	if first {
		return true
	}
	select {
	case <-p.there:
		return true
	case <-ctx.Done():
		return false
	}
}

// opened notes that the page has a connection.
func (p *page) opened() { p.once.Do(func() { close(p.there) }) }

// url returns the scheme and the host of all bridges.
func (p *page) url() string {
	if p.framing == byTLS {
		return "https://bridges.test"
	}
	return "http://bridges.test"
}

// traced notes in a journal which bridge a request goes to.
func (p *page) traced(ctx context.Context, j *journal) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { j.reached(info.Conn.RemoteAddr().String()) },
	})
}

// writeCertificate writes a certificate for bridges.test and its key, as cert.pem
// and key.pem.
func writeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"bridges.test"}, NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600),
	)
}
