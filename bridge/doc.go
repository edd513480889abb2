// Package bridge turns gRPC server streams into event streams that a browser's
// EventSource reads and resumes.
//
// A Bridge is an http.Handler made from a config.Config; it can stand in any
// mux, behind any middleware that lets http.ResponseController through. It
// wires the seven stages; each knows its own trade only:
//
//	request ─▶ 1 route ─▶ 2 upstream ─▶ 3 transcode ─▶ 4 sse ─▶ 5 replay ─▶ 6 topic ─▶ 7 delivery ─▶ browser
//	           path→msg    RPC→wire      wire→JSON     frame     the log     1 RPC : N   position→socket
//
// The story of a request is in package serve, what a route is at run time in package
// site, what fills a topic's log in package source. This package puts them together
// (bridge.go), and has what a program that embeds a bridge calls.
//
// A configuration at run time is a site; Reload puts another one in its place
// (reload.go).
//
// The bridge handles no signals, opens no listeners and registers nothing
// globally. To stop, call Drain, which tells the clients, then the server's
// Shutdown, then Close.
//
// The http.Server around it should have a ReadHeaderTimeout, needs no
// WriteTimeout (the bridge lifts it for streams, if each middleware's
// ResponseWriter can be unwrapped), and with HTTP/2 should have
// HTTP2.WriteByteTimeout, without which a dead connection is kept for ever. What
// the bridge cannot bound is the server's to bound: MaxHeaderBytes (the command
// sets one and a half limits.request_bytes), HTTP2.MaxConcurrentStreams (250), and
// connections without a request. ReleaseRequests around all handlers has HTTP/2
// free a request's headers when its stream begins.
package bridge
