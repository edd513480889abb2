package pace

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
)

// Window is how far ahead of its slowest client a stream may be. It is shut
// until a reader tells how far the clients are.
type Window struct {
	size uint64

	mu       sync.Mutex
	open     bool
	reached  uint64        // the place that every client has reached
	changed  chan struct{} // closed when reached changes
	onChange func()        // may be nil
}

// NewWindow makes a window that lets size events be on their way.
func NewWindow(size int) *Window {
	return &Window{size: uint64(max(1, size)), changed: make(chan struct{})}
}

// OnChange has f called whenever more may be sent, by the goroutine that serves
// the connection which says so. It must be called before Serve.
func (w *Window) OnChange(f func()) { w.onChange = f }

// Reached notes the place that every client has reached.
func (w *Window) Reached(place uint64) {
	w.mu.Lock()
	w.open, w.reached = true, max(w.reached, place)
	close(w.changed)
	w.changed = make(chan struct{})
	w.mu.Unlock()
	if w.onChange != nil {
		w.onChange()
	}
}

// Limit returns the last place that may be sent, 0 for none.
func (w *Window) Limit() uint64 {
	limit, _ := w.limit()
	return limit
}

func (w *Window) limit() (uint64, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.open {
		return 0, w.changed
	}
	return w.reached + w.size, w.changed
}

// Wait waits until the event at a place may be sent.
func (w *Window) Wait(ctx context.Context, place uint64) error {
	for {
		limit, changed := w.limit()
		if place <= limit {
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Serve takes what load generators tell until the listener is closed, and joins
// the goroutines that it started; they end when the other side closes.
func (w *Window) Serve(listener net.Listener) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		serving.Go(func() {
			defer connection.Close() //nolint:errcheck // it was only read from
			w.take(connection)
		})
	}
}

// take reads places until there are no more.
func (w *Window) take(from io.Reader) {
	var number [8]byte
	for {
		if _, err := io.ReadFull(from, number[:]); err != nil {
			return
		}
		w.Reached(binary.BigEndian.Uint64(number[:]))
	}
}

// Tell writes to a window's connection which place every client has reached.
func Tell(to io.Writer, place uint64) error {
	_, err := to.Write(binary.BigEndian.AppendUint64(nil, place))
	return err
}
