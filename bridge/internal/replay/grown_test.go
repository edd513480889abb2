package replay

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestGrown(t *testing.T) {
	l := New(Params{Events: 2, Bytes: 1 << 20})
	first := l.Grown(0)
	if isClosed(first) || isClosed(l.Grown(7)) {
		t.Fatal("an empty log has nothing to read")
	}
	fill(l, "a")
	if !isClosed(first) || !isClosed(l.Grown(0)) {
		t.Fatal("readers are not woken by a frame")
	}
	second := l.Grown(1)
	if isClosed(second) {
		t.Fatal("nothing has come after the first frame")
	}
	l.Close()
	if !isClosed(second) || !isClosed(l.Grown(1)) {
		t.Fatal("readers are not woken by the end")
	}
	l = fill(New(Params{Events: 1, Bytes: 1}), "a", "b")
	if !isClosed(l.Grown(0)) {
		t.Fatal("a reader that has lost frames waits")
	}
}

// Readers join anywhere, wait for frames and leave while a writer runs at full speed. Each reads an
// unbroken sequence, and none waits forever.
func TestReadersMissNothing(t *testing.T) {
	const (
		readers = 8
		joins   = 10000 // by all readers in sum
	)
	l := New(Params{Events: 512, Bytes: 16 << 10})
	var passing, staying sync.WaitGroup
	for range readers {
		passing.Go(func() {
			for range joins / readers {
				follow(t, l, 1+rand.IntN(20))
			}
		})
	}
	for range 2 {
		staying.Go(func() { // to the end
			for last := uint64(lost); last != ended; { // rejoins where it has lost frames
				last = follow(t, l, math.MaxInt)
			}
		})
	}
	stop := make(chan struct{})
	staying.Go(func() {
		defer l.Close()
		var frame [40]byte
		for number := uint64(1); !isClosed(stop); number++ {
			binary.BigEndian.PutUint64(frame[:], number)
			l.Append(frame[:8+8*(number%5)], "")
		}
	})
	passing.Wait()
	close(stop)
	staying.Wait()
}

// follow joins the log at a random position, often at its head, and reads for some rounds. It returns
// its last position, ended or lost.
func follow(t *testing.T, l *Log, rounds int) uint64 {
	floor, position := l.Bounds()
	if rand.IntN(2) == 0 {
		position = floor + rand.Uint64N(position-floor+1)
	}
	for range rounds {
		next := read(t, l, position, 1+rand.IntN(2000))
		switch next {
		case ended:
			return ended
		case lost:
			if floor, _ := l.Bounds(); floor <= position {
				t.Errorf("lost at %d, of a log that begins at %d", position, floor)
			}
			return lost
		case position:
			<-l.Grown(position)
		}
		position = next
	}
	return position
}

const (
	ended = 1<<64 - 1 - iota
	lost
)

// read checks that the frames after position are consecutive.
func read(t *testing.T, l *Log, position uint64, limit int) uint64 {
	slices, next, err := l.Read(position, limit, nil)
	switch {
	case errors.Is(err, io.EOF):
		return ended
	case errors.Is(err, ErrEvicted):
		return lost
	case err != nil:
		t.Error(err)
	}
	for _, slice := range slices {
		for ; len(slice) > 0; slice = slice[8:] {
			number := binary.BigEndian.Uint64(slice)
			if number == 0 {
				continue // padding
			}
			if position++; number != position {
				t.Errorf("frame %d, want %d", number, position)
				return ended
			}
		}
	}
	if position != next {
		t.Errorf("read up to %d, want %d", position, next)
	}
	return next
}
