package cli

import (
	"bytes"
	_ "embed" // for skeleton.yaml.tmpl
	"fmt"
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
	CA      string // as the file is seen from the configuration's folder; may be empty
	Streams []stream
}

// stream is a method that becomes a route.
type stream struct {
	Path   string
	RPC    string
	Event  string   // the name of its message
	Fields []string // of its request
}

// render writes the configuration.
func (s skeleton) render() ([]byte, error) {
	parsed, err := template.New("skeleton.yaml.tmpl").
		Funcs(template.FuncMap{"quote": quote, "join": strings.Join}).
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

// serverStreams are those of the methods that can be routes, each with a path of its own.
func serverStreams(methods []bridge.RouteInfo) []stream {
	var streams []stream
	taken := map[string]bool{}
	for _, m := range methods {
		if !m.Streaming {
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
		streams = append(streams, stream{Path: path, RPC: m.RPC, Event: m.Event, Fields: m.Fields})
	}

	return streams
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
