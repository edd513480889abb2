package transcode

import "bytes"

// compact removes, in place, the blanks between the tokens of the JSON after start. protojson writes one after each
// comma or none, by a hash of the executable. The JSON is protojson's own, so it is not parsed: outside of strings only
// blanks go, and a string ends at the first quote that no backslash escapes.
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

// stringLen is the length of the JSON string that b begins with, both quotes included.
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
