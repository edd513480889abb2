package upstream

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frameWriter writes frames, and header blocks by one HPACK encoder with its table.
type frameWriter struct {
	*http2.Framer

	block bytes.Buffer
	coder *hpack.Encoder
}

// headers writes a header block. It splits a longer one into frames of at most piece bytes.
func (s *frameWriter) headers(stream uint32, end bool, piece int, fields ...string) error {
	s.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		if err := s.coder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			return err
		}
	}
	block := slices.Clone(s.block.Bytes())
	n := min(piece, len(block))
	err := s.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: block[:n], EndStream: end, EndHeaders: n == len(block),
		PadLength: 7, Priority: http2.PriorityParam{Weight: 3},
	})
	for block = block[n:]; err == nil && len(block) > 0; block = block[n:] {
		n = min(piece, len(block))
		err = s.WriteContinuation(stream, n == len(block), block[:n])
	}
	return err
}

// answered returns the frames that grpc-go reads of a server's frames, one per line, if they arrive
// in pieces of arriving bytes and are read in pieces of reading bytes.
func answered(t testing.TB, write func(*frameWriter) error, arriving, reading int) string {
	t.Helper()
	text := serverBytes(t, func(f *http2.Framer) error {
		s := &frameWriter{Framer: f}
		s.coder = hpack.NewEncoder(&s.block)
		if err := s.WriteSettings(); err != nil {
			return err
		}
		return write(s)
	})
	read, err := readAnswers(text, arriving, reading)
	return describe(read) + fmt.Sprintln(err)
}

// readAnswers reads text through an answerConn.
func readAnswers(text []byte, arriving, reading int) (read []byte, err error) {
	c := newAnswerConn(&scripted{text: text, piece: arriving}, nil)
	p := make([]byte, reading)
	for {
		n, err := c.Read(p)
		read = append(read, p[:n]...)
		if err != nil {
			return read, err
		}
	}
}

// describe returns a line for each frame.
func describe(read []byte) string {
	f := http2.NewFramer(nil, bytes.NewReader(read))
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.MaxHeaderListSize = maxHeaderBytes + maxHeaderBytesRoom
	f.SetMaxReadFrameSize(http2FrameLen)
	var text strings.Builder
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return text.String()
		}
		end := ""
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if frame.StreamEnded() {
				end = " END"
			}
			fmt.Fprintf(&text, "%d HEADERS%s", frame.StreamID, end)
			for _, field := range frame.Fields {
				fmt.Fprintf(&text, " %s=%.40s", field.Name, field.Value)
			}
			fmt.Fprintln(&text)
		case *http2.DataFrame:
			if frame.StreamEnded() {
				end = " END"
			}
			fmt.Fprintf(&text, "%d DATA%s %.40q\n", frame.StreamID, end, frame.Data())
		default:
			fmt.Fprintf(&text, "%d %v\n", frame.Header().StreamID, frame.Header().Type)
		}
	}
}

func TestAnswersAreRewritten(t *testing.T) {
	large := strings.Repeat("x", maxHeaderBytes)
	for _, c := range []struct {
		name  string
		write func(*frameWriter) error
		want  string
	}{
		{"an answer", func(s *frameWriter) error {
			return errorsOf(
				s.headers(1, false, 100, ":status", "200", "content-type", "application/grpc", "x-a", "b"),
				s.WriteData(1, false, []byte("one")), s.WritePing(false, [8]byte{}), s.WriteDataPadded(1, false, []byte("two"), []byte{0, 0}),
				s.headers(1, true, 100, "grpc-status", "0", "x-a", "b"))
		}, `1 HEADERS :status=200 content-type=application/grpc x-a=b
1 DATA "one"
0 PING
1 DATA "two"
1 HEADERS END grpc-status=0 x-a=b ssebridge-answer=grpc-status 0
`},
		{"an answer of trailers only", func(s *frameWriter) error {
			return s.headers(1, true, 3, ":status", "200", "content-type", "application/grpc", "grpc-status", "5", "grpc-message", "m", answerField, "forged")
		}, "1 HEADERS END :status=200 content-type=application/grpc grpc-status=5 grpc-message=m ssebridge-answer=grpc-status 5\n"},
		{"its end in a frame of its own", func(s *frameWriter) error {
			return errorsOf(s.headers(1, false, 100, ":status", "200", "content-type", "application/grpc", "grpc-status", "-1"), s.WriteData(1, true, nil))
		}, `1 HEADERS END :status=200 content-type=application/grpc grpc-status=-1 ssebridge-answer=grpc-status -1
1 DATA ""
1 HEADERS END :status=200 content-type=application/grpc ssebridge-answer=no trailers grpc-status=14
`},
		{"a status that is no number", func(s *frameWriter) error {
			return s.headers(1, true, 100, ":status", "200", "content-type", "application/grpc", "grpc-status", "five")
		}, "1 HEADERS END :status=200 content-type=application/grpc grpc-status=14 ssebridge-answer=trailers without grpc-status\n"},
		{"no trailers", func(s *frameWriter) error {
			return errorsOf(s.headers(1, false, 100, ":status", "200", "content-type", "application/grpc"), s.WriteData(1, true, []byte("last")))
		}, `1 HEADERS :status=200 content-type=application/grpc
1 DATA "last"
1 HEADERS END :status=200 content-type=application/grpc ssebridge-answer=no trailers grpc-status=14
`},
		{"resets", func(s *frameWriter) error {
			return errorsOf(s.WriteRSTStream(1, http2.ErrCodeInternal), s.WriteRSTStream(3, http2.ErrCodeRefusedStream))
		}, `1 HEADERS END :status=200 content-type=application/grpc ssebridge-answer=RST_STREAM INTERNAL_ERROR grpc-status=14
3 RST_STREAM
`},
		{"a page", func(s *frameWriter) error {
			return errorsOf(s.headers(1, false, 100, ":status", "403", "content-type", "text/html"),
				s.WriteData(1, false, nil), s.WriteData(1, false, []byte("<html>")), s.WriteData(1, true, []byte("</html>")))
		}, `1 HEADERS :status=403 content-type=text/html
1 DATA ""
1 DATA END "<html>"
1 DATA "</html>"
1 HEADERS END :status=200 content-type=application/grpc ssebridge-answer=no trailers grpc-status=14
`},
		{"large headers", func(s *frameWriter) error {
			return errorsOf(
				s.headers(1, false, 16000, ":status", "200", "content-type", "application/grpc", "x-a", large, "x-b", "kept in the table"),
				s.headers(3, false, 16000, ":status", "200", "content-type", "application/grpc", "x-b", "kept in the table"),
				s.headers(3, true, 16000, "grpc-status", "0", "x-a", large),
				s.headers(5, false, 16000, ":status", "404", "content-type", "text/html", "x-a", large))
		}, `1 HEADERS :status=200 content-type=application/grpc ssebridge-answer=headers are too large
3 HEADERS :status=200 content-type=application/grpc x-b=kept in the table
3 HEADERS END :status=200 content-type=application/grpc ssebridge-answer=headers are too large grpc-status=14
5 HEADERS :status=404 content-type=text/html
`},
	} {
		for _, arriving := range []int{1, 2, 3, 7, 9, 10, 64, 1 << 20} {
			for _, reading := range []int{1, 9, 10, 33, 32 << 10} {
				if arriving*reading < 64 && strings.HasPrefix(c.name, "large") {
					continue // takes long
				}
				want := "0 SETTINGS\n" + c.want + "use of closed network connection\n"
				if got := answered(t, c.write, arriving, reading); got != want {
					t.Fatalf("%s, by %d and %d: got\n%s\nwant\n%s", c.name, arriving, reading, got, want)
				}
			}
		}
	}
}

// errorsOf returns the first error.
func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestBrokenHTTP2EndsTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		write func(*frameWriter) error
		want  string
	}{
		"a frame within a header block": {func(s *frameWriter) error {
			return errorsOf(
				s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}}), s.WritePing(false, [8]byte{}))
		}, "a PING frame within a header block"},
		"a continuation of nothing": {func(s *frameWriter) error { return s.WriteContinuation(1, true, nil) }, "without a header block"},
		"an index that is not there": {func(s *frameWriter) error {
			return s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff}, EndHeaders: true})
		}, "cannot be decoded"},
		"a push": {func(s *frameWriter) error {
			return s.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		}, "pushes are not enabled"},
		"padding without bytes": {func(s *frameWriter) error {
			return s.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, []byte{9, 0x88})
		}, "more padding than bytes"},
		"a block without an end": {func(s *frameWriter) error {
			err := s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}})
			for range maxBlockBytes>>14 + 1 {
				err = errorsOf(err, s.WriteContinuation(1, false, bytes.Repeat([]byte{0x88}, http2FrameLen)))
			}
			return err
		}, "more than 16 MiB"},
	} {
		if got := answered(t, c.write, 32<<10, 32<<10); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// No bytes of a server cause a panic, and the result does not depend on the pieces in which they
// arrive and are read.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n"), 3, 5)
	f.Add([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88, 0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8}, 1, 1)
	f.Add([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 1, 'a', 'b'}, 4, 2)
	f.Fuzz(func(t *testing.T, text []byte, arriving, reading int) {
		whole, wholeErr := readAnswers(text, len(text)+1, len(text)+64)
		read, err := readAnswers(text, max(arriving, 1), min(max(reading, 1), 1<<16))
		if !bytes.Equal(read, whole) || err.Error() != wholeErr.Error() {
			t.Errorf("in pieces: %q, %v; at once: %q, %v", read, err, whole, wholeErr)
		}
	})
}

func BenchmarkAnswerConn(b *testing.B) {
	text := serverBytes(b, func(f *http2.Framer) error {
		for range 100 {
			if err := f.WriteData(1, false, make([]byte, 255)); err != nil {
				return err
			}
		}
		return nil
	})
	c := newAnswerConn(nil, nil)
	c.begun = true
	for b.Loop() {
		if kept := c.observe(text); kept != len(text) {
			b.Fatal(kept)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/100, "ns/frame")
}
