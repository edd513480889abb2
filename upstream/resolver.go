package upstream

import (
	"errors"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Resolver finds the types of one Schema, as one of its services describes them. It is a
// protoregistry.MessageTypeResolver and a protoregistry.ExtensionTypeResolver. All types are
// dynamic (package dynamicpb), including the well-known ones.
//
// Nearly always all services agree. If they describe one type differently, a Resolver prefers the
// files of its own service. It looks up a type that these do not have in the other services' files,
// in the order of their names.
//
// A Resolver remembers an unknown message type, so that Upstream.RefreshSchema asks the backend for
// it: an Any may hold types that no service's signature reaches.
type Resolver struct {
	sets      []*dynamicpb.Types // in the order of the search
	wellKnown *dynamicpb.Types
	unknown   func(protoreflect.FullName)
}

var (
	_ protoregistry.MessageTypeResolver   = (*Resolver)(nil)
	_ protoregistry.ExtensionTypeResolver = (*Resolver)(nil)
)

// newResolvers returns a resolver for each file set, and one if there are none.
func newResolvers(sets []*protoregistry.Files, unknown func(protoreflect.FullName)) []*Resolver {
	types := make([]*dynamicpb.Types, len(sets))
	for i, files := range sets {
		types[i] = dynamicpb.NewTypes(files)
	}
	resolvers := make([]*Resolver, max(1, len(sets)))
	for i := range resolvers {
		order := slices.Clone(types)
		if i > 0 {
			order = slices.Insert(slices.Delete(order, i, i+1), 0, types[i])
		}
		resolvers[i] = &Resolver{sets: order, wellKnown: wellKnownTypes(), unknown: unknown}
	}
	return resolvers
}

// FindMessageByName finds a message type. It returns protoregistry.NotFound if there is none.
func (r *Resolver) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	mt, err := find(r.sets, func(types *dynamicpb.Types) (protoreflect.MessageType, error) { return types.FindMessageByName(name) })
	if err == nil || !errors.Is(err, protoregistry.NotFound) {
		return mt, err
	}
	if mt, err := r.wellKnown.FindMessageByName(name); err == nil {
		return mt, nil
	}
	if r.unknown != nil {
		r.unknown(name)
	}
	return nil, err
}

// FindMessageByURL finds a message type by the type URL of an Any. Only the part after the last
// slash matters.
func (r *Resolver) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return r.FindMessageByName(protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:]))
}

// FindExtensionByName finds an extension field by its full name.
func (r *Resolver) FindExtensionByName(field protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return find(r.sets, func(types *dynamicpb.Types) (protoreflect.ExtensionType, error) {
		return types.FindExtensionByName(field)
	})
}

// FindExtensionByNumber finds the extension of message with a field number.
func (r *Resolver) FindExtensionByNumber(message protoreflect.FullName, field protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return find(r.sets, func(types *dynamicpb.Types) (protoreflect.ExtensionType, error) {
		return types.FindExtensionByNumber(message, field)
	})
}

// find searches the sets in order, until one has the type.
func find[T any](sets []*dynamicpb.Types, ask func(*dynamicpb.Types) (T, error)) (found T, err error) {
	err = protoregistry.NotFound
	for _, types := range sets {
		if found, err = ask(types); err == nil || !errors.Is(err, protoregistry.NotFound) {
			break
		}
	}
	return found, err
}
