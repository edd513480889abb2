package upstream

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// The defaults of Params.
const (
	defaultOpens           = 100
	defaultOpenTimeout     = 10 * time.Second
	defaultKeepalive       = 30 * time.Second
	defaultMaxMessageBytes = 16 << 20
	defaultRetryInitial    = 100 * time.Millisecond
	defaultRetryMax        = 3 * time.Second
)

// Params describe a backend and how to reach it. Every field but Target may be zero.
type Params struct {
	// Name identifies the backend in logs and errors.
	Name string
	// Target is the backend's address: host:port, dns:///host:port, unix:path, unix:///path,
	// unix-abstract:name, or any other scheme that grpc-go has a resolver for.
	Target string
	// TLS, if not nil, secures the connections.
	TLS *TLS
	// Metadata is sent with every call, including reflection. An empty value is not sent. It takes
	// precedence over the same key of Call.Metadata, so that no caller can replace the operator's
	// value.
	Metadata map[string]string
	// Schema is the source of the schema; the zero value is reflection.
	Schema SchemaParams
	// Connections is the number of connections to each address. 0 means one, one for replays
	// (Call.Replay), and one more whenever all addresses carry as many RPCs as the backend allows.
	Connections int
	// Balance controls how RPCs are placed if Target has several addresses.
	Balance Balance
	// Health, if not nil, makes each connection watch grpc.health.v1.Health. An address that does
	// not serve gets no new RPC; running ones go on. A backend without the service counts as
	// serving.
	Health *Health
	// Ping, if not nil, checks silent connections by HTTP/2 PINGs; those without RPCs as long as
	// the backend permits it. If nil, only the connection of an RPC that is not accepted within
	// OpenTimeout is checked.
	Ping *Ping
	// Retry spaces the attempts to connect to an address.
	Retry Retry
	// Opens is the number of RPCs that may wait for a slot on a connection at once, 100 if 0.
	// Further RPCs wait until one of these is placed.
	Opens int
	// OpenTimeout bounds the time until an RPC has a slot on a connection, 10 s if 0. It does not
	// bound how long the backend may be silent.
	OpenTimeout time.Duration
	// Keepalive is the interval at which the kernel probes a silent connection, 30 s if 0. HTTP/2
	// pings follow at the same interval, but no more often than every gRPC server tolerates: once
	// in 5 minutes.
	Keepalive time.Duration
	// MaxMessageBytes is the largest message that is received, 16 MiB if 0. A larger one ends its
	// RPC with ErrMessageTooLarge.
	MaxMessageBytes int
	// Intake bounds the memory of large messages in transit; nil means no bound. It does not apply
	// to Conn.
	Intake *Intake
	// Conn is a ready connection to use instead of Target, TLS, Connections and Keepalive. It must
	// honour call options (above all grpc.ForceCodecV2), as *grpc.ClientConn does over any dialer.
	// The upstream does not close it. Balance, Health and Ping are refused with it, since they need
	// connections that the upstream makes itself.
	Conn grpc.ClientConnInterface
	// Logger receives messages for the operator; nil discards them.
	Logger *slog.Logger

	resolveEvery, reflectionTimeout time.Duration // for tests; if 0, the constants of these names
}

// Balance controls which of a backend's addresses gets an RPC. The zero value keeps a connection to
// each and takes the one with the fewest RPCs.
type Balance struct {
	// First connects to one address only: the first that answers.
	First bool
	// Rebalance, if not 0, moves RPCs with Call.Movable when the addresses have changed, until each
	// has its share, within this time. If 0, RPCs stay where they are.
	Rebalance time.Duration
}

// Health names the service whose health is watched; empty means the server's.
type Health struct{ Service string }

// Ping holds the silence after which a connection is pinged, and the time after which an unanswered
// PING closes it. Servers close connections that are pinged more often than they permit, which by
// default is as rarely as once in 5 minutes.
type Ping struct{ Every, Timeout time.Duration }

// Retry spaces attempts to connect: the first pause is at most Initial, 100 ms
// if 0, and doubles up to Max, 3 s if 0.
type Retry struct{ Initial, Max time.Duration }

// TLS names PEM files. New reads them to check them, and each handshake reads them again, so a
// rotated certificate is used from the next connection on. While the files are unusable, their last
// usable contents are used.
type TLS struct {
	// CA holds the authorities that may sign the backend's certificate; if empty, the system's.
	CA string
	// Cert and Key are the client certificate, for backends that require one; both or neither.
	Cert, Key string
	// ServerName is the name in the backend's certificate; if empty, the target's host.
	ServerName string
}

// SchemaParams name the source of the schema. At most one may be set; none means server reflection.
type SchemaParams struct {
	// Descriptors are the program's own descriptors.
	Descriptors *protoregistry.Files
	// DescriptorSet is the path of a binary google.protobuf.FileDescriptorSet
	// with all imports, as `buf build` and `protoc --include_imports` write it.
	DescriptorSet string
	// ProtoFiles are .proto sources, named as an import would name them.
	ProtoFiles []string
	// ImportPaths are the directories of ProtoFiles and their imports, in search order; if empty,
	// the working directory.
	ImportPaths []string
}

// ParamError is an error of New about one parameter. New may join several.
type ParamError struct {
	// Field is the parameter's name in the configuration: "target", "tls.ca",
	// "schema.descriptor_set", …
	Field string
	// Err describes the mistake.
	Err error
}

// Error returns the parameter's name and the mistake.
func (e *ParamError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *ParamError) Unwrap() error { return e.Err }

// withDefaults replaces zero values by their defaults.
func (p Params) withDefaults() Params {
	if p.Opens == 0 {
		p.Opens = defaultOpens
	}
	if p.OpenTimeout == 0 {
		p.OpenTimeout = defaultOpenTimeout
	}
	if p.Keepalive == 0 {
		p.Keepalive = defaultKeepalive
	}
	if p.Retry.Initial == 0 {
		p.Retry.Initial = defaultRetryInitial
	}
	if p.Retry.Max == 0 {
		p.Retry.Max = defaultRetryMax
	}
	if p.MaxMessageBytes == 0 {
		p.MaxMessageBytes = defaultMaxMessageBytes
	}
	if p.Logger == nil {
		p.Logger = slog.New(slog.DiscardHandler)
	}
	p.Logger = p.Logger.With("upstream", p.Name)
	return p
}

// retryFirst returns the shortest pause between attempts to connect.
func (p Params) retryFirst() time.Duration { return min(p.Retry.Initial, p.retryLast()) }

// retryLast returns the longest pause between attempts to connect. It is bounded for the sake of a
// backend that comes back, even if RPCs are to be opened again more slowly.
func (p Params) retryLast() time.Duration { return min(p.Retry.Max, defaultRetryMax) }

// validate reports the mistakes that no later step would report.
func (p Params) validate() error {
	var errs []error
	negative := func(field string, bad bool) {
		if bad {
			errs = append(errs, &ParamError{field, errors.New("must not be negative")})
		}
	}
	negative("connections", p.Connections < 0)
	negative("opens", p.Opens < 0)
	negative("open_timeout", p.OpenTimeout < 0)
	negative("keepalive", p.Keepalive < 0)
	negative("message_bytes", p.MaxMessageBytes < 0)
	negative("balance.rebalance", p.Balance.Rebalance < 0)
	negative("reconnect.initial", p.Retry.Initial < 0)
	negative("reconnect.max", p.Retry.Max < 0)
	if p.Ping != nil && (p.Ping.Every <= 0 || p.Ping.Timeout <= 0) {
		errs = append(errs, &ParamError{"ping", errors.New("every and timeout must be positive")})
	}
	unused := func(field string, written bool) {
		if written && p.Conn != nil {
			errs = append(errs, &ParamError{field, errors.New("has no effect on a connection that the program brings; remove it")})
		}
	}
	unused("balance", p.Balance != Balance{})
	unused("health", p.Health != nil)
	unused("ping", p.Ping != nil)
	if p.Balance.First && p.Balance.Rebalance != 0 {
		errs = append(errs, &ParamError{"balance", errors.New("first leaves nothing to rebalance")})
	}
	if p.Connections > maxConnections {
		errs = append(errs, &ParamError{"connections", fmt.Errorf("%d is more than %d", p.Connections, maxConnections)})
	}
	sources := 0
	for _, set := range []bool{p.Schema.Descriptors != nil, p.Schema.DescriptorSet != "", len(p.Schema.ProtoFiles) > 0} {
		if set {
			sources++
		}
	}
	if sources > 1 {
		errs = append(errs, &ParamError{"schema", errors.New("more than one source is given")})
	}
	if len(p.Schema.ProtoFiles) == 0 && len(p.Schema.ImportPaths) > 0 {
		errs = append(errs, &ParamError{"schema.proto.files", errors.New("must name at least one file")})
	}
	return errors.Join(errs...)
}
