package upstream

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/ssebridge/ssebridge/internal/printable"
)

// Bounds of one reading of a schema. The largest public APIs have a few thousand files and a few
// megabytes of descriptors.
const (
	maxReflectionResponses = 8 << 10
	maxReflectionBytes     = 32 << 20
	maxReflectionFiles     = 4 << 10
	maxReflectionImports   = 32 << 10
)

// errReflectionLimit is wrapped by the guard's refusals.
var errReflectionLimit = errors.New("the backend's schema is refused")

// reflectionGuard checks a backend's responses before the reflection client reads them. The client
// follows imports by recursion, so files that import each other would end the process by a stack
// overflow, which recover cannot catch. The client also keeps every file that it receives.
//
// A guard belongs to one file set of one reading, and to one goroutine.
type reflectionGuard struct {
	usage   *reflectionUsage
	imports importGraph
	err     error // sticky, since the client retries
	// declares maps each top-level message and enum to its file.
	declares map[string]string

	// Since the caller last reset these two: the number of received files, and the name of a file
	// that differs from an earlier file of that name.
	files        int
	twoOfOneName string
}

// reflectionUsage counts the resources of one reading, over all of its guards.
type reflectionUsage struct {
	responses, bytes int
	method           string // the version that has answered; empty before
}

func newReflectionGuard() *reflectionGuard {
	return (&reflectionGuard{usage: new(reflectionUsage)}).sibling()
}

// sibling returns a guard of the same reading that has seen no file.
func (g *reflectionGuard) sibling() *reflectionGuard {
	return &reflectionGuard{usage: g.usage, imports: importGraph{files: map[string]*importedFile{}}, declares: map[string]string{}}
}

// clean reports whether the guard has seen no file.
func (g *reflectionGuard) clean() bool { return g.imports.sent == 0 }

// admit checks a response, which is of either version's type.
func (g *reflectionGuard) admit(response any) error {
	if g.err == nil {
		g.err = g.check(response)
	}
	return g.err
}

// broke records how a stream ended. After UNAVAILABLE the client would retry with the other version
// of reflection. A backend that has only one would then seem to have answered UNIMPLEMENTED. Before
// the first response the retry is the client's way to find the version.
func (g *reflectionGuard) broke(err error) {
	if g.err == nil && g.usage.responses > 0 && status.Code(err) == codes.Unavailable {
		g.err = err
	}
}

func (g *reflectionGuard) check(response any) error {
	message, ok := response.(proto.Message)
	if !ok {
		return fmt.Errorf("%w: a response of type %T", errReflectionLimit, response)
	}
	if g.usage.responses++; g.usage.responses > maxReflectionResponses {
		return fmt.Errorf("%w: it takes more than %d requests", errReflectionLimit, maxReflectionResponses)
	}
	if g.usage.bytes += proto.Size(message); g.usage.bytes > maxReflectionBytes {
		return fmt.Errorf("%w: it is larger than %d MiB", errReflectionLimit, maxReflectionBytes>>20)
	}
	// By name, so that the code works for both versions' types.
	m := message.ProtoReflect()
	field := m.Descriptor().Fields().ByName("file_descriptor_response")
	if field == nil || !m.Has(field) {
		return nil
	}
	files := m.Mutable(field).Message()
	list := files.Mutable(files.Descriptor().Fields().ByName("file_descriptor_proto")).List()
	sent := make([]*descriptorpb.FileDescriptorProto, list.Len())
	for i := range sent {
		sent[i] = new(descriptorpb.FileDescriptorProto)
		if err := proto.Unmarshal(list.Get(i).Bytes(), sent[i]); err != nil {
			return fmt.Errorf("%w: a file is not a descriptor: %w", errReflectionLimit, err)
		}
		declare(g.declares, sent[i])
	}
	var added []*importedFile
	for i, file := range sent {
		if addImports(file, g.declares) {
			wire, err := proto.Marshal(file)
			if err != nil {
				return err
			}
			list.Set(i, protoreflect.ValueOfBytes(wire))
		}
		g.files++
		file.SourceCodeInfo = nil
		if f := g.imports.add(file.GetName(), file.GetDependency()); f != nil {
			f.described = file
			added = append(added, f)
		} else if !proto.Equal(g.imports.file(file.GetName()).described, file) {
			g.twoOfOneName = file.GetName()
		}
		if g.imports.sent > maxReflectionFiles || g.imports.edges > maxReflectionImports {
			return fmt.Errorf("%w: it has more than %d files or %d imports", errReflectionLimit, maxReflectionFiles, maxReflectionImports)
		}
	}
	if f := g.imports.cycle(added); f != nil {
		return fmt.Errorf("%w: %q imports itself", errReflectionLimit, printable.Line(f.name, maxErrorLen))
	}
	return nil
}
