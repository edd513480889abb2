package load

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// sources is from how many addresses of this machine clients come, in turn: one
// has 28,000 ports to give.
const sources = 8

// source returns the address that a client comes from.
func source(number int) [4]byte {
	return [4]byte{127, 0, 0, byte(1 + number%sources)} //nolint:gosec // small
}

// dial opens a connection to an IPv4 address and writes the request to it. A
// receive buffer of 0 is the kernel's to size. The descriptor is the caller's.
func dial(addr string, number, buffer int, request []byte) (descriptor int, err error) {
	to, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return -1, err
	}
	descriptor, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := connect(descriptor, to, number, buffer, request); err != nil {
		return -1, errors.Join(fmt.Errorf("client %d: %w", number, err), unix.Close(descriptor))
	}
	return descriptor, nil
}

func connect(descriptor int, to *net.TCPAddr, number, buffer int, request []byte) error {
	if err := unix.SetsockoptInt(descriptor, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if buffer > 0 {
		if err := unix.SetsockoptInt(descriptor, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if to.IP.IsLoopback() {
		if err := unix.Bind(descriptor, &unix.SockaddrInet4{Addr: source(number)}); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	if err := unix.Connect(descriptor, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
		return os.NewSyscallError("connect", err)
	}
	if _, err := unix.Write(descriptor, request); err != nil {
		return os.NewSyscallError("write", err)
	}
	return os.NewSyscallError("fcntl", unix.SetNonblock(descriptor, true))
}
