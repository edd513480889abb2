package config

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFileBytes bounds a configuration; it is enough for thousands of routes.
const maxFileBytes = 1 << 20

// position is a line and a column, both from 1, the column in characters.
type position struct{ line, column int }

// source is the text of a file, for snippets.
type source struct {
	name  string
	text  string
	lines []string
}

// newSource converts the bytes of a file to text: UTF-8, without the byte order mark and without
// carriage returns before newlines. It returns an error for bytes that are not text.
func newSource(name string, data []byte) (*source, *Error) {
	if len(data) > maxFileBytes {
		return nil, tooLarge(name)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	src := &source{name: name, text: text, lines: strings.Split(text, "\n")}

	for i, line := range src.lines {
		column := 1
		for j, r := range line {
			if r == utf8.RuneError && strings.HasPrefix(line[j:], "\ufffd") {
				column++ // a literal U+FFFD, not an invalid byte
				continue
			}
			switch {
			case r == utf8.RuneError:
				return nil, src.errorAt(position{i + 1, column}, "", "not UTF-8; save the file as UTF-8")
			case unicode.IsControl(r) && r != '\t':
				return nil, src.errorAt(position{i + 1, column}, "", "a control character; remove it, or write it as an escape in double quotes")
			}
			column++
		}
	}
	return src, nil
}

func tooLarge(name string) *Error {
	return &Error{File: name, Message: "larger than 1MiB; a configuration is smaller than that"}
}

// errorAt returns an Error about path at a position of the file.
func (s *source) errorAt(at position, path, message string) *Error {
	err := &Error{Path: path, Message: message}
	s.locate(err, at)
	return err
}

// locate adds the file, the position and the snippet to err.
func (s *source) locate(err *Error, at position) {
	err.File = s.name
	if at.line < 1 || at.line > len(s.lines) {
		return
	}
	err.Line, err.Column = at.line, max(at.column, 1)
	if line := s.line(at.line); strings.TrimSpace(line) != "" {
		err.Snippet = snippet(line, err.Column)
	}
}

// The width of a snippet in characters, and the number of characters before the column in a longer
// line.
const (
	snippetWidth  = 120
	snippetBefore = 60
)

// snippet returns the indented line and, below it, a caret under the column. It cuts long lines around
// the column and shows unprintable characters as U+FFFD.
func snippet(line string, column int) string {
	runes := []rune(line)
	column = min(column, len(runes)+1)
	start, end := 0, len(runes)
	if len(runes) > snippetWidth {
		start = max(column-1-snippetBefore, 0)
		end = min(start+snippetWidth, len(runes))
	}

	var text, caret strings.Builder
	text.WriteString("    ")
	caret.WriteString("    ")
	cut := func() {
		text.WriteRune('…')
		caret.WriteByte(' ')
	}
	if start > 0 {
		cut()
	}
	for i, r := range runes[start:end] {
		pad := ' '
		switch {
		case r == '\t':
			pad = '\t' // aligns the caret at any tab width
		case !unicode.IsPrint(r):
			r = utf8.RuneError
		}
		text.WriteRune(r)
		if start+i < column-1 {
			caret.WriteRune(pad)
		}
	}
	if end < len(runes) {
		text.WriteRune('…')
	}
	return strings.TrimRight(text.String(), " \t") + "\n" + caret.String() + "^"
}

// line returns the text of a line, from 1, or "".
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}
