package main

import (
	"context"
	"flag"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// runPeers does harm to a server until it is killed.
func runPeers(args []string) error {
	flags := flag.NewFlagSet(asPeers, flag.ExitOnError)
	addr := flags.String("target", "", "the server's address")
	proxied := flags.Bool("proxied", false, "come through a balancer that speaks the PROXY protocol")
	kinds := flags.String("kinds", "", "the kinds, a comma between two")
	_ = flags.Parse(args) // exits on errors
	names := strings.Split(*kinds, ",")
	var all sync.WaitGroup
	for i, a := range attacks() {
		if !slices.Contains(names, a.name) {
			continue
		}
		to := target{addr: *addr}
		if *proxied { // each kind is a peer of its own
			to.from = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i + 1)}), uint16(1024+i))
		}
		all.Go(func() { a.run(context.Background(), to) })
	}
	all.Wait()

	return nil
}
