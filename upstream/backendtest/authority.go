package backendtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority that exists for the duration of a test.
type Authority struct {
	// CAFile is the path of the authority's own certificate, in PEM.
	CAFile string

	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes an authority that only its own test trusts.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{dir: tb.TempDir()}
	template := certificateTemplate(tb, "backendtest authority")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign
	a.key = newKey(tb)
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	a.CAFile = writePEM(tb, filepath.Join(a.dir, "ca.crt"), "CERTIFICATE", der)
	return a
}

// Issue writes a certificate and its key and returns the files' paths. name is the certificate's
// common name, hosts are its subject names. Issuing a name again replaces its files.
func (a *Authority) Issue(tb testing.TB, name string, hosts ...string) (certFile, keyFile string) {
	tb.Helper()
	return a.issue(tb, certificateTemplate(tb, name), hosts)
}

// IssueUntil is Issue for a certificate that expires at a given time.
func (a *Authority) IssueUntil(tb testing.TB, name string, until time.Time) (certFile, keyFile string) {
	tb.Helper()
	template := certificateTemplate(tb, name)
	template.NotBefore, template.NotAfter = until.Add(-24*time.Hour), until
	return a.issue(tb, template, nil)
}

func (a *Authority) issue(tb testing.TB, template *x509.Certificate, hosts []string) (certFile, keyFile string) {
	tb.Helper()
	name := template.Subject.CommonName
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	key := newKey(tb)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	certFile = writePEM(tb, filepath.Join(a.dir, name+".crt"), "CERTIFICATE", der)
	keyFile = writePEM(tb, filepath.Join(a.dir, name+".key"), "EC PRIVATE KEY", keyDER)
	return certFile, keyFile
}

func (a *Authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func (a *Authority) serverCertificate(tb testing.TB) tls.Certificate {
	tb.Helper()
	certFile, keyFile := a.Issue(tb, "server", "127.0.0.1", "localhost")
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	return certificate
}

func certificateTemplate(tb testing.TB, name string) *x509.Certificate {
	tb.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	return key
}

func writePEM(tb testing.TB, path, kind string, der []byte) string {
	tb.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	return path
}
