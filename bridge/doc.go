// Package bridge turns gRPC server streams into event streams that a browser's
// EventSource reads and resumes.
//
// A Bridge is an http.Handler made from a config.Config. It works in any mux, and behind any
// middleware that supports http.ResponseController. It connects seven stages:
//
//	request ─▶ 1 route ─▶ 2 upstream ─▶ 3 transcode ─▶ 4 sse ─▶ 5 replay ─▶ 6 topic ─▶ 7 delivery ─▶ browser
//	           path→msg    RPC→wire      wire→JSON     frame     the log     1 RPC : N   position→socket
//
// Package serve handles requests, package site has the configuration at run time, and package
// source fills the logs of topics. This package assembles them (bridge.go), replaces the
// configuration (reload.go), and has the API for programs that embed a bridge.
//
// The bridge handles no signals, opens no listeners and registers nothing globally. To stop,
// call Drain, which asks the clients to reconnect, then the server's Shutdown, then Close.
//
// The http.Server should have a ReadHeaderTimeout. It needs no WriteTimeout: the bridge lifts
// it for streams, if the ResponseWriter of each middleware has an Unwrap method. With HTTP/2
// it should have HTTP2.WriteByteTimeout, because a dead connection stays open forever
// otherwise. The server also has to set the bounds that the bridge cannot: MaxHeaderBytes (the
// command sets one and a half limits.request_bytes), HTTP2.MaxConcurrentStreams (250), and the
// number of connections without a request. With ReleaseRequests around all handlers, HTTP/2
// frees a request's headers when its stream begins.
package bridge
