package listen

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key, a.pem, _ = (*authority)(nil).issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// issue signs a certificate; none is self-signed.
func (a *authority) issue(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, []byte, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

// pair signs a certificate for localhost, to serve or to call with.
func (a *authority) pair(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	_, _, cert, key = a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return cert, key
}

// caller is how a client of the authority's calls, with a certificate of another's where
// one is given.
func (a *authority) caller(t *testing.T, of *authority) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	c := &tls.Config{RootCAs: roots, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	if of != nil {
		pair, err := tls.X509KeyPair(of.pair(t, "caller"))
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// secured is a listener that says hello by TLS, with its files.
type secured struct {
	*Certificates

	t        *testing.T
	files    config.ServerTLS
	listener net.Listener
}

func put(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// serveTLS serves a certificate until the test ends, to all callers or to those of a
// CA.
func serveTLS(t *testing.T, server, callers *authority) *secured {
	t.Helper()
	folder := t.TempDir()
	s := &secured{t: t, files: config.ServerTLS{Cert: filepath.Join(folder, "tls.crt"), Key: filepath.Join(folder, "tls.key")}}
	s.replace(server.pair(t, "first"))
	if callers != nil {
		s.files.ClientCA = filepath.Join(folder, "ca.crt")
		put(t, s.files.ClientCA, callers.pem)
	}
	var err error
	if s.Certificates, err = NewCertificates(s.files); err != nil {
		t.Fatal(err)
	}
	s.listener = tls.NewListener(tcp(t), s.Config())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close() //nolint:errcheck // the client sees what it sees
				_, _ = io.Copy(conn, conn)
			})
		}
	})
	t.Cleanup(func() {
		closing(t, s.listener)
		all.Wait()
	})
	return s
}

func (s *secured) replace(cert, key []byte) {
	s.t.Helper()
	put(s.t, s.files.Cert, cert)
	put(s.t, s.files.Key, key)
}

// echo has a text come back over a connection.
func echo(conn net.Conn, text string) error {
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(conn, back); err != nil {
		return err
	}
	if string(back) != text {
		return fmt.Errorf("%q came back", back)
	}
	return nil
}

// call makes a connection and uses it: by TLS 1.3 a refusal comes after the handshake.
func (s *secured) call(c *tls.Config) (*tls.Conn, error) {
	s.t.Helper()
	conn, err := tls.Dial("tcp", s.listener.Addr().String(), c)
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := echo(conn, "hello"); err != nil {
		return nil, err
	}
	return conn, nil
}

// mustCall is call by a caller that is let in.
func (s *secured) mustCall(c *tls.Config) *tls.Conn {
	s.t.Helper()
	conn, err := s.call(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

func presented(conn *tls.Conn) string {
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestNewHandshakesGetTheNewCertificateAndOldConnectionsGoOn(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := serveTLS(t, ca, nil)
	caller := ca.caller(t, nil)
	caller.ClientSessionCache = nil
	old := s.mustCall(caller)
	for _, name := range []string{"second", "third"} {
		s.replace(ca.pair(t, name))
		if changed, err := s.Load(s.files); err != nil || !changed {
			t.Fatalf("changed %v, %v", changed, err)
		}
		if got := presented(s.mustCall(caller)); got != name {
			t.Errorf("a new handshake got %q, want %q", got, name)
		}
		if err := echo(old, "still there"); err != nil {
			t.Fatalf("the old connection: %v", err)
		}
	}
	if changed, err := s.Load(s.files); err != nil || changed {
		t.Errorf("the same files: changed %v, %v", changed, err)
	}
	if left := time.Until(s.Expires()); left < 50*time.Minute || left > time.Hour {
		t.Errorf("expires in %v", left)
	}
}

func TestBadFilesKeepTheOldCertificate(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := serveTLS(t, ca, ca)
	caller := ca.caller(t, ca)
	cert, key := ca.pair(t, "second")
	otherCert, _ := ca.pair(t, "other")
	for name, tc := range map[string]struct {
		cert, key, clientCA []byte
		want                string
	}{
		"a cert of another key": {otherCert, key, ca.pem, "tls.key: the file does not fit tls.cert (tls: private key does not match public key)"},
		"a cert that is cut":    {cert[:100], key, ca.pem, "tls.cert: a PEM block in the file is cut or broken"},
		"a chain that is cut":   {slices.Concat(cert, otherCert[:100]), key, ca.pem, "tls.cert: a PEM block in the file is cut or broken"},
		"a key that is cut":     {cert, key[:len(key)-10], ca.pem, "tls.key: a PEM block in the file is cut or broken"},
		"a client_ca, cut":      {cert, key, slices.Concat(ca.pem, cert[:len(cert)/2]), "tls.client_ca: a PEM block in the file is cut or broken"},
		"an empty key":          {cert, nil, ca.pem, "tls.key: the file does not fit tls.cert ("},
		"the key as cert":       {key, key, ca.pem, "tls.cert: the file holds no certificate that can be read"},
		"an empty client_ca":    {cert, key, nil, "tls.client_ca: the file holds no certificate that can be read"},
		"a large client_ca":     {cert, key, make([]byte, maxPEM+1), "tls.client_ca: the file is larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			s.replace(tc.cert, tc.key)
			put(t, s.files.ClientCA, tc.clientCA)
			_, err := s.Load(s.files)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if strings.Contains(fmt.Sprint(err), s.files.Key) {
				t.Errorf("the message shows a file's name, which may be from the environment: %v", err)
			}
			if got := presented(s.mustCall(caller)); got != "first" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestMissingFilesAreReportedByTheirKeys(t *testing.T) {
	folder := t.TempDir()
	_, err := NewCertificates(config.ServerTLS{Cert: folder + "/a", Key: folder, ClientCA: folder + "/c"})
	want := `tls.cert: the file cannot be read: no such file or directory; name a PEM file that the user of this process may read
tls.key: not a regular file; name a PEM file
tls.client_ca: the file cannot be read: no such file or directory; name a PEM file that the user of this process may read`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestCallersMustPresentACertificateOfTheCA(t *testing.T) {
	server, callers, others := newAuthority(t, "server"), newAuthority(t, "callers"), newAuthority(t, "others")
	s := serveTLS(t, server, callers)
	s.mustCall(server.caller(t, callers))
	for name, of := range map[string]*authority{"no authority's": nil, "another's": others} {
		if _, err := s.call(server.caller(t, of)); err == nil {
			t.Errorf("%s certificate was let in", name)
		}
	}
}

// A ticket from before must not stand for a certificate that is not taken any more.
func TestNoSessionOutlivesItsClientCA(t *testing.T) {
	server, before, after := newAuthority(t, "server"), newAuthority(t, "before"), newAuthority(t, "after")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			s := serveTLS(t, server, before)
			revoked := server.caller(t, before)
			revoked.MaxVersion = version
			for range 3 {
				if s.mustCall(revoked).ConnectionState().DidResume {
					t.Error("a session was resumed")
				}
			}
			put(t, s.files.ClientCA, after.pem)
			if _, err := s.Load(s.files); err != nil {
				t.Fatal(err)
			}
			if _, err := s.call(revoked); err == nil {
				t.Error("a caller of the CA that was taken out was let in")
			}
			s.mustCall(server.caller(t, after))
		})
	}
}

// Nor one from a time when no certificate was asked for.
func TestNoSessionFromBeforeAClientCA(t *testing.T) {
	server, callers := newAuthority(t, "server"), newAuthority(t, "callers")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			s := serveTLS(t, server, nil)
			anybody := server.caller(t, nil)
			anybody.MaxVersion = version
			s.mustCall(anybody)
			if !s.mustCall(anybody).ConnectionState().DidResume {
				t.Error("without a client_ca sessions are resumed")
			}
			s.files.ClientCA = filepath.Join(t.TempDir(), "ca.crt")
			put(t, s.files.ClientCA, callers.pem)
			if changed, err := s.Load(s.files); err != nil || !changed {
				t.Fatal(changed, err)
			}
			if _, err := s.call(anybody); err == nil {
				t.Error("a ticket stood for a certificate")
			}
		})
	}
}

func TestOldVersionsOfTLSAreRefused(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := serveTLS(t, ca, nil)
	old := ca.caller(t, nil)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := s.call(old); err == nil {
		t.Error("TLS 1.1 was taken")
	}
}

func TestProtocolsAreAgreedOn(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := serveTLS(t, ca, nil)
	for want, offered := range map[string][]string{"h2": {"http/1.1", "h2"}, "http/1.1": {"http/1.1"}, "": nil} {
		caller := ca.caller(t, nil)
		caller.NextProtos = offered
		if got := s.mustCall(caller).ConnectionState().NegotiatedProtocol; got != want {
			t.Errorf("%v: got %q", offered, got)
		}
	}
}
