package replay

import "math/bits"

const crlf = "\r\n"

// appendChunk appends content as one chunk (RFC 9112, section 7.1). It appends nothing for empty
// content: an empty chunk would end the response.
func appendChunk(dst, content []byte) []byte {
	if len(content) == 0 {
		return dst
	}
	for digit := hexDigits(len(content)) - 1; digit >= 0; digit-- {
		dst = append(dst, "0123456789abcdef"[len(content)>>(4*digit)&15])
	}
	dst = append(dst, crlf...)
	dst = append(dst, content...)
	return append(dst, crlf...)
}

// chunkSize returns the size of content of the given length as a chunk.
func chunkSize(content int) int {
	if content == 0 {
		return 0
	}
	return hexDigits(content) + len(crlf) + content + len(crlf)
}

// contentOf is the inverse of chunkSize. start is the offset of the content in the chunk.
func contentOf(chunk int) (start, size int) {
	if chunk == 0 {
		return 0, 0
	}
	const ends = 2 * len(crlf)
	digits := hexDigits(chunk - ends - 1) // an upper bound: the digits of the size line are counted as content
	if hexDigits(chunk-ends-digits) < digits {
		digits--
	}
	return digits + len(crlf), chunk - ends - digits
}

func hexDigits(n int) int {
	return (bits.Len(uint(n)) + 3) / 4
}

// AppendChunk appends a block that is not in a log in the form that Chunks returns.
func AppendChunk(dst, block []byte) []byte { return appendChunk(dst, block) }
