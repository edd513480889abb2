// Package backendtest runs a real gRPC backend inside a test: the
// ssebridge.test.v1.FeedService, health and reflection, over a real listener.
//
// It is not a mock. Requests cross a socket, HTTP/2 and protobuf as in production. A test can stop the
// server, restart it on its address with other options, limit its streams and serve TLS. The server
// stops when the test ends, and an unexpected end of the server fails the test.
//
// A typical test:
//
//	backend := backendtest.Start(t)
//	// … connect something to backend.Addr() and open Watch …
//	backend.AwaitRunning(1)
//	backend.Feed.Publish(&testv1.FeedEvent{Kind: "tick"})
package backendtest
