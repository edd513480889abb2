package transcode

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Bounds on what messages can make a plan remember: type URLs, whose prefix is free, and types, which a resolver could
// invent.
const (
	maxKnownURLs   = 256
	maxKnownTables = 16384
)

// anyTypes are the types met inside google.protobuf.Any. URLs are looked up without a lock or a copy; a new one is
// added by copying the map, which ends soon.
type anyTypes struct {
	byURL atomic.Pointer[map[string]*table]

	mu       sync.Mutex
	compiler *compiler // with the tables of the plan's own types
}

// anyTable gives the table of the type that a URL names, or nil if the resolver does not know it.
func (p *Plan) anyTable(url []byte) *table {
	known := p.anys.byURL.Load()
	if known != nil {
		if t := (*known)[string(url)]; t != nil {
			return t
		}
	}

	mt, err := p.types.FindMessageByURL(string(url))
	if err != nil {
		return nil
	}

	return p.anys.add(string(url), mt.Descriptor())
}

func (a *anyTypes) add(url string, md protoreflect.MessageDescriptor) *table {
	a.mu.Lock()
	defer a.mu.Unlock()

	if len(a.compiler.tables) > maxKnownTables {
		// Not within reach of a resolver that knows a schema. Tables in use stay as they are.
		a.compiler.forget()
	}

	t := a.compiler.message(md)

	known := map[string]*table{}
	if old := a.byURL.Load(); old != nil {
		known = maps.Clone(*old)
	}

	if len(known) < maxKnownURLs {
		known[url] = t
		a.byURL.Store(&known)
	}

	return t
}

func isNotFound(err error) bool { return errors.Is(err, protoregistry.NotFound) }
