package route

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

// mustURL parses a request target.
func mustURL(tb testing.TB, target string) *url.URL {
	tb.Helper()

	u, err := url.ParseRequestURI(target)
	if err != nil {
		tb.Fatalf("%q: %v", target, err)
	}
	return u
}

// matchPath matches one template against one request target.
func matchPath(tb testing.TB, template, target string) (map[string]string, bool) {
	tb.Helper()

	parsed, err := ParseTemplate(template)
	if err != nil {
		tb.Fatalf("%q: %v", template, err)
	}

	path, ok := splitPath(mustURL(tb, target))
	if !ok {
		return nil, false
	}
	return parsed.match(path)
}

func TestTemplateMatches(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		template, target string
		want             map[string]string
	}{
		{"/", "/", nil},
		{"/", "/?a=b", nil},
		{"/clock", "/clock", nil},
		{"/clock", "/cl%6fck", nil},
		{"/a+b@c", "/a%2Bb%40c", nil},
		{"/caf%C3%A9", "/caf%c3%a9", nil},
		{"/caf%c3%a9", "/café", nil},
		{"/rooms/{room_id}/events", "/rooms/lobby/events", map[string]string{"room_id": "lobby"}},
		{"/rooms/{room_id}/events", "/rooms/a%2Fb/events", map[string]string{"room_id": "a/b"}},
		{"/rooms/{room_id}/events", "/rooms/100%25/events", map[string]string{"room_id": "100%"}},
		{"/rooms/{room_id}/events", "/rooms/a%252Fb/events", map[string]string{"room_id": "a%2Fb"}},
		{"/rooms/{room_id}/events", "/rooms/a+b/events", map[string]string{"room_id": "a+b"}},
		{"/rooms/{room_id}/events", "/rooms/a%20b/events", map[string]string{"room_id": "a b"}},
		{"/rooms/{room_id}/events", "/rooms/urn:x/events", map[string]string{"room_id": "urn:x"}},
		{"/rooms/{room_id}/events", "/rooms/%F0%9F%92%AC/events", map[string]string{"room_id": "💬"}},
		{"/rooms/{room_id}/events", "/rooms/.../events", map[string]string{"room_id": "..."}},
		{"/rooms/{a.b}", "/rooms/x", map[string]string{"a.b": "x"}},
		{"/v1/{name}", "/v1/a:b", map[string]string{"name": "a:b"}},
		{"/v1/{name}:watch", "/v1/a:watch", map[string]string{"name": "a"}},
		{"/v1/{name}:watch", "/v1/a:b:watch", map[string]string{"name": "a:b"}},
		{"/v1/{name}:watch", "/v1/a%3Awatch:watch", map[string]string{"name": "a:watch"}},
		{"/v1/{name}:a:b", "/v1/x:a:b", map[string]string{"name": "x"}},
		{"/v1/feed:watch", "/v1/feed:watch", nil},
		{"/v1/*:watch", "/v1/x:watch", nil},
		{"/v1/{name=shelves/*}", "/v1/shelves/1", map[string]string{"name": "shelves/1"}},
		{"/v1/{name=shelves/*}", "/v1/shelves/a%2Fb", map[string]string{"name": "shelves/a%2Fb"}},
		{"/v1/{name=shelves/*}", "/v1/shelves/a%20b", map[string]string{"name": "shelves/a b"}},
		{"/v1/{name=shelves/*/books/*}:watch", "/v1/shelves/1/books/2:watch", map[string]string{"name": "shelves/1/books/2"}},
		{"/v1/{name=*}", "/v1/a%2Fb", map[string]string{"name": "a/b"}},
		{"/files/{path=**}", "/files/a", map[string]string{"path": "a"}},
		{"/files/{path=**}", "/files/a/b%20c", map[string]string{"path": "a/b c"}},
		{"/files/{path=**}", "/files/a%2fb/c", map[string]string{"path": "a%2Fb/c"}},
		{"/files/{path=**}:raw", "/files/a/b:raw", map[string]string{"path": "a/b"}},
		{"/{path=**}", "/a", map[string]string{"path": "a"}},
		{"/**/x", "/a/b/x", nil},
		{"/{a=**}/x/{b=y/*}", "/1/2/x/y/3%2F4", map[string]string{"a": "1/2", "b": "y/3%2F4"}},
		{"/{a=p/*}/{b=**}", "/p/1%2F2/x/y", map[string]string{"a": "p/1%2F2", "b": "x/y"}},
	} {
		got, ok := matchPath(t, tt.template, tt.target)
		if !ok || !maps.Equal(got, tt.want) {
			t.Errorf("%s on %s: got %v, %v; want %v", tt.template, tt.target, got, ok, tt.want)
		}
	}
}

func TestTemplateDoesNotMatch(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct{ template, target string }{
		{"/", "/a"},
		{"/clock", "/"},
		{"/clock", "/clock/"},
		{"/clock", "//clock"},
		{"/clock", "/Clock"},
		{"/clock", "/clock/x"},
		{"/{path=**}", "/"},
		{"/files/**", "/files"},
		{"/files/**", "/files/"},
		{"/files/**", "/files/a//b"},
		{"/**/x", "/x"},
		{"/rooms/{id}/events", "/rooms//events"},
		{"/rooms/{id}/events", "/rooms/../events"},
		{"/rooms/{id}/events", "/rooms/%2e%2E/events"},
		{"/rooms/{id}/events", "/rooms/./events"},
		{"/rooms/{id}/events", "/rooms/a/b/events"},
		{"/rooms/{id}", "/rooms/"},
		{"/public/**", "/public/../admin"},
		{"/v1/{name}:watch", "/v1/a"},
		{"/v1/{name}:watch", "/v1/:watch"},
		{"/v1/{name}:watch", "/v1/a%3Awatch"},
		{"/v1/{name}:watch", "/v1/a:Watch"},
		{"/v1/feed:watch", "/v1/feed"},
		{"/v1/{name=shelves/*}", "/v1/books/1"},
		{"/a%2Fb", "/a/b"},
	} {
		if got, ok := matchPath(t, tt.template, tt.target); ok {
			t.Errorf("%s on %s: matched with %v", tt.template, tt.target, got)
		}
	}
}

func TestParseTemplateErrors(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct{ template, want string }{
		{"", "the template does not begin with a slash"},
		{"clock", "the template does not begin with a slash"},
		{"//", "a segment is empty"},
		{"/a/", "a segment is empty; leave out the / at the end"},
		{"/{a...}", `the variable "a..." is not a field path; one of several segments is written {a=**}`},
		{"/{a*}", `the variable "a*" is not a field path; one of several segments is written {a=**}`},
		{"/{a.b:[a-z]+}", `the variable "a.b:[a-z]+" is not a field path; a variable has no regular expression: {a.b}`},
		{"/{a-b:x}", `the variable "a-b:x" is not a field path`},
		{"/a//b", "a segment is empty"},
		{"/:watch", "a segment is empty"},
		{"/a:", "the verb is empty"},
		{"/{a}:", "the verb is empty"},
		{"/{a}:x/y", `"x/y" has the character '/', which has to be percent-encoded`},
		{"/..", `the segment ".." can never match`},
		{"/%2E", `the segment "%2E" can never match`},
		{"/a*", `a wildcard stands alone in its segment, unlike in "a*"`},
		{"/***", `a wildcard stands alone in its segment, unlike in "***"`},
		{"/**/**", `"**" stands twice`},
		{"/{a=**}/{b=**}", `"**" stands twice`},
		{"/a b", `"a b" has the character ' ', which has to be percent-encoded`},
		{"/a?b", `"a?b" has the character '?', which has to be percent-encoded`},
		{"/café", `"café" has the character 'é', which has to be percent-encoded`},
		{"/a%2", `"a%2" has a malformed percent-encoding`},
		{"/{", `the variable "" is not a field path`},
		{"/{}", `the variable "" is not a field path`},
		{"/{a", `the variable "a" is not closed`},
		{"/{a=", "a segment is empty"},
		{"/{a=*", `the variable "a" is not closed`},
		{"/{1a}", `the variable "1a" is not a field path`},
		{"/{a-b}", `the variable "a-b" is not a field path`},
		{"/{a..b}", `the variable "a..b" is not a field path`},
		{"/{a.}", `the variable "a." is not a field path`},
		{"/{a}/{a}", `the variable "a" stands twice`},
		{"/{a={b}}", "a segment is empty"},
		{"/{a=x/{b}}", "a segment is empty"},
		{"/{a=x%20/*}", `the literal "x%20" inside a variable has a percent-encoded character`},
		{"/x{a}", `"{a}" follows a whole segment; a slash or a verb is expected`},
		{"/{a}x", `"x" follows a whole segment; a slash or a verb is expected`},
		{"/{a}{b}", `"{b}" follows a whole segment; a slash or a verb is expected`},
		{"/a}", `"}" follows a whole segment; a slash or a verb is expected`},
		{"/" + string(make([]byte, maxTemplate)), "the template is longer than 2048 bytes"},
	} {
		if _, err := ParseTemplate(tt.template); err == nil || err.Error() != tt.want {
			t.Errorf("%q: got %v; want %s", tt.template, err, tt.want)
		}
	}
}

func TestTemplateNames(t *testing.T) {
	t.Parallel()

	parsed, err := ParseTemplate("/a/{x.y}/{z=b/*}:v")
	if err != nil {
		t.Fatal(err)
	}

	if got := parsed.Params(); !slices.Equal(got, []string{"x.y", "z"}) {
		t.Errorf("params: %v", got)
	}

	if got := parsed.String(); got != "/a/{x.y}/{z=b/*}:v" {
		t.Errorf("text: %v", got)
	}
}

// FuzzParseTemplate compares the package with grpc-gateway's own parser and mux. grpc-gateway accepts
// each template accepted here, and both match the same path with the same values.
func FuzzParseTemplate(f *testing.F) {
	for _, seed := range [][2]string{
		{"/", "/"},
		{"/clock", "/clock"},
		{"/rooms/{room_id}/events", "/rooms/a%2Fb/events"},
		{"/v1/{name=shelves/*}:watch", "/v1/shelves/1:watch"},
		{"/files/{path=**}", "/files/a/b"},
		{"/a:b:c", "/a:b:c"},
		{"/{a=b:c}", "/b:c"},
		{"/*/**/x", "/1/2/3/x"},
		{"/%7Ea", "/~a"},
	} {
		f.Add(seed[0], seed[1])
	}

	f.Fuzz(func(t *testing.T, template, target string) {
		parsed, err := ParseTemplate(template)
		if err != nil {
			return
		}

		var theirs map[string]string

		mux := runtime.NewServeMux(runtime.WithUnescapingMode(runtime.UnescapingModeAllExceptSlash))
		if err := mux.HandlePath(http.MethodGet, template, func(_ http.ResponseWriter, _ *http.Request, params map[string]string) {
			theirs = params
		}); err != nil {
			t.Fatalf("%q is accepted here, but grpc-gateway says: %v", template, err)
		}

		u, err := url.ParseRequestURI(target)
		if err != nil || u.Path == "" || u.Path[0] != '/' {
			return
		}

		path, ok := splitPath(u)
		if !ok {
			return
		}

		ours, ok := parsed.match(path)
		// grpc-gateway compares bytes and decodes twice, so it differs where a spelling is not
		// canonical.
		if u.RawPath != "" || u.EscapedPath() != u.Path || canonical(template, false) != template && !plain(template) {
			return
		}

		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL = u
		mux.ServeHTTP(httptest.NewRecorder(), r)

		if ok != (theirs != nil) || ok && !maps.Equal(ours, theirs) {
			t.Fatalf("%q on %q: here %v %v, grpc-gateway %v", template, target, ok, ours, theirs)
		}
	})
}

// plain reports whether a template has no percent-encoding.
func plain(template string) bool { return !slices.Contains([]byte(template), '%') }
