// Package demo is what `ssebridge demo` shows: a gRPC backend with a few live
// streams, and a web page that listens to them through the bridge and can cut its
// own connections, so that one sees each stream resume without a hole.
//
// It has three parts.
//
//  1. [Backend], a real gRPC server with reflection and health: a clock, chat rooms,
//     random-walk metrics and a token stream (proto/ssebridge/demo/v1). It stands in
//     for the service that one would bridge, and knows nothing of HTTP or the bridge.
//  2. The site (site.go), the public handler: the page's files, the bridge's routes, and
//     POST /demo/cut, which really closes a page's TCP connections.
//  3. [Demo], which starts both with a bridge between them, configured by demo.yaml.
//
// It is an example to look at and to test against, not a package to build on.
package demo
