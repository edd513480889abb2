package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// door is a client's way to a bridge.
type door interface {
	// address is where a client connects.
	address() string
	// behind names the bridge process that answers there. The name changes with the
	// process: if it is the same before and after a client has connected, the client is
	// connected to that process.
	behind() string
}

// bridge is one of the bridges, and the proxy, if any, in front of its backend.
type bridge struct {
	name    string
	process *process
	listen  string
	admin   string // its admin listener; "": it has none
	target  string // of its upstreams
	back    proxy  // before the backend; none where there are no faults
	file    file   // the configuration
	version int    // of the configuration

	lives atomic.Int64 // how often it was ended or started
}

func (b *bridge) address() string { return b.listen }

func (b *bridge) behind() string { return fmt.Sprintf("%s %d", b.name, b.lives.Load()) }

// kill is kill -9.
func (b *bridge) kill() {
	b.lives.Add(1)
	b.process.kill()
}

// stop is SIGTERM.
func (b *bridge) stop() {
	b.lives.Add(1)
	b.process.stop()
}

// start starts the bridge and waits until it has read its file: a fault that breaks the
// file may be next.
func (b *bridge) start(ctx context.Context) error {
	const listens = `"msg":"listening"`
	b.lives.Add(1)
	before := b.process.says(listens)
	if err := b.process.start(); err != nil {
		return err
	}
	for limit := time.Now().Add(calm); b.process.says(listens) == before; {
		if err := b.process.died(); err != nil || time.Now().After(limit) {
			return errors.Join(fmt.Errorf("%s does not listen", b.name), err)
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return nil //nolint:nilerr // the run is over, and ends the process
		}
	}
	return nil
}

// front is a proxy between clients and bridges.
type front struct {
	proxy

	listen string // Proxy writes its own copy whenever it starts
	to     atomic.Pointer[bridge]
	turns  atomic.Int64 // counts before and after each change of the bridge
}

func (f *front) address() string { return f.listen }

func (f *front) behind() string {
	return fmt.Sprintf("turn %d to %s", f.turns.Load(), f.to.Load().behind())
}

// lead leads the front to a bridge. Its connections are cut.
func (f *front) lead(to *bridge) error {
	f.turns.Add(1)
	defer f.turns.Add(1)
	f.to.Store(to)
	return f.proxy.lead(to.listen)
}
