//go:build !linux

package delivery

import "net/http"

// takeover is empty: on these systems no connection is taken from http.Server.
type takeover struct{}

func (*takeover) close() error { return nil }

func (*takeover) positions() []clientPosition { return nil }

func mayTakeOver(*http.Request) bool { return false }

func (*Clients) takeOver(http.ResponseWriter, *Client) (s *Stream, taken bool) { return nil, false }
