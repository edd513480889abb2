package main

import (
	"context"

	"github.com/ssebridge/ssebridge/bench/internal/child"
	"github.com/ssebridge/ssebridge/bench/internal/load"
)

// carrying returns a starter of a comparator that carries a backend's streams to
// clients, one for each.
func carrying(name, program string) starter {
	return func(ctx context.Context, l *lab, want want) (_ *contender, err error) {
		c := newContender(name)
		defer c.stopOn(&err)
		backend, err := l.backend(ctx, c)
		if err != nil {
			return nil, err
		}
		addrs, err := l.addrs()
		if err != nil {
			return nil, err
		}
		p, err := l.start(name, l.program(program), "-listen", addrs[0], "-backend", backend)
		if err != nil {
			return nil, err
		}
		c.serves(p)
		c.load = load.Params{Addr: addrs[0], Path: "/" + want.pace}
		return c, p.AwaitReady(ctx, child.Accepts(addrs[0]))
	}
}
