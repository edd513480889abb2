package deflate

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	kgzip "github.com/klauspost/compress/gzip"
)

// ungzip decodes one gzip member with two decoders; its trailer is checked by
// them.
func ungzip(t testing.TB, stream []byte) []byte {
	t.Helper()
	reader, err := gzip.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		t.Fatalf("after %d bytes: %v", len(plain), err)
	}
	second, err := kgzip.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := io.ReadAll(second); err != nil || !bytes.Equal(again, plain) {
		t.Fatalf("the decoders do not agree: %v", err)
	}
	return plain
}

// sample returns text that compresses, or bytes that do not.
func sample(random *rand.Rand, size int) []byte {
	if random.IntN(4) == 0 {
		noise := make([]byte, size)
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		return noise
	}
	var text []byte
	for len(text) < size {
		text = fmt.Appendf(text, `{"symbol":"S%d","price":%d.%02d}`+"\n", random.IntN(9), random.IntN(1000), random.IntN(100))
	}
	return text[:size]
}

// Pieces of every size, with every kind of dictionary, between stored blocks
// and heartbeats, decode to what they were made of; and what was put out by
// then is what a client has got by then.
func TestPiecesOfAllKinds(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	stream, plain, sum := AppendHeader(nil), []byte{}, Sum{}
	for _, size := range []int{0, 1, 2, 12, 13, 14, 100, 300, 1000, Window - 1, Window, Window + 1, 24_575, 24_576, 32_767, 32_768, 65_535, 65_536, 200_000} {
		for _, dict := range []int{0, 1, 3, 4, 100, Window - 1, Window, Window + 1, 3 * Window} {
			piece := sample(random, size)
			stream = AppendBlocks(stream, piece, plain[max(0, len(plain)-dict):])
			plain = append(plain, piece...)
			sum = sum.Then(SumOf(piece))
			stream = append(stream, Heartbeat...)
			own := sample(random, random.IntN(100))
			stream = AppendStored(stream, own)
			plain = append(plain, own...)
			sum = sum.Then(SumOf(own))
			if !bytes.HasSuffix(AppendBlocks(nil, piece, nil), []byte("\x00\x00\xff\xff")) {
				t.Fatalf("%d bytes do not end at a byte", size)
			}
		}
	}
	if got := ungzip(t, AppendEnd(stream, sum)); !bytes.Equal(got, plain) {
		t.Fatal("it does not decode to what it was made of")
	}
	sum.crc++
	reader, err := gzip.NewReader(bytes.NewReader(AppendEnd(stream, sum)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, reader); !errors.Is(err, gzip.ErrChecksum) {
		t.Fatal("the trailer is not checked", err)
	}
}

// zlib's framing and checksum around the same blocks.
func TestZlibReadsTheBlocks(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	stream, plain := []byte{0x78, 0x9c}, []byte{}
	for range 100 {
		piece := sample(random, random.IntN(2000))
		stream = AppendBlocks(stream, piece, plain)
		plain = append(plain, piece...)
	}
	end := AppendEnd(nil, Sum{})
	stream = append(stream, end[:len(end)-8]...)
	stream = binary.BigEndian.AppendUint32(stream, adler32.Checksum(plain))
	reader, err := zlib.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(reader); err != nil || !bytes.Equal(got, plain) {
		t.Fatal(err)
	}
}

// A client has all of a piece when it has the piece's last byte: a decoder
// that is given no more puts out all of it.
func TestNothingIsHeldBack(t *testing.T) {
	piece := []byte(strings.Repeat(`{"price":17}`, 20))
	stream := AppendBlocks(AppendHeader(nil), piece, nil)
	reader, err := gzip.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(reader)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(got, piece) {
		t.Fatalf("%q, %v", got, err)
	}
}

// The encoder comes out of a pool; what it was used for before does not show.
func TestNoStateIsKept(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	var pieces, want [][]byte
	for range 50 {
		piece := sample(random, random.IntN(3000))
		pieces, want = append(pieces, piece), append(want, AppendBlocks(nil, piece, piece))
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				i := rand.IntN(len(pieces))
				if got := AppendBlocks([]byte("before"), pieces[i], pieces[i]); !bytes.Equal(got[6:], want[i]) || string(got[:6]) != "before" {
					t.Error("the same piece was compressed differently")
				}
			}
		})
	}
	all.Wait()
}

func TestStoredBlocksAreCut(t *testing.T) {
	if len(AppendStored(nil, nil)) != 0 {
		t.Fatal("blocks of nothing")
	}
	for _, size := range []int{1, largestStored - 1, largestStored, largestStored + 1, 2*largestStored + 7} {
		plain := sample(rand.New(rand.NewPCG(9, 10)), size)
		stored := AppendStored(nil, plain)
		if blocks := (size + largestStored - 1) / largestStored; len(stored) != size+5*blocks {
			t.Fatalf("%d bytes of %d", len(stored), size)
		}
		if got := ungzip(t, AppendEnd(append(AppendHeader(nil), stored...), SumOf(plain))); !bytes.Equal(got, plain) {
			t.Fatal(size)
		}
	}
}

func FuzzBlocks(f *testing.F) {
	f.Add([]byte("first first first"), []byte("second second first"), []byte("own"))
	f.Add([]byte{}, []byte{0}, []byte{})
	f.Add(bytes.Repeat([]byte("0123456789"), 2000), bytes.Repeat([]byte("56789"), 100), []byte("x"))
	f.Fuzz(func(t *testing.T, first, second, own []byte) {
		stream := AppendBlocks(AppendHeader(nil), first, nil)
		stream = append(stream, Heartbeat...)
		stream = AppendBlocks(stream, second, first)
		stream = AppendStored(stream, own)
		stream = AppendBlocks(stream, first, nil)
		plain := bytes.Join([][]byte{first, second, own, first}, nil)
		one, two := SumOf(first), SumOf(second)
		if got := ungzip(t, AppendEnd(stream, one.Then(two).Then(SumOf(own)).Then(one))); !bytes.Equal(got, plain) {
			t.Fatalf("%q, want %q", got, plain)
		}
	})
}

func BenchmarkBlocks(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	dict := []byte{}
	for len(dict) < Window {
		dict = append(dict, sample(random, 300)...)
	}
	frame := []byte(strings.Repeat(`{"symbol":"S3","price":17.50}`, 10))
	for _, size := range []int{0, 2 << 10, 4 << 10, Window} {
		b.Run(fmt.Sprint("dictionary=", size), func(b *testing.B) {
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				out = AppendBlocks(out[:0], frame, dict[:size])
			}
		})
	}
}

func BenchmarkThen(b *testing.B) {
	piece, sum := SumOf(make([]byte, 317)), Sum{crc: 1}
	for b.Loop() {
		sum = sum.Then(piece)
	}
}
