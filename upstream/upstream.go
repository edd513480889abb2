package upstream

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// Upstream is one backend: its connections and its schema. Its methods may be called from any
// goroutine. After Close they fail.
type Upstream struct {
	params Params
	fixed  [sha256.Size]byte // the checksum of a schema that does not come by reflection
	logger *slog.Logger

	// pool is nil if Params.Conn is used.
	pool *pool
	// schema follows the backend's schema.
	schema *schemaKeeper
	// opening holds one token for each RPC that waits for a slot. The channel serves blocked
	// senders in order of arrival.
	opening chan struct{}

	stop context.CancelFunc // ends the reading of schemas
	wg   sync.WaitGroup     // the reading of schemas

	closed chan struct{} // closed by Close

	// certificate is the client certificate in the files of Params.TLS, as New or Same last read
	// them; nil if there is none.
	certificate atomic.Pointer[x509.Certificate]

	mu      sync.Mutex
	streams map[*Stream]struct{} // nil once closed
}

// Certificate returns the client certificate that is presented to the backend, as New or Same last
// read it; nil if there is none.
func (u *Upstream) Certificate() *x509.Certificate { return u.certificate.Load() }

// leafOf returns the certificate that a configuration presents, nil if there is none.
func leafOf(config *tls.Config) *x509.Certificate {
	if config == nil || len(config.Certificates) == 0 {
		return nil
	}
	return config.Certificates[0].Leaf
}

// New makes an upstream. It does not wait for the backend: connections and schema are established
// in the background. Errors are *ParamError, joined if there are several.
func New(params Params) (*Upstream, error) {
	params = params.withDefaults()
	errs := []error{params.validate()}
	var certificate *x509.Certificate
	if params.TLS != nil && params.Conn == nil {
		config, err := params.TLS.config()
		if err != nil {
			errs = append(errs, err)
		}
		certificate = leafOf(config)
	}
	if params.Conn == nil {
		if _, err := parseTarget(params.Target); err != nil {
			errs = append(errs, &ParamError{"target", err})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	u := &Upstream{
		params:  params,
		logger:  params.Logger,
		opening: make(chan struct{}, params.Opens),
		closed:  make(chan struct{}),
		streams: map[*Stream]struct{}{},
	}
	var err error
	if u.schema, err = newSchemaKeeper(params); err != nil {
		return nil, err
	}
	u.fixed = u.schema.current.sumOf()
	u.certificate.Store(certificate)
	if params.Conn == nil {
		if u.pool, err = newPool(params, u.schema.wakeUp); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	u.stop = cancel
	if u.schema.reflective {
		u.wg.Go(func() { u.schema.follow(ctx, u) })
	}
	return u, nil
}

// Close cancels all RPCs, closes the connections and waits for all goroutines of the upstream.
// Further calls do nothing.
func (u *Upstream) Close() error {
	u.mu.Lock()
	streams := u.streams
	u.streams = nil
	u.mu.Unlock()
	if streams == nil {
		return nil
	}
	close(u.closed)
	u.stop()
	for s := range streams {
		s.cancel()
	}
	var err error
	if u.pool != nil {
		err = u.pool.close()
	}
	u.wg.Wait()
	return err
}

// Reachable reports whether a connection is up, or comes up before ctx ends.
func (u *Upstream) Reachable(ctx context.Context) bool {
	if u.pool != nil {
		return u.pool.awaitReady(ctx)
	}
	cc, ok := u.params.Conn.(interface {
		GetState() connectivity.State
		Connect()
		WaitForStateChange(ctx context.Context, source connectivity.State) bool
	})
	if !ok {
		return true // an in-process connection, for example, which has no state
	}
	for {
		state := cc.GetState()
		if state == connectivity.Ready {
			return true
		}
		cc.Connect()
		if !cc.WaitForStateChange(ctx, state) {
			return false
		}
	}
}

// place waits for a connection with room for an RPC until ctx ends.
func (u *Upstream) place(ctx context.Context, call Call) (*slot, error) {
	if u.pool == nil {
		return &slot{cc: u.params.Conn}, nil
	}
	return u.pool.place(ctx, call)
}

// adopt records a stream for Close. It returns false after Close.
func (u *Upstream) adopt(s *Stream) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.streams == nil {
		return false
	}
	u.streams[s] = struct{}{}
	return true
}

// disown forgets a stream that has ended.
func (u *Upstream) disown(s *Stream) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.streams, s)
}

// callOptions returns the options of every RPC with raw messages.
func (u *Upstream) callOptions() []grpc.CallOption {
	return []grpc.CallOption{
		grpc.ForceCodecV2(rawCodec{}),
		grpc.WaitForReady(true),
		grpc.MaxCallRecvMsgSize(u.params.MaxMessageBytes),
	}
}
