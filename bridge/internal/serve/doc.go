// Package serve handles requests. A request begins in handler.go, takes the steps of
// exchange.go, and ends as a stream (stream.go), as the answer of a unary method (unary.go),
// or as an error (refuse.go).
package serve
