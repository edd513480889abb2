package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSlowReader: it is slow for long enough that a log leaves it behind, then
// reads the rest at once, then no more.
func TestSlowReader(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			mood := &mood{every: 250 * time.Millisecond}
			mood.difficult.Store(true)
			reader := newSlowReader(t.Context(), endless{}, mood, rand.New(rand.NewPCG(seed, 0)))
			began := time.Now()
			slowly, quickly := 0, 0
			buffer := make([]byte, 32<<10)
			for {
				before := time.Now()
				n, err := reader.Read(buffer)
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
			if took < mood.messages(40) || took > mood.messages(110) {
				t.Errorf("it read for %v", took)
			}
			if most := 12 << 10 * int(mood.messages(70)/time.Second+1); slowly > most || quickly < 10*slowly {
				t.Errorf("it read %d bytes slowly and %d quickly", slowly, quickly)
			}
		})
	}
}

// TestQuickReader: while clients are not difficult, none is slow, nor goes on
// being.
func TestQuickReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		reader := newSlowReader(t.Context(), io.LimitReader(endless{}, 1<<20), &mood{every: time.Second}, rand.New(rand.NewPCG(1, 1)))
		if n, err := io.Copy(io.Discard, reader); n != 1<<20 || err != nil || time.Since(began) > 0 {
			t.Errorf("it read %d bytes in %v: %v", n, time.Since(began), err)
		}
		mood := &mood{every: time.Second}
		mood.difficult.Store(true)
		go func() {
			time.Sleep(time.Second)
			mood.difficult.Store(false)
		}()
		began = time.Now()
		reader = newSlowReader(t.Context(), strings.NewReader(strings.Repeat("x", 1<<20)), mood, rand.New(rand.NewPCG(1, 1)))
		if n, err := io.Copy(io.Discard, reader); n != 1<<20 || err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("it read %d bytes in %v: %v", n, time.Since(began), err)
		}
	})
}

// endless never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
