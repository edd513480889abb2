package prometheus

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

// patience is how long Prometheus may take to see something: it scrapes and evaluates once a second.
const patience = 90 * time.Second

// configuration is the bridge's: there is room for three topics.
const configuration = `
listen: %s
admin: %s
drain: {delay: 0s, grace: 0s}
limits: {topics: 3}
upstreams: {app: {target: %q}}
routes:
  - path: /clock
    rpc: ssebridge.demo.v1.ClockService/Watch
    upstream: app
    share: true
  - path: /rooms/{room_id}/events
    rpc: ssebridge.demo.v1.ChatService/Subscribe
    upstream: app
    share: true
    event: {id: seq, name: {oneof: body}}
    resume: {field: after_seq}
  - path: /rooms/{room_id}/messages
    methods: [POST]
    rpc: ssebridge.demo.v1.ChatService/Send
    upstream: app
`

// secured is the configuration of a bridge by TLS, whose certificate the metrics are about.
const secured = `
listen: %s
admin: %s
tls: {cert: %q, key: %q}
upstreams: {app: {target: %q}}
routes: [{path: /clock, rpc: ssebridge.demo.v1.ClockService/Watch, upstream: app}]
`

// stage is the demo's backend and two bridges before it: the one that the test uses, and one with a certificate.
type stage struct {
	backend *bridgetest.Process
	target  string // the backend's address
	url     string
	admin   string // its address
	secured string // the admin address of the other

	cert, key string // the other's files
}

func newStage(t testing.TB) *stage {
	t.Helper()
	address, admin, backend := bridgetest.FreeAddress(t), bridgetest.FreeAddress(t), bridgetest.FreeAddress(t)
	config := write(t, "ssebridge.yaml", fmt.Sprintf(configuration, address, admin, backend))
	s := &stage{url: "http://" + address, admin: admin, target: backend}
	s.startBackend(t)
	bridgetest.Start(t, bridgetest.Command(), "serve", "--config", config)
	bridgetest.Await(t, "http://"+admin+"/readyz", http.StatusOK)
	s.secured, s.cert, s.key = bridgetest.FreeAddress(t), write(t, "tls.crt", ""), write(t, "tls.key", "")
	s.certify(t, time.Now(), time.Now().Add(90*24*time.Hour))
	config = write(t, "secured.yaml", fmt.Sprintf(secured, bridgetest.FreeAddress(t), s.secured, s.cert, s.key, backend))
	bridgetest.Start(t, bridgetest.Command(), "serve", "--config", config)
	bridgetest.Await(t, "http://"+s.secured+"/readyz", http.StatusOK)
	return s
}

func (s *stage) startBackend(t testing.TB) {
	t.Helper()
	s.backend = bridgetest.Start(t, bridgetest.Command(), "demo", "backend", "--listen", s.target)
	bridgetest.AwaitAddress(t, s.target)
}

// certify writes a certificate that is valid for a time.
func (s *stage) certify(t testing.TB, from, until time.Time) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{s.cert: {Type: "CERTIFICATE", Bytes: der}, s.key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// listen reads a stream until the test ends, or the stream does. It returns when the stream has begun.
func (s *stage) listen(t testing.TB, path, lastEventID string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() }) // it was cut
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, answer.Body) // until it is cut, or the test ends
	}()
	t.Cleanup(func() { <-done })
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, answer.Status)
	}
}

// say posts a message to a room.
func (s *stage) say(t testing.TB, room string) {
	t.Helper()
	answer, err := http.Post(s.url+"/rooms/"+room+"/messages", "application/json", strings.NewReader(`{"author":"ann","text":"hello"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // nothing is read from it
	if answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
}

// prometheus is one that scrapes a bridge.
type prometheus struct{ url string }

// scraping starts a Prometheus with the alert rules, which wait for nothing.
func scraping(t testing.TB, s *stage) *prometheus {
	t.Helper()
	rules := write(t, "rules.yaml", regexp.MustCompile(`(?m)^( +for:) \S+$`).ReplaceAllString(bridgetest.Read(t, rulesFile), "$1 0s"))
	config := write(t, "prometheus.yaml", fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: ssebridge
    static_configs: [{targets: [%q]}]
  - job_name: secured
    static_configs: [{targets: [%q]}]
`, rules, s.admin, s.secured))
	address := bridgetest.FreeAddress(t)
	bridgetest.Start(t, "prometheus", "--config.file="+config, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+address, "--log.level=warn")
	p := &prometheus{url: "http://" + address}
	p.until(t, "Prometheus to be ready", func() bool {
		status, _, err := bridgetest.Status(t.Context(), p.url+"/-/ready")
		return err == nil && status == http.StatusOK
	})
	return p
}

// until asks again and again until something holds.
func (p *prometheus) until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-late.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// numbers asks a query, and returns how many series have a value that is a number.
func (p *prometheus) numbers(ctx context.Context, query string) (int, error) {
	var found struct {
		Result []struct {
			Value [2]any `json:"value"`
		} `json:"result"`
	}
	if err := p.ask(ctx, "query?query="+url.QueryEscape(query), &found); err != nil {
		return 0, fmt.Errorf("%s: %w", query, err)
	}
	n := 0
	for _, series := range found.Result {
		if series.Value[1] != "NaN" {
			n++
		}
	}
	return n, nil
}

// firing returns the names of the alerts that fire.
func (p *prometheus) firing(t testing.TB) map[string]bool {
	t.Helper()
	var found struct {
		Alerts []struct {
			Labels map[string]string `json:"labels"`
			State  string            `json:"state"`
		} `json:"alerts"`
	}
	if err := p.ask(t.Context(), "alerts", &found); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, alert := range found.Alerts {
		if alert.State == "firing" {
			names[alert.Labels["alertname"]] = true
		}
	}
	return names
}

// ask reads what the API answers.
func (p *prometheus) ask(ctx context.Context, path string, data any) error {
	_, body, err := bridgetest.Status(ctx, p.url+"/api/v1/"+path)
	if err != nil {
		return err
	}
	answer := struct {
		Error string `json:"error"`
		Data  any    `json:"data"`
	}{Data: data}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return fmt.Errorf("%w: %s", err, body)
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return nil
}
