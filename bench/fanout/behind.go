package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

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
		addr, err := freeAddr(ctx)
		if err != nil {
			return nil, err
		}
		p, err := l.start(ctx, name, l.program(program), "-listen", addr, "-backend", backend)
		if err != nil {
			return nil, err
		}
		c.serves(p)
		c.load = load.Params{Addr: addr, Path: "/" + want.pace}
		return c, p.ready(ctx, accepts(addr))
	}
}

// embedded returns a starter of the bridge in another program, with a profiler.
func embedded(arguments ...string) starter {
	return func(ctx context.Context, l *lab, want want) (_ *contender, err error) {
		c := newContender("ssebridge, embedded")
		defer c.stopOn(&err)
		backend, err := l.backend(ctx, c)
		if err != nil {
			return nil, err
		}
		addrs, err := freeAddrs(ctx)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(l.dir, fmt.Sprintf("embed-%d.yaml", l.started))
		if err := os.WriteFile(path, []byte(l.config(bridgeParams{addrs[0], addrs[1], backend})), 0o600); err != nil {
			return nil, err
		}
		p, err := l.start(ctx, "embed", append([]string{l.program("embed"), "-config", path}, arguments...)...)
		if err != nil {
			return nil, err
		}
		c.serves(p)
		c.admin = addrs[1]
		c.load = load.Params{Addr: addrs[0], Path: want.path(), Window: c.load.Window}
		return c, p.ready(ctx, answersOK("http://"+addrs[1]+"/readyz"))
	}
}
