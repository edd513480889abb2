package cli

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/listen"
)

// starting holds the parts of serve while it starts.
type starting struct {
	params serveParams
	config config.Config // with its defaults
	// written is the configuration's limits without their defaults.
	written config.Limits

	certificates *listen.Certificates // nil without tls
	expiry       *expiry              // the same
	proxied      *listen.Proxied
	handshakes   atomic.Uint64 // TLS handshakes that failed
	spans        *spanLosses   // those that are not exported
}

// loadCertificates loads the files that the configuration's tls names.
func (s *starting) loadCertificates() (err error) {
	if s.config.TLS == nil {
		return nil
	}
	if s.certificates, err = listen.NewCertificates(*s.config.TLS); err == nil {
		s.expiry = &expiry{certificate: s.certificates, logger: s.params.logger}
		s.expiry.look()
	}
	return err
}

// open opens the listeners for a bridge. The servers of the listeners close them.
func (s *starting) open(ctx context.Context, b *bridge.Bridge) (*serving, error) {
	listeners, err := s.listen(ctx)
	if err != nil {
		return nil, err
	}
	logger, cfg := s.params.logger, s.config
	s.proxied = listen.NewProxied(listen.ProxiedParams{
		Listener: listeners[listen.Public], Timeout: usualPatience().header, Idle: usualPatience().idle, Logger: logger,
	})
	s.proxied.Trust(cfg.TrustedProxies)
	s.proxied.Bound(listen.Ceiling(cfg))
	s.proxied.LimitWaiting(waitLimits(cfg, s.written))
	s.proxied.LimitPace(paceLimits(cfg, s.written))
	public := serverParams{
		handler: bridge.ReleaseRequests(s.proxied.Handler(b)), logger: logger, limits: cfg.Limits, patience: usualPatience(), handshakes: &s.handshakes,
	}
	if s.certificates != nil {
		public.tls = s.certificates.Config()
	}
	all := &serving{app: b, logger: logger, public: s.endpoints(public)}
	if listener := listeners[listen.Admin]; listener != nil {
		admin := serverParams{
			handler: newAdmin(b.Admin(), newMetrics(logger, append(s.collectors(), b.Collector())...), s.params.pprof), logger: logger,
			limits: config.Config{}.WithDefaults().Limits, patience: usualPatience(), streams: ownStreams,
		}
		all.admin = &endpoint{name: listen.Admin, server: newServer(admin), listener: listener}
	}
	return all, nil
}

// endpoints makes those of the public listener. A connection that is a client's own has few
// streams of HTTP/2, and one of a trusted proxy many. net/http chooses the number for each
// server, so there are two.
func (s *starting) endpoints(params serverParams) []*endpoint {
	return []*endpoint{
		s.endpoint(s.proxied, params, ownStreams),
		s.endpoint(s.proxied.Proxies(), params, maxStreams(params.limits.Clients)),
	}
}

func (s *starting) endpoint(listener net.Listener, params serverParams, streams int) *endpoint {
	params.streams = streams
	params.patience.idle = 0 // the listener ends connections that are idle
	successor := func() *http.Server {
		server := newServer(params)
		server.ConnContext, server.ConnState = s.proxied.ConnContext, s.proxied.ConnState
		return server
	}
	return &endpoint{name: listen.Public, listener: listener, server: successor(), successor: successor, secure: params.tls != nil}
}

// waitLimits is how many connections may wait for a request: in all, as many as there may be
// clients, who may all come at one moment, and those that come and go besides.
func waitLimits(cfg config.Config, written config.Limits) listen.WaitLimits {
	return listen.WaitLimits{
		PerIP: *cfg.Limits.IdlePerIP, OwnOnly: written.IdlePerIP == nil, Total: maxStreams(cfg.Limits.Clients),
	}
}

// paceLimits is how often one address may come.
func paceLimits(cfg config.Config, written config.Limits) listen.PaceLimits {
	return listen.PaceLimits{
		Connects: *cfg.Limits.ConnectsPerIP, ConnectsOwnOnly: written.ConnectsPerIP == nil,
		Requests: *cfg.Limits.RequestsPerIP, RequestsOwnOnly: written.RequestsPerIP == nil,
	}
}

// listen opens the listeners by their names. A socket that systemd passes is used in place
// of what the configuration says.
func (s *starting) listen(ctx context.Context) (map[string]net.Listener, error) {
	opened, err := listen.Inherited()
	if err != nil {
		return nil, err
	}
	for _, key := range []struct{ name, address string }{{listen.Public, s.config.Listen}, {listen.Admin, *s.config.Admin}} {
		if listener := opened[key.name]; listener != nil {
			s.params.logger.Info("systemd's socket is used in place of the configuration's address",
				slog.String("on", key.name), slog.String("configured", key.address), slog.String("addr", listener.Addr().String()))
			continue
		}
		if key.address == "" {
			continue
		}
		listener, err := listen.Open(ctx, key.address)
		if err != nil {
			return nil, errors.Join(config.Errorf(key.name, "%v", err), closeAll(opened))
		}
		opened[key.name] = listener
	}
	return opened, nil
}

func closeAll(listeners map[string]net.Listener) error {
	errs := make([]error, 0, len(listeners))
	for _, listener := range listeners {
		errs = append(errs, listener.Close())
	}
	return errors.Join(errs...)
}
