package upstream

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// What holds where Params says nothing.
const (
	defaultOpens           = 100
	defaultOpenTimeout     = 10 * time.Second
	defaultKeepalive       = 30 * time.Second
	defaultMaxMessageBytes = 16 << 20
	defaultRetryInitial    = 100 * time.Millisecond
	defaultRetryMax        = 3 * time.Second
)

// Params say what a backend is and how it is reached. The zero value of each
// field but Target is usable.
type Params struct {
	// Name is how logs and errors call the backend.
	Name string
	// Target is where the backend is: host:port, dns:///host:port,
	// unix:path, unix:///path, unix-abstract:name, or any other scheme that
	// grpc-go has a resolver for.
	Target string
	// TLS, if not nil, has the connections use TLS.
	TLS *TLS
	// Metadata is sent with every call, reflection included. A value that is
	// empty is not sent. It wins over the same key of Call.Metadata, so that
	// no caller can replace what the operator has set.
	Metadata map[string]string
	// Schema is where the schema comes from; the zero value is reflection.
	Schema SchemaParams
	// Connections is their number for each address; 0 is one, one for replays (Call.Replay), and one more
	// whenever all addresses carry as many RPCs as the backend allows.
	Connections int
	// Balance says how RPCs are placed where Target has several addresses.
	Balance Balance
	// Health, if not nil, has each connection ask grpc.health.v1.Health whether
	// the backend serves. An address that does not gets no new RPC; those that
	// run go on. A backend without the service is taken to serve.
	Health *Health
	// Ping, if not nil, has silent connections asked by HTTP/2 PINGs whether the
	// backend is alive; those without RPCs as long as the backend permits it. Without it only an RPC that is not accepted
	// within OpenTimeout has its connection asked.
	Ping *Ping
	// Retry spaces the attempts to connect to an address.
	Retry Retry
	// Opens is how many RPCs may wait for a place on a connection at once,
	// 100 if 0. Further ones wait for one of these to be placed.
	Opens int
	// OpenTimeout bounds the time until an RPC has its place on a connection,
	// 10 s if 0. It says nothing about how long the backend may be silent.
	OpenTimeout time.Duration
	// Keepalive is how often a silent connection is probed, 30 s if 0. See
	// the comment at pingInterval for what is sent when.
	Keepalive time.Duration
	// MaxMessageBytes is the largest message that is received, 16 MiB if 0. A
	// larger one ends its RPC with ErrMessageTooLarge.
	MaxMessageBytes int
	// Intake bounds the memory of large messages on their way; nil is no bound. It
	// does not hold for Conn.
	Intake *Intake
	// Conn is a ready connection to use instead of Target, TLS, Connections
	// and Keepalive. It must honour call options (grpc.ForceCodecV2 above
	// all), as *grpc.ClientConn does over any dialer. It is not closed. Balance,
	// Health and Ping are refused with it, since they need connections of the
	// upstream's own.
	Conn grpc.ClientConnInterface
	// Logger receives what an operator wants to know; nil discards it.
	Logger *slog.Logger

	resolveEvery, reflectionTimeout time.Duration // for tests; the constants of these names if 0
}

// Balance says which of a backend's addresses gets an RPC. The zero value keeps
// a connection to each and takes the one with the fewest RPCs.
type Balance struct {
	// First connects to one address only: the first that answers.
	First bool
	// Rebalance, if not 0, moves RPCs with Call.Movable when the addresses have
	// changed, until each has its share, within this time. Else RPCs stay where
	// they are.
	Rebalance time.Duration
}

// Health names the service whose health is asked for; empty is the server's.
type Health struct{ Service string }

// Ping says when a silent connection is asked by a PING, and when one without an
// answer is given up. Servers close connections that are pinged more often than
// they permit, as few as once in 5 minutes by default.
type Ping struct{ Every, Timeout time.Duration }

// Retry spaces attempts to connect: the first pause is at most Initial, 100 ms
// if 0, and doubles up to Max, 3 s if 0.
type Retry struct{ Initial, Max time.Duration }

// TLS names PEM files. They are read when New checks them and again at each
// handshake, so a rotated certificate is used from the next connection on. While
// they cannot be used, what they held before is.
type TLS struct {
	// CA holds the authorities that may sign the backend's certificate; the
	// system's if empty.
	CA string
	// Cert and Key are this side's certificate, for backends that ask for
	// one; both or neither.
	Cert, Key string
	// ServerName is the name in the backend's certificate; the host of the
	// target if empty.
	ServerName string
}

// SchemaParams say where the schema comes from. At most one source may be set;
// none is server reflection.
type SchemaParams struct {
	// Descriptors are descriptors that the program already has.
	Descriptors *protoregistry.Files
	// DescriptorSet is the path of a binary google.protobuf.FileDescriptorSet
	// with all imports, as `buf build` and `protoc --include_imports` write it.
	DescriptorSet string
	// ProtoFiles are .proto sources, named as an import would name them.
	ProtoFiles []string
	// ImportPaths are the directories in which ProtoFiles and their imports
	// are looked for, in order; the working directory if empty.
	ImportPaths []string
}

// ParamError is an error of New that one parameter is at fault for. Several may
// be joined into one error.
type ParamError struct {
	// Field is the parameter, as the configuration calls it: "target",
	// "tls.ca", "schema.descriptor_set", …
	Field string
	// Err is what is wrong with it.
	Err error
}

// Error is the parameter's name and what is wrong with it.
func (e *ParamError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap is the error itself.
func (e *ParamError) Unwrap() error { return e.Err }

// withDefaults fills what Params leaves open.
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

// retryFirst and retryLast are the shortest and the longest pause before another
// attempt to connect. A pause is never longer than is good for a backend that
// comes back, even where RPCs are to be opened again more slowly.
func (p Params) retryFirst() time.Duration { return min(p.Retry.Initial, p.retryLast()) }

func (p Params) retryLast() time.Duration { return min(p.Retry.Max, defaultRetryMax) }

// validate reports what no later step would report by itself.
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
