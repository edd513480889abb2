package main

import (
	"context"
	"os"
	"testing"
	"time"
)

// TestRollout plays the rollout at a twentieth of its size. How evenly clients come back is not
// judged: the machine is busy with other tests.
func TestRollout(t *testing.T) {
	// The bridge is built with the race detector, and other tests keep the machine busy.
	common := settings{every: 80 * time.Millisecond, direct: true, margin: 6 * exitMargin, out: t.Output()}
	r := rollout{common, common, common, common}
	r.drain.clients, r.drain.rooms = 500, 4
	r.drain.delay, r.drain.grace = 500*time.Millisecond, 3*time.Second
	r.framed.clients, r.framed.rooms = 200, 4
	r.framed.delay, r.framed.grace = 500*time.Millisecond, 3*time.Second
	r.alone.clients, r.alone.rooms = 200, 4
	r.reload.clients, r.reload.rooms, r.reload.reloads, r.reload.grace = 100, 2, 12, time.Second
	if err := r.equip(uint64(time.Now().UnixNano()), built(t), os.Args[0]); err != nil {
		t.Fatal(err)
	}
	for _, part := range r.parts() {
		t.Run(part.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if err := part.run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}
