package transcode

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// closureTypes resolves the declarations of a message's file and of everything that it imports.
func closureTypes(root protoreflect.FileDescriptor) (Resolver, error) {
	files := new(protoregistry.Files)
	seen := map[string]bool{}

	var add func(fd protoreflect.FileDescriptor) error

	add = func(fd protoreflect.FileDescriptor) error {
		if fd.IsPlaceholder() || seen[fd.Path()] {
			return nil
		}

		seen[fd.Path()] = true

		for imports, i := fd.Imports(), 0; i < imports.Len(); i++ {
			if err := add(imports.Get(i).FileDescriptor); err != nil {
				return err
			}
		}
		return files.RegisterFile(fd)
	}

	if err := add(root); err != nil {
		return nil, fmt.Errorf("the imports of %s contradict each other: %w", root.Path(), err)
	}
	return dynamicpb.NewTypes(files), nil
}
