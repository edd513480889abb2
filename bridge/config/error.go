package config

import (
	"fmt"
	"strings"
)

// Error is one error of a configuration.
type Error struct {
	// Path is the key that the error is about: routes[1].event.id, upstreams.app.target. Map keys with
	// characters other than letters, digits, '_' and '-' are quoted: request.set["a.b"]. It is empty
	// for an error about the whole file.
	Path string
	// Message describes the problem and the fix. It never contains a value from the environment.
	Message string

	// File, Line and Column are the position; Line and Column count from 1, columns in characters, not
	// bytes. All are zero for a Config filled in Go.
	File         string
	Line, Column int
	// Snippet is the line, and below it a line with a caret under the column; without a final newline.
	Snippet string

	// Cause is the system's error if a file named by the key could not be read. Message contains its
	// text.
	Cause error

	// atKey points at the key rather than its value, since the key itself is wrong.
	atKey bool
}

// Errorf returns an Error about the key at path, without a position; [File.Locate] adds it.
func Errorf(path, format string, args ...any) *Error {
	return &Error{Path: path, Message: fmt.Sprintf(format, args...)}
}

// Error returns file:line:column: path: message, followed by the snippet on lines of its own.
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

// Unwrap returns the Cause, for errors.As and errors.Is.
func (e *Error) Unwrap() error { return e.Cause }

// Errors are all errors of a configuration, in file order.
type Errors []*Error

// Error joins the texts of the errors by newlines.
func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "\n")
}

// Unwrap returns the errors one by one, for errors.As and errors.Is.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, err := range e {
		errs[i] = err
	}
	return errs
}

// orNil returns e, or a nil error if e is empty.
func (e Errors) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

var _ error = (*Error)(nil)
