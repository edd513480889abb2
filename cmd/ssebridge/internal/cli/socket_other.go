//go:build !linux

package cli

import "syscall"

// setUpListener changes nothing: the option that finds dead peers is Linux's.
func setUpListener(_, _ string, _ syscall.RawConn) error { return nil }
