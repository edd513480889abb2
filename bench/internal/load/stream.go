package load

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// stream opens a client that a goroutine of its own reads, until the fleet is
// closed.
func (f *fleet) stream(c *client) error {
	connection, err := f.dialStream()
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.connections = append(f.connections, connection)
	f.mu.Unlock()
	f.streams.Go(func() {
		answered := false
		err := f.read(connection, c, func(encoded bool) {
			answered = true
			f.answered(encoded, nil)
		})
		if !answered {
			f.answered(false, fmt.Errorf("no response: %w", err))
		}
		_ = connection.Close() // it has ended
		c.close()
	})
	return nil
}

func (f *fleet) dialStream() (net.Conn, error) {
	from := source(f.number)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IP(from[:])}, Timeout: answerTimeout}
	connection, err := dialer.DialContext(context.Background(), "tcp4", f.params.Addr)
	if err != nil || f.params.Transport != TLS {
		return connection, err
	}
	secured := tls.Client(connection, &tls.Config{
		NextProtos: []string{http2.NextProtoTLS}, InsecureSkipVerify: true, //nolint:gosec // a certificate made a second ago
	})
	return secured, nil
}

// read reads a response to its end.
func (f *fleet) read(connection net.Conn, c *client, begun func(encoded bool)) error {
	if f.params.Transport != HTTP1 {
		return f.readHTTP2(connection, c, begun)
	}
	if _, err := connection.Write(request(f.params.Addr, f.params.Path, f.params.Compressed)); err != nil {
		return err
	}
	in := bufio.NewReaderSize(counting{connection, c}, 16<<10)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read from
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	encoded := response.Header.Get("Content-Encoding") == "gzip"
	begun(encoded)
	if !encoded {
		return c.copy(response.Body)
	}
	plain, err := gzip.NewReader(response.Body)
	if err != nil {
		return err
	}
	return c.copy(plain)
}

// counting counts what is read of a connection.
type counting struct {
	net.Conn

	client *client
}

func (r counting) Read(into []byte) (int, error) {
	n, err := r.Conn.Read(into)
	r.client.received(n, time.Now())
	return n, err
}

// copy counts the events of a body.
func (c *client) copy(body io.Reader) error {
	var buffer [4 << 10]byte
	for {
		n, err := body.Read(buffer[:])
		c.take(buffer[:n], time.Now())
		if err != nil {
			return err
		}
	}
}

// unlimited is the largest window of HTTP/2, which no run uses up a stream's half
// of: a client then never has to say that it has read.
const unlimited = 1<<31 - 1

// initialWindow is a connection's first window (RFC 9113, section 6.9.2).
const initialWindow = 1<<16 - 1

// readHTTP2 speaks just as much HTTP/2 as one stream needs.
func (f *fleet) readHTTP2(connection net.Conn, c *client, begun func(encoded bool)) error {
	if err := f.requestHTTP2(connection); err != nil {
		return err
	}
	framer := http2.NewFramer(connection, bufio.NewReaderSize(counting{connection, c}, 4<<10))
	framer.SetReuseFrames()
	framer.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if status := frame.PseudoValue("status"); status != "200" {
				return fmt.Errorf("status %s", status)
			}
			framer.ReadMetaHeaders = nil // its tables are of no more use; a trailer is not read
			begun(false)
		case *http2.DataFrame:
			c.take(frame.Data(), time.Now())
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				err = framer.WritePing(true, frame.Data)
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return fmt.Errorf("%s", frame.Header())
		}
		if err != nil {
			return err
		}
		if data, ok := frame.(*http2.DataFrame); ok && data.StreamEnded() {
			return errEnd
		}
	}
}

// requestHTTP2 writes what a client says of its own accord, at once.
func (f *fleet) requestHTTP2(connection net.Conn) error {
	var out, fields bytes.Buffer
	encoder := hpack.NewEncoder(&fields)
	scheme := "http"
	if f.params.Transport == TLS {
		scheme = "https"
	}
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: http.MethodGet},
		{Name: ":scheme", Value: scheme},
		{Name: ":authority", Value: f.params.Addr},
		{Name: ":path", Value: f.params.Path},
		{Name: "accept", Value: "text/event-stream"},
	} {
		if err := encoder.WriteField(field); err != nil {
			return err
		}
	}
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, nil)
	err := errors.Join(
		framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: unlimited}),
		framer.WriteWindowUpdate(0, unlimited-initialWindow),
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields.Bytes(), EndStream: true, EndHeaders: true}),
	)
	if err != nil {
		return err
	}
	_, err = connection.Write(out.Bytes())
	return err
}
