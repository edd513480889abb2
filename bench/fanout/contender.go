package main

import (
	"context"
	"strconv"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/child"
	"github.com/ssebridge/ssebridge/bench/internal/load"
	"github.com/ssebridge/ssebridge/bench/internal/pace"
)

// want is what a contender is to be started for.
type want struct {
	pace      string // see pace.Parse
	route     string // of the bridge, "" for the one whose stream is shared
	transport string // of the clients, "" for HTTP/1.1 in clear
	host      string // where clients reach the bridge, "" for this machine alone
	// settle is how long clients are there before the window opens, if that is
	// longer than for others.
	settle time.Duration
}

// Routes of the bridge.
const (
	routeShared    = "shared"
	routePrivate   = "private"   // a stream for each client
	routeImpatient = "impatient" // clients that take nothing are soon dropped
	routeBeating   = "beating"   // the same, with frequent heartbeats
	routeMute      = "mute"      // the same, without heartbeats
)

// path returns the path of a stream of the bridge.
func (w want) path() string {
	route := w.route
	if route == "" {
		route = routeShared
	}
	return "/" + route + "/" + w.pace
}

// windowed reports whether clients tell the sender how far they are.
func (w want) windowed() bool { return w.pace == pace.Windowed }

// starter starts a contender.
type starter func(ctx context.Context, l *lab, want want) (*contender, error)

// contender is a server that runs, with what it needs.
type contender struct {
	name    string
	load    load.Params      // how clients find it
	admin   string           // the address of its admin listener, "" for none
	servers []*child.Process // whose use counts
	helpers []*child.Process // backends and publishers, whose use does not
	lines   *fleet           // its load generator, nil before it has one

	begin    func(ctx context.Context) error // has events sent once the clients are there; nil where they are anyway
	patience time.Duration                   // how late clients may be
}

func newContender(name string) *contender { return &contender{name: name, patience: patience} }

func (c *contender) serves(p *child.Process) { c.servers = append(c.servers, p) }
func (c *contender) helps(p *child.Process)  { c.helpers = append(c.helpers, p) }

// pids returns the processes whose use counts.
func (c *contender) pids() []int {
	pids := make([]int, 0, len(c.servers))
	for _, p := range c.servers {
		pids = append(pids, p.PID())
	}
	return pids
}

// died returns an error if one of its processes has ended.
func (c *contender) died() error {
	for _, p := range append(c.servers, c.helpers...) {
		if err := p.Died(); err != nil {
			return err
		}
	}
	return nil
}

// stop ends everything: clients first, so that no server has to wait for them.
func (c *contender) stop() {
	if c.lines != nil {
		c.lines.close()
	}
	for _, p := range append(c.helpers, c.servers...) {
		p.Stop()
	}
}

// stopOn is deferred by a starter, to stop what it has started when it fails.
func (c *contender) stopOn(err *error) {
	if *err != nil {
		c.stop()
	}
}

// backend starts a gRPC backend for a contender and returns its address.
func (l *lab) backend(ctx context.Context, c *contender) (string, error) {
	addrs, err := l.addrs()
	if err != nil {
		return "", err
	}
	p, err := l.start("backend", l.self, asBackend, "-listen", addrs[0], "-window", addrs[1], "-ahead", strconv.Itoa(l.window))
	if err != nil {
		return "", err
	}
	c.helps(p)
	c.load.Window = addrs[1]
	return addrs[0], p.AwaitReady(ctx, child.Accepts(addrs[0]))
}

// ticking returns a starter of a comparator that makes its events itself.
func ticking(name, program string, arguments ...string) starter {
	return func(ctx context.Context, l *lab, want want) (_ *contender, err error) {
		c := newContender(name)
		defer c.stopOn(&err)
		addrs, err := l.addrs()
		if err != nil {
			return nil, err
		}
		command := append([]string{
			l.program(program), "-listen", addrs[0], "-window", addrs[1], "-pace", want.pace, "-ahead", strconv.Itoa(l.window),
		}, arguments...)
		p, err := l.start(name, command...)
		if err != nil {
			return nil, err
		}
		c.serves(p)
		c.load = load.Params{Addr: addrs[0], Path: "/", Window: addrs[1]}
		return c, p.AwaitReady(ctx, child.Accepts(addrs[0]))
	}
}
