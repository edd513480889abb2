package deflate

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// ungzip decodes one gzip member; its trailer is checked by the decoder.
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
	return plain
}

// expand decodes blocks that stand directly behind dict, and nothing else.
func expand(t testing.TB, blocks, dict []byte) []byte {
	t.Helper()
	plain, err := io.ReadAll(flate.NewReaderDict(bytes.NewReader(append(slices.Clip(blocks), 3, 0)), dict))
	if err != nil {
		t.Fatalf("after %d bytes: %v", len(plain), err)
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

// sequence returns bytes in which no four are there twice, as far as that goes:
// a de Bruijn sequence of 16 letters, which has 65,536, again and again with
// other letters.
func sequence(size int) []byte {
	const letters, order = 16, 4
	var all []byte
	var word [letters * order]byte
	var extend func(at, period int) // Fredricksen, Kessler and Maiorana's
	extend = func(at, period int) {
		if at > order {
			if order%period == 0 {
				all = append(all, word[1:period+1]...)
			}
			return
		}
		word[at] = word[at-period]
		extend(at+1, period)
		for letter := word[at-period] + 1; letter < letters; letter++ {
			word[at] = letter
			extend(at+1, at)
		}
	}
	extend(1, 1)
	made := make([]byte, size)
	for i := range made {
		made[i] = all[i%len(all)] + byte(letters*(i/len(all)))
	}
	return made
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

// Every length of every kind of content, with and without a dictionary.
func TestEveryLength(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	noise := make([]byte, Window)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	quotes := []byte{}
	for source := newQuotes(); len(quotes) < 2*Window; {
		quotes = source.appendTo(quotes)
	}
	for name, content := range map[string][]byte{
		"quotes": quotes,
		"noise":  noise,
		"zeros":  make([]byte, Window),
		"period": bytes.Repeat([]byte("ab"), Window/2),
	} {
		var out []byte
		for size := range 2001 {
			for _, dict := range [][]byte{nil, content[:Window]} {
				plain := content[2000-size : 2000]
				out = AppendBlocks(out[:0], plain, dict)
				if got := expand(t, out, dict); !bytes.Equal(got, plain) {
					t.Fatalf("%d bytes of %s behind %d: %q", size, name, len(dict), got)
				}
				if len(out) > len(plain)+5+5 {
					t.Fatalf("%d bytes of %s became %d", size, name, len(out))
				}
			}
		}
	}
}

// Input longer than a piece, in every kind of content.
func TestLongFrames(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 14))
	dict := sample(random, Window)
	for _, size := range []int{24_574, 24_575, 24_576, 32_766, 32_767, 32_768, 2*24_575 + 1, 100_001, 2 << 20} {
		for name, plain := range map[string][]byte{
			"sample":    sample(random, size),
			"zeros":     make([]byte, size),
			"repeated":  bytes.Repeat(dict[:Window-1], size/(Window-1)+1)[:size],
			"de Bruijn": sequence(size),
		} {
			out := AppendBlocks(nil, plain, dict)
			if got := expand(t, out, dict); !bytes.Equal(got, plain) {
				t.Fatalf("%d bytes of %s", size, name)
			}
			if most := storedSize(size) + len(Heartbeat); len(out) > most {
				t.Fatalf("%d bytes of %s became %d", size, name, len(out))
			}
		}
	}
}

// A dictionary is as good for what comes late in a frame.
func TestLateInLongFrames(t *testing.T) {
	frame := sample(rand.New(rand.NewPCG(15, 17)), Window-100)
	if again := AppendBlocks(nil, frame, frame); len(again) > Window/16 {
		t.Errorf("a frame that was there before takes %d bytes", len(again))
	}
}

// A client has all of a frame when it has the frame's last byte: a decoder that
// is given no more puts out all of it.
func TestNothingIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where a read that waits forever is a failure
		quotes, _ := frames(200)
		quotes[7], quotes[100] = []byte("x"), sample(newQuotes().random, 100_000)
		from, to := io.Pipe()
		next := make(chan []byte)
		var writing sync.WaitGroup
		writing.Go(func() {
			var before []byte
			for frame := range next {
				if _, err := to.Write(AppendBlocks(nil, frame, before)); err != nil {
					t.Error(err)
				}
				before = append(before, frame...)
			}
		})
		reader := flate.NewReader(from)
		for i, want := range quotes {
			next <- want
			got := make([]byte, len(want))
			if _, err := io.ReadFull(reader, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("frame %d: %q, %v", i, got, err)
			}
		}
		close(next)
		writing.Wait()
	})
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

// The kind of the first block, behind a bit that says that it is not the last
// (RFC 1951, section 3.2.3).
func TestKindsOfBlocks(t *testing.T) {
	const stored, fixed, dynamic = 0, 1, 2
	quotes, dicts := frames(10)
	noise := letters(rand.New(rand.NewPCG(41, 42)), 1000, 256)
	for _, c := range []struct {
		name        string
		plain, dict []byte
		want        byte
		size        int
	}{
		{"nothing", nil, quotes[0], stored, len(Heartbeat)},
		{"noise", noise, nil, stored, len(noise) + storedHeader + len(Heartbeat)},
		{"a little", []byte("a"), nil, stored, 1 + storedHeader + len(Heartbeat)},
		{"a frame again", quotes[0], quotes[0], fixed, 12},
		{"a frame", quotes[9], dicts[9], dynamic, len(quotes[9]) * 2 / 5},
	} {
		out := AppendBlocks(nil, c.plain, c.dict)
		if kind := out[0] >> 1 & 3; out[0]&1 != 0 || kind != c.want || len(out) > c.size {
			t.Errorf("%s: %d bytes of kind %d", c.name, len(out), kind)
		}
	}
}

// letters returns text of so many letters, each as likely as the others.
func letters(random *rand.Rand, size, letters int) []byte {
	text := make([]byte, size)
	for i := range text {
		text[i] = byte(random.IntN(letters))
	}
	return text
}

// flate cuts a long text into more blocks than AppendStored does.
func TestBlocksAreNeverLargerThanStored(t *testing.T) {
	random := rand.New(rand.NewPCG(43, 44))
	for range 3000 {
		alphabet := 1 + random.IntN(256)
		size := random.IntN(3000)
		if random.IntN(50) == 0 {
			size = random.IntN(200_000)
		}
		plain := letters(random, size, alphabet)
		dict := letters(random, random.IntN(Window), alphabet)
		out := AppendBlocks(nil, plain, dict)
		if len(out) > storedSize(len(plain))+len(Heartbeat) {
			t.Fatalf("%d bytes of %d letters became %d", len(plain), alphabet, len(out))
		}
		if got := expand(t, out, dict); !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes of %d letters are something else", len(plain), alphabet)
		}
	}
}

// The encoder finds what was there before behind noise, too.
func TestTextBehindNoise(t *testing.T) {
	quotes, _ := frames(3)
	text := bytes.Join(quotes, nil)
	noise := letters(rand.New(rand.NewPCG(25, 26)), 3000, 256)
	out := AppendBlocks(nil, slices.Concat(noise, text), text)
	if behind := len(out) - len(noise); behind > len(text)/4 {
		t.Errorf("%d bytes for what was there before", behind)
	}
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
		if got := expand(t, AppendBlocks(nil, second, first), first); !bytes.Equal(got, second) {
			t.Fatalf("%q behind %q, want %q", got, first, second)
		}
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

func BenchmarkThen(b *testing.B) {
	piece, sum := SumOf(make([]byte, 317)), Sum{crc: 1}
	for b.Loop() {
		sum = sum.Then(piece)
	}
}
