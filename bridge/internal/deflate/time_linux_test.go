package deflate

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Eight times as much text takes about eight times as long, whatever its
// content. A quadratic encoder would take 64 times as long.
func TestTimeIsLinear(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	random := rand.New(rand.NewPCG(23, 24))
	for name, text := range map[string]func(size int) []byte{
		"zeros":     func(size int) []byte { return make([]byte, size) },
		"period":    func(size int) []byte { return bytes.Repeat([]byte("ab"), size/2) },
		"de Bruijn": sequence,
		"letters":   func(size int) []byte { return letters(random, size, 2) },
		"noise":     func(size int) []byte { return letters(random, size, 256) },
		// Each match is followed by a better one.
		"steps": func(size int) (text []byte) {
			for len(text) < size {
				text = append(text, bytes.Repeat([]byte("a"), 1+random.IntN(62))...)
				text = append(text, byte('b'+random.IntN(2)))
			}
			return text[:size]
		},
	} {
		const size = 128 << 10
		small, large := text(size), text(8*size)
		fastest := func(text []byte) (best time.Duration) {
			var out []byte
			for range 5 {
				begin := processorTime(t)
				out = AppendBlocks(out[:0], text, nil)
				if took := processorTime(t) - begin; best == 0 || took < best {
					best = took
				}
			}
			return best
		}
		if a, b := fastest(small), fastest(large); b > 24*a+time.Millisecond/2 {
			t.Errorf("%s: %v for %d bytes, %v for eight times as many", name, a, size, b)
		}
	}
}

// processorTime is what the thread has taken, however busy the machine is.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}
