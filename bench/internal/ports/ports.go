// Package ports finds addresses of this machine to listen at.
package ports

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The ports are below those that the kernel gives to connections, from 32768 on. Else a
// connection might take a port before its listener does, or while that is restarted.
const (
	first = 20_000
	count = 10_000
	tries = 1000
)

// Free gives free addresses, each once. The zero value is ready. Its methods may be called
// by any goroutine.
type Free struct {
	mu    sync.Mutex
	given map[string]bool
}

// Next returns an address of the loopback without a listener.
func (f *Free) Next() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range tries {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(count)))
		if f.given[addr] {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return "", err
		}
		if f.given == nil {
			f.given = map[string]bool{}
		}
		f.given[addr] = true
		return addr, nil
	}
	return "", errors.New("there is no free port")
}
