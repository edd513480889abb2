package main

import (
	"context"
	"flag"
	"slices"
	"strings"
	"sync"
)

// runPeers does harm to a server until it is killed.
func runPeers(args []string) error {
	flags := flag.NewFlagSet(asPeers, flag.ExitOnError)
	addr := flags.String("target", "", "the server's address")
	kinds := flags.String("kinds", "", "the kinds, a comma between two")
	_ = flags.Parse(args) // exits on errors
	names := strings.Split(*kinds, ",")
	var all sync.WaitGroup
	for _, a := range attacks() {
		if slices.Contains(names, a.name) {
			all.Go(func() { a.run(context.Background(), target{*addr}) })
		}
	}
	all.Wait()

	return nil
}
