package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
)

// maxTemplate is the longest template in bytes.
const maxTemplate = 2048

// Template is a path template in the grammar of google.api.http:
//
//	Template  = "/" [ Segments [ ":" LITERAL ] ] ;
//	Segments  = Segment { "/" Segment } ;
//	Segment   = "*" | "**" | LITERAL | Variable ;
//	Variable  = "{" FieldPath [ "=" Segments ] "}" ;
//	FieldPath = IDENT { "." IDENT } ;
//
// "*" matches one segment and "**" one or more; a template has at most one "**". No wildcard matches an
// empty segment, "." or "..". In a template without a verb, a colon in the last segment is an ordinary
// character.
//
// grpc-gateway does the matching. It does not export its parser, and the search for overlapping
// templates needs the segments, so this package has its own parser.
type Template struct {
	text     string
	segments []segment
	verb     string
	params   []string
	pattern  runtime.Pattern
}

// segment is one segment of a template.
type segment struct {
	kind segmentKind
	// literal is the canonical text of a literal.
	literal string
	// multi says that the segment is part of a variable of several segments. The value of such a
	// variable keeps "%2F" (google.api.http: "except "%2F" and "%2f" are left unchanged"), or "a/b" and
	// "a%2Fb" would be one name.
	multi bool
}

type segmentKind int

const (
	literalSegment segmentKind = iota
	oneSegment
	manySegments
)

// ParseTemplate parses a path template. Errors name the problem and its position.
func ParseTemplate(path string) (Template, error) {
	if len(path) > maxTemplate {
		return Template{}, fmt.Errorf("the template is longer than %d bytes", maxTemplate)
	}

	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return Template{}, errors.New("the template does not begin with a slash")
	}

	p := templateParser{rest: rest}
	if rest != "" {
		if err := p.parse(); err != nil {
			return Template{}, err
		}
	}

	pattern, err := p.compile()
	if err != nil {
		return Template{}, err
	}
	return Template{text: path, segments: p.segments, verb: p.verb, params: p.params, pattern: pattern}, nil
}

// String returns the template as it was written.
func (t Template) String() string { return t.text }

// Params returns the field paths that the template binds, in order.
func (t Template) Params() []string { return slices.Clone(t.params) }

// match matches canonical segments and returns the values of the variables, percent-decoded once.
func (t Template) match(path []string) (map[string]string, bool) {
	if len(t.segments) == 0 || len(path) < len(t.segments) {
		return nil, len(t.segments) == 0 && len(path) == 0
	}

	components := path

	if t.verb != "" {
		name, ok := strings.CutSuffix(path[len(path)-1], ":"+t.verb)
		if !ok || name == "" {
			return nil, false
		}

		components = slices.Clone(path)
		components[len(path)-1] = name
	}

	// The only errors are "no match" and a malformed escape, which a canonical segment never has.
	params, err := t.pattern.MatchAndEscape(t.keepSlashes(components), t.verb, runtime.UnescapingModeAllExceptSlash)
	return params, err == nil
}

// keepSlashes encodes each "%2F" once more if a "*" in a variable of several segments matches it,
// because grpc-gateway decodes each "*" as if it stood alone.
func (t Template) keepSlashes(path []string) []string {
	kept, extra := path, 0

	for i, s := range t.segments {
		at := i + extra
		if s.kind == manySegments {
			extra = len(path) - len(t.segments)
		}

		if at < 0 || at >= len(path) || s.kind != oneSegment || !s.multi || !strings.Contains(path[at], "%2F") {
			continue
		}

		if &kept[0] == &path[0] {
			kept = slices.Clone(path)
		}

		kept[at] = strings.ReplaceAll(path[at], "%2F", "%252F")
	}
	return kept
}

// templateParser is the state of parsing one template.
type templateParser struct {
	rest     string
	segments []segment
	verb     string
	params   []string
	// ends has the variable that ends after a segment, by the segment's index.
	ends map[int]variableEnd
}

type variableEnd struct {
	segments int
	param    string
}

func (p *templateParser) parse() error {
	for {
		if err := p.topSegment(); err != nil {
			return err
		}

		if verb, ok := strings.CutPrefix(p.rest, ":"); ok {
			return p.setVerb(verb)
		}

		if p.rest == "" {
			return nil
		}

		var ok bool
		if p.rest, ok = strings.CutPrefix(p.rest, "/"); !ok {
			return fmt.Errorf("%q follows a whole segment; a slash or a verb is expected", p.rest)
		}
	}
}

// topSegment reads a segment outside of variables.
func (p *templateParser) topSegment() error {
	if strings.HasPrefix(p.rest, "{") {
		return p.variable()
	}

	text := p.take("/{}")
	p.rest = p.rest[len(text):]

	// A wildcard and the last literal may carry a verb. A literal's verb begins at its last colon.
	if p.rest == "" {
		if at := strings.LastIndexByte(text, ':'); at >= 0 {
			text, p.rest = text[:at], text[at:]
		}
	}
	return p.addSegment(text, p.rest == "" || p.rest[0] == ':', false)
}

func (p *templateParser) setVerb(verb string) error {
	if verb == "" {
		return errors.New("the verb is empty")
	}

	if err := checkLiteral(verb); err != nil {
		return err
	}

	p.verb = canonical(verb, true)
	return nil
}

// variable reads {field.path} or {field.path=segments}.
func (p *templateParser) variable() error {
	p.rest = p.rest[1:]

	name := p.take("=}/{")
	if err := checkFieldPath(name); err != nil {
		return err
	}

	if slices.Contains(p.params, name) {
		return fmt.Errorf("the variable %q stands twice", name)
	}

	p.params = append(p.params, name)
	p.rest = p.rest[len(name):]
	first := len(p.segments)

	if segments, ok := strings.CutPrefix(p.rest, "="); ok {
		p.rest = segments
		if err := p.variableSegments(); err != nil {
			return err
		}
	} else if err := p.addSegment("*", false, true); err != nil {
		return err
	}

	var ok bool
	if p.rest, ok = strings.CutPrefix(p.rest, "}"); !ok {
		return fmt.Errorf("the variable %q is not closed", name)
	}

	count := len(p.segments) - first
	for i := first; i < len(p.segments); i++ {
		p.segments[i].multi = count > 1 || p.segments[i].kind == manySegments
	}

	if p.ends == nil {
		p.ends = make(map[int]variableEnd)
	}

	p.ends[len(p.segments)-1] = variableEnd{segments: count, param: name}
	return nil
}

func (p *templateParser) variableSegments() error {
	for {
		text := p.take("/{}")
		p.rest = p.rest[len(text):]

		// Only "}" and a verb may follow the template's last segment.
		last := !strings.Contains(p.rest, "/")
		if err := p.addSegment(text, last, true); err != nil {
			return err
		}

		var more bool
		if p.rest, more = strings.CutPrefix(p.rest, "/"); !more {
			return nil
		}
	}
}

// addSegment adds a wildcard or a literal.
func (p *templateParser) addSegment(text string, last, inVariable bool) error {
	switch text {
	case "":
		if last && p.rest == "" && len(p.segments) > 0 {
			return errors.New("a segment is empty; leave out the / at the end")
		}
		return errors.New("a segment is empty")
	case "*":
		p.segments = append(p.segments, segment{kind: oneSegment})
		return nil
	case "**":
		if slices.ContainsFunc(p.segments, func(s segment) bool { return s.kind == manySegments }) {
			return errors.New(`"**" stands twice`)
		}

		p.segments = append(p.segments, segment{kind: manySegments})
		return nil
	}

	if err := checkLiteral(text); err != nil {
		return err
	}

	literal := canonical(text, last)
	if literal == "." || literal == ".." {
		return fmt.Errorf("the segment %q can never match", text)
	}

	// grpc-gateway captures literals as written, without decoding.
	if inVariable && strings.Contains(literal, "%") {
		return fmt.Errorf("the literal %q inside a variable has a percent-encoded character", text)
	}

	p.segments = append(p.segments, segment{kind: literalSegment, literal: literal})
	return nil
}

// take returns the text before the next stop character.
func (p *templateParser) take(stops string) string {
	if at := strings.IndexAny(p.rest, stops); at >= 0 {
		return p.rest[:at]
	}
	return p.rest
}

// compile turns the segments into grpc-gateway's pattern.
func (p *templateParser) compile() (runtime.Pattern, error) {
	var (
		ops  []int
		pool []string
	)

	constant := func(s string) int {
		pool = append(pool, s)
		return len(pool) - 1
	}

	for i, s := range p.segments {
		switch s.kind {
		case literalSegment:
			ops = append(ops, int(utilities.OpLitPush), constant(s.literal))
		case oneSegment:
			ops = append(ops, int(utilities.OpPush), 0)
		case manySegments:
			ops = append(ops, int(utilities.OpPushM), 0)
		}

		if end, ok := p.ends[i]; ok {
			ops = append(ops, int(utilities.OpConcatN), end.segments, int(utilities.OpCapture), constant(end.param))
		}
	}

	pattern, err := runtime.NewPattern(1, ops, pool, p.verb)
	if err != nil {
		return runtime.Pattern{}, fmt.Errorf("compiling the template: %w", err)
	}
	return pattern, nil
}

// checkLiteral checks that text consists of path characters and escapes.
func checkLiteral(text string) error {
	for i, r := range text {
		switch {
		case r == '*':
			return fmt.Errorf("a wildcard stands alone in its segment, unlike in %q", text)
		case r == '%':
			if i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2]) {
				return fmt.Errorf("%q has a malformed percent-encoding", text)
			}
		case !isPchar(text[i]):
			return fmt.Errorf("%q has the character %q, which has to be percent-encoded", text, r)
		}
	}
	return nil
}

// notAFieldPath returns the error for a malformed variable. It recognizes the syntax of other routers.
func notAFieldPath(path string) error {
	name, _, _ := strings.Cut(path, ":")
	several := strings.TrimSuffix(strings.TrimRight(name, "*"), "...")

	switch {
	case several != name && checkFieldPath(several) == nil:
		return fmt.Errorf("the variable %q is not a field path; one of several segments is written {%s=**}", path, several)
	case name != path && checkFieldPath(name) == nil:
		return fmt.Errorf("the variable %q is not a field path; a variable has no regular expression: {%s}", path, name)
	default:
		return fmt.Errorf("the variable %q is not a field path", path)
	}
}

// checkFieldPath checks the form IDENT { "." IDENT }.
func checkFieldPath(path string) error {
	for ident := range strings.SplitSeq(path, ".") {
		for i, r := range ident {
			letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
			if !letter && (i == 0 || r < '0' || r > '9') {
				return notAFieldPath(path)
			}
		}

		if ident == "" {
			return notAFieldPath(path)
		}
	}
	return nil
}
