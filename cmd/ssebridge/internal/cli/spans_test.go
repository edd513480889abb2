package cli

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// collectorAway is an exporter whose collector is away while err is set.
type collectorAway struct {
	*tracetest.InMemoryExporter

	err error
}

func (c *collectorAway) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if c.err != nil {
		return c.err
	}
	return c.InMemoryExporter.ExportSpans(ctx, spans)
}

// TestCollectorThatIsAwayIsLoggedOnce: one line when exporting begins to fail, one when it works again, and all lost
// spans are counted.
func TestCollectorThatIsAwayIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	collector := &collectorAway{tracetest.NewInMemoryExporter(), errors.New("dial \"tcp\":\n refused\x01")}
	losses := &spanLosses{}
	e := &exporting{SpanExporter: collector, logger: slog.New(slog.NewTextHandler(&log, nil)), losses: losses}
	batch := tracetest.SpanStubs{{Name: "a"}, {Name: "b"}}.Snapshots()
	for range 100 {
		if err := e.ExportSpans(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), `level=WARN msg="spans cannot be exported, and are lost until they can" error="dial \"tcp\":  refused?"`) {
		t.Errorf("logged %s", &log)
	}
	collector.err = nil
	for range 2 {
		if err := e.ExportSpans(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), `level=INFO msg="spans are exported again" lost=200`) {
		t.Errorf("logged %s", &log)
	}
	if n := losses.failed.Load(); n != 200 || len(collector.GetSpans()) != 4 {
		t.Errorf("%d spans are lost and %d exported", n, len(collector.GetSpans()))
	}
}

// TestSpansWithoutRoomAreCounted: the SDK's own count of the spans that its queue had no room for reaches the metric.
func TestSpansWithoutRoomAreCounted(t *testing.T) {
	var log bytes.Buffer
	losses := &spanLosses{}
	otel.SetLogger(logr.FromSlogHandler(&droppedSpans{slog.NewTextHandler(&log, nil), losses}))
	defer otel.SetLogger(logr.Discard())
	blocked := make(chan struct{})
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(&blocking{tracetest.NewInMemoryExporter(), blocked},
		sdktrace.WithMaxQueueSize(4), sdktrace.WithMaxExportBatchSize(2)))
	tracer := provider.Tracer("test")
	const spans = 100
	for range spans {
		_, span := tracer.Start(t.Context(), "span")
		span.End()
	}
	close(blocked)
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The queue has room for four, and two are being exported.
	if n := losses.dropped.Load(); n < spans-10 || n >= spans {
		t.Errorf("%d spans of %d are counted", n, spans)
	}
	if log.Len() > 0 {
		t.Errorf("logged %s", &log)
	}
}

// blocking is an exporter that waits.
type blocking struct {
	*tracetest.InMemoryExporter

	until chan struct{}
}

func (b *blocking) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	<-b.until
	return b.InMemoryExporter.ExportSpans(ctx, spans)
}
