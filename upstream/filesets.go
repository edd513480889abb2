package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jhump/protoreflect/v2/grpcreflect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/ssebridge/ssebridge/internal/printable"
)

// maxFileSets bounds the file sets of one schema.
const maxFileSets = 32

// fileSet holds files that are consistent: no two of them declare one symbol or have one name. The
// schema of nearly every backend is one set. A backend that answers for several servers, or is
// linked from several builds, may describe one symbol in files of two names (common.proto,
// proto/common.proto), or two files of one name. The reflection client has one registry and keeps
// the first file of a name, so each set has a client of its own.
type fileSet struct {
	conn   *guardedConn
	client *grpcreflect.Client
	files  *protoregistry.Files
}

// misfitError reports that the files of a symbol contradict a set. They may fit into another one.
type misfitError struct{ err error }

func (e *misfitError) Error() string { return e.err.Error() }

func (e *misfitError) Unwrap() error { return e.err }

// add looks up a symbol and adds its file with all imports.
func (s *fileSet) add(name protoreflect.FullName) error {
	if s.has(name) {
		return nil
	}
	guard := s.conn.guard
	clean := guard.clean()
	guard.files, guard.twoOfOneName = 0, ""
	file, err := s.client.FileContainingSymbol(name)
	if err != nil && (!undescribed(err) || guard.files == 0) {
		return err
	}
	if err == nil && guard.twoOfOneName != "" && !clean {
		err = fmt.Errorf("the backend describes two files of the name %q", printable.Line(guard.twoOfOneName, maxErrorLen))
	}
	if err == nil {
		err = register(s.files, file)
	}
	if err != nil && !clean {
		return &misfitError{err}
	}
	return err
}

func (s *fileSet) has(name protoreflect.FullName) bool {
	_, err := s.files.FindDescriptorByName(name)
	return err == nil
}

// closeStream ends the set's stream. The client opens another one when it needs it.
func (s *fileSet) closeStream() {
	s.conn.giveUp() // first, since Reset reads the stream to its end
	s.client.Reset()
}

// schemaReader reads a backend's schema once. It has one stream at a time, since its slot has room
// for one.
type schemaReader struct {
	begin  func() *fileSet
	sets   []*fileSet
	owners map[protoreflect.FullName]*fileSet // by service
	spare  *fileSet                           // a set without any file; may be nil
	active *fileSet                           // the set whose stream is open; may be nil
	latest *fileSet                           // the set that last accepted a symbol; may be nil
	misfit []string                           // the services whose files contradicted a set
}

func (u *Upstream) newSchemaReader(ctx context.Context, slot *slot) *schemaReader {
	first := newReflectionGuard()
	return &schemaReader{
		owners: map[protoreflect.FullName]*fileSet{},
		begin: func() *fileSet {
			conn := &guardedConn{upstream: u, slot: slot, guard: first.sibling()}
			return &fileSet{conn, grpcreflect.NewClientAuto(ctx, conn,
				grpcreflect.WithFallbackResolvers(wellKnownFiles(), nil),
				grpcreflect.WithAllowMissingFileDescriptors(),
			), new(protoregistry.Files)}
		},
	}
}

// close ends the open stream.
func (r *schemaReader) close() {
	if r.active != nil {
		r.active.closeStream()
		r.active = nil
	}
}

// activate ends the stream of any other set.
func (r *schemaReader) activate(set *fileSet) {
	if r.active != set {
		r.close()
		r.active = set
	}
}

// fresh returns a set without any file.
func (r *schemaReader) fresh() *fileSet {
	if set := r.spare; set != nil {
		r.spare = nil
		return set
	}
	return r.begin()
}

func (r *schemaReader) listServices() ([]protoreflect.FullName, error) {
	r.spare = r.fresh()
	r.activate(r.spare)
	services, err := r.spare.client.ListServices()
	slices.Sort(services) // the file sets must not depend on the order of the list
	return services, err
}

// place adds a symbol to the first set that its files fit into, or to a new set. misfit reports
// whether they contradict a set.
func (r *schemaReader) place(name protoreflect.FullName) (placed *fileSet, misfit bool, err error) {
	for _, set := range r.sets {
		if set.has(name) {
			return set, false, nil
		}
	}
	// The services of one package tend to share files, so the latest set comes first.
	candidates := slices.Clone(r.sets)
	if i := slices.Index(candidates, r.latest); i > 0 {
		candidates = slices.Insert(slices.Delete(candidates, i, i+1), 0, r.latest)
	}
	var why *misfitError
	for _, set := range candidates {
		r.activate(set)
		err := set.add(name)
		if err == nil {
			r.latest = set
			return set, why != nil, nil
		}
		if !errors.As(err, &why) {
			return nil, why != nil, err
		}
	}
	if len(r.sets) == maxFileSets {
		return nil, true, fmt.Errorf("its files contradict those of other services: %w", why)
	}
	set := r.fresh()
	r.activate(set)
	if err := set.add(name); err != nil {
		if set.conn.guard.clean() {
			r.spare = set
		}
		return nil, why != nil, err
	}
	r.sets, r.latest = append(r.sets, set), set
	return set, why != nil, nil
}

// read reads the schema of all services. It also returns the wanted types that the backend does not
// know.
func (r *schemaReader) read(wanted []protoreflect.FullName, unknown func(protoreflect.FullName)) (*Schema, []protoreflect.FullName, error) {
	services, err := r.listServices()
	if err != nil {
		return nil, nil, err
	}
	broken := map[protoreflect.FullName]error{}
	for _, name := range services {
		set, misfit, err := r.place(name)
		switch {
		case err == nil:
			r.owners[name] = set
			if misfit {
				r.misfit = append(r.misfit, string(name))
			}
		case undescribed(err):
			broken[name] = clip(err)
		default:
			return nil, nil, err
		}
	}
	if len(services) > 0 && len(broken) == len(services) {
		return nil, nil, broken[services[0]] // no service is readable: a retry may help
	}
	var absent []protoreflect.FullName
	for _, name := range wanted {
		if _, _, err := r.place(name); err != nil {
			// A failure for a type that only messages name must not keep the services from being
			// read.
			if fatal(err) {
				return nil, nil, err
			}
			absent = append(absent, name)
		}
	}
	sets := make([]*protoregistry.Files, len(r.sets))
	owners := make(map[protoreflect.FullName]int, len(r.owners))
	for i, set := range r.sets {
		sets[i] = set.files
		for name, owner := range r.owners {
			if owner == set {
				owners[name] = i
			}
		}
	}
	schema, err := newSchema(sets, owners, broken, unknown)
	return schema, absent, err
}
