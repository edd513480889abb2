package upstream

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"iter"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Schema is a backend's schema at one time: its services and all message types that they reach. It
// never changes. A backend that changes gets a new one; a backend that is read again without a
// change keeps the same pointer.
type Schema struct {
	services map[protoreflect.FullName]described
	// broken holds the services that the backend lists but cannot describe.
	broken map[protoreflect.FullName]error
	// resolvers has one for each file set, and at least one.
	resolvers []*Resolver
	sum       [sha256.Size]byte
}

// described is a service with the index of the file set that describes it.
type described struct {
	service protoreflect.ServiceDescriptor
	set     int
}

// newSchema makes a schema of file sets. Most schemas have one; see fileSet. owners maps each
// service that was read to the index of its set; any other service belongs to the first set that
// has it. unknown is called for each message type that the resolvers do not find; it may be nil.
func newSchema(sets []*protoregistry.Files, owners map[protoreflect.FullName]int,
	broken map[protoreflect.FullName]error, unknown func(protoreflect.FullName),
) (*Schema, error) {
	s := &Schema{
		services:  map[protoreflect.FullName]described{},
		broken:    broken,
		resolvers: newResolvers(sets, unknown),
	}
	for i, files := range sets {
		files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
			for j := range file.Services().Len() {
				service := file.Services().Get(j)
				name := service.FullName()
				owner, asked := owners[name]
				if _, ok := s.services[name]; !ok && (!asked || owner == i) {
					s.services[name] = described{service, i}
				}
			}
			return true
		})
	}
	var err error
	s.sum, err = s.checksum(sets)
	return s, err
}

// Method finds a method by "package.Service/Method", with or without a slash before it. Its errors
// name the unknown part and the most similar known name.
func (s *Schema) Method(rpc string) (protoreflect.MethodDescriptor, error) {
	service, method, ok := strings.Cut(strings.TrimPrefix(rpc, "/"), "/")
	if !ok || service == "" || method == "" {
		return nil, fmt.Errorf("rpc %q is not of the form package.Service/Method", rpc)
	}
	name := protoreflect.FullName(service)
	if err, ok := s.broken[name]; ok {
		return nil, fmt.Errorf("service %q is listed by the backend, but its schema could not be read: %w", service, err)
	}
	found, ok := s.services[name]
	if !ok {
		return nil, fmt.Errorf("service %q is not known to the backend%s", service, suggestion(service, names(s.services)))
	}
	sd := found.service
	md := sd.Methods().ByName(protoreflect.Name(method))
	if md == nil {
		return nil, fmt.Errorf("service %q has no method %q%s", service, method, suggestion(method, methodNames(sd)))
	}
	return md, nil
}

// lost returns the services that s cannot describe while previous can, and those of before that s
// still cannot describe. previous may be nil.
func (s *Schema) lost(previous *Schema, before map[protoreflect.FullName]bool) map[protoreflect.FullName]bool {
	lost := map[protoreflect.FullName]bool{}
	for name := range s.broken {
		if previous.describes(name) || before[name] {
			lost[name] = true
		}
	}
	return lost
}

// describes reports whether s has a service. s may be nil.
func (s *Schema) describes(service protoreflect.FullName) bool {
	if s == nil {
		return false
	}
	_, ok := s.services[service]
	return ok
}

// Methods returns all methods, sorted by their full names.
func (s *Schema) Methods() []protoreflect.MethodDescriptor {
	var methods []protoreflect.MethodDescriptor
	for _, found := range s.services {
		for i := range found.service.Methods().Len() {
			methods = append(methods, found.service.Methods().Get(i))
		}
	}
	slices.SortFunc(methods, func(a, b protoreflect.MethodDescriptor) int {
		return cmp.Compare(a.FullName(), b.FullName())
	})
	return methods
}

// Unreadable iterates over the services that the backend lists but cannot describe, in order, with
// the reasons.
func (s *Schema) Unreadable() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name := range names(s.broken) {
			if !yield(name, s.broken[protoreflect.FullName(name)]) {
				return
			}
		}
	}
}

// Resolver returns the resolver of message types and extensions in the google.protobuf.Any fields
// of a method's messages. rpc is "package.Service/Method". If services describe one type
// differently, the method's own service takes precedence.
func (s *Schema) Resolver(rpc string) *Resolver {
	service, _, _ := strings.Cut(strings.TrimPrefix(rpc, "/"), "/")
	return s.resolvers[s.services[protoreflect.FullName(service)].set]
}

// servicesOutsideFirstSet returns the services that the first file set does not describe, sorted.
func (s *Schema) servicesOutsideFirstSet() []string {
	var apart []string
	for name := range names(s.services) {
		if s.services[protoreflect.FullName(name)].set > 0 {
			apart = append(apart, name)
		}
	}
	return apart
}

func names[V any](m map[protoreflect.FullName]V) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !yield(string(name)) {
				return
			}
		}
	}
}

func methodNames(sd protoreflect.ServiceDescriptor) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range sd.Methods().Len() {
			if !yield(string(sd.Methods().Get(i).Name())) {
				return
			}
		}
	}
}

// checksum returns a checksum over the meaning of a schema: equal sums mean that nothing has
// changed. It ignores comments, the order of files and default JSON names.
func (s *Schema) checksum(sets []*protoregistry.Files) (all [sha256.Size]byte, err error) {
	sum := sha256.New()
	errs := make([]error, 0, len(sets))
	for _, files := range sets {
		sum.Write(fmt.Appendf(nil, "%d files\n", files.NumFiles()))
		errs = append(errs, hashFiles(sum, files))
	}
	for _, name := range s.servicesOutsideFirstSet() {
		sum.Write(fmt.Appendf(nil, "%q %d\n", name, s.services[protoreflect.FullName(name)].set))
	}
	for name := range names(s.broken) {
		sum.Write(fmt.Appendf(nil, "%q\n", name))
	}
	sum.Sum(all[:0])
	return all, errors.Join(errs...)
}

// hashFiles writes the meaning of a set of files to a hash.
func hashFiles(sum hash.Hash, files *protoregistry.Files) error {
	var paths []string
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		paths = append(paths, file.Path())
		return true
	})
	slices.Sort(paths)
	for _, path := range paths {
		file, err := files.FindFileByPath(path)
		if err != nil {
			return err
		}
		described := protodesc.ToFileDescriptorProto(file)
		described.SourceCodeInfo = nil
		nameJSON(described.GetMessageType())
		wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(described)
		if err != nil {
			return err
		}
		sum.Write(fmt.Appendf(nil, "%q %d\n", path, len(wire)))
		sum.Write(wire)
	}
	return nil
}

// nameJSON sets the missing JSON names of fields. Some compilers omit a name that is the default.
func nameJSON(messages []*descriptorpb.DescriptorProto) {
	for _, m := range messages {
		for _, field := range m.GetField() {
			if field.JsonName == nil {
				field.JsonName = new(defaultJSONName(field.GetName()))
			}
		}
		nameJSON(m.GetNestedType())
	}
}

// defaultJSONName returns a field's name in lowerCamelCase, as protoc derives it.
func defaultJSONName(name string) string {
	var b strings.Builder
	upper := false
	for _, c := range []byte(name) {
		switch {
		case c == '_':
			upper = true
			continue
		case upper && 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		}
		upper = false
		b.WriteByte(c)
	}
	return b.String()
}
