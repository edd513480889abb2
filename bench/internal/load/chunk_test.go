package load

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestChunksHoweverTheyAreCut(t *testing.T) {
	var stream, want bytes.Buffer
	for n := 1; n < 300; n += 37 {
		data := strings.Repeat("x\r\n0", n)
		fmt.Fprintf(&stream, "%X;ext=\"1\"\r\n%s\r\n", len(data), data)
		want.WriteString(data)
	}
	stream.WriteString("0\r\n\r\n")
	all := stream.Bytes()
	for size := 1; size <= len(all); size += 1 + size/3 {
		var c chunks
		var got bytes.Buffer
		var err error
		for from := 0; from < len(all) && err == nil; from += size {
			err = c.body(all[from:min(from+size, len(all))], func(b []byte) { got.Write(b) })
		}
		if !errors.Is(err, errEnd) || !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Fatalf("pieces of %d: %v, %d of %d bytes", size, err, got.Len(), want.Len())
		}
	}
}

func TestBadChunks(t *testing.T) {
	for _, bad := range []string{"\r\n", "x\r\n", "-1\r\n", ";\r\n", "fffffffff\r\n", "5 5\r\nabcde"} {
		var c chunks
		if err := c.body([]byte(bad), func([]byte) {}); err == nil || errors.Is(err, errEnd) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestHeadHoweverItIsCut(t *testing.T) {
	text := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\nrest"
	for size := 1; size <= len(text); size++ {
		var h head
		var rest []byte
		done := false
		for from := 0; from < len(text); from += size {
			piece := []byte(text[from:min(from+size, len(text))])
			if done {
				rest = append(rest, piece...)
				continue
			}
			var err error
			if rest, done, err = h.read(piece); err != nil {
				t.Fatal(err)
			}
		}
		if !done || string(rest) != "rest" || !h.chunked || !h.gzip {
			t.Fatalf("pieces of %d: %v, %q, %+v", size, done, rest, h)
		}
	}
	for _, bad := range []string{"HTTP/1.1 503 Busy\r\n\r\n", strings.Repeat("x", headLimit+1)} {
		var h head
		if _, done, err := h.read([]byte(bad)); done || err == nil {
			t.Errorf("%.20q is a head", bad)
		}
	}
}
