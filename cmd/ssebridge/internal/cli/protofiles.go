package cli

import (
	"bytes"
	"path/filepath"

	"github.com/bufbuild/protocompile/parser/fastscan"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/internal/regular"
)

// maxProto is how much of a .proto file is read, as when it is compiled.
const maxProto = 4 << 20

// protoFiles are the .proto files that a schema is compiled of: those that it names and
// all that they import. Of each it has the places where it is looked for, up to the one
// where it is: one that comes earlier would take its place. A file that does not compile
// is followed as far as its imports can be read.
func protoFiles(sources config.ProtoSources) []string {
	var files []string
	names := sources.Files
	seen := map[string]bool{}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		for _, folder := range sources.ImportPaths {
			file := filepath.Join(folder, name)
			files = append(files, file)
			if text, err := regular.Read(file, maxProto); err == nil {
				found, _ := fastscan.Scan(name, bytes.NewReader(text)) // what is wrong is told when it is compiled
				for _, imported := range found.Imports {
					names = append(names, imported.Path)
				}
				break
			}
		}
	}
	return files
}
