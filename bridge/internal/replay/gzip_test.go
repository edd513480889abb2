package replay

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/ssebridge/ssebridge/bridge/internal/deflate"
)

// inflate decodes pieces of a client's output that follow dict.
func inflate(t rapid.TB, pieces, dict []byte) []byte {
	t.Helper()
	plain, err := io.ReadAll(flate.NewReaderDict(bytes.NewReader(pieces), dict))
	if !errors.Is(err, io.ErrUnexpectedEOF) { // the stream goes on
		t.Fatalf("after %d bytes: %v", len(plain), err)
	}
	return plain
}

// gzipClient reads compressed frames.
type gzipClient struct {
	log                *Log
	position, unbroken uint64
	stream             []byte // its output, without chunks
	plain              []byte // the expected decoded output
	sum                deflate.Sum
}

func newGzipClient(log *Log, position uint64) *gzipClient {
	return &gzipClient{log: log, position: position, unbroken: position, stream: deflate.AppendHeader(nil)}
}

// read sends the frames up to a position.
func (r *gzipClient) read(t testing.TB, end uint64, limit int) {
	t.Helper()
	for r.position < end {
		chunks, next, sum, err := r.log.GzipChunks(r.position, r.unbroken, limit)
		if err != nil || next == r.position || len(chunks) > limit && next > r.position+1 {
			t.Fatalf("%d bytes from %d to %d, %v", len(chunks), r.position, next, err)
		}
		r.stream = append(r.stream, unchunk(t, chunks)...)
		r.sum = r.sum.Then(sum)
		r.expect(t, next)
	}
}

// expect adds the plain frames up to a position to the expected output.
func (r *gzipClient) expect(t testing.TB, next uint64) {
	t.Helper()
	frames, got, err := r.log.Read(r.position, 1<<30, nil)
	if err != nil || got < next {
		t.Fatal(got, err)
	}
	r.plain = append(r.plain, bytes.Join(frames[:next-r.position], nil)...)
	r.position = next
}

// ownBlock sends a block that is not in the log.
func (r *gzipClient) ownBlock(block string) {
	r.stream = deflate.AppendStored(r.stream, []byte(block))
	r.plain = append(r.plain, block...)
	r.sum = r.sum.Then(deflate.SumOf([]byte(block)))
	r.unbroken = r.position
}

func (r *gzipClient) heartbeat() { r.stream = append(r.stream, deflate.Heartbeat...) }

// decoded ends the stream and decodes it.
func (r *gzipClient) decoded(t testing.TB) ([]byte, error) {
	t.Helper()
	reader, err := gzip.NewReader(bytes.NewReader(deflate.AppendEnd(r.stream, r.sum)))
	if err != nil {
		t.Fatal(err)
	}
	return io.ReadAll(reader)
}

// newTickLog returns a log with the given number of ticks.
func newTickLog(frames int, params Params) *Log {
	l, source := New(params), newTickSource()
	var frame []byte
	for i := range frames {
		frame = source.appendTo(frame[:0])
		l.Append(frame, strconv.Itoa(i+1))
	}
	return l
}

// A client joins at each frame, and gets blocks of its own at every frame and of every kind.
func TestClientsDecodeWhatTheyWereSent(t *testing.T) {
	const frames = 3*chainLength + 7
	l := newTickLog(frames, Params{Events: 1000, Bytes: 1 << 30})
	blocks := map[string]func(*gzipClient){
		"nothing":      func(*gzipClient) {},
		"a heartbeat":  (*gzipClient).heartbeat,
		"a block":      func(r *gzipClient) { r.ownBlock("event: stream-stale\ndata: {}\n\n") },
		"a long block": func(r *gzipClient) { r.ownBlock(string(make([]byte, 70_000))) },
		"all": func(r *gzipClient) {
			r.ownBlock(":\n")
			r.heartbeat()
			r.ownBlock("event: stream-live\ndata: {}\n\n")
			r.heartbeat()
		},
	}
	for name, inject := range blocks {
		for join := range uint64(2*chainLength + 2) {
			client := newGzipClient(l, join)
			client.ownBlock("retry: 3012\n") // its first block
			// Inject a block at the join, one after the next frame, and one in each chain, at another
			// frame for each join.
			inject(client)
			client.read(t, join+1, 1)
			inject(client)
			for at := join + 1 + join%23; at < frames; at += chainLength + join%5 {
				client.read(t, at, 4096)
				inject(client)
			}
			client.read(t, frames, 16<<10)
			if got, err := client.decoded(t); err != nil || !bytes.Equal(got, client.plain) {
				t.Fatalf("joined at %d, injected %s: %v", join, name, err)
			}
		}
	}
}

// It shows that TestClientsDecodeWhatTheyWereSent can fail.
func TestAWrongUnbrokenPositionIsDetected(t *testing.T) {
	l := newTickLog(2*chainLength, Params{Events: 1000, Bytes: 1 << 30})
	client := newGzipClient(l, 0)
	client.read(t, 10, 4096)
	client.ownBlock("event: stream-stale\ndata: {}\n\n")
	client.unbroken = 0
	client.read(t, 2*chainLength, 4096)
	if got, err := client.decoded(t); err == nil && bytes.Equal(got, client.plain) {
		t.Fatal("a block within a chain was not detected")
	}
}

// All clients get the same memory, compressed once.
func TestClientsShareCompressedForms(t *testing.T) {
	l := newTickLog(chainLength+10, Params{Events: 1000, Bytes: 1 << 30})
	at := func(position, unbroken uint64) []byte {
		t.Helper()
		bytes, next, _, err := l.GzipChunks(position, unbroken, 1)
		if err != nil || next != position+1 || cap(bytes) != len(bytes) {
			t.Fatal(next, err)
		}
		return bytes
	}
	same := func(a, b []byte) bool { return &a[0] == &b[0] && len(a) == len(b) }
	chained, standalone := at(5, 0), at(5, 1)
	switch {
	case same(chained, standalone) || len(chained) >= len(standalone):
		t.Fatal("the chained form is no smaller than the standalone form", len(chained), len(standalone))
	case !same(chained, at(5, 0)) || !same(standalone, at(5, 5)) || !same(standalone, at(5, 3)):
		t.Fatal("a frame was compressed again")
	case !same(at(chainLength, 0), at(chainLength, chainLength)):
		t.Fatal("the first frame of a chain has two forms")
	case !same(at(chainLength+1, 0), at(chainLength+1, chainLength)) || same(at(chainLength+1, 0), at(chainLength+1, chainLength+1)):
		t.Fatal("a client with the whole chain gets the standalone form, or one without it the chained form")
	}
	if memory := l.memory(); memory == l.plain.memory || audit(t, l) != memory {
		t.Fatal("the forms are not counted")
	}
}

func TestDroppedFramesAreNoDictionary(t *testing.T) {
	const frames = 2 * chainLength
	for kept := 1; kept < chainLength+3; kept++ {
		l := newTickLog(frames, Params{Events: kept, Bytes: 1 << 30})
		everything := newTickLog(frames, Params{Events: frames, Bytes: 1 << 30})
		chunks, next, sum, err := l.GzipChunks(frames-uint64(kept), 0, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		all, _, err := everything.Read(0, 1<<30, nil)
		if err != nil {
			t.Fatal(err)
		}
		before, want := bytes.Join(all[:frames-kept], nil), bytes.Join(all[frames-kept:next], nil)
		if got := inflate(t, unchunk(t, chunks), before); !bytes.Equal(got, want) || sum != deflate.SumOf(want) {
			t.Fatalf("with %d frames in the log", kept)
		}
		if kept == 1 {
			if got := inflate(t, unchunk(t, chunks), nil); !bytes.Equal(got, want) || l.chained.memory != 0 {
				t.Fatal("a frame whose chain was dropped needs it")
			}
		}
	}
}

// A dictionary is the last bytes before a frame, across frames.
func TestDictionary(t *testing.T) {
	l := New(roomy)
	var all []byte
	for i := range 40 {
		frame := bytes.Repeat([]byte{byte('a' + i)}, []int{300, 0, 1000, 7}[i%4])
		all = append(all, frame...)
		l.Append(frame, "")
	}
	for _, limit := range []int{1, 6, 7, 8, 1007, 4096, 5000, 1 << 20} {
		got := l.dictionary([]byte("before"), 0, 41, limit)
		if want := "before" + string(all[max(0, len(all)-limit):]); string(got) != want {
			t.Errorf("limit %d: %d bytes", limit, len(got))
		}
	}
	if got := l.dictionary(nil, 36, 40, 5000); len(got) != 1300 {
		t.Errorf("%d bytes behind a position", len(got))
	}
}

func TestReadGzip(t *testing.T) {
	l := newTickLog(3*chainLength, Params{Events: 1000, Bytes: 1 << 30})
	for _, unbroken := range []uint64{0, 17, 99} {
		for _, limit := range []int{0, 100, 1000, 5000, 1 << 20} {
			for position := unbroken; position < 3*chainLength; {
				slices, next, sum, err := l.ReadGzip(position, unbroken, limit, [][]byte{[]byte("before")})
				pieces := bytes.Join(slices[1:], nil)
				if err != nil || next == position || len(slices) != 1+int(next-position) || len(pieces) > limit && next > position+1 {
					t.Fatalf("%d slices to %d, %v", len(slices), next, err)
				}
				var chunked []byte
				var sums deflate.Sum
				for at := position; at < next; {
					chunks, following, sum, err := l.GzipChunks(at, unbroken, 1)
					if err != nil {
						t.Fatal(err)
					}
					chunked, sums, at = append(chunked, unchunk(t, chunks)...), sums.Then(sum), following
				}
				if !bytes.Equal(pieces, chunked) || sum != sums {
					t.Fatalf("the chunks from %d to %d differ", position, next)
				}
				position = next
			}
		}
	}
}

func TestGzipReadsReturnTheErrorsOfRead(t *testing.T) {
	l := newTickLog(20, Params{Events: 10, Bytes: 1 << 30})
	expect := func(position uint64, want error) {
		t.Helper()
		if bytes, next, sum, err := l.GzipChunks(position, 0, 99); bytes != nil || next != position || sum != (deflate.Sum{}) || !errors.Is(err, want) {
			t.Error(position, next, sum, err)
		}
		if slices, next, sum, err := l.ReadGzip(position, 0, 99, nil); slices != nil || next != position || sum != (deflate.Sum{}) || !errors.Is(err, want) {
			t.Error(position, next, sum, err)
		}
	}
	expect(9, ErrEvicted)
	expect(20, nil)
	expect(21, nil)
	l.Close()
	expect(20, io.EOF)
}

// It stops after about a millisecond. Frames that are compressed already do not count.
func TestACallCompressesABoundedAmount(t *testing.T) {
	l := newTickLog(2000, Params{Events: 2000, Bytes: 1 << 30})
	_, first, _, err := l.ReadGzip(0, 0, 1<<30, nil)
	if err != nil || first == 2000 || first*300 < workLimit/2 {
		t.Fatal(first, err)
	}
	newGzipClient(l, 0).read(t, 2000, 1<<30)
	_, second, _, err := l.ReadGzip(0, 0, 1<<30, nil)
	if err != nil || second != 2000 {
		t.Fatal(second, err)
	}
}

// Each client that net/http serves has a goroutine that calls ReadGzip. The encoder takes 16 KiB of stack:
// on that goroutine the stack would grow to 32 KiB and stay so.
func TestReadGzipLeavesTheStackSmall(t *testing.T) {
	const clients = 200
	l := newTickLog(clients, Params{Events: clients, Bytes: 1 << 30})
	stacks := func() int {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int(stats.StackInuse)
	}
	before := stacks()
	var reading, waiting sync.WaitGroup
	done := make(chan struct{})
	reading.Add(clients)
	for i := range uint64(clients) {
		waiting.Go(func() {
			if _, next, _, err := l.ReadGzip(i, 0, 1, nil); err != nil || next != i+1 {
				t.Error(next, err)
			}
			reading.Done()
			<-done
		})
	}
	reading.Wait()
	each := (stacks() - before) / clients
	close(done)
	waiting.Wait()
	if each > 12<<10 {
		t.Errorf("a client's goroutine has %d bytes of stack", each)
	}
}

func TestEmptyAndLargeFramesCompressed(t *testing.T) {
	l := New(Params{Events: 1000, Bytes: 1 << 30})
	for i := range 3 * chainLength {
		frame := make([]byte, []int{0, 1, 300, 5000, 40_000, 0, 100_000}[i%7])
		for j := range frame {
			frame[j] = byte(j * j >> (i % 9))
		}
		l.Append(frame, "")
	}
	for _, join := range []uint64{0, 1, 3, chainLength} {
		client := newGzipClient(l, join)
		for client.position < 3*chainLength {
			blocks, next, sum, err := l.ReadGzip(client.position, client.unbroken, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			client.stream = append(client.stream, bytes.Join(blocks, nil)...)
			client.sum = client.sum.Then(sum)
			for at := client.position; at < next; at++ {
				client.plain = append(client.plain, l.frames.at(at+1).plain.content()...)
			}
			client.position = next
		}
		if got, err := client.decoded(t); err != nil || !bytes.Equal(got, client.plain) {
			t.Fatal(join, err)
		}
	}
	audit(t, l)
}
