package upstream

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// addImports adds the missing imports of a file that has none, and reports whether there are any.
// Node's @grpc/proto-loader omits the imports of all files
// (https://github.com/grpc/grpc-node/issues/2595), and @grpc/reflection serves these files.
// declares maps each top-level symbol that the backend has sent to its file.
func addImports(file *descriptorpb.FileDescriptorProto, declares map[string]string) bool {
	if len(file.GetDependency()) > 0 {
		return false
	}
	for _, name := range referencesOf(file) {
		from := declaringFile(strings.TrimPrefix(name, "."), declares)
		if from != "" && from != file.GetName() && !slices.Contains(file.GetDependency(), from) {
			file.Dependency = append(file.Dependency, from)
		}
	}
	return len(file.GetDependency()) > 0
}

// declaringFile returns the file of a symbol, which may be nested; empty if unknown.
func declaringFile(name string, declares map[string]string) string {
	if known, err := wellKnownFiles().FindDescriptorByName(protoreflect.FullName(name)); err == nil {
		return known.ParentFile().Path()
	}
	for name != "" {
		if file, ok := declares[name]; ok {
			return file
		}
		name = name[:max(0, strings.LastIndexByte(name, '.'))]
	}
	return ""
}

// declare records the top-level messages and enums of a file. If several files declare one symbol,
// the first counts.
func declare(declares map[string]string, file *descriptorpb.FileDescriptorProto) {
	note := func(name string) {
		if p := file.GetPackage(); p != "" {
			name = p + "." + name
		}
		if _, ok := declares[name]; !ok {
			declares[name] = file.GetName()
		}
	}
	for _, m := range file.GetMessageType() {
		note(m.GetName())
	}
	for _, e := range file.GetEnumType() {
		note(e.GetName())
	}
}

// referencesOf returns the names of the types that a file refers to.
func referencesOf(file *descriptorpb.FileDescriptorProto) []string {
	var names []string
	fields := func(fields []*descriptorpb.FieldDescriptorProto) {
		for _, f := range fields {
			names = append(names, f.GetTypeName(), f.GetExtendee())
		}
	}
	fields(file.GetExtension())
	for pending := file.GetMessageType(); len(pending) > 0; {
		m := pending[0]
		pending = append(slices.Clip(pending[1:]), m.GetNestedType()...)
		fields(m.GetField())
		fields(m.GetExtension())
	}
	for _, s := range file.GetService() {
		for _, m := range s.GetMethod() {
			names = append(names, m.GetInputType(), m.GetOutputType())
		}
	}
	return names
}
