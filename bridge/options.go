package bridge

import (
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Options are what a program that embeds a bridge may hand in. The zero
// Options work.
type Options struct {
	// Logger takes what operators should know. Nil is slog.Default.
	Logger *slog.Logger
	// Upstreams are ready connections by the upstream's name; they take the
	// place of its target, tls and connections. They must honour
	// grpc.ForceCodecV2, as every *grpc.ClientConn does, also one over a
	// bufconn in the same process. The bridge does not close them.
	Upstreams map[string]grpc.ClientConnInterface
	// Descriptors are schemas by the upstream's name; they take the place of
	// its schema.
	Descriptors map[string]*protoregistry.Files
}

func (o Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}
