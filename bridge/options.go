package bridge

import (
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/ssebridge/ssebridge/bridge/internal/auth"
)

// Options are what a program that embeds a bridge can provide. The zero value works.
type Options struct {
	// Logger gets lines for operators. Nil means slog.Default. One goroutine calls its handler,
	// from a bounded queue, so a handler that blocks delays only the log.
	Logger *slog.Logger
	// Upstreams are ready connections, by the upstream's name. They replace its target, tls,
	// connections and keepalive. They must support grpc.ForceCodecV2, as every
	// *grpc.ClientConn does, including one over a bufconn in the same process. The bridge
	// does not close them.
	//
	// With a target the bridge can do more: it spreads RPCs over addresses (balance, health
	// and ping are refused for a ready connection), bounds the memory of large messages while
	// they are received, and reads the connection to distinguish the backend's status from one
	// that an intermediary or a broken connection causes. On a ready connection it has only
	// the status that grpc-go reports.
	Upstreams map[string]grpc.ClientConnInterface
	// Descriptors are schemas, by the upstream's name. They replace its schema.
	Descriptors map[string]*protoregistry.Files
	// Leaving is called once, when Drain or Close is about to ask clients to reconnect. A
	// server should then send GOAWAY on its HTTP/2 connections (RFC 9113, section 6.8), so
	// that clients reconnect by a new connection, which a balancer gives to another bridge.
	// The server must still accept connections. If Leaving is nil, the bridge makes net/http
	// send GOAWAY when a client reconnects by its old connection, and the client has to
	// reconnect once more.
	Leaving func()
	// Authenticate says who a request comes from, for routes with auth: optional or required. It replaces
	// the configuration's auth.jwt, for a program that has sessions of its own. Nil claims stand for a
	// request without credentials. The claims must have a JSON form, and are used as those of a token
	// (docs/security.md): all but the volatile ones distinguish clients, and exp, in seconds since 1970,
	// ends a stream. An error refuses the request with 401, and is logged; with ErrAuthUnavailable the
	// client is asked to come back. Authenticate is called by the goroutine of the request, before its
	// body is read; requests of other origins' pages are refused as docs/security.md says of cookies,
	// unless they have an Authorization header.
	Authenticate func(r *http.Request) (claims map[string]any, err error)
	// AccessLog selects the lines about requests. The zero value means none.
	AccessLog AccessLog
	// TracerProvider gets a span for each request and each RPC. Nil means no spans; the bridge
	// does not use the global provider. Spans end on goroutines that serve other clients too,
	// so its span processors must not block: they should batch.
	TracerProvider trace.TracerProvider
	// Propagator reads the trace context of a request, and writes it to the metadata of the
	// RPC. Nil means W3C Trace Context and Baggage.
	Propagator propagation.TextMapPropagator
}

// ErrAuthUnavailable is for Options.Authenticate: it cannot say at the moment who a request comes from.
var ErrAuthUnavailable = auth.ErrUnavailable

func (o Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}
