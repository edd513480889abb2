package cli

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// broken is a collector one of whose metrics cannot be read.
type broken struct{ good, bad *prometheus.Desc }

func (b broken) Describe(out chan<- *prometheus.Desc) { out <- b.good; out <- b.bad }

func (b broken) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(b.good, prometheus.GaugeValue, 7)
	out <- prometheus.NewInvalidMetric(b.bad, errors.New("not to be had"))
}

// What cannot be read does not take the rest away, and the log says what it was.
func TestMetricsTellWhatTheyCan(t *testing.T) {
	var log bytes.Buffer
	handler := newMetrics(broken{prometheus.NewDesc("good", "Good.", nil, nil), prometheus.NewDesc("bad", "Bad.", nil, nil)},
		slog.New(slog.NewTextHandler(&log, nil)))
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
