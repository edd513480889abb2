package main

import (
	"context"
	"os"
	"testing"
	"time"
)

// Clients that come back at one cursor do not wait for slow ones that came with them, and
// the slow ones get all of their messages, too.
func TestPaces(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	set := settings{
		direct: true, alone: true, rooms: 1, seed: uint64(time.Now().UnixNano()), kinds: []kind{pacesKind()}, clients: 10, past: 400, rounds: 3,
		every: 50 * time.Millisecond, command: built(t), backend: []string{os.Args[0], asBackend}, out: t.Output(),
	}
	if err := newSoak(set).staged(ctx, (*soak).paced); err != nil {
		t.Error(err)
	}
}
