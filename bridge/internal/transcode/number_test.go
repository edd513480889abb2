package transcode

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// plainFloat returns a float's text by strconv alone, under protojson's rules.
func plainFloat(v float64, bitSize int) string {
	switch {
	case math.IsNaN(v):
		return `"NaN"`
	case math.IsInf(v, 0):
		return map[bool]string{true: `"Infinity"`, false: `"-Infinity"`}[v > 0]
	}

	if bitSize == 32 {
		out, _ := json.Marshal(float32(v))
		return string(out)
	}

	out, _ := json.Marshal(v)
	return string(out)
}

// sameNumbers compares every interpretation of 64 bits as a number with the standard library.
func sameNumbers(bits uint64) error {
	v64, v32 := math.Float64frombits(bits), math.Float32frombits(uint32(bits))

	for _, c := range []struct{ got, want string }{
		{string(appendFloat64(nil, v64)), plainFloat(v64, 64)},
		{string(appendFloat32(nil, v32)), plainFloat(float64(v32), 32)},
		{string(appendUint(nil, bits)), strconv.FormatUint(bits, 10)},
		{string(appendInt(nil, int64(bits))), strconv.FormatInt(int64(bits), 10)},
	} {
		if c.got != c.want {
			return fmt.Errorf("%#x prints as %s, not %s", bits, c.got, c.want)
		}
	}
	return nil
}

func TestNumbers(t *testing.T) {
	check := func(bits uint64) {
		t.Helper()

		if err := sameNumbers(bits); err != nil {
			t.Fatal(err)
		}
	}

	// All small numbers, and the neighbours of every power of two and ten.
	for i := range uint64(20_000) {
		check(i)
	}

	for shift := range 64 {
		for d := range uint64(5) {
			check(1<<shift + d - 2)
		}
	}

	for _, power := range powersOfTen {
		for d := range uint64(5) {
			check(power + d - 2)
			check(math.Float64bits(float64(power) + float64(d) - 2))
			check(math.Float64bits(1 / float64(power)))
			check(uint64(math.Float32bits(1 / float32(power))))
		}
	}

	random := rand.New(rand.NewPCG(1, 5))
	for range 100_000 {
		check(random.Uint64())
		// Numbers with few decimals, and their neighbours, which have many.
		v := math.Float64bits(float64(random.Int64N(1e12)) / []float64{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e9}[random.IntN(9)])
		check(v)
		check(v + 1)
		check(v - 1)
		check(uint64(math.Float32bits(float32(random.IntN(1e7)) / []float32{1, 10, 100, 1e3, 1e4}[random.IntN(5)])))
	}
}

// TestTimes compares times with package time on each day of all years, and durations with protojson.
func TestTimes(t *testing.T) {
	for seconds := int64(minSeconds); seconds <= maxSeconds; seconds += secondsPerDay*3 + 86_399 {
		want := time.Unix(seconds, 0).UTC().Format(time.RFC3339)
		if got := string(appendTime(nil, seconds, 0)); got != want {
			t.Fatalf("%d is %s, not %s", seconds, got, want)
		}
	}

	random := rand.New(rand.NewPCG(1, 6))
	timestamps := mustCompile(t, &timestamppb.Timestamp{}, Options{})
	durations := mustCompile(t, &durationpb.Duration{}, Options{})

	for range 20_000 {
		nanos := int32(random.Int64N(2e9) - 1e9)
		for range random.IntN(9) {
			nanos -= nanos % int32(powersOfTen[random.IntN(9)])
		}

		at := &timestamppb.Timestamp{Seconds: random.Int64N(maxSeconds-minSeconds+4) + minSeconds - 2, Nanos: nanos}
		took := &durationpb.Duration{Seconds: random.Int64N(5) - 2 + []int64{0, 0, maxDuration, -maxDuration, 1e6}[random.IntN(5)], Nanos: nanos}

		wantAt, atErr := protojson.Marshal(at)
		if got, err := timestamps.AppendJSON(nil, marshalWire(t, at)); (err == nil) != (atErr == nil) || string(got) != string(wantAt) {
			t.Fatalf("%v: %s, %v; want %s, %v", at, got, err, wantAt, atErr)
		}

		wantTook, tookErr := protojson.Marshal(took)
		if got, err := durations.AppendJSON(nil, marshalWire(t, took)); (err == nil) != (tookErr == nil) || string(got) != string(wantTook) {
			t.Fatalf("%v: %s, %v; want %s, %v", took, got, err, wantTook, tookErr)
		}
	}
}

// TestFieldMasks tries all paths of up to five significant characters.
func TestFieldMasks(t *testing.T) {
	plan := mustCompile(t, &fieldmaskpb.FieldMask{}, Options{})

	var try func(path string)

	try = func(path string) {
		mask := &fieldmaskpb.FieldMask{Paths: []string{path}}
		want, wantErr := protojson.Marshal(mask)

		if got, f := pass(plan, marshalWire(t, mask), true); (f == noFailure) != (wantErr == nil) || string(got) != string(want) {
			t.Fatalf("%q: %s, %s; want %s, %v", path, got, f.reason(), want, wantErr)
		}

		if len(path) < 5 {
			for _, c := range "ab_.A1-" {
				try(path + string(c))
			}
		}
	}

	try("")
}

// TestTexts puts every byte at every position of strings with lengths around the eight bytes of a word.
func TestTexts(t *testing.T) {
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				text := make([]byte, length)
				for i := range text {
					text[i] = 'x'
				}

				text[at] = byte(c)

				got, ok := appendText([]byte("head"), text)
				if ok != utf8.Valid(text) {
					t.Fatalf("%q: %t", text, ok)
				}

				if !ok {
					continue
				}

				var back string
				if err := json.Unmarshal(got[4:], &back); err != nil || back != string(text) || string(got[:4]) != "head" {
					t.Fatalf("%q prints as %s, %v", text, got, err)
				}
			}
		}
	}
}
