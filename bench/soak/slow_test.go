package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// A client that crawls is slow for so long that it lags. Then it reads at once for a while,
// and leaves. One that is frozen takes nothing for about write_timeout. One that leaves a
// ghost behind does so soon.
func TestSlowReader(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			mood := &mood{every: 250 * time.Millisecond}
			mood.difficult.Store(true)
			gait := randomGait(mood, rand.New(rand.NewPCG(seed, 0)))
			seen[gait.name] = true
			reader := newSlowReader(t.Context(), endless{}, mood, gait, true)
			began := time.Now()
			slowly, quickly, stood := 0, 0, time.Duration(0)
			buffer := make([]byte, 32<<10)
			for {
				before := time.Now()
				n, err := reader.Read(buffer)
				stood = max(stood, time.Since(before))
				if errors.Is(err, errLeft) {
					break
				}
				if err != nil || n > sip {
					t.Fatalf("%d bytes and %v", n, err)
				}
				if reader.rate == fast {
					quickly += n
					time.Sleep(time.Millisecond) // for what is read
				} else if slowly += n; time.Since(before) == 0 {
					t.Fatal("a slow read took no time")
				}
			}
			took := time.Since(began)
			switch {
			case !reader.walkedAll():
				t.Error("it has not read to the end of its gait")
			case gait.haunts:
				if took > mood.messages(8) || stood < mood.messages(2) {
					t.Errorf("a ghost was left after %v, and had taken nothing for %v", took, stood)
				}
			case gait.name == freeze && (stood < writeTimeout/4 || stood > writeTimeout*3/2):
				t.Errorf("it took nothing for %v", stood)
			case gait.name == crawls && (took < mood.messages(50) || took > mood.messages(120)):
				t.Errorf("it read for %v", took)
			case gait.name == crawls && (slowly > 16<<10*int(mood.messages(80)/time.Second+1) || quickly < 10*slowly):
				t.Errorf("it read %d bytes slowly and %d quickly", slowly, quickly)
			}
		})
	}
	if len(seen) != 3 {
		t.Errorf("of the gaits there were %v", seen)
	}
}

// While clients are not difficult, no client is slow, and one that is slow stops.
func TestQuickReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		mood := &mood{every: time.Second}
		slow := gait{name: crawls, stretches: []stretch{{forGood, 1 << 10}}}
		reader := newSlowReader(t.Context(), io.LimitReader(endless{}, 1<<20), mood, slow, false)
		if n, err := io.Copy(io.Discard, reader); n != 1<<20 || err != nil || time.Since(began) > 0 {
			t.Errorf("it read %d bytes in %v: %v", n, time.Since(began), err)
		}
		mood.difficult.Store(true)
		if n, err := reader.Read(make([]byte, 1)); n != 0 || !errors.Is(err, errLeft) {
			t.Errorf("%d bytes by a wide link, and %v", n, err)
		}
		go func() {
			time.Sleep(time.Second)
			mood.difficult.Store(false)
		}()
		began = time.Now()
		reader = newSlowReader(t.Context(), endless{}, mood, slow, true)
		if n, err := io.Copy(io.Discard, reader); n > 2<<10 || !errors.Is(err, errLeft) || time.Since(began) > 2*time.Second {
			t.Errorf("it read %d bytes in %v by a narrow link: %v", n, time.Since(began), err)
		}
	})
}

// endless never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
