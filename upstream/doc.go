// Package upstream is stage 2 of the bridge: it turns an RPC into wire bytes.
//
// It knows how to reach a backend (targets, TLS, connections and their stream limits), how to obtain
// its schema, and how to open an RPC. It passes on messages as received bytes, without decoding them.
// It knows nothing of HTTP to browsers or of JSON, and it does not reopen RPCs: it reports the end of
// an RPC, and the caller decides.
//
//	         Open(ctx, Call)
//	              │ 1 waits for one of `opens` slots     ┐
//	              │ 2 waits for a connection with room   ├ ≤ OpenTimeout, then UNAVAILABLE
//	              │ 3 takes its HTTP/2 stream            ┘
//	              ▼
//	Stream ── Accepted() ── Next(fn) … Next(fn) ── io.EOF or a status error
//	                            │
//	                            └ wire bytes, borrowed until fn returns
//
// The backend announces how many RPCs a connection has room for: the package reads
// SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113, section 6.5.2) from the connection, so that an RPC beyond
// the limit opens a further connection at once instead of blocking in the transport.
//
// Schemas come by server reflection (v1 or v1alpha), from a descriptor set, from .proto sources or
// from Go. The package reads a reflected schema again on each new connection. See Schema.
//
// Errors of RPCs carry a gRPC status. status.Convert returns the public part; Error() adds details
// for the operator, such as an address that cannot be dialed. If fmt.Errorf wraps such an error,
// status.Convert returns the whole text.
package upstream
