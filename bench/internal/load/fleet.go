package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Transports that clients may speak.
const (
	HTTP1 = "h1"  // HTTP/1.1 in clear
	HTTP2 = "h2c" // HTTP/2 in clear, with prior knowledge
	TLS   = "tls" // HTTP/2 over TLS; any certificate will do
)

// decoders is of how many clients that ask for compression one decompresses.
const decoders = 10

// inFlight is how many connections are opened before their responses have come.
const inFlight = 200

// answerTimeout is how long all responses together may take to begin.
const answerTimeout = 90 * time.Second

// Params say what clients a fleet has.
type Params struct {
	Addr       string // of the server, IPv4
	Path       string
	Transport  string // one of the constants above
	Compressed bool   // gzip is asked for; one client of ten decompresses, the others count bytes
	Buffer     int    // the receive buffer of a client in bytes, 0 for the kernel's choice
	Window     string // the address of a pace.Window, "" for none
}

// fleet is the clients of one server. Its methods are called by one goroutine.
type fleet struct {
	params Params
	window *window
	teller net.Conn // to the window, nil for none
	poller *poller
	number int // of the next connection

	streams sync.WaitGroup // the readers of connections

	mu          sync.Mutex
	clients     []*client
	links       []*link
	connections []net.Conn
	opened      int   // responses that have begun
	encoded     int   // of them, compressed ones
	failed      error // the first client that was not let in

	changed chan struct{} // of 1, so that a change is not missed that comes before the wait
}

// newFleet makes a fleet without clients.
func newFleet(ctx context.Context, params Params) (*fleet, error) {
	f := &fleet{params: params, window: &window{}, changed: make(chan struct{}, 1)}
	if params.Window != "" {
		teller, err := new(net.Dialer).DialContext(ctx, "tcp", params.Window)
		if err != nil {
			return nil, fmt.Errorf("the sender's window: %w", err)
		}
		f.teller = teller
		f.window.progress = &progress{to: teller}
	}
	var err error
	f.poller, err = newPoller(func(l *link, err error) { f.answered(l.head.gzip, err) }, func() {
		if f.window.progress != nil {
			f.window.progress.tell()
		}
	})
	return f, err
}

// answered notes that a client's response has begun, or why it has not.
func (f *fleet) answered(encoded bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil && f.failed == nil:
		f.failed = err
	case err == nil:
		f.opened++
		if encoded {
			f.encoded++
		}
	}
	select {
	case f.changed <- struct{}{}:
	default: // a look is due anyway
	}
}

// connect adds clients and waits until each has its response's head.
func (f *fleet) connect(ctx context.Context, count int) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	before := f.number
	for f.number < before+count {
		if err := f.wait(ctx, f.number-inFlight); err != nil {
			return err
		}
		if err := f.open(); err != nil {
			return err
		}
		f.number++
	}
	return f.wait(ctx, f.number)
}

// wait waits until some clients have been answered.
func (f *fleet) wait(ctx context.Context, answered int) error {
	for {
		f.mu.Lock()
		opened, failed := f.opened, f.failed
		f.mu.Unlock()
		if failed != nil || opened >= answered {
			return failed
		}
		select {
		case <-f.changed:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d clients were answered: %w", opened, f.number, ctx.Err())
		}
	}
}

// open opens one more client.
func (f *fleet) open() error {
	c := &client{window: f.window}
	f.mu.Lock()
	f.clients = append(f.clients, c)
	f.mu.Unlock()
	if f.window.progress != nil {
		f.window.progress.join(1)
	}
	decodes := f.params.Compressed && f.number%decoders == 0
	if f.params.Transport != HTTP1 || decodes {
		return f.stream(c)
	}
	descriptor, err := dial(f.params.Addr, f.number, f.params.Buffer, request(f.params.Addr, f.params.Path, f.params.Compressed))
	if err != nil {
		return err
	}
	l := &link{client: c, descriptor: descriptor}
	f.mu.Lock()
	f.links = append(f.links, l)
	f.mu.Unlock()
	return f.poller.add(l)
}

// stall has the last clients that still read stop reading.
func (f *fleet) stall(count int) error {
	for i := len(f.links) - 1; i >= 0 && count > 0; i-- {
		if f.links[i].isStalled() {
			continue
		}
		if err := f.poller.stall(f.links[i]); err != nil {
			return err
		}
		count--
	}
	if count > 0 {
		return errors.New("there are not as many clients that read")
	}
	return nil
}

func (c *client) isStalled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stalled
}

// close closes all clients and joins what reads them.
func (f *fleet) close() error {
	for _, connection := range f.connections {
		_ = connection.Close() // its reader may have done so
	}
	f.streams.Wait()
	err := f.poller.close()
	if f.teller != nil {
		err = errors.Join(err, f.teller.Close())
	}
	return err
}
