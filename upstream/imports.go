package upstream

import "google.golang.org/protobuf/types/descriptorpb"

// importGraph is which file imports which, as far as a backend has said. It
// tells when files import each other.
//
// Files come in any order, and a response may hold one or all of them. What was
// followed once and is complete is not followed again, so that the work for a
// backend that sends the files of a whole schema grows with their imports and
// not with the square of them.
type importGraph struct {
	files map[string]*importedFile // those that are sent, and those that they import
	sent  int
	edges int
	round int // counts calls of cycle
}

// importedFile is a file that was sent, or is only imported yet.
type importedFile struct {
	name      string
	sent      bool
	imports   []*importedFile
	described *descriptorpb.FileDescriptorProto // as it was sent, without comments

	round    int  // in which it was followed last
	open     bool // it is being followed
	complete bool // it and all that it imports was sent, and is free of cycles
}

// file is the file of a name.
func (g *importGraph) file(name string) *importedFile {
	f, ok := g.files[name]
	if !ok {
		f = &importedFile{name: name}
		g.files[name] = f
	}
	return f
}

// add notes a file that was sent. Of several of one name it keeps the first, as
// the reflection client does; it returns nil for the others.
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

// cycle returns a file that imports itself by way of others; nil if none does.
// Any cycle that was not found before has one of the files in it that were added
// since, which are given.
func (g *importGraph) cycle(added []*importedFile) *importedFile {
	g.round++
	for _, f := range added {
		if found := f.follow(g.round); found != nil {
			return found
		}
	}
	return nil
}

// follow goes depth first through what f imports.
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
