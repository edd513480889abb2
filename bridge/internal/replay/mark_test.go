package replay

import (
	"slices"
	"testing"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

func TestMarksReturnsTheLabelsBetweenTwoPositions(t *testing.T) {
	l := New(Params{Events: 3, Bytes: 1 << 20})
	l.Append([]byte("1"), "")
	l.Mark("a")
	l.Append([]byte("2"), "")
	l.Mark("b")
	l.Append([]byte("3"), "")
	l.Append([]byte("4"), "")
	for _, tc := range []struct {
		after, upTo uint64
		want        []reason.Gap
	}{
		{0, 1, nil}, {0, 2, []reason.Gap{"a"}}, {1, 2, []reason.Gap{"a"}}, {1, 4, []reason.Gap{"a", "b"}}, {2, 3, []reason.Gap{"b"}}, {3, 4, nil}, {0, 0, nil},
	} {
		if got := l.Marks(tc.after, tc.upTo); !slices.Equal(got, tc.want) {
			t.Errorf("after %d up to %d: %q, want %q", tc.after, tc.upTo, got, tc.want)
		}
	}
	for range 5 { // drop the marked frames
		l.Append([]byte("x"), "")
	}
	l.Mark("c")
	if len(l.marks) != 1 {
		t.Errorf("%d marks are left", len(l.marks))
	}
	if got := l.Marks(0, 10); !slices.Equal(got, []reason.Gap{"c"}) {
		t.Errorf("%q", got) // Append has not been called yet
	}
}
