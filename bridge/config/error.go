package config

import (
	"fmt"
	"strings"
)

// Error is one thing that is wrong with a configuration.
type Error struct {
	// Path is the key it is about: routes[1].event.id, upstreams.app.target; map keys
	// that are more than letters, digits, '_' and '-' are quoted: request.set["a.b"].
	// Empty for the file as a whole.
	Path string
	// Message says what is wrong and how to right it. It never holds a value that came
	// from the environment.
	Message string

	// File, Line and Column say where; Line and Column count from 1, characters, not
	// bytes. All are zero for a Config that was filled in Go.
	File         string
	Line, Column int
	// Snippet is the line and, below it, a line with a caret under the column; without
	// a final newline.
	Snippet string

	// Cause is what the system said, where a file that the key names could not be read;
	// Message holds its text.
	Cause error

	// atKey shows the key in place of its value: the name itself is wrong.
	atKey bool
}

// Errorf is an Error about the key at path, without a position: [File.Locate] adds it.
func Errorf(path, format string, args ...any) *Error {
	return &Error{Path: path, Message: fmt.Sprintf(format, args...)}
}

// Error is file:line:column: path: message, and on further lines the snippet.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
		}
		b.WriteString(": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path)
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	if e.Snippet != "" {
		b.WriteByte('\n')
		b.WriteString(e.Snippet)
	}

	return b.String()
}

// Unwrap gives the Cause, for errors.As and errors.Is.
func (e *Error) Unwrap() error { return e.Cause }

// Errors are all the things that are wrong with a configuration, in the order of the
// file.
type Errors []*Error

// Error is each error's text, one after the other.
func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}

	return strings.Join(texts, "\n")
}

// Unwrap gives the errors one by one, for errors.As and errors.Is.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, err := range e {
		errs[i] = err
	}

	return errs
}

// orNil is e as an error that is nil when there is nothing wrong.
func (e Errors) orNil() error {
	if len(e) == 0 {
		return nil
	}

	return e
}

var _ error = (*Error)(nil)
