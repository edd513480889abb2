package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/ssebridge/ssebridge/internal/release"
)

// flushTimeout bounds how long the last spans may take to leave: a collector that does not
// answer must not hold up the end.
const flushTimeout = 2 * time.Second

// tracing sends spans by OTLP, as OpenTelemetry's environment variables say. The zero
// tracing sends none.
type tracing struct {
	provider   *sdktrace.TracerProvider // nil: there is none
	propagator propagation.TextMapPropagator
	logger     *slog.Logger
	losses     spanLosses
}

// newTracing reads OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_PROTOCOL and
// OTEL_PROPAGATORS; what there is besides, of endpoints, samplers, the resource and batches,
// the SDK reads itself. Without an endpoint nothing is sent, unless the exporter is asked for
// by name.
func newTracing(ctx context.Context, logger *slog.Logger) (*tracing, error) {
	wanted, err := wantsTraces()
	if err != nil || !wanted {
		return &tracing{}, err
	}
	propagator, err := newPropagator()
	if err != nil {
		return nil, err
	}
	t := &tracing{propagator: propagator, logger: logger}
	// The SDK's own complaints have no other way than these globals.
	otel.SetLogger(logr.FromSlogHandler(&droppedSpans{logger.Handler(), &t.losses}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("traces", "error", plain(err)) }))
	exporter, err := newExporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("the traces' exporter: %w", err)
	}
	info, _ := debug.ReadBuildInfo()
	described, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "ssebridge"), attribute.String("service.version", buildVersion(release.Version(), info))),
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithFromEnv(), // says more than what stands above
	)
	if err != nil { // and what could be read is there
		logger.Warn("OTEL_RESOURCE_ATTRIBUTES", "error", err.Error())
	}

	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&exporting{SpanExporter: exporter, logger: logger, losses: &t.losses}), sdktrace.WithResource(described),
	)
	return t, nil
}

// tracerProvider is the bridge's, nil where there is none.
func (t *tracing) tracerProvider() trace.TracerProvider {
	if t.provider == nil {
		return nil
	}
	return t.provider
}

// close sends the spans that are left.
func (t *tracing) close(ctx context.Context) {
	if t.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.logger.Warn("the last spans may not have been sent", "error", err.Error())
	}
}

// wantsTraces says whether the environment asks for traces.
func wantsTraces() (bool, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "":
		return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "", nil
	case "otlp":
		return true, nil
	case "none":
		return false, nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER=%q: must be otlp or none", exporter)
	}
}

// newExporter makes the exporter for the protocol that the environment names.
func newExporter(ctx context.Context) (*otlptrace.Exporter, error) {
	name := "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	if os.Getenv(name) == "" {
		name = "OTEL_EXPORTER_OTLP_PROTOCOL"
	}
	switch protocol := os.Getenv(name); protocol {
	case "", "http/protobuf":
		if err := checkEndpoints(isWebURL, "http://collector:4318"); err != nil {
			return nil, err
		}
		return otlptracehttp.New(ctx)
	case "grpc":
		if err := checkEndpoints(isTarget, "http://collector:4317"); err != nil {
			return nil, err
		}
		return otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("%s=%q: must be http/protobuf or grpc", name, protocol)
	}
}

// checkEndpoints refuses endpoints that the exporter cannot read: it would say so once, and
// send to this machine instead. Their values are not repeated, since they may hold secrets.
func checkEndpoints(good func(endpoint string) bool, example string) error {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		if endpoint := strings.TrimSpace(os.Getenv(name)); endpoint != "" && !good(endpoint) {
			return fmt.Errorf("%s: must be a URL with its scheme, such as %s", name, example)
		}
	}
	return nil
}

// isWebURL reports whether OTLP over HTTP can be sent to an endpoint.
func isWebURL(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && (strings.EqualFold(u.Scheme, "http") || strings.EqualFold(u.Scheme, "https")) && u.Host != ""
}

// isTarget reports whether the exporter makes a target of gRPC of an endpoint.
func isTarget(endpoint string) bool {
	_, err := url.Parse(endpoint)
	return err == nil
}

// newPropagator reads which headers carry a trace.
func newPropagator() (propagation.TextMapPropagator, error) {
	names := os.Getenv("OTEL_PROPAGATORS")
	if names == "" {
		names = "tracecontext,baggage"
	}
	var chosen []propagation.TextMapPropagator
	for name := range strings.SplitSeq(names, ",") {
		switch name = strings.TrimSpace(name); name {
		case "tracecontext":
			chosen = append(chosen, propagation.TraceContext{})
		case "baggage":
			chosen = append(chosen, propagation.Baggage{})
		case "none":
		default:
			return nil, errors.New("OTEL_PROPAGATORS: must be of tracecontext, baggage and none, separated by commas")
		}
	}
	return propagation.NewCompositeTextMapPropagator(chosen...), nil
}
