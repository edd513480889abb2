package main

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
)

// ports finds free ports below those that the system gives to connections, so
// that none is taken while its process is being restarted, each once.
type ports struct {
	random *rand.Rand
	given  map[string]bool
}

func newPorts(seed uint64) ports {
	return ports{rand.New(rand.NewPCG(seed, rand.Uint64())), map[string]bool{}}
}

func (p ports) next() string {
	for {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+p.random.IntN(10000)))
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
		if err != nil {
			continue
		}
		if listener.Close() == nil && !p.given[address] {
			p.given[address] = true
			return address
		}
	}
}
