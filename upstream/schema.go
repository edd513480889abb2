package upstream

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
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

// Schema is what a backend was at one time: its services and all message types
// they reach. It never changes; a backend that changes gets a new one, and a
// backend that is read again without a change keeps the same pointer.
type Schema struct {
	services map[protoreflect.FullName]protoreflect.ServiceDescriptor
	// broken are services that the backend lists and cannot describe.
	broken   map[protoreflect.FullName]error
	resolver *Resolver
	sum      [sha256.Size]byte
}

// newSchema makes a schema of files. unknown is told the message types that the
// resolver is asked for in vain; nil if nobody wants to know.
func newSchema(files *protoregistry.Files, broken map[protoreflect.FullName]error, unknown func(protoreflect.FullName)) (*Schema, error) {
	s := &Schema{
		services: map[protoreflect.FullName]protoreflect.ServiceDescriptor{},
		broken:   broken,
		resolver: newResolver(files, unknown),
	}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			s.services[service.FullName()] = service
		}
		return true
	})
	var err error
	s.sum, err = checksum(files, broken)
	return s, err
}

// Method finds a method by "package.Service/Method", with or without a slash
// before it. Its errors say which part is unknown and name what comes nearest.
func (s *Schema) Method(rpc string) (protoreflect.MethodDescriptor, error) {
	service, method, ok := strings.Cut(strings.TrimPrefix(rpc, "/"), "/")
	if !ok || service == "" || method == "" {
		return nil, fmt.Errorf("rpc %q is not of the form package.Service/Method", rpc)
	}
	name := protoreflect.FullName(service)
	if err, ok := s.broken[name]; ok {
		return nil, fmt.Errorf("service %q is listed by the backend, but its schema could not be read: %w", service, err)
	}
	sd, ok := s.services[name]
	if !ok {
		return nil, fmt.Errorf("service %q is not known to the backend%s", service, suggestion(service, names(s.services)))
	}
	md := sd.Methods().ByName(protoreflect.Name(method))
	if md == nil {
		return nil, fmt.Errorf("service %q has no method %q%s", service, method, suggestion(method, methodNames(sd)))
	}
	return md, nil
}

// lost are the services that s cannot describe and previous can, and those of
// before that s still cannot. previous may be nil.
func (s *Schema) lost(previous *Schema, before map[protoreflect.FullName]bool) map[protoreflect.FullName]bool {
	lost := map[protoreflect.FullName]bool{}
	for name := range s.broken {
		if previous != nil && previous.services[name] != nil || before[name] {
			lost[name] = true
		}
	}
	return lost
}

// Methods are all methods, sorted by their full names.
func (s *Schema) Methods() []protoreflect.MethodDescriptor {
	var methods []protoreflect.MethodDescriptor
	for _, service := range s.services {
		for i := range service.Methods().Len() {
			methods = append(methods, service.Methods().Get(i))
		}
	}
	slices.SortFunc(methods, func(a, b protoreflect.MethodDescriptor) int {
		return cmp.Compare(a.FullName(), b.FullName())
	})
	return methods
}

// Resolver finds message types and extensions by name, for the contents of
// google.protobuf.Any.
func (s *Schema) Resolver() *Resolver { return s.resolver }

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

// checksum is over all that a schema means, so that equal sums mean that nothing
// has changed. Comments, the order of files and JSON names that are the default
// mean nothing.
func checksum(files *protoregistry.Files, broken map[protoreflect.FullName]error) (sum [sha256.Size]byte, err error) {
	var paths []string
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		paths = append(paths, file.Path())
		return true
	})
	slices.Sort(paths)
	hash := sha256.New()
	var errs []error
	var head []byte
	for _, path := range paths {
		file, err := files.FindFileByPath(path)
		if err != nil {
			return sum, err
		}
		described := protodesc.ToFileDescriptorProto(file)
		described.SourceCodeInfo = nil
		nameJSON(described.GetMessageType())
		wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(described)
		errs = append(errs, err)
		head = fmt.Appendf(head[:0], "%q %d\n", path, len(wire))
		hash.Write(head)
		hash.Write(wire)
	}
	for name := range names(broken) {
		hash.Write(fmt.Appendf(head[:0], "%q\n", name))
	}
	hash.Sum(sum[:0])
	return sum, errors.Join(errs...)
}

// nameJSON writes the JSON names of fields out. Compilers differ in whether they
// write a name that is the default.
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

// defaultJSONName is a field's name in lowerCamelCase, as protoc makes it.
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
