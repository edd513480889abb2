package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/ssebridge/ssebridge/internal/regular"
)

// The limits of file sizes. The descriptors of a large company's whole API take some 20 MiB, and a
// .proto file is written by hand.
const (
	maxDescriptorSet = 64 << 20
	maxProtoFile     = 4 << 20
)

// load reads a schema that does not come by reflection; nil if it does. Errors are *ParamError.
func (p SchemaParams) load() (*Schema, error) {
	var files *protoregistry.Files
	var err error
	field := "schema"
	switch {
	case p.Descriptors != nil:
		files = p.Descriptors
	case p.DescriptorSet != "":
		field = "schema.descriptor_set"
		files, err = readDescriptorSet(p.DescriptorSet)
	case len(p.ProtoFiles) > 0:
		field = "schema.proto.files"
		files, err = compile(p.ImportPaths, p.ProtoFiles)
	default:
		return nil, nil //nolint:nilnil // documented: no schema, no error
	}
	if err != nil {
		return nil, &ParamError{field, err}
	}
	schema, err := newSchema([]*protoregistry.Files{files}, nil, nil, nil)
	if err != nil {
		return nil, &ParamError{field, err}
	}
	return schema, nil
}

// readDescriptorSet reads a binary FileDescriptorSet.
func readDescriptorSet(path string) (*protoregistry.Files, error) {
	wire, err := regular.Read(path, maxDescriptorSet)
	if err != nil {
		return nil, regular.Unreadable(err, "a descriptor set, as buf build -o writes it,")
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(wire, set); err != nil {
		return nil, fmt.Errorf("the file is no descriptor set, as buf build -o or protoc --descriptor_set_out writes it: %w", err)
	}
	if len(set.GetFile()) == 0 {
		return nil, errors.New("the descriptor set has no files in it")
	}
	addWellKnown(set)
	if err := complete(set); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return files, nil
}

// complete checks that a set has all its imports. Its error names the missing ones and the remedy.
func complete(set *descriptorpb.FileDescriptorSet) error {
	have := map[string]bool{}
	for _, file := range set.GetFile() {
		have[file.GetName()] = true
	}
	var errs []error
	for _, file := range set.GetFile() {
		for _, path := range file.GetDependency() {
			if !have[path] {
				errs = append(errs, fmt.Errorf(
					"%s imports %s, which is not in the set (write it with `buf build` or `protoc --include_imports`)", file.GetName(), path))
			}
		}
	}
	return errors.Join(errs...)
}

// compile compiles .proto sources. Its error lists all mistakes as file:line:column. The compiler's
// own descriptors differ from those of the same files by reflection or in a descriptor set
// (required fields, checks of UTF-8, MessageSets), so protodesc builds the result again.
func compile(importPaths, names []string) (*protoregistry.Files, error) {
	var errs []error
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: importPaths, Accessor: readProto}),
		Reporter: reporter.NewReporter(func(err reporter.ErrorWithPos) error {
			errs = append(errs, explainEdition(err))
			return nil // continue, to find the others
		}, nil),
	}
	compiled, err := compiler.Compile(context.Background(), names...)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; name it as an import would, from one of import_paths on", err)
	}
	if err != nil {
		return nil, err
	}
	files := new(protoregistry.Files)
	for _, file := range compiled {
		if err := register(files, file); err != nil {
			return nil, err
		}
	}
	set := new(descriptorpb.FileDescriptorSet)
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
		return true
	})
	return protodesc.NewFiles(set)
}

// explainEdition adds the remedy to the compiler's error about an edition that is newer than the
// compiler. Descriptors of newer editions work.
func explainEdition(err error) error {
	if strings.Contains(err.Error(), ": edition value ") {
		return fmt.Errorf("%w; write a descriptor set with buf build -o or protoc --include_imports --descriptor_set_out, "+
			"and name it as schema: {descriptor_set: FILE}", err)
	}
	return err
}

// readProto reads a .proto file.
func readProto(path string) (io.ReadCloser, error) {
	text, err := regular.Read(path, maxProtoFile)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(text)), nil
}

// register adds a file with all its imports.
func register(files *protoregistry.Files, file protoreflect.FileDescriptor) error {
	if _, err := files.FindFileByPath(file.Path()); err == nil || file.IsPlaceholder() {
		return nil
	}
	for i := range file.Imports().Len() {
		if err := register(files, file.Imports().Get(i).FileDescriptor); err != nil {
			return err
		}
	}
	return files.RegisterFile(file)
}
