package upstream

import (
	"encoding/binary"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/reflect/protoregistry"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// breach is a way to violate HTTP/2 in the answer to one RPC.
type breach struct {
	name   string
	answer func(c *backendtest.RawConn, stream uint32)
}

// raw writes a frame unchecked.
func raw(c *backendtest.RawConn, kind http2.FrameType, flags http2.Flags, stream uint32, payload []byte) {
	c.Do(func(f *http2.Framer) error { return f.WriteRawFrame(kind, flags, stream, payload) })
}

// endingStreams returns violations of HTTP/2 after which the rest of the connection is readable.
func endingStreams() []breach {
	large := strings.Repeat("x", 20<<10)
	return []breach{
		{"DATA that is too large", func(c *backendtest.RawConn, stream uint32) {
			c.Head(stream)
			raw(c, http2.FrameData, 0, stream, []byte("\x00\x00\x00\x50\x00"+large))
		}},
		{"DATA with more padding than bytes", func(c *backendtest.RawConn, stream uint32) {
			c.Head(stream)
			raw(c, http2.FrameData, http2.FlagDataPadded, stream, []byte{9, 1, 2})
		}},
		{"padded DATA without bytes", func(c *backendtest.RawConn, stream uint32) {
			c.Head(stream)
			raw(c, http2.FrameData, http2.FlagDataPadded, stream, nil)
		}},
		{"HEADERS that are too large", func(c *backendtest.RawConn, stream uint32) {
			c.Do(func(f *http2.Framer) error {
				block := c.Block(":status", "200", "content-type", "application/grpc", "x-a", large)
				return f.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream, block)
			})
		}},
		{"WINDOW_UPDATE of a wrong length", func(c *backendtest.RawConn, stream uint32) {
			raw(c, http2.FrameWindowUpdate, 0, stream, []byte{1})
		}},
		{"WINDOW_UPDATE of nothing", func(c *backendtest.RawConn, stream uint32) {
			raw(c, http2.FrameWindowUpdate, 0, stream, make([]byte, 4))
		}},
		{"RST_STREAM of a wrong length", func(c *backendtest.RawConn, stream uint32) {
			raw(c, http2.FrameRSTStream, 0, stream, []byte{1})
		}},
		{"flow control ignored", func(c *backendtest.RawConn, stream uint32) {
			c.Head(stream)
			raw(c, http2.FrameData, 0, stream, []byte("\x00\x00\x10\x00\x00")) // 1 MiB
			for range 130 {
				raw(c, http2.FrameData, 0, stream, []byte(large[:16<<10]))
			}
		}},
	}
}

// endingConnections returns violations of HTTP/2 after which no frame is readable.
func endingConnections() []breach {
	return []breach{
		{"invalid HPACK", func(c *backendtest.RawConn, stream uint32) {
			raw(c, http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream, []byte{0xff, 0xff, 0xff, 0xff, 0x0f})
		}},
		{"invalid HPACK in the trailers", func(c *backendtest.RawConn, stream uint32) {
			c.Head(stream)
			raw(c, http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, stream, []byte{0xff, 0xff, 0xff, 0xff, 0x0f})
		}},
		{"a frame within a header block", func(c *backendtest.RawConn, stream uint32) {
			raw(c, http2.FrameHeaders, 0, stream, []byte{0x88})
			raw(c, http2.FramePing, 0, 0, make([]byte, 8))
		}},
		{"CONTINUATION without HEADERS", func(c *backendtest.RawConn, stream uint32) {
			raw(c, http2.FrameContinuation, http2.FlagContinuationEndHeaders, stream, []byte{0x88})
		}},
		{"HEADERS with more padding than bytes", func(c *backendtest.RawConn, stream uint32) {
			raw(c, http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, stream, []byte{9, 0x88})
		}},
		{"HEADERS of more than 1 MiB", func(c *backendtest.RawConn, stream uint32) {
			raw(c, http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream, make([]byte, 2<<20))
		}},
		{"a push", func(c *backendtest.RawConn, stream uint32) {
			raw(c, http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, stream, []byte{0, 0, 0, 2, 0x88})
		}},
		{"the server hangs up", func(c *backendtest.RawConn, _ uint32) { c.Close() }},
		{"the server hangs up after headers", func(c *backendtest.RawConn, stream uint32) {
			c.Head(stream)
			c.Close()
		}},
		{"the server resets TCP", func(c *backendtest.RawConn, _ uint32) { c.Abort() }},
		{"the server goes away for an error", func(c *backendtest.RawConn, stream uint32) {
			c.Do(func(f *http2.Framer) error { return f.WriteGoAway(stream, http2.ErrCodeInternal, nil) })
			c.Close()
		}},
		{"the server goes away and has processed nothing", func(c *backendtest.RawConn, _ uint32) {
			c.Do(func(f *http2.Framer) error { return f.WriteGoAway(0, http2.ErrCodeProtocol, nil) })
			c.Close()
		}},
		{"SETTINGS of a wrong length", func(c *backendtest.RawConn, _ uint32) { raw(c, http2.FrameSettings, 0, 0, []byte{1}) }},
		{"a PING of a wrong length", func(c *backendtest.RawConn, _ uint32) { raw(c, http2.FramePing, 0, 0, []byte{1}) }},
		{"DATA without a stream", func(c *backendtest.RawConn, _ uint32) { raw(c, http2.FrameData, 0, 0, []byte{1}) }},
		{"HEADERS without a stream", func(c *backendtest.RawConn, _ uint32) {
			raw(c, http2.FrameHeaders, http2.FlagHeadersEndHeaders, 0, []byte{0x88})
		}},
		{"a WINDOW_UPDATE of nothing without a stream", func(c *backendtest.RawConn, _ uint32) {
			raw(c, http2.FrameWindowUpdate, 0, 0, []byte{0, 0, 0, 0})
		}},
		{"a frame of an unknown type, and a hang-up", func(c *backendtest.RawConn, _ uint32) {
			raw(c, 0x48, 0x54, binary.BigEndian.Uint32([]byte("TP/1")), make([]byte, 1<<20))
			c.Close()
		}},
	}
}

// playBreach answers each of the calls, which are for the topic "bad", with a breach, while
// neighbours run on the same connection. It returns how often a neighbour's RPC was lost, and how
// often after the first calls.
func playBreach(t *testing.T, b breach, calls []Call, first int) (_ *Upstream, lost, later int) {
	t.Helper()
	backend := backendtest.StartRaw(t, func(c *backendtest.RawConn, stream backendtest.RawStream, req *testv1.WatchRequest) {
		if req.GetTopic() == "bad" {
			b.answer(c, stream.ID)
			return
		}
		c.Ticks(stream, req)
	})
	u := connect(t, Params{Target: backend.Addr(), Schema: SchemaParams{Descriptors: new(protoregistry.Files)}, Retry: Retry{Initial: time.Millisecond}})
	const neighbours = 3
	var losses atomic.Int64
	var over atomic.Bool
	received := make(chan struct{}, 1)
	done := make(chan struct{}, neighbours)
	for i := range neighbours {
		topic := string(rune('a' + i))
		go func() {
			defer func() { done <- struct{}{} }()
			for !over.Load() {
				s, err := u.Open(t.Context(), Call{Method: watchMethod, Request: wire(t, &testv1.WatchRequest{Topic: topic})})
				if err != nil {
					continue
				}
				for err == nil && !over.Load() {
					if err = s.Next(discard); err == nil {
						select {
						case received <- struct{}{}:
						default:
						}
					}
				}
				s.Close()
				if err != nil {
					losses.Add(1)
				}
			}
		}()
	}
	settle := func() { // waits until all neighbours have received a message
		for range 10 * neighbours {
			select {
			case <-received:
			case <-within(t).Done():
				t.Fatal("the neighbours receive nothing more")
			}
		}
	}
	settle()
	var last error
	for i, call := range calls {
		s, err := u.Open(within(t), call)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			err = s.Next(discard)
		}
		last = err
		s.Close()
		settle()
		time.Sleep(10 * time.Millisecond)
		if i+1 == first {
			lost = int(losses.Load())
		}
	}
	t.Log(last)
	later = int(losses.Load()) - lost
	over.Store(true)
	for range neighbours {
		<-done
	}
	return u, lost + later, later
}

// badCalls returns calls of one RPC that is opened repeatedly, each time at another cursor.
func badCalls(t *testing.T, times int) []Call {
	t.Helper()
	calls := make([]Call, times)
	for i := range calls {
		calls[i] = Call{Method: watchMethod, Request: wire(t, &testv1.WatchRequest{Topic: "bad", After: int64(i)}), Base: []byte("bad")}
	}
	return calls
}

// A frame of one RPC that violates HTTP/2 ends that RPC, and no neighbour's.
func TestABreachEndsOneStream(t *testing.T) {
	for _, b := range endingStreams() {
		t.Run(b.name, func(t *testing.T) {
			u, lost, _ := playBreach(t, b, badCalls(t, 3), maxStrikes)
			if lost > 0 {
				t.Errorf("neighbours were lost %d times", lost)
			}
			if u.Usage().Apart != 0 {
				t.Error("an RPC that disturbs no other has a connection of its own")
			}
		})
	}
}

// An RPC that has broken its connection twice gets an isolated one from then on.
func TestAnRPCThatBreaksItsConnectionsIsAlone(t *testing.T) {
	for _, b := range endingConnections() {
		t.Run(b.name, func(t *testing.T) {
			u, lost, later := playBreach(t, b, badCalls(t, 8), maxStrikes)
			if later > 0 || lost == 0 {
				t.Errorf("neighbours were lost %d times, %d of them after the second time", lost, later)
			}
			awaitUsage(t, u, "connections are left", func(usage Usage) bool { return usage.Apart == 0 })
		})
	}
}

// A method that breaks its connection for every request costs other RPCs nothing once two requests
// have shown it. A received message shows that it works again.
func TestAMethodThatBreaksItsConnectionsIsAlone(t *testing.T) {
	const method, requests = "/ssebridge.test.v1.FeedService/Bad", 8
	var calls []Call
	for i := range requests * maxStrikes {
		base := []byte{byte(i / maxStrikes)}
		calls = append(calls, Call{Method: method, Request: wire(t, &testv1.WatchRequest{Topic: "bad", After: int64(i)}), Base: base})
	}
	for _, b := range endingConnections() {
		if b.name != "the server hangs up" && b.name != "invalid HPACK" {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			u, lost, later := playBreach(t, b, calls, maxStrikes*maxStrikes)
			if later > 0 || lost == 0 {
				t.Errorf("neighbours were lost %d times, %d of them after two requests", lost, later)
			}
			s, err := u.Open(within(t), Call{Method: method, Request: wire(t, &testv1.WatchRequest{Topic: "good"})})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if usage := u.Usage(); usage.Apart != 1 {
				t.Errorf("a further request of the method has no connection of its own: %+v", usage)
			}
			next(t, s)
			again, err := u.Open(within(t), Call{Method: method, Request: wire(t, &testv1.WatchRequest{Topic: "another"})})
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if usage := u.Usage(); usage.Apart != 1 {
				t.Errorf("the method works, and has further connections of its own: %+v", usage)
			}
		})
	}
}
