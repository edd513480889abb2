package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// balancerEvery is the time between two looks at which bridges are ready.
const balancerEvery = 100 * time.Millisecond

// balancer sends clients to the first bridge that is ready. While none is, it sends them to
// the bridge before.
type balancer struct {
	bridges []*bridge
	client  *http.Client
	to      atomic.Pointer[bridge]
}

// newBalancer returns a balancer that begins with the first bridge.
func newBalancer(bridges []*bridge) *balancer {
	l := &balancer{bridges: bridges, client: &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	l.to.Store(bridges[0])
	return l
}

func (l *balancer) address() string { return l.to.Load().address() }

func (l *balancer) behind() string { return l.to.Load().behind() }

// run looks after the bridges until ctx ends.
func (l *balancer) run(ctx context.Context) {
	for pause(ctx, balancerEvery) == nil {
		l.look(ctx)
	}
}

func (l *balancer) look(ctx context.Context) {
	for _, b := range l.bridges {
		if b.ready(ctx, l.client) {
			l.to.Store(b)
			return
		}
	}
}

// awaitReady waits until all bridges are ready.
func (s *soak) awaitReady(ctx context.Context) error {
	client := newBalancer(s.bridges).client
	return s.await(ctx, func() error {
		for _, b := range s.bridges {
			if !b.ready(ctx, client) {
				return errors.Join(fmt.Errorf("%s is not ready", b.name), b.process.died())
			}
		}
		return nil
	})
}

// ready reports whether a bridge says that it is.
func (b *bridge) ready(ctx context.Context, client *http.Client) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.admin+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close() // only the status counts
	return response.StatusCode == http.StatusOK
}
