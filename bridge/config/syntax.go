package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth bounds the nesting of values. A configuration needs seven levels. The parser recurses, and a
// goroutine that exhausts its stack ends the process.
const maxDepth = 32

// parseYAML returns the file as a tree of nodes, or nil with an error.
func parseYAML(src *source) (*node, Errors) {
	if strings.TrimSpace(src.text) == "" {
		return nil, Errors{src.errorAt(position{1, 1}, "", "the file is empty; it needs upstreams and routes")}
	}
	file, err := parseAST(src)
	if err != nil {
		return nil, Errors{err}
	}

	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case body != nil:
			return nil, Errors{src.errorAt(positionOf(doc.Body), "", "a second document; a configuration is one document")}
		default:
			body = doc.Body
		}
	}
	if body == nil {
		return nil, Errors{src.errorAt(position{1, 1}, "", "the file is empty; it needs upstreams and routes")}
	}

	t := &tree{src: src}
	root := t.node(body)
	return root, t.errs
}

// parseAST runs the parser within bounds.
func parseAST(src *source) (file *ast.File, err *Error) {
	defer func() {
		// The third-party parser has panicked on odd input before, and a reload must not end the
		// bridge.
		if r := recover(); r != nil {
			file, err = nil, src.errorAt(position{1, 1}, "", "this YAML cannot be parsed")
		}
	}()

	tokens := lexer.Tokenize(src.text)
	if err := checkShape(src, tokens); err != nil {
		return nil, err
	}
	if err := checkWidth(src, tokens); err != nil {
		return nil, err
	}
	file, parseErr := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if parseErr != nil {
		return nil, syntaxError(src, parseErr)
	}
	return file, nil
}

// checkShape refuses input that would harm the parser: nesting deeper than maxDepth (brackets, dashes
// on one line, and indentation, at least one column per level), and further documents, which take it
// quadratic time.
func checkShape(src *source, tokens token.Tokens) *Error {
	brackets, dashes, line := 0, 0, 0
	for i, tk := range tokens {
		at := position{tk.Position.Line, tk.Position.Column}
		switch {
		case tk.Type == token.DirectiveType:
			return src.errorAt(at, "", "directives are not allowed; remove the line")
		case tk.Type == token.DocumentHeaderType && slices.ContainsFunc(tokens[:i], isContent):
			return src.errorAt(at, "", "a second document; a configuration is one document")
		}
		if tk.Position.Line != line {
			line, dashes = tk.Position.Line, 0
		}
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			brackets++
		case token.MappingEndType, token.SequenceEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			dashes++
		default:
		}
		if brackets > maxDepth || dashes > maxDepth {
			return src.errorAt(at, "", fmt.Sprintf("nested more than %d deep", maxDepth))
		}
	}
	const maxIndent = 8 * maxDepth
	for i, text := range src.lines {
		indent := len(text) - len(strings.TrimLeft(text, " -?"))
		if indent > maxIndent && indent < len(text) {
			return src.errorAt(position{i + 1, indent + 1}, "", fmt.Sprintf("indented by more than %d columns", maxIndent))
		}
	}
	return nil
}

// maxKeys and maxItems bound the keys of a mapping and the items of a list, since the parser takes
// quadratic time for them. They leave ample room for real configurations.
const (
	maxKeys  = 2000
	maxItems = 20000
)

// width counts the keys or items of an open mapping or list, in a column or in brackets.
type width struct {
	column, keys, items int
}

// checkWidth refuses mappings and lists with more keys or items than maxKeys and maxItems.
func checkWidth(src *source, tokens token.Tokens) *Error {
	open := []width{{}} // the enclosing ones, outermost first
	flow := 0           // the number of brackets among them
	for i, tk := range tokens {
		top := &open[len(open)-1]
		column := tk.Position.Column
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			open = append(open, width{})
			flow++
			continue
		case token.MappingEndType, token.SequenceEndType:
			if flow > 0 {
				open = open[:len(open)-1]
				flow--
			}
			continue
		case token.MappingValueType:
			if i > 0 && flow == 0 {
				column = tokens[i-1].Position.Column
			}
		case token.SequenceEntryType, token.CollectEntryType:
		default:
			continue
		}
		if flow == 0 {
			for top.column > column {
				open = open[:len(open)-1]
				top = &open[len(open)-1]
			}
			if top.column < column {
				open = append(open, width{column: column})
				top = &open[len(open)-1]
			}
		}
		what, most := "keys", maxKeys
		if tk.Type == token.MappingValueType {
			top.keys++
		} else {
			top.items++
			what, most = "items", maxItems
		}
		if top.keys > maxKeys || top.items > maxItems {
			return src.errorAt(position{tk.Position.Line, column}, "", fmt.Sprintf("more than %d %s side by side; a configuration has fewer", most, what))
		}
	}
	return nil
}

// isContent reports whether a token belongs to a document rather than preceding it.
func isContent(tk *token.Token) bool {
	return tk.Type != token.CommentType && tk.Type != token.DocumentEndType
}

// syntaxError converts the parser's error to an Error and adds a fix if the parser's message has none.
func syntaxError(src *source, err error) *Error {
	var syntax yaml.Error
	if !errors.As(err, &syntax) {
		return src.errorAt(position{1, 1}, "", "this YAML cannot be parsed")
	}

	at := position{1, 1}
	if tk := syntax.GetToken(); tk != nil && tk.Position != nil {
		at = position{tk.Position.Line, tk.Position.Column}
	}

	if wrong, column, message := misindented(src, at.line, syntax.GetMessage()); message != "" {
		return src.errorAt(position{wrong, column}, "", message)
	}
	return src.errorAt(at, "", withFix(syntax.GetMessage(), src.line(at.line)))
}

// misindented finds the key near a line whose indentation matches no other key, if that caused the
// parser's error. The parser's own message names a neighbouring line and no column.
func misindented(src *source, near int, message string) (line, column int, fixed string) {
	if !strings.Contains(message, "not allowed in this context") && !strings.Contains(message, "mapping value is not allowed") {
		return 0, 0, ""
	}
	next := near + 1
	for next <= len(src.lines) && strings.TrimSpace(src.line(next)) == "" {
		next++
	}
	for _, n := range []int{next, near} {
		column, isKey := keyColumn(src.line(n))
		before := n - 1
		for before > 0 && strings.TrimSpace(src.line(before)) == "" {
			before--
		}
		other, wasKey := keyColumn(src.line(before))
		if !isKey || !wasKey || column == other || strings.HasSuffix(strings.TrimSpace(src.line(before)), ":") {
			continue
		}
		if column > other || !isOpen(src, before, column) {
			return n, column, fmt.Sprintf("indented by %d, and the key on line %d by %d; the keys of one mapping are indented alike",
				column-1, before, other-1)
		}
	}
	return 0, 0, ""
}

// keyColumn returns the column of a line's key, after the dash of a list item.
func keyColumn(line string) (column int, isKey bool) {
	key := strings.TrimLeft(line, " -")
	name, _, isKey := strings.Cut(key, ":")
	return len(line) - len(key) + 1, isKey && isIdentifier(strings.Trim(name, `"'`))
}

// isOpen reports whether a mapping that is open on a line has its keys in a column.
func isOpen(src *source, line, column int) bool {
	for ; line > 0; line-- {
		text := src.line(line)
		other, isKey := keyColumn(text)
		if isKey && other == column {
			return true
		}
		if dash := len(text) - len(strings.TrimLeft(text, " ")) + 1; isKey && dash < column && other < column {
			return false
		}
	}
	return false
}

// withFix returns the parser's message with a fix.
func withFix(message, line string) string {
	message = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && r != '\t' {
			return utf8.RuneError
		}
		return r
	}, message)
	for _, m := range []struct{ part, onLine, fix string }{
		{"character '\t'", "", "a tab cannot indent; use spaces"},
		{"must be specified", "${", `%s; inside { } and [ ] a variable stands in quotes: "${NAME}"`},
		{"must be specified", "/{", `%s; inside { } and [ ] a path with { } stands in quotes: "/rooms/{room_id}"`},
		{"end token", "", "%s; close the bracket"},
		{"could not find end character", "", "%s; close the quote"},
		{"unknown escape", "", `%s; write \\ for a backslash, or use single quotes`},
		{"reserved character", "", "%s; put the value in quotes"},
		{"mapping value is not allowed", "", `%s; put a value that holds ": " in quotes, and indent keys alike`},
		{"not allowed in this context", "", "%s; begin it on a line of its own, indented"},
	} {
		if !strings.Contains(message, m.part) || !strings.Contains(line, m.onLine) {
			continue
		}
		return strings.Replace(m.fix, "%s", message, 1)
	}
	return message
}
