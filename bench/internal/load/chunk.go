package load

import (
	"bytes"
	"errors"
	"fmt"
)

// errEnd is that a body's last chunk has come.
var errEnd = errors.New("the response has ended")

// chunks takes the framing of HTTP/1.1's chunks off a body that comes in pieces
// (RFC 9112, section 7.1). The zero value is at a body's start.
type chunks struct {
	left  int  // bytes of the chunk that are still to come
	tail  int  // bytes of the line end after a chunk's data that are still to come
	size  int  // of the chunk whose size line is being read
	digit bool // the size has a digit
	skip  bool // the rest of the size line is an extension
}

// body calls take with each run of the body's bytes in piece.
func (c *chunks) body(piece []byte, take func([]byte)) error {
	for len(piece) > 0 {
		switch {
		case c.left > 0:
			n := min(c.left, len(piece))
			take(piece[:n])
			piece = piece[n:]
			if c.left -= n; c.left == 0 {
				c.tail = len("\r\n")
			}
		case c.tail > 0:
			n := min(c.tail, len(piece))
			c.tail -= n
			piece = piece[n:]
		default:
			rest, err := c.line(piece)
			if err != nil {
				return err
			}
			piece = rest
		}
	}
	return nil
}

// line reads a chunk's size line as far as it is there.
func (c *chunks) line(piece []byte) ([]byte, error) {
	line, rest, ended := bytes.Cut(piece, []byte("\n"))
	for _, b := range line {
		if c.skip || b == '\r' {
			continue
		}
		value, ok := hexadecimal(b)
		if b == ';' {
			c.skip = true
			continue
		}
		if !ok || c.size > 1<<24 {
			return nil, fmt.Errorf("not a chunk's size: %.40q", line)
		}
		c.size, c.digit = c.size<<4|value, true
	}
	if !ended {
		return nil, nil
	}
	if !c.digit {
		return nil, errors.New("a chunk without a size")
	}
	c.left, c.size, c.digit, c.skip = c.size, 0, false, false
	if c.left == 0 {
		return nil, errEnd
	}
	return rest, nil
}

func hexadecimal(b byte) (int, bool) {
	switch {
	case '0' <= b && b <= '9':
		return int(b - '0'), true
	case 'a' <= b && b <= 'f':
		return int(b-'a') + 10, true
	case 'A' <= b && b <= 'F':
		return int(b-'A') + 10, true
	default:
		return 0, false
	}
}
