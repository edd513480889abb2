package topic

import (
	"errors"
	"testing"
)

var errNotAdmitted = errors.New("not admitted")

// A client that may not open a topic still joins those that there are, and none is ended
// for it.
func TestAdmitIsAskedForNewTopicsAlone(t *testing.T) {
	inWorld(t, Limits{Topics: 2, Idle: 2, Bytes: 1 << 30}, func(t *testing.T, w *world) {
		asked, answer := 0, error(nil)
		admitted := func(j *Join) { j.Admit = func() error { asked++; return answer } }
		want := func(n int) {
			t.Helper()
			if asked != n {
				t.Errorf("asked %d times, want %d", asked, n)
			}
		}
		a := w.join("a", admitted)
		want(1)
		if a.sub.join != nil && a.sub.join.Admit != nil {
			t.Error("it would be asked when the client is moved, which is none of its doing")
		}
		answer = errNotAdmitted
		w.join("a", admitted)
		w.join("b").leave() // lingers
		w.join("b", admitted).leave()
		want(1)
		for i, key := range []string{"a", "c"} {
			if _, err := w.tryJoin(key, admitted, func(j *Join) { j.Private = key == "a" }); !errors.Is(err, errNotAdmitted) {
				t.Errorf("%s: err %v", key, err)
			}
			want(i + 2)
		}
		w.expectTopics(2)
		answer = nil
		w.join("c", admitted) // in b's place
		want(4)
		if _, err := w.tryJoin("d", admitted); !errors.Is(err, ErrFull) {
			t.Errorf("err %v", err)
		}
	})
}
