//go:build !linux

package delivery

import "net/http"

// takeover is empty where no connection is taken from http.Server.
type takeover struct{}

func (*takeover) close() error { return nil }

func (*takeover) spots() []spot { return nil }

func mayTakeOver(*http.Request) bool { return false }

func (*Clients) takeOver(http.ResponseWriter, *Client) (s *Stream, taken bool) { return nil, false }
