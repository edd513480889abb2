package cli

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapesAtOnce is how many scrapes run at a time: of two Prometheus servers, and of an
// operator.
const scrapesAtOnce = 4

// newMetrics makes the handler of /metrics: the metrics of own, of the Go runtime and of the
// process. Metrics that cannot be read are left out and logged.
func newMetrics(logger *slog.Logger, own ...prometheus.Collector) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(own...)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesAtOnce,
	})
}

// waitingCollectors are the metrics of connections that wait for a request.
func (s *starting) waitingCollectors() []prometheus.Collector {
	closed := func(reason string, number func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "ssebridge_idle_connections_closed_total", Help: "Connections without a request that were closed for others, by reason.",
			ConstLabels: prometheus.Labels{"reason": reason},
		}, func() float64 { return float64(number()) })
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ssebridge_idle_connections", Help: "Connections over which no request is under way.",
		}, func() float64 {
			waits, _, _ := s.proxied.Waiting()
			return float64(waits)
		}),
		closed("idle_per_ip", func() uint64 {
			_, perIP, _ := s.proxied.Waiting()
			return perIP
		}),
		closed("no_room", func() uint64 {
			_, _, room := s.proxied.Waiting()
			return room
		}),
	}
}

// heldCollectors are the metrics of addresses that come more often than they may.
func (s *starting) heldCollectors() []prometheus.Collector {
	held := func(limit string, number func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "ssebridge_held_back_total", Help: "Connections, or requests, that had to wait since their address came too often, by the limit.",
			ConstLabels: prometheus.Labels{"limit": limit},
		}, func() float64 { return float64(number()) })
	}
	return []prometheus.Collector{
		held("connects_per_ip", func() uint64 {
			connects, _ := s.proxied.Held()
			return connects
		}),
		held("requests_per_ip", func() uint64 {
			_, requests := s.proxied.Held()
			return requests
		}),
	}
}

// collectors are the metrics of the parts that serve has around the bridge.
func (s *starting) collectors() []prometheus.Collector {
	counters := []prometheus.Collector{
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "ssebridge_tls_handshake_failures_total", Help: "TLS handshakes on the public listener that failed.",
		}, func() float64 { return float64(s.handshakes.Load()) }),
		s.spans,
	}
	counters = slices.Concat(counters, s.waitingCollectors(), s.heldCollectors())
	if s.certificates == nil {
		return counters
	}
	from := func() float64 {
		from, _ := s.certificates.Validity()
		return float64(from.Unix())
	}
	until := func() float64 { return float64(s.certificates.Expires().Unix()) }
	return slices.Concat(counters, []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ssebridge_certificate_not_after_seconds", Help: "When the listener's certificate expires, as Unix time.",
		}, until),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ssebridge_certificate_not_before_seconds", Help: "From when the listener's certificate is valid, as Unix time.",
		}, from),
	})
}
