package load

import (
	"bytes"
	"fmt"
	"strings"
)

// headLimit is the longest head that a response may have.
const headLimit = 16 << 10

// head is a response's head as it comes in pieces.
type head struct {
	text    []byte
	chunked bool
	gzip    bool
}

// read takes a piece; done says that the head is complete, and then rest is what
// comes after it.
func (h *head) read(piece []byte) (rest []byte, done bool, err error) {
	before := len(h.text)
	h.text = append(h.text, piece...)
	end := bytes.Index(h.text, []byte("\r\n\r\n"))
	if end < 0 {
		if len(h.text) > headLimit {
			return nil, false, fmt.Errorf("a head without an end: %.80q", h.text)
		}
		return nil, false, nil
	}
	text := string(h.text[:end])
	h.text = nil
	if !strings.HasPrefix(text, "HTTP/1.1 200 ") {
		return nil, false, fmt.Errorf("refused: %.200q", text)
	}
	for line := range strings.SplitSeq(strings.ToLower(text), "\r\n") {
		switch strings.ReplaceAll(line, " ", "") {
		case "transfer-encoding:chunked":
			h.chunked = true
		case "content-encoding:gzip":
			h.gzip = true
		}
	}
	return piece[end+len("\r\n\r\n")-before:], true, nil
}

// request returns the request of a client.
func request(addr, path string, compressed bool) []byte {
	text := "GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\nAccept: text/event-stream\r\n"
	if compressed {
		text += "Accept-Encoding: gzip\r\n"
	}
	return []byte(text + "\r\n")
}
