// Package upstream is stage 2 of the bridge: it turns an RPC into wire bytes.
//
// It knows how a backend is reached (targets, TLS, connections and their stream
// limits), what its schema is, and how an RPC is opened. It hands over messages
// as the bytes that came, without decoding them. It knows nothing of HTTP to
// browsers, of JSON, or of when an RPC is worth opening again: an RPC that
// breaks is reported, and its caller decides.
//
//	         Open(ctx, Call)
//	              │ 1 waits for one of `opens` turns     ┐
//	              │ 2 waits for a connection with room   ├ ≤ OpenTimeout, then UNAVAILABLE
//	              │ 3 takes its HTTP/2 stream            ┘
//	              ▼
//	Stream ── Accepted() ── Next(fn) … Next(fn) ── io.EOF or a status error
//	                            │
//	                            └ wire bytes, borrowed until fn returns
//
// A connection's room is what the backend announces: the package reads
// SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113, section 6.5.2) where it arrives, so
// that an RPC beyond the limit opens a further connection at once instead of
// hanging in the transport.
//
// Schemas come by server reflection (v1 or v1alpha), from a descriptor set, from
// .proto sources or from Go. A schema that was read by reflection is read again
// whenever the backend is connected to anew. See Schema.
//
// Errors of RPCs carry a gRPC status: status.Convert gives what may be shown to
// others, Error() also says what only the operator should read, such as an
// address that cannot be dialled. Of an error that wraps such a one by fmt.Errorf,
// status.Convert gives the whole text.
package upstream
