package route

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// Entry is a route of a table.
type Entry struct {
	// Path is a template for ParseTemplate.
	Path string
	// Methods are the HTTP methods in upper case; empty means GET. HEAD comes with GET.
	Methods []string
}

// Match is the route of a request.
type Match struct {
	// Index is the entry's index in NewTable's argument.
	Index int
	// Params has the template's variables by field path, percent-decoded once. The caller owns it.
	Params map[string]string
}

// TemplateError is a template that does not parse.
type TemplateError struct {
	// Index is the entry's index.
	Index int
	// Err is the error in the template.
	Err error
}

// Error returns the error in the template.
func (e *TemplateError) Error() string { return fmt.Sprintf("path template: %v", e.Err) }

// Unwrap returns Err.
func (e *TemplateError) Unwrap() error { return e.Err }

// ConflictError is two entries that match the same request.
type ConflictError struct {
	// First and Second are the entries' indexes, First the smaller.
	First, Second int
	// Templates are their templates, in the same order.
	Templates [2]string
	// Method and Path are of a request that both match.
	Method, Path string
}

// Error names both templates and the request.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("the paths %s and %s both match %s %s", e.Templates[0], e.Templates[1], e.Method, e.Path)
}

// Table finds the entry of a request. At most one entry matches a request, so the order of entries is
// irrelevant.
type Table struct {
	entries []tableEntry
	index   index
}

type tableEntry struct {
	template Template
	row      []unit // the units of the template
	// methods includes HEAD if it includes GET.
	methods []string
}

// NewTable makes a table. The error joins a *TemplateError for each entry that does not parse and a
// *ConflictError for each entry that matches a request of an earlier one.
func NewTable(entries []Entry) (*Table, error) {
	var (
		t    = &Table{entries: make([]tableEntry, 0, len(entries))}
		errs []error
	)

	for i, e := range entries {
		template, err := ParseTemplate(e.Path)
		if err != nil {
			errs = append(errs, &TemplateError{Index: i, Err: err})
			// An entry without methods conflicts with none.
			t.entries = append(t.entries, tableEntry{})
			continue
		}

		entry := tableEntry{template: template, row: template.units(), methods: served(e.Methods)}
		if err := t.conflict(entry); err != nil {
			errs = append(errs, err)
		}

		t.entries = append(t.entries, entry)
		t.index.add(entry.row, i)
	}

	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// served returns the sorted methods of an entry, with HEAD if it has GET.
func served(methods []string) []string {
	if len(methods) == 0 {
		methods = []string{http.MethodGet}
	}

	methods = slices.Clone(methods)
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}

	slices.Sort(methods)
	return slices.Compact(methods)
}

// conflict returns a *ConflictError if an earlier entry matches a request of the next one. It reports
// the first such entry.
func (t *Table) conflict(next tableEntry) error {
	var found *ConflictError

	for i := range t.index.meeting(next.row) {
		if found != nil && i > found.First {
			continue
		}

		e := t.entries[i]

		shared := slices.IndexFunc(next.methods, func(m string) bool { return slices.Contains(e.methods, m) })
		if shared < 0 {
			continue
		}

		if path, ok := overlap(e.row, next.row); ok {
			found = &ConflictError{
				First: i, Second: len(t.entries),
				Templates: [2]string{e.template.text, next.template.text},
				Method:    next.methods[shared], Path: path,
			}
		}
	}

	if found == nil {
		return nil
	}
	return found
}

// Overlaps reports whether a request exists that both e and an entry of the table match. An entry that
// does not parse matches none.
func (t *Table) Overlaps(e Entry) bool {
	template, err := ParseTemplate(e.Path)
	return err == nil && t.conflict(tableEntry{template: template, row: template.units(), methods: served(e.Methods)}) != nil
}

// Match finds the entry of a request. Errors are *Error: 404 if no template matches the path, 405 with
// Allow if no matching entry has the method. No entry has the method OPTIONS; the caller answers it
// with Allowed.
func (t *Table) Match(r *http.Request) (Match, error) {
	path, ok := splitPath(r.URL)
	if !ok {
		return Match{}, errNoRoute()
	}

	found := false

	for i := range t.index.matching(path) {
		e := &t.entries[i]
		if params, matches := e.template.match(path); matches {
			if slices.Contains(e.methods, r.Method) {
				return Match{Index: i, Params: params}, nil
			}

			found = true
		}
	}

	if !found {
		return Match{}, errNoRoute()
	}
	return Match{}, &Error{
		Status: http.StatusMethodNotAllowed, Message: "the path does not take the method " + shown(r.Method),
		Allow: t.Allowed(r.URL),
	}
}

func errNoRoute() *Error {
	return &Error{Status: http.StatusNotFound, Message: "no route has this path"}
}

// Methods returns the sorted methods of an entry, with HEAD if it has GET. The caller must not change it.
func (t *Table) Methods(index int) []string { return t.entries[index].methods }

// Allowed returns the sorted methods of a path for an Allow header, with OPTIONS, and with HEAD if GET
// is allowed. It returns nil if no template matches.
func (t *Table) Allowed(u *url.URL) []string {
	path, ok := splitPath(u)
	if !ok {
		return nil
	}

	var methods []string

	for i := range t.index.matching(path) {
		if _, matches := t.entries[i].template.match(path); matches {
			methods = append(methods, t.entries[i].methods...)
		}
	}

	if methods == nil {
		return nil
	}

	methods = append(methods, http.MethodOptions)
	slices.Sort(methods)
	return slices.Compact(methods)
}
