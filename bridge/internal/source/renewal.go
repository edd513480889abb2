package source

import (
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
)

// renewal has the newest credentials of a topic's clients, as the backend gets them. Its methods are safe
// for concurrent use.
type renewal struct {
	mu       sync.Mutex
	metadata metadata.MD
	expires  time.Time // zero: none were offered
}

// offer takes the credentials in a request, if they expire later than those that it has.
func (n *renewal) offer(request Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if request.Expires.After(n.expires) {
		n.metadata, n.expires = request.Metadata, request.Expires
	}
}

// after returns the credentials if they expire later than at a time.
func (n *renewal) after(expires time.Time) (md metadata.MD, until time.Time, newer bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.metadata, n.expires, n.expires.After(expires)
}
