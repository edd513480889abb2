package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/ssebridge/ssebridge/internal/regular"
)

// File is a valid configuration file.
type File struct {
	// Config has only the written keys; its WithDefaults adds the others. Relative names of files (ca,
	// cert, key, client_ca, descriptor_set and import_paths) are resolved against the folder of the
	// configuration file.
	Config Config

	src          *source
	values, keys map[string]position
}

// Load is Parse for a file and the process's environment. Errors of package os report a file that is
// unreadable or not regular; [Errors] report the errors in it.
func Load(path string, checks ...func(Config) error) (*File, error) {
	data, err := regular.Read(path, maxFileBytes)
	if errors.As(err, new(*regular.TooLargeError)) {
		return nil, Errors{tooLarge(path)}
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(path, data, os.LookupEnv, checks...)
}

// Parse reads a configuration: it decodes it strictly, expands the variables that lookup finds, and
// validates it. name is the file's name for errors and relative files; it need not exist. Parse does
// not retain data. checks are the caller's additional checks, reported together with the rest; they
// return [Errors] and may see a configuration with other errors.
//
// Parse returns all errors at once, as [Errors] in file order. They contain no value from lookup.
func Parse(name string, data []byte, lookup func(string) (string, bool), checks ...func(Config) error) (*File, error) {
	src, bad := newSource(name, data)
	if bad != nil {
		return nil, Errors{bad}
	}
	root, errs := parseYAML(src)
	if root == nil {
		return nil, errs
	}

	file := &File{src: src}
	errs = append(errs, file.decode(root, lookup, checks)...)
	if len(errs) > 0 {
		return nil, inOrder(errs)
	}
	file.Config.resolveFiles(filepath.Dir(name))
	return file, nil
}

// SameText reports whether another File was read from the same text.
func (f *File) SameText(other *File) bool { return f.src.text == other.src.text }

// decode fills the file's Config and validates it.
func (f *File) decode(root *node, lookup lookupFunc, checks []func(Config) error) Errors {
	d := &decoder{
		src: f.src, lookup: lookup,
		values: map[string]position{"": root.at}, keys: map[string]position{},
		failed: map[string]bool{},
	}
	d.decodeConfig(root, &f.Config)
	f.values, f.keys = d.values, d.keys
	if d.failed[""] {
		return d.errs // not a configuration
	}

	written := func(path string) bool {
		_, ok := f.values[path]
		return ok
	}
	errs := d.errs
	add := func(found Errors, known map[string]bool) {
		for _, err := range found {
			if !d.isConsequence(err.Path) && !known[err.Path] {
				f.locate(err)
				errs = append(errs, err)
			}
		}
	}
	add(validate(&f.Config, written, d.isConsequence), nil)
	known := map[string]bool{} // paths with an error need no further checks
	for _, err := range errs {
		known[err.Path] = true
	}
	for _, check := range checks {
		if found, ok := errors.AsType[Errors](check(f.Config)); ok {
			add(found, known)
		}
	}
	return errs
}

// isConsequence reports whether path is at or below an invalid value.
func (d *decoder) isConsequence(path string) bool {
	for ; path != ""; path = parentPath(path) {
		if d.failed[path] {
			return true
		}
	}
	return false
}

// Locate adds the file, line, column and snippet to each *[Error] in err's tree that has no position
// yet. It uses the Error's Path, or the nearest parent key in the file. It changes the errors in place
// and returns err; it does not change other errors. (An error wrapped by fmt.Errorf keeps its text.)
func (f *File) Locate(err error) error {
	switch e := err.(type) { //nolint:errorlint // walks the tree node by node, as errors.As does
	case nil:
	case *Error:
		if e.File == "" {
			f.locate(e)
		}
	case interface{ Unwrap() error }:
		_ = f.Locate(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			_ = f.Locate(one)
		}
	}
	return err
}

func (f *File) locate(err *Error) {
	if at, ok := f.keys[err.Path]; ok && err.atKey {
		f.src.locate(err, at)
		return
	}
	path := err.Path
	for {
		at, ok := f.values[path]
		if ok {
			f.src.locate(err, at)
			return
		}
		path = parentPath(path)
	}
}

// maxErrors is how many errors of a file are reported. A file with more is not a configuration.
const maxErrors = 100

// inOrder sorts errs by position and limits their number.
func inOrder(errs Errors) Errors {
	slices.SortStableFunc(errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if more := len(errs) - maxErrors; more > 0 {
		name := errs[0].File
		errs = append(errs[:maxErrors], &Error{File: name, Message: fmt.Sprintf("and %d more errors", more)})
	}
	return errs
}

// resolveFiles makes the relative names of files in c relative to dir.
func (c Config) resolveFiles(dir string) {
	resolve := func(name *string) {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
	if c.TLS != nil {
		resolve(&c.TLS.Cert)
		resolve(&c.TLS.Key)
		resolve(&c.TLS.ClientCA)
	}
	for name, u := range c.Upstreams {
		if u.TLS != nil {
			resolve(&u.TLS.CA)
			resolve(&u.TLS.Cert)
			resolve(&u.TLS.Key)
		}
		resolve(&u.Schema.DescriptorSet)
		if u.Schema.Proto != nil {
			for i := range u.Schema.Proto.ImportPaths {
				resolve(&u.Schema.Proto.ImportPaths[i])
			}
			if len(u.Schema.Proto.ImportPaths) == 0 {
				u.Schema.Proto.ImportPaths = []string{dir}
			}
		}
		c.Upstreams[name] = u
	}
}
