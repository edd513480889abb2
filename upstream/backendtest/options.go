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

// Reflection says which versions of the reflection service a backend has.
type Reflection int

// The versions of reflection.
const (
	// ReflectionBoth is the default: v1 and v1alpha.
	ReflectionBoth Reflection = iota
	// ReflectionV1 serves v1 only.
	ReflectionV1
	// ReflectionV1Alpha serves v1alpha only, as servers from before 2022 do.
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

// WithAddr listens on an address of the caller's choice, such as 127.0.0.2:50051:
// backends that one name stands for have one port.
func WithAddr(addr string) Option { return func(o *options) { o.addr = addr } }

// WithFeed has Watch send what another backend's Feed has.
func WithFeed(feed *Log) Option { return func(o *options) { o.feed = feed } }

// WithMaxConcurrentStreams limits the RPCs of one connection.
func WithMaxConcurrentStreams(n uint32) Option { return func(o *options) { o.maxStreams = n } }

// WithReflection chooses the versions of the reflection service.
func WithReflection(r Reflection) Option { return func(o *options) { o.reflection = r } }

// WithDescriptors makes reflection answer from files instead of from the types
// linked into the test.
func WithDescriptors(files protodesc.Resolver) Option {
	return func(o *options) { o.descriptors = files }
}

// WithService registers a further service. With an empty desc.Methods and a nil
// impl it is listed by reflection and answers nothing.
func WithService(desc *grpc.ServiceDesc, impl any) Option {
	return func(o *options) { o.services = append(o.services, service{desc, impl}) }
}

// WithoutServices drops what WithService added, for a Restart.
func WithoutServices() Option { return func(o *options) { o.services = nil } }

// WithTLS serves TLS with a certificate of authority for 127.0.0.1 and
// localhost.
func WithTLS(authority *Authority) Option { return func(o *options) { o.authority = authority } }

// WithClientAuth asks callers for a certificate of the authority given to
// WithTLS.
func WithClientAuth() Option { return func(o *options) { o.clientAuth = true } }

// WithServerOptions hands further options to grpc.NewServer.
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
