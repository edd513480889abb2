package backendtest

import (
	"crypto/tls"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/reflect/protodesc"
)

// Option changes how a backend runs.
type Option func(*options)

// Reflection selects the versions of the reflection service.
type Reflection int

// The versions of reflection.
const (
	// ReflectionBoth is the default: v1 and v1alpha.
	ReflectionBoth Reflection = iota
	// ReflectionV1 serves v1 only.
	ReflectionV1
	// ReflectionV1Alpha serves v1alpha only, like servers from before 2022.
	ReflectionV1Alpha
	// ReflectionNone serves none.
	ReflectionNone
)

type options struct {
	addr          string
	feed          *Log
	unix          bool
	maxStreams    uint32
	reflection    Reflection
	descriptors   protodesc.Resolver
	authority     *Authority
	clientAuth    bool
	services      []service
	serverOptions []grpc.ServerOption
}

type service struct {
	desc *grpc.ServiceDesc
	impl any
}

// WithUnixSocket listens on a Unix socket.
func WithUnixSocket() Option { return func(o *options) { o.unix = true } }

// withAddr listens on addr. The backends of one name share a port.
func withAddr(addr string) Option { return func(o *options) { o.addr = addr } }

// withFeed makes Watch send another backend's Feed.
func withFeed(feed *Log) Option { return func(o *options) { o.feed = feed } }

// WithMaxConcurrentStreams limits the RPCs of one connection.
func WithMaxConcurrentStreams(n uint32) Option { return func(o *options) { o.maxStreams = n } }

// WithReflection selects the versions of the reflection service.
func WithReflection(r Reflection) Option { return func(o *options) { o.reflection = r } }

// WithDescriptors makes reflection answer from files instead of the types that the test links.
func WithDescriptors(files protodesc.Resolver) Option {
	return func(o *options) { o.descriptors = files }
}

// WithService registers a further service. With an empty desc.Methods and a nil impl, reflection
// lists it and it answers no RPC.
func WithService(desc *grpc.ServiceDesc, impl any) Option {
	return func(o *options) { o.services = append(o.services, service{desc, impl}) }
}

// WithTLS serves TLS with the authority's certificate for 127.0.0.1 and localhost.
func WithTLS(authority *Authority) Option { return func(o *options) { o.authority = authority } }

// WithClientAuth requires a client certificate of the authority of WithTLS.
func WithClientAuth() Option { return func(o *options) { o.clientAuth = true } }

// WithServerOptions passes further options to grpc.NewServer.
func WithServerOptions(opts ...grpc.ServerOption) Option {
	return func(o *options) { o.serverOptions = append(o.serverOptions, opts...) }
}

func (o *options) apply(opts []Option) {
	for _, opt := range opts {
		opt(o)
	}
}

func (o *options) server(tb testing.TB) []grpc.ServerOption {
	tb.Helper()
	opts := []grpc.ServerOption{grpc.WaitForHandlers(true)}
	if o.maxStreams > 0 {
		opts = append(opts, grpc.MaxConcurrentStreams(o.maxStreams))
	}
	if o.authority != nil {
		config := &tls.Config{
			Certificates: []tls.Certificate{o.authority.serverCertificate(tb)},
			MinVersion:   tls.VersionTLS12,
		}
		if o.clientAuth {
			config.ClientAuth = tls.RequireAndVerifyClientCert
			config.ClientCAs = o.authority.pool()
		}
		opts = append(opts, grpc.Creds(credentials.NewTLS(config)))
	}
	return append(opts, o.serverOptions...)
}

func (o *options) registerReflection(server *grpc.Server) {
	so := reflection.ServerOptions{Services: server, DescriptorResolver: o.descriptors}
	if o.reflection == ReflectionBoth || o.reflection == ReflectionV1 {
		reflectionv1.RegisterServerReflectionServer(server, reflection.NewServerV1(so))
	}
	if o.reflection == ReflectionBoth || o.reflection == ReflectionV1Alpha {
		registerV1Alpha(server, so)
	}
}
