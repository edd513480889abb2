package bridge

import (
	"log/slog"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Options are what a program that embeds a bridge may hand in. The zero
// Options work.
type Options struct {
	// Logger logs what operators should know. Nil is slog.Default. Its handler is called by one
	// goroutine behind a bounded queue, so a handler that blocks holds up nothing but the log.
	Logger *slog.Logger
	// Upstreams are ready connections by the upstream's name; they take the
	// place of its target, tls, connections and keepalive. They must honour
	// grpc.ForceCodecV2, as every *grpc.ClientConn does, also one over a
	// bufconn in the same process. The bridge does not close them.
	//
	// A bridge that dials a target itself does more: it spreads RPCs over addresses
	// (balance, health, ping, which are refused here), bounds the memory of large
	// messages on their way, and reads the connection to tell the backend's own
	// status from one that an intermediary or a broken connection causes. On a
	// ready connection it can only go by what grpc-go reports.
	Upstreams map[string]grpc.ClientConnInterface
	// Descriptors are schemas by the upstream's name; they take the place of
	// its schema.
	Descriptors map[string]*protoregistry.Files
	// Leaving is called once, when Drain or Close begins to ask clients to
	// reconnect, and before the first is asked. A server with connections of
	// HTTP/2 sends GOAWAY on them now (RFC 9113, section 6.8), so that a client
	// reconnects by a new connection, which a balancer gives to another bridge.
	// The server must still accept connections. Without it the bridge makes
	// net/http send GOAWAY with the first answer to a client that reconnects by
	// its old connection, which then has to reconnect once more. Nil is nothing.
	Leaving func()
	// AccessLog says what the Logger is told of requests; the zero is nothing.
	AccessLog AccessLog
	// TracerProvider takes a span for each request and each RPC; nil is none, the
	// global provider is not asked. Spans are ended on goroutines that serve other
	// clients too, so what it does with them must not wait: it should batch.
	TracerProvider trace.TracerProvider
	// Propagator reads what a request says of its trace, and writes it into the
	// metadata of the RPC. Nil is W3C Trace Context and Baggage.
	Propagator propagation.TextMapPropagator
}

func (o Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}
