package transcode

import "bytes"

// compact removes, in place, the spaces between the JSON tokens after start. protojson puts a space
// after each comma or not, depending on a hash of the executable. The input is protojson's output, so
// compact need not parse it: a space outside of strings is never significant, and a string ends at the
// first unescaped quote.
func compact(buf []byte, start int) []byte {
	r := bytes.IndexByte(buf[start:], ' ')
	if r < 0 {
		return buf
	}

	w := start

	for r = start; r < len(buf); {
		switch buf[r] {
		case ' ':
			r++
		case '"':
			n := stringLen(buf[r:])
			w += copy(buf[w:], buf[r:r+n])
			r += n
		default:
			buf[w] = buf[r]
			w++
			r++
		}
	}
	return buf[:w]
}

// stringLen returns the length of the JSON string at the start of b, with its quotes.
func stringLen(b []byte) int {
	i := 1
	for i < len(b) && b[i] != '"' {
		if b[i] == '\\' {
			i++
		}

		i++
	}
	return min(i+1, len(b))
}
