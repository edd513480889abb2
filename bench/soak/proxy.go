package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// silence is a partition: no byte comes through until it heals, and then all do, as with
// TCP. Toxiproxy's own `timeout` drops the bytes that it holds back.
type silence struct{}

// Pipe waits until the toxic is taken away.
func (silence) Pipe(stub *toxics.ToxicStub) { <-stub.Interrupt }

// proxy is one toxiproxy between two parties.
type proxy struct {
	*toxiproxy.Proxy
}

// proxies makes proxies of one server. It registers the toxic that toxiproxy
// does not have.
type proxies struct{ server *toxiproxy.ApiServer }

func newProxies() proxies {
	toxics.Register("silence", new(silence))
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics have a logger of their own
	return proxies{toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
}

// open starts a proxy from one address to another.
func (p proxies) open(name, from, to string) (proxy, error) {
	opened := proxy{toxiproxy.NewProxy(p.server, name, from, to)}
	if err := opened.Start(); err != nil {
		return proxy{}, fmt.Errorf("proxy %s: %w", name, err)
	}
	return opened, nil
}

// The directions of a proxy's connections: to its client, and from it.
const (
	downstream = "downstream"
	upstream   = "upstream"
)

// toxic is what is done to a direction of all of a proxy's connections.
type toxic struct {
	Type       string           `json:"type"`
	Stream     string           `json:"stream"`
	Attributes map[string]int64 `json:"attributes"`
}

// add does it, to connections that there are and that are to come.
func (p proxy) add(toxics ...toxic) error {
	for _, t := range toxics {
		text, err := json.Marshal(t)
		if err != nil {
			return err
		}
		if _, err := p.Toxics.AddToxicJson(bytes.NewReader(text)); err != nil {
			return fmt.Errorf("toxic %s: %w", t.Type, err)
		}
	}
	return nil
}

// heal takes all toxics away.
func (p proxy) heal() { p.Toxics.ResetToxics(context.Background()) }

// lead leads the proxy to another address. Its connections are cut.
func (p proxy) lead(to string) error {
	return p.Update(&toxiproxy.Proxy{Listen: p.Listen, Upstream: to, Enabled: true})
}
