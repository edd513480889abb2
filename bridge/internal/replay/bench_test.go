package replay

import "testing"

// An event of 250 bytes, as DESIGN.md section 9 measures with.
func BenchmarkAppend(b *testing.B) {
	l := New(Params{Events: 1024, Bytes: 8 << 20})
	frame := make([]byte, 250)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		l.Append(frame, "")
	}
}

// A client that lags by a log, read in batches of 16 KiB.
func BenchmarkRead(b *testing.B) {
	l := New(Params{Events: 1024, Bytes: 8 << 20})
	for range 1024 {
		l.Append(make([]byte, 250), "")
	}
	var slices [][]byte
	b.SetBytes(1024 * 250)
	b.ReportAllocs()
	for b.Loop() {
		for position := uint64(0); position < 1024; {
			var err error
			slices, position, err = l.Read(position, 16<<10, slices[:0])
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// The usual case of a live stream: a frame comes, and a client at the head
// reads it.
func BenchmarkReadLive(b *testing.B) {
	l := New(Params{Events: 1024, Bytes: 8 << 20})
	frame := make([]byte, 250)
	var slices [][]byte
	var position uint64
	b.ReportAllocs()
	for b.Loop() {
		l.Append(frame, "")
		var err error
		slices, position, err = l.Read(position, 16<<10, slices[:0])
		if err != nil {
			b.Fatal(err)
		}
	}
}
