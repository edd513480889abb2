package ssetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// cutReader ends a body after exactly left bytes, as if the connection were lost there. Closing an
// unfinished body closes its connection, or resets its HTTP/2 stream.
type cutReader struct {
	body io.ReadCloser
	left int64
}

func (c *cutReader) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errors.Join(io.ErrUnexpectedEOF, c.body.Close())
	}

	n, err := c.body.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// CutTransport returns an HTTP/1.1 transport that resets each connection after exactly n bytes of the
// response's body, without the chunk framing. It is for clients other than [Client]. 0 cuts after the
// head. Each connection carries one request.
func CutTransport(n int64) *http.Transport {
	var dialer net.Dialer

	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DisableCompression: true,
		DisableKeepAlives:  true,
		Protocols:          protocols,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, fmt.Errorf("ssetest: %w", err)
			}
			return Cut(conn, n), nil
		},
	}
}

// Cut wraps a connection for one HTTP/1.1 response. After exactly n bytes of the response's body it
// resets the connection, and reading returns io.ErrUnexpectedEOF. To the peer the client is gone.
func Cut(conn net.Conn, n int64) net.Conn {
	return &cutConn{Conn: conn, body: bodyCounter{wanted: n}}
}

type cutConn struct {
	net.Conn
	body bodyCounter // used by the reading goroutine
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.body.over() {
		return 0, io.ErrUnexpectedEOF
	}

	n, err := c.Conn.Read(p)
	kept := c.body.count(p[:n])

	if c.body.over() {
		if tcp, ok := c.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // reset; a FIN would be a cut too
		}

		_ = c.Close() // nothing more is read
		return kept, nil
	}
	return n, err
}

// bodyCounter finds the n-th byte of a response's body in the bytes of its connection.
type bodyCounter struct {
	wanted int64 // body bytes that may still pass

	where part
	line  strings.Builder // the head, or a chunk's size line
	chunk int64           // remaining bytes of the chunk
}

type part int

const (
	inHead part = iota
	inSize      // of a chunk
	inChunk
	inChunkEnd
	inBody    // not chunked
	inTrailer // after the last chunk
)

// over reports whether the last wanted byte has passed.
func (b *bodyCounter) over() bool { return b.where != inHead && b.wanted == 0 }

// count counts bytes of the connection and returns how many of them pass.
func (b *bodyCounter) count(p []byte) int {
	for i, c := range p {
		if b.next(c); b.over() {
			return i + 1
		}
	}
	return len(p)
}

func (b *bodyCounter) next(c byte) {
	switch b.where {
	case inTrailer:
	case inBody:
		b.wanted--
	case inChunk:
		b.wanted--

		if b.chunk--; b.chunk == 0 {
			b.where = inChunkEnd
		}
	default:
		b.line.WriteByte(c)
		b.framing()
	}
}

// framing parses the bytes around the body, which line collects.
func (b *bodyCounter) framing() {
	text := b.line.String()

	switch {
	case b.where == inHead && strings.HasSuffix(text, "\r\n\r\n"):
		b.where = inBody
		if strings.Contains(strings.ToLower(text), "\r\ntransfer-encoding: chunked\r\n") {
			b.where = inSize
		}
	case b.where == inSize && strings.HasSuffix(text, "\r\n"):
		size, _, _ := strings.Cut(strings.TrimSuffix(text, "\r\n"), ";")
		b.chunk, _ = strconv.ParseInt(size, 16, 64) // the client reports an invalid size

		b.where = inChunk
		if b.chunk <= 0 {
			b.where = inTrailer // a shorter body ends by itself
		}
	case b.where == inChunkEnd && text == "\r\n":
		b.where = inSize
	default:
		return
	}

	b.line.Reset()
}
