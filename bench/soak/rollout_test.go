package main

import (
	"context"
	"os"
	"testing"
	"time"
)

// TestRollout is the rollout at a twentieth of its size. How evenly clients come
// back says nothing here: the machine has other things to do.
func TestRollout(t *testing.T) {
	common := settings{every: 80 * time.Millisecond, direct: true, out: t.Output()}
	r := rollout{common, common}
	r.drain.clients, r.drain.rooms = 500, 4
	r.drain.delay, r.drain.grace = 500*time.Millisecond, 3*time.Second
	r.reload.clients, r.reload.rooms, r.reload.reloads, r.reload.grace = 100, 2, 12, time.Second
	if err := r.equip(uint64(time.Now().UnixNano()), built(t), os.Args[0]); err != nil {
		t.Fatal(err)
	}
	for name, part := range map[string]func(context.Context) error{"drain": r.runDrain, "reload": r.runReload} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if err := part(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}
