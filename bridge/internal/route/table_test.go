package route

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func newTable(tb testing.TB, entries ...Entry) *Table {
	tb.Helper()

	table, err := NewTable(entries)
	if err != nil {
		tb.Fatal(err)
	}
	return table
}

func TestTableMatch(t *testing.T) {
	t.Parallel()

	table := newTable(t,
		Entry{Path: "/clock"},
		Entry{Path: "/rooms/{room_id}/events", Methods: []string{"GET", "POST"}},
		Entry{Path: "/rooms/{room_id}/messages", Methods: []string{"POST"}},
		Entry{Path: "/rooms/{id}/{what}:watch", Methods: []string{"GET"}},
		Entry{Path: "/split/{a}", Methods: []string{"GET"}},
		Entry{Path: "/split/{b}", Methods: []string{"POST"}},
	)

	for _, tt := range []struct {
		method, target string
		index, status  int
		allow          string
	}{
		{"GET", "/clock", 0, 0, ""},
		{"HEAD", "/clock", 0, 0, ""},
		{"POST", "/clock", 0, 405, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/clock", 0, 405, "GET, HEAD, OPTIONS"},
		{"BREW\x00", "/clock", 0, 405, "GET, HEAD, OPTIONS"},
		{"GET", "/clocks", 0, 404, ""},
		{"GET", "/rooms/1/events", 1, 0, ""},
		{"POST", "/rooms/1/events", 1, 0, ""},
		{"DELETE", "/rooms/1/events", 0, 405, "GET, HEAD, OPTIONS, POST"},
		{"POST", "/rooms/1/messages", 2, 0, ""},
		{"GET", "/rooms/1/messages", 0, 405, "OPTIONS, POST"},
		{"HEAD", "/rooms/1/messages", 0, 405, "OPTIONS, POST"},
		{"GET", "/rooms/1/messages:watch", 3, 0, ""},
		{"HEAD", "/split/1", 4, 0, ""},
		{"POST", "/split/1", 5, 0, ""},
		{"PUT", "/split/1", 0, 405, "GET, HEAD, OPTIONS, POST"},
		{"PUT", "/nothing", 0, 404, ""},
		{"GET", "/clock/", 0, 404, ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method, r.URL = tt.method, mustURL(t, tt.target)

		got, err := table.Match(r)

		var refused *Error
		if errors.As(err, &refused); err != nil && refused == nil {
			t.Fatalf("%s %s: %v is not an *Error", tt.method, tt.target, err)
		}

		switch {
		case tt.status == 0 && (err != nil || got.Index != tt.index):
			t.Errorf("%s %s: got %d, %v; want %d", tt.method, tt.target, got.Index, err, tt.index)
		case tt.status != 0 && (refused == nil || refused.Status != tt.status || strings.Join(refused.Allow, ", ") != tt.allow):
			t.Errorf("%s %s: got %+v; want %d %s", tt.method, tt.target, err, tt.status, tt.allow)
		}
	}
}

func TestTableAsteriskForm(t *testing.T) {
	t.Parallel()

	table := newTable(t, Entry{Path: "/{a=**}"})
	r := httptest.NewRequest(http.MethodOptions, "*", nil)

	if _, err := table.Match(r); err == nil || err.Error() != "no route has this path" {
		t.Errorf("got %v", err)
	}

	if got := table.Allowed(r.URL); got != nil {
		t.Errorf("allowed: %v", got)
	}
}

func TestTableAllowed(t *testing.T) {
	t.Parallel()

	table := newTable(t, Entry{Path: "/a", Methods: []string{"POST"}}, Entry{Path: "/a", Methods: []string{"GET"}})

	if got := table.Allowed(mustURL(t, "/a")); !slices.Equal(got, []string{"GET", "HEAD", "OPTIONS", "POST"}) {
		t.Errorf("allowed: %v", got)
	}

	if got := table.Allowed(mustURL(t, "/b")); got != nil {
		t.Errorf("allowed: %v", got)
	}
}

// conflicts are pairs of templates and a path that matches both, or "".
var conflicts = []struct{ a, b, path string }{
	{"/clock", "/clock", "/clock"},
	{"/clock", "/cl%6Fck", "/clock"},
	{"/", "/", "/"},
	{"/", "/**", ""},
	{"/clock", "/clocks", ""},
	{"/rooms/{a}", "/rooms/{b}", "/rooms/x"},
	{"/rooms/{a}", "/rooms/lobby", "/rooms/lobby"},
	{"/rooms/{a}", "/rooms/{b}/events", ""},
	{"/rooms/{a}/events", "/rooms/{b}/messages", ""},
	{"/rooms/{a}/x", "/rooms/y/{b}", "/rooms/y/x"},
	{"/{a}/b", "/a/{b=c}", ""},
	{"/v1/{name=shelves/*}", "/v1/shelves/{id}", "/v1/shelves/x"},
	{"/v1/{name=shelves/*}", "/v1/books/{id}", ""},
	{"/v1/{name=shelves/*}", "/v1/{x}/{y}", "/v1/shelves/x"},
	{"/v1/**", "/v1/a/b/c", "/v1/a/b/c"},
	{"/v1/**", "/v1", ""},
	{"/v1/**", "/v2/**", ""},
	{"/**", "/{a}", "/x"},
	{"/**/x", "/a/**", "/a/x"},
	{"/**/a/b", "/a/b/**", "/a/b/a/b"},
	{"/**/x", "/{a=**}/y", ""},
	{"/v1/{a}", "/v1/{a}:watch", "/v1/x:watch"},
	{"/v1/{a}:watch", "/v1/{a}:stop", ""},
	{"/v1/{a}:b:watch", "/v1/{a}:watch", "/v1/x:b:watch"},
	{"/v1/feed:watch", "/v1/{a}:watch", "/v1/feed:watch"},
	{"/v1/feed:watch", "/v1/feed", ""},
	{"/v1/feed:watch", "/v1/{a=feed:watch}", "/v1/feed:watch"},
	{"/v1/{a}", "/v1/feed:watch", "/v1/feed:watch"},
	{"/v1/**:watch", "/v1/{a}/{b}", "/v1/x/x:watch"},
	{"/v1/**:watch", "/v1/{a}/x", ""},
	{"/a%3Av", "/a:v", ""},
}

func TestConflicts(t *testing.T) {
	t.Parallel()

	for _, tt := range conflicts {
		for _, pair := range [][2]string{{tt.a, tt.b}, {tt.b, tt.a}} {
			_, err := NewTable([]Entry{{Path: "/zzz", Methods: []string{"PUT"}}, {Path: pair[0]}, {Path: pair[1]}})

			want := ""
			if tt.path != "" {
				want = fmt.Sprintf("the paths %s and %s both match GET %s", pair[0], pair[1], tt.path)
			}

			if got := text(err); got != want {
				t.Errorf("%v: got %q; want %q", pair, got, want)
			}

			var conflict *ConflictError
			if errors.As(err, &conflict) && (conflict.First != 1 || conflict.Second != 2) {
				t.Errorf("%v: got indexes %d and %d", pair, conflict.First, conflict.Second)
			}
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestConflictNeedsCommonMethod(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		a, b []string
		want string
	}{
		{[]string{"GET"}, []string{"POST"}, ""},
		{nil, []string{"POST"}, ""},
		{nil, []string{"HEAD"}, "the paths /a and /{b} both match HEAD /a"},
		{[]string{"GET", "POST"}, []string{"POST"}, "the paths /a and /{b} both match POST /a"},
	} {
		_, err := NewTable([]Entry{{Path: "/a", Methods: tt.a}, {Path: "/{b}", Methods: tt.b}})
		if got := text(err); got != tt.want {
			t.Errorf("%v, %v: got %q; want %q", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestNewTableReportsEverything(t *testing.T) {
	t.Parallel()

	_, err := NewTable([]Entry{{Path: "a"}, {Path: "/a"}, {Path: "/{x"}, {Path: "/{x}"}})

	want := "path template: the template does not begin with a slash\n" +
		"path template: the variable \"x\" is not closed\n" +
		"the paths /a and /{x} both match GET /a"
	if got := text(err); got != want {
		t.Errorf("got %q; want %q", got, want)
	}

	var template *TemplateError
	if !errors.As(err, &template) || template.Index != 0 || errors.Unwrap(template) == nil {
		t.Errorf("got %+v", template)
	}
}

// TestConflictProperty compares the search with brute force over all paths of up to four segments from
// a small alphabet.
func TestConflictProperty(t *testing.T) {
	t.Parallel()

	// Only the last segment has a verb, so the others need fewer letters.
	middle := []string{"a", "b", "x", "b:v"}
	last := []string{
		"a", "b", "x", "b:v", "a:v", "x:v", "x:w", "a:w:v", "b:w:v", "x:w:v", ":w:v", "b:v:v", "b:v:w:v",
	}
	paths := [][]string{{}}

	for heads, length := [][]string{{}}, 1; length <= 4; length++ {
		var next [][]string

		for _, head := range heads {
			for _, s := range last {
				paths = append(paths, append(slices.Clone(head), s))
			}

			for _, s := range middle {
				next = append(next, append(slices.Clone(head), s))
			}
		}

		heads = next
	}

	segments := rapid.SampledFrom([]string{"a", "b", "*", "**", "{f}", "{f=a/*}", "{f=**}", "{f=b:v}"})
	template := anyTemplate(rapid.SliceOfN(segments, 0, 3), "", "", ":v", ":w:v")

	rapid.Check(t, func(t *rapid.T) {
		a, b := template.Draw(t, "a"), template.Draw(t, "b")
		common := slices.IndexFunc(paths, func(p []string) bool {
			_, inA := a.match(p)
			if !inA {
				return false
			}

			_, inB := b.match(p)
			return inB
		})

		example, ok := overlap(a.units(), b.units())
		if ok != (common >= 0) {
			t.Fatalf("%s and %s: overlap says %v %q, brute force %d", a, b, ok, example, common)
		}

		if !ok {
			return
		}

		path, _ := splitPath(&url.URL{Path: example})
		_, inA := a.match(path)
		_, inB := b.match(path)

		if !inA || !inB {
			t.Fatalf("%s and %s: the example %s matches the first: %v, the second: %v", a, b, example, inA, inB)
		}
	})
}

func TestTableOverlaps(t *testing.T) {
	t.Parallel()

	table := newTable(t, Entry{Path: "/clock"}, Entry{Path: "/rooms/{id}/events", Methods: []string{"POST"}})

	for _, tt := range []struct {
		path   string
		method string
		want   bool
	}{
		{"/clock", "GET", true},
		{"/clock", "POST", false},
		{"/{any}", "GET", true},
		{"/{any=**}", "POST", true},
		{"/rooms/{room_id}/events", "POST", true},
		{"/rooms/{room_id}/events", "GET", false},
		{"/rooms/{room_id}", "POST", false},
		{"/rooms/{", "POST", false},
	} {
		if got := table.Overlaps(Entry{Path: tt.path, Methods: []string{tt.method}}); got != tt.want {
			t.Errorf("%s %s: %t, want %t", tt.method, tt.path, got, tt.want)
		}
	}
}
