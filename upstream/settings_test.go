package upstream

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// scripted is a connection from which a text is read in pieces.
type scripted struct {
	net.Conn

	text  []byte
	piece int
}

func (c *scripted) Read(p []byte) (int, error) {
	n := copy(p, c.text[:min(c.piece, len(c.text))])
	c.text = c.text[n:]
	if n == 0 {
		return 0, net.ErrClosed
	}
	return n, nil
}

// serverBytes returns the bytes that a server writes with golang.org/x/net's framer.
func serverBytes(t testing.TB, write func(*http2.Framer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(http2.NewFramer(&b, nil)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readAll reads text through a settingsConn in pieces and returns the reports and the bytes.
func readAll(text []byte, piece int) (limits []uint32, refused []string, read []byte) {
	c := &settingsConn{
		Conn:      &scripted{text: text, piece: piece},
		onLimit:   func(n uint32) { limits = append(limits, n) },
		onRefused: func(err error) { refused = append(refused, err.Error()) },
	}
	p := make([]byte, 64)
	for {
		n, err := c.Read(p)
		read = append(read, p[:n]...)
		if err != nil {
			return limits, refused, read
		}
	}
}

func TestSettingsAreObserved(t *testing.T) {
	streams := func(n uint32) http2.Setting { return http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: n} }
	window := http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100}
	for _, c := range []struct {
		name string
		say  func(*http2.Framer) error
		want []uint32
	}{
		{"a limit", func(f *http2.Framer) error { return f.WriteSettings(window, streams(100), window) }, []uint32{unlimitedStreams, 100}},
		{"no limit", func(f *http2.Framer) error { return f.WriteSettings() }, []uint32{unlimitedStreams}},
		{"another limit later", func(f *http2.Framer) error {
			for _, err := range []error{
				f.WriteSettings(streams(100)), f.WriteSettingsAck(), f.WritePing(false, [8]byte{}),
				f.WriteData(1, false, bytes.Repeat([]byte{0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1}, 20)), // data that looks like settings
				f.WriteSettings(streams(7)), f.WriteSettings(window),
			} {
				if err != nil {
					return err
				}
			}
			return nil
		}, []uint32{unlimitedStreams, 100, 7}},
	} {
		text := serverBytes(t, c.say)
		for piece := 1; piece <= 64; piece++ {
			limits, refused, read := readAll(text, piece)
			if fmt.Sprint(limits) != fmt.Sprint(c.want) || len(refused) > 0 {
				t.Errorf("%s, in pieces of %d: got %v, %v, want %v", c.name, piece, limits, refused, c.want)
			}
			if !bytes.Equal(read, text) {
				t.Errorf("%s: the bytes were changed", c.name)
			}
		}
	}
}

func TestAServerWithoutHTTP2IsReportedOnce(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "the server hung up before HTTP/2 began: use of closed network connection",
		"\x15\x03\x01\x00\x02\x02\x0a":  "the server hung up before HTTP/2 began: use of closed network connection",
		"HTTP/1.1 400 Bad Request\r\n":  `not an HTTP/2 server: the server began with "HTTP/1.1 "`,
		"\x1b]0;title\x07 and so on...": `not an HTTP/2 server: the server began with "\x1b]0;title"`,
	} {
		_, refused, read := readAll([]byte(text), 5)
		if len(refused) != 1 || refused[0] != want {
			t.Errorf("%q: got %q, want %q", text, refused, want)
		}
		if string(read) != text {
			t.Errorf("%q was read as %q", text, read)
		}
	}
}

// All bytes of a server pass unchanged, and none cause a panic.
func FuzzSettings(f *testing.F) {
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n"), 3)
	f.Add([]byte{0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1}, 1)
	f.Fuzz(func(t *testing.T, text []byte, piece int) {
		_, refused, read := readAll(text, max(piece, 1))
		if !bytes.Equal(read, text) || len(refused) > 1 {
			t.Errorf("read %q, refused %q", read, refused)
		}
	})
}

func BenchmarkSettingsConn(b *testing.B) {
	text := serverBytes(b, func(f *http2.Framer) error {
		for range 100 {
			if err := f.WriteData(1, false, make([]byte, 255)); err != nil {
				return err
			}
		}
		return nil
	})
	c := &settingsConn{onLimit: func(uint32) {}, onRefused: func(error) {}, begun: true}
	for b.Loop() {
		c.observe(text)
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/100/float64(time.Nanosecond), "ns/frame")
}
