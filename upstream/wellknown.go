package upstream

import (
	"slices"
	"sync"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/sourcecontextpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// wellKnownFiles returns google/protobuf/*.proto, which tools leave out of descriptor sets and
// servers out of reflection. The list is explicit, not taken from protoregistry.GlobalFiles, so
// that other files that a program links never appear in a schema.
var wellKnownFiles = sync.OnceValue(func() *protoregistry.Files { //nolint:gochecknoglobals // made once, never changed
	files := new(protoregistry.Files)
	for _, file := range []protoreflect.FileDescriptor{
		descriptorpb.File_google_protobuf_descriptor_proto,
		anypb.File_google_protobuf_any_proto,
		durationpb.File_google_protobuf_duration_proto,
		emptypb.File_google_protobuf_empty_proto,
		fieldmaskpb.File_google_protobuf_field_mask_proto,
		sourcecontextpb.File_google_protobuf_source_context_proto,
		structpb.File_google_protobuf_struct_proto,
		timestamppb.File_google_protobuf_timestamp_proto,
		wrapperspb.File_google_protobuf_wrappers_proto,
		typepb.File_google_protobuf_type_proto,
		apipb.File_google_protobuf_api_proto,
	} {
		if err := files.RegisterFile(file); err != nil {
			panic("upstream: the well-known types contradict each other: " + err.Error())
		}
	}
	return files
})

// wellKnownTypes returns the types of wellKnownFiles.
var wellKnownTypes = sync.OnceValue(func() *dynamicpb.Types { //nolint:gochecknoglobals // made once, never changed
	return dynamicpb.NewTypes(wellKnownFiles())
})

// addWellKnown adds the well-known files that set imports and lacks.
func addWellKnown(set *descriptorpb.FileDescriptorSet) {
	have := map[string]bool{}
	for _, file := range set.GetFile() {
		have[file.GetName()] = true
	}
	todo := set.GetFile()
	for len(todo) > 0 {
		file := todo[0]
		todo = todo[1:]
		for _, path := range file.GetDependency() {
			if have[path] {
				continue
			}
			if known, err := wellKnownFiles().FindFileByPath(path); err == nil {
				have[path] = true
				added := protodesc.ToFileDescriptorProto(known)
				set.File = append(set.File, added)
				todo = append(slices.Clip(todo), added)
			}
		}
	}
}
