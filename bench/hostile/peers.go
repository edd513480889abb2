package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// firstConnect is how long a kind of attack may take to get its first connection.
const firstConnect = 10 * time.Second

// runPeers attacks a server until it is killed. It fails if a kind of attack gets no
// connection: an attack that does not take place would pass every bar.
func runPeers(args []string) error {
	flags := flag.NewFlagSet(asPeers, flag.ExitOnError)
	addr := flags.String("target", "", "the server's address")
	proxied := flags.Bool("proxied", false, "come through a balancer that speaks the PROXY protocol")
	kinds := flags.String("kinds", "", "the kinds, a comma between two")
	_ = flags.Parse(args) // exits on errors
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	names := strings.Split(*kinds, ",")
	var all sync.WaitGroup
	for i, a := range attacks() {
		if !slices.Contains(names, a.name) {
			continue
		}
		to := newTarget(*addr)
		if *proxied { // each kind is a peer of its own
			to.from = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i + 1)}), uint16(1024+i))
		}
		all.Go(func() { a.run(ctx, to) })
		time.AfterFunc(firstConnect, func() {
			if to.connected.Load() == 0 {
				cancel(fmt.Errorf("%s: no connection to %s in %s", a.name, *addr, firstConnect))
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}
