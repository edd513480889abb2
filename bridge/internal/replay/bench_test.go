package replay

import (
	"fmt"
	"testing"
)

// An event has 250 bytes, as in make bench.
func BenchmarkAppend(b *testing.B) {
	for name, budget := range map[string]*Budget{"budget=none": nil, "budget=shared": NewBudget(1 << 40)} {
		b.Run(name, func(b *testing.B) {
			l := New(Params{Events: 1024, Bytes: 8 << 20, Budget: budget})
			defer l.Discard()
			defer l.Watch(func() {})()
			frame := make([]byte, 250)
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				l.Append(frame, "")
			}
		})
	}
}

// The client is a whole log behind and reads batches of 16 KiB.
func BenchmarkRead(b *testing.B) {
	l := New(Params{Events: 1024, Bytes: 8 << 20})
	for range 1024 {
		l.Append(make([]byte, 250), "")
	}
	var slices [][]byte
	reads := map[string]func(position uint64) (uint64, error){
		"as=slices": func(position uint64) (next uint64, err error) {
			slices, next, err = l.Read(position, 16<<10, slices[:0])
			return next, err
		},
		"as=chunks": func(position uint64) (uint64, error) {
			_, next, err := l.Chunks(position, 16<<10)
			return next, err
		},
		"as=gzip": func(position uint64) (uint64, error) {
			_, next, _, err := l.GzipChunks(position, 0, 16<<10)
			return next, err
		},
	}
	for name, read := range reads {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(1024 * 250)
			b.ReportAllocs()
			for b.Loop() {
				for position := uint64(0); position < 1024; {
					var err error
					if position, err = read(position); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// The usual case of a live stream: each of many clients at the head reads the newest frame.
func BenchmarkLive(b *testing.B) {
	l := newTickLog(1000, Params{Events: 1024, Bytes: 8 << 20})
	var slices [][]byte
	reads := map[string]func() error{
		"as=slices": func() (err error) { slices, _, err = l.Read(999, 16<<10, slices[:0]); return err },
		"as=chunks": func() error { _, _, err := l.Chunks(999, 16<<10); return err },
		"as=gzip":   func() error { _, _, _, err := l.GzipChunks(999, 0, 16<<10); return err },
	}
	for name, read := range reads {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// It measures a frame with its first client. %ofbytes is the compressed share of the bytes, with chunk
// framing on both sides.
func BenchmarkGzipChunks(b *testing.B) {
	for name, chained := range map[string]bool{"form=chained": true, "form=standalone": false} {
		b.Run(name, func(b *testing.B) {
			l, source := New(Params{Events: 1024, Bytes: 8 << 20}), newTickSource()
			var frames [4096][]byte
			for i := range frames {
				frames[i] = source.appendTo(nil)
			}
			var plain, compressed int
			position, unbroken := uint64(0), uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				frame := frames[position%uint64(len(frames))]
				l.Append(frame, "")
				if !chained {
					unbroken = position
				}
				chunks, next, _, err := l.GzipChunks(position, unbroken, 16<<10)
				if err != nil {
					b.Fatal(err)
				}
				plain, compressed, position = plain+chunkSize(len(frame)), compressed+len(chunks), next
			}
			b.ReportMetric(100*float64(compressed)/float64(plain), "%ofbytes")
		})
	}
}

// The cost must not grow with the number of logs.
func BenchmarkTrim(b *testing.B) {
	for _, logs := range []int{10, 10_000} {
		b.Run(fmt.Sprint("logs=", logs), func(b *testing.B) {
			budget := NewBudget(1)
			var all []*Log
			for range logs {
				l := New(Params{Events: 1024, Bytes: 8 << 20, Budget: budget})
				fill(l, "a", "b")
				all = append(all, l)
			}
			frame := make([]byte, 1000)
			for i := 0; b.Loop(); i++ {
				for range 2 {
					all[i%logs].Append(frame, "")
				}
				if !budget.Trim() {
					b.Fatal("nothing to trim")
				}
			}
		})
	}
}
