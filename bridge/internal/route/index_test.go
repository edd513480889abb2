package route

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// many returns the entries of an API's services in a generator's naming.
func many(n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = Entry{Path: fmt.Sprintf("/api/v1/service%d/{id}/events", i)}
	}
	return entries
}

// The index yields only the entries that share the path's prefix, out of thousands.
func TestIndexYieldsFewEntries(t *testing.T) {
	t.Parallel()

	const n = 4000

	table := newTable(t, append(many(n), Entry{Path: "/{a}/{b}/{c}/{d}/more"}, Entry{Path: "/other/**:v"})...)

	for path, most := range map[string]int{"/api/v1/service7/7/events": 1, "/api/v1/none/7/events": 0, "/other/a": 1, "/x": 0} {
		if got := len(slices.Collect(table.index.matching(strings.Split(path[1:], "/")))); got > most {
			t.Errorf("%s: the index yields %d entries", path, got)
		}
	}

	if got := len(slices.Collect(table.index.meeting(table.entries[7].template.units()))); got != 1 {
		t.Errorf("a template in the table: the index yields %d entries", got)
	}
}

// TestIndexProperty compares the index with a check of every entry.
func TestIndexProperty(t *testing.T) {
	t.Parallel()

	literals := rapid.SampledFrom([]string{"a", "b", "b:v", "x", "x:w:v", "x:1:2:3:4:5:6:7:w:v"})
	segments := rapid.OneOf(literals, rapid.SampledFrom([]string{"*", "**", "{f}", "{g=a/*}"}))
	template := anyTemplate(rapid.SliceOfN(segments, 0, 4), "", "", ":v", ":w:v", ":w")

	rapid.Check(t, func(t *rapid.T) {
		templates := rapid.SliceOfN(template, 0, 8).Draw(t, "templates")

		var x index
		for i, other := range templates {
			x.add(other.units(), i)
		}

		path := rapid.SliceOfN(literals, 0, 5).Draw(t, "path")
		compare(t, templates, x.matching(path), func(other Template) bool {
			_, ok := other.match(path)
			return ok
		})

		one := template.Draw(t, "one")
		compare(t, templates, x.meeting(one.units()), func(other Template) bool {
			_, ok := overlap(one.units(), other.units())
			return ok
		})
	})
}

// anyTemplate draws templates from these segments and verbs.
func anyTemplate(segments *rapid.Generator[[]string], verbs ...string) *rapid.Generator[Template] {
	text := rapid.Custom(func(t *rapid.T) string {
		return "/" + strings.Join(segments.Draw(t, "segments"), "/") + rapid.SampledFrom(verbs).Draw(t, "verb")
	})
	parses := func(text string) bool {
		_, err := ParseTemplate(text)
		return err == nil
	}
	return rapid.Map(text.Filter(parses), func(text string) Template {
		parsed, _ := ParseTemplate(text) // always valid
		return parsed
	})
}

// compare checks that the index finds every wanted template, and none twice.
func compare(t *rapid.T, templates []Template, found iter.Seq[int], wanted func(Template) bool) {
	got := slices.Sorted(found)
	if !slices.Equal(got, slices.Compact(slices.Clone(got))) {
		t.Fatalf("found twice: %v", got)
	}

	for i, template := range templates {
		if wanted(template) && !slices.Contains(got, i) {
			t.Fatalf("%s is not found", template)
		}
	}
}

// A conflict names the first conflicting entry, whatever the order within the index.
func TestFirstConflictIsReported(t *testing.T) {
	t.Parallel()

	for range 20 { // map order is random
		_, err := NewTable([]Entry{{Path: "/x/a"}, {Path: "/y/a"}, {Path: "/z/{b}"}, {Path: "/{c}/a"}})
		if got := text(err); got != "the paths /x/a and /{c}/a both match GET /x/a" {
			t.Fatal(got)
		}
	}
}

// comparing returns the time for comparing a tenth of the paths with every path.
func comparing(entries []Entry) time.Duration {
	began := time.Now()
	equal := 0
	for _, a := range entries[:len(entries)/10] {
		for _, b := range entries {
			if a.Path == b.Path {
				equal++
			}
		}
	}
	if equal < len(entries)/10 {
		panic("a path differs from itself")
	}
	return time.Since(began)
}

// A table with the maximum number of wildcards is built quickly, and Match does not compare a request
// with every entry. The yardstick is the time for comparing a tenth of the paths with every path as
// text. The full search for overlaps took thousands of times as long.
func TestManyWildcards(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct{ path, request string }{
		{"/{a}/b/*/{c=**}/r%d", "/x/b/x/x/r7"},
		{"/*/*/{a}/*:v%d", "/x/x/x/x:v7"},
		{"/{r=**}:v%d", "/x:v7"},
		{"/{r=**}/{s}/m%d/{t}", "/x/y/m7/z"},
		{"/{a}/m%d/{b}/{c}", "/x/m7/y/z"},
	} {
		entries := make([]Entry, 10000)
		for i := range entries {
			entries[i].Path = fmt.Sprintf(tt.path, i)
		}

		began := time.Now()
		table := newTable(t, entries...)

		took := time.Since(began)
		if measure := comparing(entries); took > 500*measure {
			t.Errorf("%s: a table of %d entries takes %v, comparing texts %v", tt.path, len(entries), took, measure)
		}

		r := request{}.http()
		r.URL = mustURL(t, tt.request)

		if m, err := table.Match(r); err != nil || m.Index != 7 {
			t.Errorf("%s: got %d, %v", tt.request, m.Index, err)
		}
	}
}

func BenchmarkNewTable(b *testing.B) {
	for _, n := range []int{10, 1000, 4000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			entries := many(n)

			for b.Loop() {
				newTable(b, entries...)
			}
		})
	}
}

func BenchmarkMatchOfMany(b *testing.B) {
	for _, n := range []int{10, 1000, 4000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			table := newTable(b, many(n)...)
			r := request{}.http()
			r.URL = mustURL(b, fmt.Sprintf("/api/v1/service%d/7/events", n-1))

			b.ReportAllocs()

			for b.Loop() {
				if _, err := table.Match(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
