package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// part is a kind of work, and the functions by which a stack is told to do it.
type part struct {
	name  string
	marks []string
}

// parts are the kinds of work of a bridge. A sample belongs to the first that a
// function is of, looked at from the innermost function outwards; so waking up
// another goroutine is wake-up, whichever goroutine does it, and a write to the
// backend's connection is receiving.
func parts() []part {
	return []part{
		{"wake-up", []string{
			"runtime.goready", "runtime.ready", "runtime.wakep", "runtime.schedule", "runtime.findRunnable", "runtime.park_m",
			"runtime.mcall", "runtime.netpoll", "runtime.futex", "runtime.notewakeup", "runtime.gopark", "runtime.goexit0",
		}},
		{"collecting garbage", []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcAssistAlloc"}},
		{"receive", []string{"google.golang.org/grpc", "golang.org/x/net/http2", "ssebridge/upstream"}},
		{"transcode and render", []string{"ssebridge/bridge/internal/transcode", "ssebridge/bridge/internal/sse"}},
		{"log and topic", []string{"ssebridge/bridge/internal/replay", "ssebridge/bridge/internal/topic"}},
		{"write", []string{"net/http", "ssebridge/bridge/internal/delivery", "bridge.(*Bridge)"}},
	}
}

// other is the part of what is of none.
const other = "other"

// breakDown says where an event's time goes, by profiling the bridge while it does
// the same once more.
func (l *lab) breakDown(ctx context.Context, r *report, want want, perEvent float64) error {
	c, err := bridge(ctx, l, want)
	if err != nil {
		return err
	}
	defer c.stop()
	if err := l.attach(c, want, false); err != nil {
		return err
	}
	if err := c.lines.connect(1000); err != nil {
		return err
	}
	if err := pause(ctx, l.settle); err != nil {
		return err
	}
	p, err := fetchProfile(ctx, c.admin, l.duration)
	if err != nil {
		return err
	}
	shares, total := classify(p)
	if total == 0 {
		return errors.New("an empty profile")
	}
	var text []string
	for _, part := range append(parts(), part{name: other}) {
		share := float64(shares[part.name]) / float64(total)
		text = append(text, fmt.Sprintf("%s %.0f %% (%.2f µs)", part.name, 100*share, share*perEvent))
	}
	r.notef("Where an event's time goes, by a profile: %s.", strings.Join(text, ", "))
	return nil
}

// fetchProfile has a program profile itself.
func fetchProfile(ctx context.Context, admin string, duration time.Duration) (*profile.Profile, error) {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, max(1, int(duration.Seconds())))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read from
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %.200s", url, response.Status, body)
	}
	return profile.Parse(bytes.NewReader(body))
}

// classify adds up a profile's samples by the part that each belongs to.
func classify(p *profile.Profile) (shares map[string]int64, total int64) {
	shares = map[string]int64{}
	known := parts()
	for _, s := range p.Sample {
		value := s.Value[len(s.Value)-1] // nanoseconds, after the count
		shares[partOf(known, s)] += value
		total += value
	}
	return shares, total
}

// partOf returns the part that a stack belongs to.
func partOf(known []part, s *profile.Sample) string {
	for _, location := range s.Location { // the innermost first
		for _, line := range location.Line {
			for _, part := range known {
				for _, mark := range part.marks {
					if line.Function != nil && strings.Contains(line.Function.Name, mark) {
						return part.name
					}
				}
			}
		}
	}
	return other
}
