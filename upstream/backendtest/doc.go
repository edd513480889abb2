// Package backendtest runs a real gRPC backend inside a test: the
// ssebridge.test.v1.FeedService, health and reflection, over a real listener.
//
// It is not a mock. Requests cross a socket, HTTP/2 and protobuf as they do in
// production, and the server can be stopped, restarted on its address, changed
// between two lives, limited in its streams and put behind TLS. Everything is
// stopped when the test ends, and a server that ended otherwise than asked
// fails the test.
//
// What a test usually does:
//
//	backend := backendtest.Start(t)
//	// … connect something to backend.Addr() and open Watch …
//	backend.AwaitRunning(1)
//	backend.Feed.Publish(&testv1.FeedEvent{Kind: "tick"})
package backendtest
