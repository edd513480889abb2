package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// Open opens the listener at an address, in the forms that [config.ParseAddress] reads.
// The error says what can be done.
func Open(ctx context.Context, address string) (net.Listener, error) {
	at, err := config.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	if at.Network == "unix" {
		return openSocket(ctx, at)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, at.Network, at.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %s", at.Address, Advice(err))
	}
	return listener, nil
}

// Advice is what is wrong with an address that cannot be listened on, and what to do.
func Advice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "the address is in use; stop what listens there, or choose another port"
	case errors.Is(err, syscall.EACCES):
		return "not permitted; ports below 1024 need the privilege, choose a higher one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return `this machine does not have the address; ":port" is all that it has`
	default:
		return cause(err).Error()
	}
}

// cause is the system's error, without the words that net puts around it.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err
	}
	return err
}
