package deflate

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// quotes makes frames as the benchmarks' events are: names repeat, numbers do
// not.
type quotes struct {
	random *rand.Rand
	place  int
	sent   int64
}

func newQuotes() *quotes {
	return &quotes{random: rand.New(rand.NewPCG(1, 2)), sent: 1_763_651_234_567_890_123}
}

func (q *quotes) appendTo(dst []byte) []byte {
	q.place++
	q.sent += 33_000_000 + q.random.Int64N(1_000_000)
	n := q.random.IntN
	symbols := []string{"ACME", "GLOB", "INIT", "UMBR", "WAYN", "STRK", "CYBR", "TYRL"}
	price := 10000 + n(80000)
	units := price / 100
	return fmt.Appendf(dst, "id: abcdefghijklmnopqrstuvwxyz-%[1]d\ndata: "+
		`{"seq":"%[1]d","cursor":"@%019[2]d%010[1]d","kind":"tick","note":{"text":"`+
		"%[3]s bid %[4]d.%02[5]d ask %[6]d.%02[7]d last %[4]d.%02[8]d volume %07[9]d trades %05[10]d change +%[11]d.%02[12]d "+
		"high %[13]d.%02[14]d low %[15]d.%02[16]d open %[17]d.%02[18]d vwap %[4]d.%04[19]d turnover %09[20]d venue XNAS"+
		`"},"level":"LEVEL_INFO"}`+"\n\n",
		q.place, q.sent, symbols[q.place%len(symbols)], units, price%100, units+1, n(100), n(100), n(10_000_000), n(100_000),
		n(10), n(100), units+5, n(100), units-5, n(100), units+2, n(100), n(10_000), n(1_000_000_000))
}

// frames returns so many quotes, each with those before it in its chain as the
// log gives them for a dictionary.
func frames(n int) (frames, dicts [][]byte) {
	const chain = 32
	source, all, begin := newQuotes(), []byte{}, 0
	for i := range n {
		at := len(all)
		if i%chain == 0 {
			begin = at
		}
		all = source.appendTo(all)
		frames, dicts = append(frames, all[at:]), append(dicts, all[max(begin, at-Window):at])
	}
	return frames, dicts
}

// The ratio counts the chunks around the events, and the first event of each
// chain, which has no dictionary.
func TestRatio(t *testing.T) {
	const framing = len("xx\r\n\r\n")
	plain, compressed := 0, 0
	var out []byte
	quotes, dicts := frames(32 * 40)
	for i, frame := range quotes {
		out = AppendBlocks(out[:0], frame, dicts[i])
		plain += len(frame) + framing + 1 // its chunk's length has a digit more
		compressed += len(out) + framing
	}
	ratio := float64(compressed) / float64(plain)
	t.Logf("%.2f %%, %d bytes an event", 100*ratio, compressed/len(quotes))
	if ratio > 0.40 {
		t.Errorf("%.2f %% of the bytes are left", 100*ratio)
	}
}

// flate joins a dictionary and its text in a new buffer. Nothing else is
// allocated for a frame.
func TestOnlyADictionaryIsAllocated(t *testing.T) {
	quotes, dicts := frames(32)
	frame, dict := quotes[31], dicts[31]
	large := sample(newQuotes().random, 20_000)
	out := AppendBlocks(nil, large, nil)
	for name, c := range map[string]struct {
		run  func()
		most float64
	}{
		"a frame":           {func() { out = AppendBlocks(out[:0], frame, dict) }, 1},
		"a frame alone":     {func() { out = AppendBlocks(out[:0], frame, nil) }, 0},
		"a large one":       {func() { out = AppendBlocks(out[:0], large, dict) }, 1},
		"a large one alone": {func() { out = AppendBlocks(out[:0], large, nil) }, 0},
	} {
		// A pool is empty now and then, and often under the race detector.
		least := testing.AllocsPerRun(1, c.run)
		for range 100 {
			least = min(least, testing.AllocsPerRun(1, c.run))
		}
		if least > c.most {
			t.Errorf("%s: %v allocations", name, least)
		}
	}
}

// The pools hold an encoder for each processor at most, until two collections
// have passed.
func TestAnEncoderIsSmall(t *testing.T) {
	quotes, _ := frames(1)
	out := make([]byte, 0, 1000)
	runtime.GC()
	runtime.GC() // empties the pools
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	AppendBlocks(out, quotes[0], nil)
	runtime.ReadMemStats(&after)
	if size := after.TotalAlloc - before.TotalAlloc; size > 400<<10 {
		t.Errorf("an encoder has %d bytes", size)
	}
}

func BenchmarkQuotes(b *testing.B) {
	quotes, dicts := frames(32 * 40)
	for _, size := range []int{0, 1 << 10, 2 << 10, 4 << 10, Window} {
		b.Run(fmt.Sprint("dictionary=", size), func(b *testing.B) {
			var out []byte
			plain, compressed := 0, 0
			b.ReportAllocs()
			for i := 0; b.Loop(); i = (i + 1) % len(quotes) {
				out = AppendBlocks(out[:0], quotes[i], dicts[i][max(0, len(dicts[i])-size):])
				plain, compressed = plain+len(quotes[i]), compressed+len(out)
			}
			b.ReportMetric(100*float64(compressed)/float64(plain), "%ofbytes")
		})
	}
}
