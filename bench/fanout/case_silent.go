package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/load"
	"github.com/ssebridge/ssebridge/bench/internal/pace"
	"github.com/ssebridge/ssebridge/bench/internal/procfs"
)

// How long a client may be there that nothing reaches any more: write_timeout and
// five seconds, from the first byte that is sent to it.
const (
	silentLimit = 10 * time.Second
	// silentWait is how long is waited for one at most.
	silentWait = 40 * time.Second
)

// silence is a stream whose client falls silent.
type silence struct {
	name string
	want want
	// first is how long after the link is cut the first byte is sent at the latest.
	first time.Duration

	running *contender
	gone    time.Duration // 0 where it was not gone in time
}

// silent cuts the link of clients and watches how long the bridge keeps them.
func silent(ctx context.Context, l *lab, r *report) (err error) {
	n, err := newNamespace(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	all := []*silence{
		{name: "busy stream", want: want{pace: "30", route: routeImpatient, host: n.here}},
		{name: "quiet stream, a heartbeat every " + heartbeat.String(), want: want{pace: pace.Idle, route: routeBeating, host: n.here}, first: heartbeat},
		{name: "quiet stream without heartbeats", want: want{pace: pace.Idle, route: routeMute, host: n.here}},
	}
	defer func() {
		for _, s := range all {
			if s.running != nil {
				s.running.stop()
			}
		}
	}()
	if err := l.listen(ctx, n, all); err != nil {
		return err
	}
	if err := n.cut(ctx); err != nil {
		return err
	}
	if err := watchSilent(ctx, all); err != nil {
		return err
	}
	r.columns = []string{"", "gone after s"}
	for _, s := range all {
		text := "> " + strconv.Itoa(int(silentWait.Seconds()))
		if s.gone > 0 {
			text = fmt.Sprintf("%.1f", s.gone.Seconds())
		}
		r.row(s.name, text)
	}
	for _, s := range all[:2] {
		if s.gone == 0 {
			r.fails("a client of a "+s.name+" is gone, after", fmt.Sprintf("not within %s", silentWait), "≤ "+(silentLimit+s.first).String())
			continue
		}
		r.atMost("a client of a "+s.name+" is gone, after", s.gone.Seconds(), (silentLimit + s.first).Seconds(), " s")
	}
	r.notef("write_timeout is %s. Without heartbeats nothing is sent but TCP's keepalive probes, whose beginning the kernel chooses.", impatient)
	return nil
}

// listen starts a bridge for each, with one client.
func (l *lab) listen(ctx context.Context, n *namespace, all []*silence) (err error) {
	for _, s := range all {
		if s.running, err = bridge(ctx, l, s.want); err != nil {
			return err
		}
		params := s.running.load
		params.Transport, params.Window = load.HTTP1, ""
		if s.running.lines, err = l.fleet(params, false, n.within()...); err != nil {
			return err
		}
		if err := s.running.lines.connect(1); err != nil {
			return err
		}
	}
	// Until the bridges have written what they say first.
	return pause(ctx, time.Second)
}

// watchSilent waits until each bridge has closed its client's connection.
func watchSilent(ctx context.Context, all []*silence) error {
	start := time.Now()
	errs := make([]error, len(all))
	var watching sync.WaitGroup
	for i, s := range all {
		watching.Go(func() {
			for errs[i] == nil && time.Since(start) < silentWait {
				var sockets procfs.Sockets
				if sockets, errs[i] = procfs.ListenerSockets(ctx, s.running.port()); errs[i] == nil && sockets.Count == 0 {
					s.gone = time.Since(start)
					return
				}
				if err := pause(ctx, 100*time.Millisecond); err != nil {
					errs[i] = err
				}
			}
		})
	}
	watching.Wait()
	return errors.Join(errs...)
}

// at returns an address as clients elsewhere reach it, and the one to listen at.
func (w want) at(addr string) (reach, listen string) {
	if w.host == "" {
		return addr, addr
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, addr
	}
	return net.JoinHostPort(w.host, port), ":" + port
}
