package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/load"
	"github.com/ssebridge/ssebridge/bench/internal/procfs"
)

// What may be left of clients that have come and gone.
const (
	churnWarm    = 2000 // clients before the first reading
	churnMemory  = 8    // MiB: Go gives memory back in its own time
	churnThreads = 4    // Go keeps those that it once needed
	churnWait    = 10 * time.Second
	churnLook    = 500 * time.Millisecond // between two readings
)

// state is what a server holds.
type state struct {
	procfs.Usage

	goroutines int
}

// churned has clients come and go, at a bridge whose stream goes on, and compares
// what it holds before and after.
func churned(ctx context.Context, l *lab, r *report) error {
	r.columns = []string{"", "clients", "descriptors", "threads", "PSS MiB", "goroutines", "clients/s"}
	before, after, err := l.churn(ctx, r, l.churning)
	if err != nil {
		return err
	}
	r.none("descriptors left", uint64(max(0, after.Descriptors-before.Descriptors)))
	r.atMost("threads more", max(0.01, float64(after.Threads-before.Threads)), churnThreads, "")
	r.atMost("memory more", max(0.01, float64(after.PSS-before.PSS)/(1<<20)), churnMemory, " MiB")
	r.none("goroutines left", uint64(max(0, after.goroutines-before.goroutines)))
	return nil
}

// churn does so with one server.
func (l *lab) churn(ctx context.Context, r *report, clients int) (before, after state, err error) {
	w := want{pace: "30"}
	c, err := bridge(ctx, l, w)
	if err != nil {
		return before, after, err
	}
	defer c.stop()
	if err := l.attach(c, w, false); err != nil {
		return before, after, err
	}
	// One stays, so that the stream does.
	if err := c.lines.connect(1); err != nil {
		return before, after, err
	}
	if _, err := c.lines.order(load.Churn, churnWarm); err != nil {
		return before, after, err
	}
	if before, err = l.settled(ctx, c, nil); err != nil {
		return before, after, err
	}
	began := time.Now()
	if _, err := c.lines.order(load.Churn, clients); err != nil {
		return before, after, fmt.Errorf("%s: %w", c.name, err)
	}
	rate := float64(clients) / time.Since(began).Seconds()
	if after, err = l.settled(ctx, c, &before); err != nil {
		return before, after, err
	}
	for i, s := range []state{before, after} {
		count, speed := "before", ""
		if i == 1 {
			count, speed = strconv.Itoa(clients), fmt.Sprintf("%.0f", rate)
		}
		r.row(c.name, count, strconv.Itoa(s.Descriptors), strconv.Itoa(s.Threads), fmt.Sprintf("%.1f", float64(s.PSS)/(1<<20)),
			strconv.Itoa(s.goroutines), speed)
	}
	return before, after, c.died()
}

// settled reads what a server holds when that has not changed for a while, or,
// compared with an earlier state, is no more than then, memory within its bar; or after churnWait.
func (l *lab) settled(ctx context.Context, c *contender, before *state) (now state, err error) {
	deadline := time.Now().Add(churnWait)
	for last := (state{}); ; last = now {
		if now.Usage, err = procfs.Read(c.pids()...); err != nil {
			return now, err
		}
		if now.goroutines, err = goroutines(ctx, c.admin); err != nil {
			return now, err
		}
		done := now.Descriptors == last.Descriptors && now.goroutines == last.goroutines
		if before != nil {
			done = now.Descriptors <= before.Descriptors && now.goroutines <= before.goroutines &&
				now.PSS <= before.PSS+churnMemory<<20
		}
		if done || time.Now().After(deadline) {
			return now, nil
		}
		if err := pause(ctx, churnLook); err != nil {
			return now, err
		}
	}
}

// goroutines asks a program how many goroutines it has.
func goroutines(ctx context.Context, admin string) (count int, err error) {
	url := "http://" + admin + "/debug/pprof/goroutine?debug=1"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read from
	text, err := io.ReadAll(io.LimitReader(response.Body, 100))
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscanf(string(text), "goroutine profile: total %d", &count); err != nil {
		return 0, fmt.Errorf("%s: %s: %q", url, response.Status, text)
	}
	return count, nil
}
