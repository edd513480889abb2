package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, in YAML 512B, 64KiB, 8MiB or 1GiB.
type Size int64

// The units of sizes: powers of 1024.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

var errSize = errors.New("a size such as 512B, 64KiB, 8MiB or 1GiB")

// ParseSize reads a size in YAML form: a whole number and one of B, KiB, MiB and GiB; a bare number is
// bytes.
func ParseSize(text string) (Size, error) {
	digits := strings.TrimRight(text, "BKMGi")
	var unit Size
	switch text[len(digits):] {
	case "", "B":
		unit = 1
	case "KiB":
		unit = KiB
	case "MiB":
		unit = MiB
	case "GiB":
		unit = GiB
	default:
		return 0, errSize
	}

	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > uint64(math.MaxInt64/unit) {
		return 0, errSize // strconv's own message quotes the text, which may be a secret
	}
	return Size(n) * unit, nil
}

// Bytes returns v as a number of bytes.
func (v Size) Bytes() int64 { return int64(v) }

// String returns v in the largest unit that divides it, in ParseSize's form.
func (v Size) String() string {
	switch {
	case v == 0:
		return "0B"
	case v%GiB == 0:
		return strconv.FormatInt(int64(v/GiB), 10) + "GiB"
	case v%MiB == 0:
		return strconv.FormatInt(int64(v/MiB), 10) + "MiB"
	case v%KiB == 0:
		return strconv.FormatInt(int64(v/KiB), 10) + "KiB"
	default:
		return strconv.FormatInt(int64(v), 10) + "B"
	}
}
