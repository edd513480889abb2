package upstream

import (
	"errors"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Resolver finds the types of one Schema. It is a
// protoregistry.MessageTypeResolver and a protoregistry.ExtensionTypeResolver.
// All types are dynamic (package dynamicpb), the well-known ones too.
//
// A message type that it does not know it remembers, so that
// Upstream.RefreshSchema looks it up at the backend: an Any may hold types that
// no service's signature reaches.
type Resolver struct {
	types     *dynamicpb.Types
	wellKnown *dynamicpb.Types
	unknown   func(protoreflect.FullName)
}

var (
	_ protoregistry.MessageTypeResolver   = (*Resolver)(nil)
	_ protoregistry.ExtensionTypeResolver = (*Resolver)(nil)
)

func newResolver(files *protoregistry.Files, unknown func(protoreflect.FullName)) *Resolver {
	return &Resolver{types: dynamicpb.NewTypes(files), wellKnown: wellKnownTypes(), unknown: unknown}
}

// FindMessageByName finds a message type. It returns protoregistry.NotFound if
// there is none.
func (r *Resolver) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	mt, err := r.types.FindMessageByName(name)
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

// FindMessageByURL finds a message type by a type URL of an Any. Only what is
// after the last slash matters.
func (r *Resolver) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return r.FindMessageByName(protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:]))
}

// FindExtensionByName finds an extension field by its full name.
func (r *Resolver) FindExtensionByName(field protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return r.types.FindExtensionByName(field)
}

// FindExtensionByNumber finds the extension of message with a field number.
func (r *Resolver) FindExtensionByNumber(message protoreflect.FullName, field protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return r.types.FindExtensionByNumber(message, field)
}
