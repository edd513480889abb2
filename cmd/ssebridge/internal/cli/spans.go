package cli

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// errorBytes bounds the text of an SDK error in the log.
const errorBytes = 500

// plain returns the text of an error on one line, cut and with a ? for characters that are
// not printable: it may quote a header, and the log's handler escapes it once more.
func plain(err error) string {
	text := err.Error()
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\r' || c == '\t':
			return ' '
		case c < ' ' || c > '~':
			return '?'
		default:
			return c
		}
	}, text[:min(len(text), errorBytes)])
}

// spanLosses counts the spans that no collector has received.
type spanLosses struct {
	failed  atomic.Uint64 // could not be exported
	dropped atomic.Uint64 // found no room in the SDK's queue
}

func (l *spanLosses) desc() *prometheus.Desc {
	return prometheus.NewDesc("ssebridge_spans_lost_total", "Spans that no collector has received, by why.", []string{"reason"}, nil)
}

// Describe implements prometheus.Collector.
func (l *spanLosses) Describe(out chan<- *prometheus.Desc) { out <- l.desc() }

// Collect implements prometheus.Collector.
func (l *spanLosses) Collect(out chan<- prometheus.Metric) {
	desc := l.desc()
	out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(l.failed.Load()), "export_failed")
	out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(l.dropped.Load()), "queue_full")
}

// exporting counts the spans that its exporter cannot send. The log has a line when exporting
// begins to fail, and one when it works again: the SDK would have one for each batch, every
// five seconds.
type exporting struct {
	sdktrace.SpanExporter

	logger *slog.Logger
	losses *spanLosses

	lost uint64 // since exporting began to fail; the SDK calls ExportSpans one at a time
}

// ExportSpans exports a batch. It returns no error, since the SDK would only log it.
func (e *exporting) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil:
		if e.lost == 0 {
			e.logger.Warn("spans cannot be exported, and are lost until they can", "error", plain(err))
		}
		e.losses.failed.Add(uint64(len(spans)))
		e.lost += uint64(len(spans))
	case e.lost > 0:
		e.logger.Info("spans are exported again", "lost", e.lost)
		e.lost = 0
	}
	return nil
}

// droppedSpans reads how many spans the SDK has dropped, which it says only in a line for
// debugging that it writes for each batch. Lines that the log is to have are passed on.
type droppedSpans struct {
	slog.Handler

	losses *spanLosses
}

// Enabled accepts all lines.
func (d *droppedSpans) Enabled(context.Context, slog.Level) bool { return true }

// Handle takes the count from a line, and passes the line on where its level is logged.
func (d *droppedSpans) Handle(ctx context.Context, record slog.Record) error {
	record.Attrs(func(attr slog.Attr) bool {
		if n := attr.Value; n.Kind() == slog.KindUint64 && attr.Key == "total_dropped" {
			d.losses.dropped.Store(n.Uint64())
		}
		return true
	})
	if !d.Handler.Enabled(ctx, record.Level) {
		return nil
	}
	return d.Handler.Handle(ctx, record)
}

// WithAttrs keeps the count.
func (d *droppedSpans) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &droppedSpans{d.Handler.WithAttrs(attrs), d.losses}
}

// WithGroup keeps the count.
func (d *droppedSpans) WithGroup(name string) slog.Handler {
	return &droppedSpans{d.Handler.WithGroup(name), d.losses}
}
