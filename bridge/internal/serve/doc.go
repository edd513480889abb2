// Package serve tells the story of a request: handler.go begins it, and it ends as a stream
// (stream.go), as the answer of a unary method (unary.go), or as a refusal (refuse.go).
package serve
