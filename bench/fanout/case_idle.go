package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/ssebridge/ssebridge/bench/internal/load"
	"github.com/ssebridge/ssebridge/bench/internal/pace"
	"github.com/ssebridge/ssebridge/bench/internal/procfs"
)

// idlers is how many clients are idle.
const idlers = 10000

// idler is a server whose clients get nothing but heartbeats.
type idler struct {
	name      string
	transport string
	start     starter

	running       *contender
	before, after procfs.Usage
	kernel        procfs.Sockets
}

// idleAll measures what a client holds that gets nothing. All servers rest at
// the same time, for they need no time on a processor; and all of them run
// before the first reading, for pages that programs share are counted in parts.
func idleAll(ctx context.Context, l *lab, r *report) error {
	naive := ticking(theNaive, "naive")
	all := []*idler{
		{name: ours, transport: load.HTTP1, start: bridge},
		{name: theNaive, transport: load.HTTP1, start: naive},
		{name: ours, transport: load.HTTP2, start: bridge},
		{name: theNaive, transport: load.HTTP2, start: naive},
		{name: ours, transport: load.TLS, start: bridge},
		{name: theNaive, transport: load.TLS, start: ticking(theNaive, "naive", "-tls")},
	}
	defer func() {
		for _, i := range all {
			if i.running != nil {
				i.running.stop()
			}
		}
	}()
	if err := l.rest(ctx, all); err != nil {
		return err
	}
	r.columns = []string{"", "transport", "KiB/client (PSS)", "of it heap and stacks", "kernel buffers, KiB/client", "threads"}
	perClient := map[string]float64{}
	for _, i := range all {
		kib := float64(i.after.PSS-i.before.PSS) / idlers / 1024
		perClient[i.name+i.transport] = kib
		r.row(i.name, i.transport, fmt.Sprintf("%.2f", kib), fmt.Sprintf("%.2f", float64(i.after.Anonymous-i.before.Anonymous)/idlers/1024),
			fmt.Sprintf("%.2f", float64(i.kernel.Memory)/idlers/1024), strconv.Itoa(i.after.Threads))
		r.bars = append(r.bars, bar{i.name + ", " + i.transport, kib})
	}
	r.atMost("memory of a client, HTTP/1.1 in clear", perClient[all[0].name+load.HTTP1], 2.5, " KiB")
	// net/http serves both, and the bridge has more to remember of a client.
	for _, limit := range []struct {
		at   int
		most float64
	}{{2, 1.15}, {4, 1}} {
		own, naive := all[limit.at], all[limit.at+1]
		r.atMost("memory of a client, "+own.transport+", to net/http's",
			ratio(perClient[own.name+own.transport], perClient[naive.name+naive.transport]), limit.most, "×")
	}
	r.notef("%s after the last client came, no collection forced; the sockets' own structures, about 2.5 KiB, are in none of the columns.", l.idle)
	return nil
}

// rest starts everything, opens the clients and reads their memory.
func (l *lab) rest(ctx context.Context, all []*idler) (err error) {
	for _, i := range all {
		w := want{pace: pace.Idle, transport: i.transport}
		if i.running, err = i.start(ctx, l, w); err != nil {
			return err
		}
		if err := l.attach(i.running, w, false); err != nil {
			return err
		}
	}
	if err := pause(ctx, l.settle); err != nil {
		return err
	}
	for _, i := range all {
		if i.before, err = procfs.Read(i.running.pids()...); err != nil {
			return err
		}
	}
	for _, i := range all {
		if err := i.running.lines.connect(idlers); err != nil {
			return fmt.Errorf("%s, %s: %w", i.name, i.transport, err)
		}
	}
	if err := pause(ctx, l.idle); err != nil {
		return err
	}
	for _, i := range all {
		if i.after, err = procfs.Read(i.running.pids()...); err != nil {
			return errors.Join(err, i.running.died())
		}
		if i.kernel, err = procfs.ListenerSockets(ctx, i.running.port()); err != nil {
			return err
		}
		if i.kernel.Count < idlers {
			return fmt.Errorf("%s, %s: only %d of %d clients are still there", i.name, i.transport, i.kernel.Count, idlers)
		}
	}
	return nil
}

// port returns the port that clients connect to.
func (c *contender) port() int {
	_, text, err := net.SplitHostPort(c.load.Addr)
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return port
}
