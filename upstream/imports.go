package upstream

import "google.golang.org/protobuf/types/descriptorpb"

// importGraph records which file imports which, as far as a backend has sent them, and detects
// files that import each other.
//
// Files come in any order, and a response may hold one or all of them. A complete file is not
// followed again, so the work for a whole schema grows with its imports and not with their square.
type importGraph struct {
	files map[string]*importedFile // sent files and their imports
	sent  int
	edges int
	round int // the number of calls of cycle
}

// importedFile is a file that was sent, or that is so far only imported.
type importedFile struct {
	name      string
	sent      bool
	imports   []*importedFile
	described *descriptorpb.FileDescriptorProto // as it was sent, without comments

	round    int  // the last round that followed it
	open     bool // a recursion is following it
	complete bool // it and all its imports were sent and are free of cycles
}

// file returns the file of a name.
func (g *importGraph) file(name string) *importedFile {
	f, ok := g.files[name]
	if !ok {
		f = &importedFile{name: name}
		g.files[name] = f
	}
	return f
}

// add records a sent file. Of several files of one name it keeps the first, as the reflection
// client does, and returns nil for the others.
func (g *importGraph) add(name string, imports []string) *importedFile {
	f := g.file(name)
	if f.sent {
		return nil
	}
	f.sent = true
	f.imports = make([]*importedFile, len(imports))
	for i, name := range imports {
		f.imports[i] = g.file(name)
	}
	g.sent++
	g.edges += len(imports)
	return f
}

// cycle returns a file that directly or indirectly imports itself; nil if none does. added holds
// the files that were added since the last call. A new cycle contains one of them.
func (g *importGraph) cycle(added []*importedFile) *importedFile {
	g.round++
	for _, f := range added {
		if found := f.follow(g.round); found != nil {
			return found
		}
	}
	return nil
}

// follow searches the imports of f depth first.
func (f *importedFile) follow(round int) *importedFile {
	if f.open {
		return f
	}
	if f.complete || f.round == round {
		return nil
	}
	f.round, f.open = round, true
	complete := f.sent
	for _, imported := range f.imports {
		if found := imported.follow(round); found != nil {
			return found
		}
		complete = complete && imported.complete
	}
	f.open, f.complete = false, complete
	return nil
}
