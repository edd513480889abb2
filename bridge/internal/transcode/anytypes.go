package transcode

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Messages can add type URLs, whose prefix is free, and types, which a resolver may invent, to a plan's
// caches. These constants bound both.
const (
	maxKnownURLs   = 256
	maxKnownTables = 16384
)

// anyTypes caches the types found inside google.protobuf.Any. Lookups need no lock. Adding a URL copies
// the map, which becomes rare once the common types are known.
type anyTypes struct {
	byURL atomic.Pointer[map[string]*table]

	mu       sync.Mutex
	compiler *compiler // starts with the plan's own types
}

// anyTable returns the table of a URL's type, or nil if the resolver does not know the type.
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
		// A resolver with a fixed schema never gets here. Tables in use stay valid.
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
