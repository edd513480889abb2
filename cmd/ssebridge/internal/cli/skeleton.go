package cli

import (
	"bytes"
	_ "embed" // for skeleton.yaml.tmpl
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode"

	"github.com/ssebridge/ssebridge/bridge"
)

// skeletonText is the configuration that init writes.
//
//go:embed skeleton.yaml.tmpl
var skeletonText string

// skeleton is a configuration to start from.
type skeleton struct {
	Target  string
	TLS     bool
	Streams []stream

	// Files, as they are seen from the configuration's folder; they may be empty.
	CA, DescriptorSet   string
	Protos, ImportPaths []string
}

// stream is a method that becomes a route.
type stream struct {
	Path   string
	RPC    string
	Event  string              // the name of its message
	Fields []string            // of its request that a query can set
	Method string              // of HTTP, for unary RPCs; "" for streams
	Cursor bridge.CursorFields // what looks like a cursor
}

// QueryFields says in a comment which fields a query can set.
func (s stream) QueryFields() string {
	others := strings.Join(slices.DeleteFunc(slices.Clone(s.Fields), func(f string) bool { return f == s.Cursor.Field }), ", ")
	switch {
	case s.Cursor.Field == "":
		return "any field of the request: " + others
	case others == "":
		return "any field of the request; resume closes " + s.Cursor.Field
	default:
		return "any field of the request: " + others + "; resume closes " + s.Cursor.Field
	}
}

// example returns a field of the request to show in a query, another than the cursor if
// there is one; "" where there is none.
func (s stream) example() string {
	if len(s.Fields) == 0 {
		return ""
	}
	other := slices.IndexFunc(s.Fields, func(f string) bool { return f != s.Cursor.Field })
	return s.Fields[max(other, 0)]
}

// leftOut is a method that becomes no route, or a service of which none does.
type leftOut struct{ rpc, why string }

// nameFiles sets the files that the flags name, as seen from a folder.
func (s *skeleton) nameFiles(folder string, flags initFlags) error {
	var err error
	if flags.ca != "" {
		s.CA, err = relativeTo(folder, flags.ca)
	}
	if err == nil && flags.descriptors != "" {
		s.DescriptorSet, err = relativeTo(folder, flags.descriptors)
	}
	if proto := flags.schema().Proto; err == nil && proto != nil {
		s.Protos = proto.Files
		for _, path := range proto.ImportPaths {
			if path, err = relativeTo(folder, path); err != nil {
				return err
			}
			s.ImportPaths = append(s.ImportPaths, path)
		}
	}
	return err
}

// render writes the configuration.
func (s *skeleton) render() ([]byte, error) {
	parsed, err := template.New("skeleton.yaml.tmpl").
		Funcs(template.FuncMap{"quote": quote, "quoteAll": quoteAll, "join": strings.Join}).
		Parse(skeletonText)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, s); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// quote writes a YAML scalar of any text: a JSON string is one, once $ is kept from
// being expanded.
func quote(text string) string {
	return strconv.Quote(strings.ReplaceAll(text, "$", "$$"))
}

// quoteAll is quote for the elements of a list in brackets.
func quoteAll(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = quote(text)
	}
	return strings.Join(quoted, ", ")
}

// unreadable precedes the reason why a service cannot become routes.
const unreadable = "is listed by the backend, but its schema could not be read: "

// routesOf returns the methods that become routes, each with a path of its own, and
// those that do not, services without a schema among them. Reflection itself is in
// neither list.
func routesOf(methods []bridge.RouteInfo, unary bool) (routes []stream, left []leftOut) {
	taken := map[string]bool{}
	for _, m := range methods {
		switch {
		case strings.HasPrefix(m.RPC, "grpc.reflection."):
			continue
		case m.Fault != "":
			left = append(left, leftOut{m.RPC, unreadable + m.Fault})
			continue
		case m.Uploading:
			left = append(left, leftOut{m.RPC, "takes a stream of requests, which a browser cannot send"})
			continue
		case !m.Streaming && !unary:
			left = append(left, leftOut{m.RPC, "is unary; --unary writes a route for it"})
			continue
		}
		service, method, _ := strings.Cut(m.RPC, "/")
		path := pathOf(service[strings.LastIndexByte(service, '.')+1:], method)
		if taken[path] { // a service of that name in another package, or one that differs in case
			path = pathOf(service, method)
		}
		for n := 2; taken[path]; n++ {
			path = fmt.Sprintf("%s-%d", pathOf(service, method), n)
		}
		taken[path] = true
		route := stream{Path: path, RPC: m.RPC, Event: m.Event, Cursor: m.Cursor}
		for _, field := range m.Fields {
			if field != "last_event_id" && field != "lastEventId" { // the id that a client resumes from, to a query
				route.Fields = append(route.Fields, field)
			}
		}
		switch {
		case m.Safe:
			route.Method = http.MethodGet
		case !m.Streaming:
			route.Method = http.MethodPost
		}
		routes = append(routes, route)
	}
	return routes, left
}

// pathOf is the path of a method of a service: ClockService and Watch are /clock/watch.
func pathOf(service, method string) string {
	if short := strings.TrimSuffix(service, "Service"); short != "" && !strings.HasSuffix(short, ".") {
		service = short
	}
	return "/" + kebab(service) + "/" + kebab(method)
}

// kebab writes a name in lower case with its words joined by hyphens: GetHTTPStatus is
// get-http-status. Dots stay.
func kebab(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if r == '_' {
			r = '-'
		}
		if unicode.IsUpper(r) && i > 0 && isLetter(runes[i-1]) {
			afterLower := !unicode.IsUpper(runes[i-1])
			beforeLower := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if afterLower || beforeLower {
				b.WriteByte('-')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func isLetter(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}
