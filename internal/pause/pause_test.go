package pause

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			name                string
			pause, ends, passes time.Duration
			want                error
		}{
			{"all of the time passes", time.Second, time.Minute, time.Second, nil},
			{"the context ends before", time.Minute, time.Second, time.Second, context.DeadlineExceeded},
			{"no time, and the context lasts", 0, time.Second, 0, nil},
			{"no time, and the context has ended", -1, 0, 0, context.DeadlineExceeded},
		} {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), test.ends)
			err := For(ctx, test.pause)
			cancel()
			if passed := time.Since(began); !errors.Is(err, test.want) || passed != test.passes {
				t.Errorf("%s: %v after %v, want %v after %v", test.name, err, passed, test.want, test.passes)
			}
		}
	})
}
