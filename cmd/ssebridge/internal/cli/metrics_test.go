package cli

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/listen"
)

// broken is a collector one of whose metrics cannot be read.
type broken struct{ good, bad *prometheus.Desc }

func (b broken) Describe(out chan<- *prometheus.Desc) { out <- b.good; out <- b.bad }

func (b broken) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(b.good, prometheus.GaugeValue, 7)
	out <- prometheus.NewInvalidMetric(b.bad, errors.New("not to be had"))
}

// A metric that cannot be read does not take the rest away, and is logged.
func TestMetricsLeaveOutTheUnreadable(t *testing.T) {
	var log bytes.Buffer
	handler := newMetrics(slog.New(slog.NewTextHandler(&log, nil)),
		broken{prometheus.NewDesc("good", "Good.", nil, nil), prometheus.NewDesc("bad", "Bad.", nil, nil)})
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text, err := io.ReadAll(answer.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\ngood 7\n", "\ngo_goroutines ", "\nprocess_max_fds ", "\nprocess_open_fds "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in what is told", strings.TrimSpace(want))
		}
	}
	if !strings.Contains(log.String(), "not to be had") {
		t.Errorf("the log says %s", log.String())
	}
}

// scraped is the value of a series on the admin listener, as it is spelt there.
func scraped(t *testing.T, admin, series string) string {
	t.Helper()
	answer, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n"+series+" ")
	if !found {
		t.Fatalf("there is no %s", series)
	}
	value, _, _ := strings.Cut(after, "\n")
	return value
}

// A file that cannot even be read is a reload that failed, for Prometheus as for readiness, until a good one comes.
func TestBadFileIsSeenInTheMetrics(t *testing.T) {
	var good string
	s := serveFile(t, filepath.Join(t.TempDir(), "ssebridge.yaml"), func(s *served) {
		good = strings.Replace(s.text("", "/clock"), `admin: ""`, "admin: 127.0.0.1:0", 1)
		s.write(good)
	})
	admin := addr(t, s.stderr.await(t, "msg=listening", "on=admin"))
	want := func(ok, failed, successful string) {
		t.Helper()
		for series, value := range map[string]string{
			`ssebridge_config_reloads_total{result="ok"}`:     ok,
			`ssebridge_config_reloads_total{result="failed"}`: failed,
			`ssebridge_config_last_reload_successful`:         successful,
		} {
			if got := scraped(t, admin, series); got != value {
				t.Errorf("%s is %s, want %s", series, got, value)
			}
		}
	}
	want("0", "0", "1")
	s.write("listen: [")
	s.stderr.await(t, "msg=\"the configuration is not reloaded; the one before stays\"")
	want("0", "1", "0")
	s.write(good)
	s.stderr.await(t, "msg=\"the configuration is reloaded\"")
	want("1", "1", "1")
}

// TestMetricsOfTheCommandAreDocumented: docs/metrics.md has each metric that serve adds to the bridge's.
func TestMetricsOfTheCommandAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## The command\n")
	section, _, _ = strings.Cut(section, "\n## ")
	documented := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^\\| `(ssebridge_[a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
		documented[found[1]] = true
	}
	folder := t.TempDir()
	files := config.ServerTLS{Cert: filepath.Join(folder, "tls.crt"), Key: filepath.Join(folder, "tls.key")}
	cert, key := signedUntil(t, "x", time.Now().Add(time.Hour))
	replace(t, files.Cert, cert)
	replace(t, files.Key, key)
	s := &starting{params: serveParams{logger: slog.New(slog.DiscardHandler)}, config: config.Config{TLS: &files}, spans: &spanLosses{}}
	if err := s.loadCertificates(); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.proxied = listen.NewProxied(listen.ProxiedParams{Listener: listener, Timeout: time.Second, Logger: s.params.logger})
	defer closing(t, s.proxied)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s.collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if !documented[family.GetName()] {
			t.Errorf("%s is not documented", family.GetName())
		}
		delete(documented, family.GetName())
		values[family.GetName()] = family.GetMetric()[0].GetGauge().GetValue()
	}
	for name := range documented {
		t.Errorf("%s is documented, and is no metric", name)
	}
	if left := values["ssebridge_certificate_not_after_seconds"] - float64(time.Now().Unix()); left < 3000 || left > 3601 {
		t.Errorf("the certificate expires in %v s", left)
	}
}
