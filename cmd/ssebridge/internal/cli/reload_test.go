package cli

import (
	"bufio"
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
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// served is a serve command and the configuration that it watches.
type served struct {
	*running

	t       *testing.T
	path    string // of the configuration
	backend string
	public  string // host:port
}

// clockRoute is a route to the demo's clock.
const clockRoute = "  - {path: %s, rpc: ssebridge.demo.v1.ClockService/Watch, upstream: app, share: true}\n"

// serveFile serves a file of a folder, in which put has put it, until the test ends.
func serveFile(t *testing.T, path string, put func(s *served)) *served {
	t.Helper()
	s := &served{t: t, path: path, backend: startBackend(t)}
	put(s)
	s.running = start(t, "serve", "--log-format", "text", "--config", path)
	s.public = addr(t, s.stderr.await(t, "msg=listening", "on=listen"))
	return s
}

// text is a configuration with more keys and these paths to the clock.
func (s *served) text(more string, paths ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "listen: 127.0.0.1:0\nadmin: \"\"\ndrain: {delay: 10ms, grace: 50ms}\n%supstreams: {app: {target: %q}}\nroutes:\n", more, s.backend)
	for _, path := range paths {
		fmt.Fprintf(&b, clockRoute, path)
	}
	return b.String()
}

// write replaces the configuration in one step.
func (s *served) write(text string) {
	s.t.Helper()
	replace(s.t, s.path, text)
}

func replace(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// status asks for a path, and returns what a GET's head says.
func (s *served) status(path string) int {
	s.t.Helper()
	answer, err := http.Head("http://" + s.public + path)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		s.t.Error(err)
	}
	return answer.StatusCode
}

// goesOn fails the test unless a stream brings another message, having said nothing else.
func goesOn(t *testing.T, client *ssetest.Client) {
	t.Helper()
	seen := len(client.Snapshot().Messages())
	client.AwaitMessages(seen + 1)
	if got := client.Snapshot(); len(got.Events) != len(got.Messages())+1 { // and the stream-open
		t.Errorf("the stream noticed something:\n%v", got)
	}
}

func TestFileThatChangesIsTakenOver(t *testing.T) {
	s := serveFile(t, filepath.Join(t.TempDir(), "ssebridge.yaml"), func(s *served) { s.write(s.text("", "/clock")) })
	client := ssetest.Connect(t, "http://"+s.public+"/clock", ssetest.Options{})
	client.AwaitMessages(1)
	if got := s.status("/second"); got != http.StatusNotFound {
		t.Fatalf("before: %d", got)
	}
	for i, path := range []string{"/second", "/third"} {
		s.write(s.text("", "/clock", path))
		s.stderr.awaitLines(t, i+1, "msg=\"the configuration is reloaded\"", "why=\"a file has changed\"")
		if got := s.status(path); got != http.StatusOK {
			t.Errorf("%s: %d", path, got)
		}
		goesOn(t, client)
	}
}

// As the kubelet does it, twice in a row.
func TestConfigMapThatIsSwappedIsTakenOver(t *testing.T) {
	folder := t.TempDir()
	swap := func(generation int, text string) {
		data := filepath.Join(folder, fmt.Sprintf("..%d", generation))
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		replace(t, filepath.Join(data, "ssebridge.yaml"), text)
		if err := os.Symlink(filepath.Base(data), filepath.Join(folder, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data")); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(folder, fmt.Sprintf("..%d", generation-1))); err != nil {
			t.Fatal(err)
		}
	}
	s := serveFile(t, filepath.Join(folder, "ssebridge.yaml"), func(s *served) {
		swap(1, s.text("", "/clock"))
		if err := os.Symlink("..data/ssebridge.yaml", s.path); err != nil {
			t.Fatal(err)
		}
	})
	client := ssetest.Connect(t, "http://"+s.public+"/clock", ssetest.Options{})
	client.AwaitMessages(1)
	for i, path := range []string{"/second", "/third"} {
		swap(i+2, s.text("", "/clock", path))
		s.stderr.awaitLines(t, i+1, "msg=\"the configuration is reloaded\"")
		if got := s.status(path); got != http.StatusOK {
			t.Errorf("%s: %d", path, got)
		}
		goesOn(t, client)
	}
}

func TestBadFileChangesNothingAndSaysWhy(t *testing.T) {
	s := serveFile(t, filepath.Join(t.TempDir(), "ssebridge.yaml"), func(s *served) { s.write(s.text("", "/clock")) })
	client := ssetest.Connect(t, "http://"+s.public+"/clock", ssetest.Options{})
	client.AwaitMessages(1)
	const refused = "msg=\"the configuration is not reloaded; the one before stays\""
	for bad, want := range map[string]string{
		s.text("hartbeat: 1\n", "/clock", "/second"):                                           `ssebridge.yaml:4:1: hartbeat: unknown key`,
		s.text("", "/clock", "'/{second'"):                                                     `ssebridge.yaml:7:12: routes[1].path: `,
		strings.Replace(s.text("", "/clock", "/second"), "127.0.0.1:0", ":0", 1):               `ssebridge.yaml:1:9: listen: needs a restart to change; nothing of the file is taken over`,
		strings.Replace(s.text("", "/clock", "/second"), `admin: ""`, "admin: 127.0.0.1:0", 1): `ssebridge.yaml:2:8: admin: needs a restart to change`,
		s.text("tls: {cert: a, key: b}\n", "/clock", "/second"):                                `ssebridge.yaml:4:6: tls: needs a restart to change`,
	} {
		s.write(bad)
		s.stderr.await(t, refused, "why=\"a file has changed\"", want)
		if got := s.status("/second"); got != http.StatusNotFound {
			t.Errorf("%s: the other route answers %d", want, got)
		}
	}
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	s.stderr.await(t, refused, "there is no configuration")
	goesOn(t, client)
	s.write(s.text("", "/clock", "/second"))
	s.stderr.await(t, "msg=\"the configuration is reloaded\"")
	if got := s.status("/second"); got != http.StatusOK {
		t.Errorf("got %d", got)
	}
	goesOn(t, client)
}

func TestSignalReloadsWithoutAChange(t *testing.T) {
	s := serveFile(t, filepath.Join(t.TempDir(), "ssebridge.yaml"), func(s *served) { s.write(s.text("", "/clock")) })
	for i := range 3 {
		s.hangups <- syscall.SIGHUP
		s.stderr.awaitLines(t, i+1, "msg=\"the configuration is reloaded\"", "why=SIGHUP")
	}
}

// Networks that are trusted from now on may name their clients by the PROXY protocol.
func TestTrustedProxiesAreTakenOver(t *testing.T) {
	s := serveFile(t, filepath.Join(t.TempDir(), "ssebridge.yaml"), func(s *served) { s.write(s.text("", "/clock")) })
	const header = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\x0a\x00\x00\x01\x10\x67\x01\xbb"
	proxied := func() int {
		conn, err := net.Dial("tcp", s.public)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, header+"GET /clock HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}

		closing(t, conn)
		_ = answer.Body.Close() // it is cut
		return answer.StatusCode
	}
	if got := proxied(); got != http.StatusBadRequest {
		t.Errorf("trusting no proxy: %d", got)
	}
	s.write(s.text("trusted_proxies: [127.0.0.1]\n", "/clock"))
	s.stderr.await(t, "msg=\"the configuration is reloaded\"")
	if got := proxied(); got != http.StatusOK {
		t.Errorf("trusting us: %d", got)
	}
}

// selfSigned makes a certificate for localhost and its key, as PEM.
func selfSigned(t *testing.T, name string) (cert, key string) {
	t.Helper()
	return signedUntil(t, name, time.Now().Add(time.Hour))
}

func signedUntil(t *testing.T, name string, until time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"}, NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// presented is the name in the certificate that a new handshake is given.
func (s *served) presented() string {
	s.t.Helper()
	conn, err := tls.Dial("tcp", s.public, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		s.t.Fatal(err)
	}
	defer closing(s.t, conn)
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestCertificateIsRenewedUnderStreams(t *testing.T) {
	folder := t.TempDir()
	certFile, keyFile := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	renew := func(cert, key string) {
		replace(t, keyFile, key)
		replace(t, certFile, cert)
	}
	renew(selfSigned(t, "first"))
	const secure = "tls: {cert: tls.crt, key: tls.key}\n" // relative to the configuration
	s := serveFile(t, filepath.Join(folder, "ssebridge.yaml"), func(s *served) { s.write(s.text(secure, "/clock")) })
	var clients []*ssetest.Client
	for _, h2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: h2}
		t.Cleanup(transport.CloseIdleConnections)
		client := ssetest.Connect(t, "https://"+s.public+"/clock", ssetest.Options{Transport: transport})
		client.AwaitMessages(1)
		clients = append(clients, client)
	}
	for i, name := range []string{"second", "third"} {
		renew(selfSigned(t, name))
		s.stderr.awaitLines(t, i+1, "msg=\"the certificate is reloaded\"")
		if got := s.presented(); got != name {
			t.Errorf("got %q, want %q", got, name)
		}
	}
	_, alien := selfSigned(t, "fourth")
	replace(t, keyFile, alien)
	s.stderr.await(t, "level=WARN", "msg=\"the certificate is not reloaded; the one before stays until", "tls.key: the file does not fit tls.cert")
	if got := s.presented(); got != "third" {
		t.Errorf("got %q", got)
	}
	// Renewed also while the configuration is a bad one.
	s.write("nonsense: 1\n")
	renew(selfSigned(t, "fifth"))
	s.stderr.awaitLines(t, 3, "msg=\"the certificate is reloaded\"")
	if got := s.presented(); got != "fifth" {
		t.Errorf("got %q", got)
	}
	// Other names that do not fit are refused with all the rest.
	s.write(s.text("tls: {cert: tls.crt, key: gone.key}\n", "/clock", "/second"))
	s.stderr.await(t, "ssebridge.yaml:4:27: tls.key: the file cannot be read")
	for _, client := range clients {
		goesOn(t, client)
	}
}

// One of the two files is written, and the other a while later: the presented pair is whole all the time, without a
// signal. The half pair is logged once.
func TestHalfRotatedCertificateIsTakenWhenWhole(t *testing.T) {
	folder := t.TempDir()
	certFile, keyFile := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	cert, key := selfSigned(t, "first")
	replace(t, certFile, cert)
	replace(t, keyFile, key)
	const secure = "tls: {cert: tls.crt, key: tls.key}\n"
	s := serveFile(t, filepath.Join(folder, "ssebridge.yaml"), func(s *served) { s.write(s.text(secure, "/clock")) })
	cert, key = selfSigned(t, "second")
	replace(t, certFile, cert)
	s.stderr.await(t, "level=WARN", "the certificate is not reloaded", "tls.key: the file does not fit tls.cert")
	s.write(s.text(secure, "/clock", "/second")) // is taken over all the same
	s.stderr.awaitLines(t, 2, "msg=\"the configuration is reloaded\"")
	if got := s.presented(); got != "first" {
		t.Errorf("of a half got %q", got)
	}
	replace(t, keyFile, key)
	s.stderr.await(t, "msg=\"the certificate is reloaded\"")
	if got := s.presented(); got != "second" {
		t.Errorf("got %q", got)
	}
	if n := strings.Count(s.stderr.String(), "the certificate is not reloaded"); n != 1 {
		t.Errorf("told %d times:\n%s", n, s.stderr)
	}
}

func TestBadCertificateIsReportedAtStartAndByCheck(t *testing.T) {
	path := file(t, "ssebridge.yaml", "listen: 127.0.0.1:0\ntls: {cert: tls.crt, key: tls.key}\n"+
		"upstreams: {app: {target: \"127.0.0.1:1\"}}\nroutes:\n"+fmt.Sprintf(clockRoute, "/clock"))
	for _, command := range []string{"serve", "check"} {
		code, _, stderr := run(t, command, "--config", path)
		if code != ExitError || !strings.Contains(stderr, "ssebridge.yaml:2:13: tls.cert: the file cannot be read: no such file or directory") ||
			!strings.Contains(stderr, "ssebridge.yaml:2:27: tls.key: ") {
			t.Errorf("%s: exit %d, %s", command, code, stderr)
		}
	}
}
