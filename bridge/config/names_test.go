package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestFieldPaths(t *testing.T) {
	for _, good := range []string{"a", "room_id", "a.b.c", "labels.env-1", "labels.a b", "A1"} {
		if !isFieldPath(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"", ".", "a.", ".a", "a..b", "1a", "a b", "a-b", "a.\n", "é"} {
		if isFieldPath(bad) {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a.b", true},
		{"a.b", "a.c", false},
		{"a", "ab", false},
		{"user_id", "userId", true},
		{"user_id.x", "userId", true},
		{"user_id", "userid", false},
		{"a_1", "a1", true},
	} {
		if overlap(c.a, c.b) != c.want || overlap(c.b, c.a) != c.want {
			t.Errorf("%s and %s: %t", c.a, c.b, !c.want)
		}
	}
}

func TestPathFields(t *testing.T) {
	for template, want := range map[string][]string{
		"/a": nil, "/{a}": {"a"}, "/{a.b=x/*}/{c=**}:verb": {"a.b", "c"}, "/{a": nil, "/a}": nil, "/{}": {""},
	} {
		if diff := cmp.Diff(want, pathFields(template)); diff != "" {
			t.Errorf("%s: %s", template, diff)
		}
	}
}

// parentPath inverts joinPath and indexPath.
func TestParentPathUndoesJoin(t *testing.T) {
	key := rapid.OneOf(rapid.StringMatching(`[a-z_]{1,5}`), rapid.String(), rapid.SampledFrom([]string{`"]`, `["`, `a.b`, `\`, `[0]`, `*`}))
	rapid.Check(t, func(t *rapid.T) {
		stack := []string{""}
		for range rapid.IntRange(1, 6).Draw(t, "depth") {
			top := stack[len(stack)-1]
			if top != "" && rapid.Bool().Draw(t, "index") {
				stack = append(stack, indexPath(top, rapid.IntRange(0, 99).Draw(t, "i")))
			} else {
				stack = append(stack, joinPath(top, key.Draw(t, "key")))
			}
		}
		for i := len(stack) - 1; i > 0; i-- {
			if got := parentPath(stack[i]); got != stack[i-1] {
				t.Fatalf("parent of %q: %q, want %q", stack[i], got, stack[i-1])
			}
		}
	})
}

// A loop over parentPath ends for any path.
func TestParentPathEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.StringMatching(`([a-z.\[\]"\\]|\["|"\])*`).Draw(t, "path")
		for n := 0; path != ""; n++ {
			next := parentPath(path)
			if len(next) >= len(path) {
				t.Fatalf("%q gives %q", path, next)
			}
			path = next
		}
	})
}
