package backendtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"testing"
)

// fleetName is the DNS name of a Fleet.
const fleetName = "fleet.test"

// Fleet is a set of backends with one port and one Feed, like the pods of a service, and a name
// server with their addresses.
type Fleet struct {
	// Backends are in the order of their addition.
	Backends []*Backend
	// Names is the name server.
	Names *Names

	tb   testing.TB
	opts []Option
	port string
}

// StartFleet starts n backends on 127.0.0.2 and up, and publishes them.
func StartFleet(tb testing.TB, n int, opts ...Option) *Fleet {
	tb.Helper()
	f := &Fleet{Names: StartNames(tb), tb: tb, opts: append(opts, withFeed(newLog())), port: freePort(tb)}
	for range n {
		f.Add()
	}
	f.Publish(f.Backends...)
	return f
}

// Add starts a further backend without publishing it.
func (f *Fleet) Add() *Backend {
	f.tb.Helper()
	host := fmt.Sprintf("127.0.0.%d", 2+len(f.Backends))
	b := Start(f.tb, append(slices.Clip(f.opts), withAddr(net.JoinHostPort(host, f.port)))...)
	f.Backends = append(f.Backends, b)
	return b
}

// freePort returns a port below the ephemeral range that is free on all addresses of a fleet. A
// port that the system chooses for one address may be in use on the next.
func freePort(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		port := strconv.Itoa(10_000 + rand.IntN(20_000))
		if isFree(tb, port) {
			return port
		}
	}
	tb.Fatal("backendtest: no port is free on all addresses of a fleet")
	return ""
}

// isFree reports whether a port is free on the first addresses of a fleet.
func isFree(tb testing.TB, port string) bool {
	tb.Helper()
	for host := range 8 {
		listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", fmt.Sprintf("127.0.0.%d:%s", 2+host, port))
		if err != nil {
			return false
		}
		if err := listener.Close(); err != nil {
			tb.Fatalf("backendtest: %v", err)
		}
	}
	return true
}

// Publish sets the name's addresses to those of backends.
func (f *Fleet) Publish(backends ...*Backend) {
	f.tb.Helper()
	hosts := make([]string, len(backends))
	for i, b := range backends {
		hosts[i], _ = f.split(b)
	}
	f.Names.Set(fleetName, hosts...)
}

// Target returns the fleet's name as a gRPC target.
func (f *Fleet) Target() string { return f.Names.Target(fleetName, f.port) }

// Running returns how many Watch RPCs each backend answers.
func (f *Fleet) Running() []int {
	all := make([]int, len(f.Backends))
	for i, b := range f.Backends {
		all[i] = b.Running()
	}
	return all
}

func (f *Fleet) split(b *Backend) (host, port string) {
	f.tb.Helper()
	host, port, err := net.SplitHostPort(b.Addr())
	if err != nil {
		f.tb.Fatalf("backendtest: %v", err)
	}
	return host, port
}
