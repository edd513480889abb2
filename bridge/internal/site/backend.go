package site

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/configerr"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/upstream"
)

// Backend is an upstream at run time. Consecutive sites share it, with its connections and
// its schema, while its configuration stays the same. It is closed when the last of these
// sites releases it.
type Backend struct {
	*upstream.Upstream

	Name        string
	OpenTimeout time.Duration
	Moves       bool         // moves RPCs between addresses
	CatchUps    *topic.Slots // limited by the current site
	Counts      *observe.UpstreamCounts
	Intake      *upstream.Intake // bounds large messages that are being received and rendered

	sites atomic.Int32 // that share it

	// Set when the first of those sites becomes the current one.
	stop      context.CancelFunc // ends the follower; nil until it runs
	following sync.WaitGroup
}

// release ends a site's use of the backend.
func (u *Backend) release() error {
	if u.sites.Add(-1) > 0 {
		return nil
	}
	return u.Close()
}

// Close ends all of the backend's RPCs, and returns when its goroutines have ended.
func (u *Backend) Close() error {
	if u.stop != nil {
		u.stop()
	}
	err := u.Upstream.Close()
	u.following.Wait()
	return err
}

// addBackends sets the backends of a site: unchanged ones of the old site, which may be nil,
// and new ones.
func (b *Sites) addBackends(s, old *Site) error {
	var found config.Errors
	for name, cfg := range s.Config.Upstreams {
		up, err := b.backend(name, b.upstreamParams(s, name, cfg), old)
		found = append(found, upstreamErrors(name, err)...)
		if err != nil {
			continue
		}
		up.sites.Add(1)
		s.Backends[name] = up
	}
	return configerr.Join(found)
}

// intakeBytes bounds the memory of large messages that an upstream receives at once. A higher
// bound is not faster, and delays small messages of the same connection.
const intakeBytes = 16 << 20

// backend returns the old site's backend of a name if its parameters are the same, else a new
// one.
func (b *Sites) backend(name string, params upstream.Params, old *Site) (*Backend, error) {
	if old != nil && old.Backends[name] != nil {
		same, err := old.Backends[name].Same(params)
		if err != nil {
			return nil, err
		}
		if same {
			return old.Backends[name], nil
		}
	}
	params.Intake = upstream.NewIntake(max(intakeBytes, int64(params.MaxMessageBytes)))
	up, err := upstream.New(params)
	if err != nil {
		return nil, err
	}
	counts := observe.NewUpstreamCounts()
	if old != nil && old.Backends[name] != nil {
		counts = old.Backends[name].Counts // counters never decrease
	}
	return &Backend{
		Upstream: up, Name: name, OpenTimeout: params.OpenTimeout, Moves: params.Balance.Rebalance > 0,
		CatchUps: topic.NewSlots(0), Counts: counts, Intake: params.Intake,
	}, nil
}

// upstreamErrors converts errors of package upstream to errors of the configuration.
func upstreamErrors(name string, err error) config.Errors {
	all := configerr.Parts(err)
	found := make(config.Errors, 0, len(all))
	for _, part := range all {
		field := ""
		if param := new(upstream.ParamError); errors.As(part, &param) {
			field, part = "."+param.Field, param.Err
		}
		wrong := configerr.New(part.Error(), "upstreams.%s%s", name, field)
		wrong.Cause = part
		found = append(found, wrong)
	}
	return found
}

func (b *Sites) upstreamParams(s *Site, name string, cfg config.Upstream) upstream.Params {
	p := upstream.Params{
		Name:        name,
		Target:      cfg.Target,
		Metadata:    cfg.Metadata,
		Connections: int(cfg.Connections),
		Balance:     upstream.Balance{First: cfg.Balance.First, Rebalance: time.Duration(cfg.Balance.Rebalance)},
		Retry:       upstream.Retry{Initial: time.Duration(cfg.Reconnect.Initial), Max: time.Duration(cfg.Reconnect.Max)},
		Opens:       cfg.Opens,
		OpenTimeout: time.Duration(cfg.OpenTimeout),
		Keepalive:   time.Duration(cfg.Keepalive),
		// Four times limits.message_bytes: a message between the two bounds becomes a gap, and
		// does not end its RPC.
		MaxMessageBytes: 4 * int(s.Config.Limits.MessageBytes),
		Conn:            b.params.Conns[name],
		Logger:          b.params.Logger,
		Schema: upstream.SchemaParams{
			Descriptors:   b.params.Descriptors[name],
			DescriptorSet: cfg.Schema.DescriptorSet,
		},
	}
	if cfg.Ping != nil {
		p.Ping = &upstream.Ping{Every: time.Duration(cfg.Ping.Every), Timeout: time.Duration(cfg.Ping.Timeout)}
	}
	if cfg.Health.On {
		p.Health = &upstream.Health{Service: cfg.Health.Service}
	}
	if cfg.TLS != nil {
		p.TLS = &upstream.TLS{CA: cfg.TLS.CA, Cert: cfg.TLS.Cert, Key: cfg.TLS.Key, ServerName: cfg.TLS.ServerName}
	}
	if proto := cfg.Schema.Proto; proto != nil {
		p.Schema.ImportPaths, p.Schema.ProtoFiles = proto.ImportPaths, proto.Files
	}
	return p
}
