package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// churners is how many clients come and go at once.
const churners = 32

// churnTimeout is how long a client that comes and goes waits for its head.
const churnTimeout = 10 * time.Second

// churn opens clients one after another, each of which leaves as soon as its
// response's head has come: every second one by closing, the others by a reset.
func churn(ctx context.Context, params Params, count int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var running sync.WaitGroup
	for range churners {
		running.Go(func() {
			for ctx.Err() == nil {
				number := int(next.Add(1))
				if number > count {
					return
				}
				if err := visit(params, number); err != nil {
					cancel(fmt.Errorf("client %d: %w", number, err))
				}
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// visit is one client that comes and goes.
func visit(params Params, number int) (err error) {
	descriptor, err := dial(params.Addr, number, params.Buffer, request(params.Addr, params.Path, false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(descriptor)) }()
	if number%2 == 0 {
		reset := unix.Linger{Onoff: 1}
		if err := unix.SetsockoptLinger(descriptor, unix.SOL_SOCKET, unix.SO_LINGER, &reset); err != nil {
			return err
		}
	}
	var response head
	var buffer [4 << 10]byte
	for {
		poll := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}} //nolint:gosec // descriptors are small
		if n, err := unix.Poll(poll, int(churnTimeout.Milliseconds())); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil || n == 0 {
			return errors.Join(errors.New("no response"), err)
		}
		n, err := unix.Read(descriptor, buffer[:])
		if err != nil || n <= 0 {
			return errors.Join(errors.New("closed without a response"), err)
		}
		if _, done, err := response.read(buffer[:n]); done || err != nil {
			return err
		}
	}
}
