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

// many are entries of services of an API, as a generator writes them.
func many(n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = Entry{Path: fmt.Sprintf("/api/v1/service%d/{id}/events", i)}
	}

	return entries
}

// Of thousands only those are looked at that have the beginning in common.
func TestIndexLooksAtFew(t *testing.T) {
	t.Parallel()

	const n = 4000

	table := newTable(t, append(many(n), Entry{Path: "/{a}/{b}/{c}/{d}/more"}, Entry{Path: "/other/**:v"})...)

	for path, most := range map[string]int{"/api/v1/service7/7/events": 1, "/api/v1/none/7/events": 0, "/other/a": 1, "/x": 0} {
		if got := len(slices.Collect(table.index.matching(strings.Split(path[1:], "/")))); got > most {
			t.Errorf("%s: %d entries are looked at", path, got)
		}
	}

	if got := len(slices.Collect(table.index.meeting(table.entries[7].template.units()))); got != 1 {
		t.Errorf("of a template in the table %d are looked at", got)
	}
}

// TestIndexProperty compares what the index finds with a look at every entry.
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

// anyTemplate draws templates of these segments and verbs.
func anyTemplate(segments *rapid.Generator[[]string], verbs ...string) *rapid.Generator[Template] {
	text := rapid.Custom(func(t *rapid.T) string {
		return "/" + strings.Join(segments.Draw(t, "segments"), "/") + rapid.SampledFrom(verbs).Draw(t, "verb")
	})
	parses := func(text string) bool {
		_, err := ParseTemplate(text)

		return err == nil
	}

	return rapid.Map(text.Filter(parses), func(text string) Template {
		parsed, _ := ParseTemplate(text) // it does

		return parsed
	})
}

// compare checks that each template that is wanted is found, and none twice.
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

// The first of several is the one that is told, wherever the index has it.
func TestFirstConflictIsReported(t *testing.T) {
	t.Parallel()

	for range 20 { // whatever the order of a map is
		_, err := NewTable([]Entry{{Path: "/x/a"}, {Path: "/y/a"}, {Path: "/z/{b}"}, {Path: "/{c}/a"}})
		if got := text(err); got != "the paths /x/a and /{c}/a both match GET /x/a" {
			t.Fatal(got)
		}
	}
}

// comparing returns how long it takes to compare a tenth of the paths with each.
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

// Tables of as many wildcards as a configuration may have are made in a moment, and a
// request is not compared with each of them. The measure is what it takes to compare the
// texts of a tenth of the paths with those of all; comparing them by the whole search took
// thousands of times as long.
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
			t.Errorf("%s: a table of %d takes %v, comparing texts %v", tt.path, len(entries), took, measure)
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
