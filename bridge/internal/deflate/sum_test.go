package deflate

import (
	"bytes"
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

func TestSumsAreJoinedAndCut(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]byte, 200_000)
	for i := range all {
		all[i] = byte(random.Uint32())
	}
	lengths := []int{0, 1, 2, 3, 255, 256, 257, 300, 4095, 65535, 65536, 65537, 100_000}
	for _, first := range lengths {
		for _, second := range lengths {
			a, b := all[:first], all[first:first+min(second, len(all)-first)]
			joined := SumOf(a).Then(SumOf(b))
			whole := all[:len(a)+len(b)]
			if joined != SumOf(whole) || joined != SumOf(a, b) || joined.CRC32() != crc32.ChecksumIEEE(whole) || joined.Len() != uint64(len(whole)) {
				t.Fatalf("%d and %d bytes: %+v", first, second, joined)
			}
		}
	}
	if (Sum{}) != SumOf() || SumOf(all).Then(Sum{}) != SumOf(all) || (Sum{}).Then(SumOf(all)) != SumOf(all) {
		t.Fatal("the zero sum is not that of no bytes")
	}
}

// A stream of many days is longer than a test can make one: lengths are added
// up by doubling, against bit by bit arithmetic.
func TestSumsOfLongRuns(t *testing.T) {
	sum := SumOf([]byte("a"))
	want := crc32.ChecksumIEEE([]byte("a"))
	for doubling := range 40 {
		length := uint64(1) << doubling
		want ^= slowly(want, slowPower(8*length))
		sum = sum.Then(sum)
		if sum.CRC32() != want || sum.Len() != 2*length {
			t.Fatalf("after %d bytes: %+v, want %x", 2*length, sum, want)
		}
	}
}

// slowPower returns x^n by squaring.
func slowPower(n uint64) uint32 {
	power, square := uint32(one), uint32(one>>1)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			power = slowly(power, square)
		}
		square = slowly(square, square)
	}
	return power
}

// slowly multiplies bit by bit.
func slowly(a, b uint32) (product uint32) {
	for bit := uint32(one); bit > 0; bit >>= 1 {
		if b&bit != 0 {
			product ^= a
		}
		a = a>>1 ^ -(a&1)&crc32.IEEE
	}
	return product
}

func FuzzMultiply(f *testing.F) {
	for _, seed := range []uint32{0, 1, one, one >> 1, 0xffffffff, 0xdeadbeef, crc32.IEEE} {
		f.Add(seed, seed^0x12345678)
		f.Add(seed, uint32(0xffffffff))
	}
	f.Fuzz(func(t *testing.T, a, b uint32) {
		if multiply(a, b) != slowly(a, b) {
			t.Fatalf("%x · %x is %x, want %x", a, b, multiply(a, b), slowly(a, b))
		}
	})
}

func FuzzSum(f *testing.F) {
	f.Add([]byte("a frame"), []byte("another"))
	f.Add([]byte{}, bytes.Repeat([]byte{0xff}, 70_000))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		joined := SumOf(a).Then(SumOf(b))
		if joined != SumOf(a, b) || joined.CRC32() != crc32.ChecksumIEEE(append(bytes.Clone(a), b...)) {
			t.Fatalf("%q and %q: %+v", a, b, joined)
		}
	})
}
