package bridge_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ssebridge/ssebridge/bridge"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// oneCall is a route of a unary method with large answers, with one call slot for a client.
const oneCall = `limits: {clients: 1}
routes:
  - {path: "/things/{name}", rpc: ssebridge.test.v1.FeedService/Get, upstream: app}
`

// largeThings makes the backend answer with a megabyte.
func largeThings(w *world) {
	w.Stage.get = func(context.Context, *testv1.GetRequest) (*testv1.GetResponse, error) {
		return &testv1.GetResponse{Name: strings.Repeat("x", mebibyte)}, nil
	}
}

// requestOver sends a GET over a connection of its own.
func requestOver(t *testing.T, w *world, path string) net.Conn {
	t.Helper()
	conn, err := w.front.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: bridge\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Hardening: the write has a deadline.
func TestAnAnswerThatIsNotReadFreesItsSlot(t *testing.T) {
	for _, path := range []string{"/nothing", "/things/large"} {
		t.Run(path, func(t *testing.T) {
			inWorld(t, oneCall, func(t *testing.T, w *world) {
				largeThings(w)
				conn := requestOver(t, w, path)
				time.Sleep(bridge.AnswerTimeout + time.Second)
				synctest.Wait()
				if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
					t.Errorf("the connection still exists: %d bytes, %v", len(got), err)
				}
				synctest.Wait() // until the call has returned its slot
				if got := w.do(http.MethodGet, "/things/large", ""); len(got.Body) < mebibyte {
					t.Errorf("the next client is answered %d, %d bytes", got.Status, len(got.Body))
				}
			})
		})
	}
}

func TestAnHTTP2WindowThatStaysClosedEndsOnlyItsStream(t *testing.T) {
	for _, path := range []string{"/nothing", "/things/large"} {
		t.Run(path, func(t *testing.T) {
			inWorld(t, oneCall, func(t *testing.T, w *world) {
				largeThings(w)
				conn, err := w.front.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				began := time.Now()
				go func() {
					_, _ = conn.Write(unopened(t, path))
				}()
				framer := http2.NewFramer(conn, conn)
				for reset := false; !reset; {
					frame, err := framer.ReadFrame()
					if err != nil {
						t.Fatal(err)
					}
					switch frame := frame.(type) {
					case *http2.SettingsFrame:
						if !frame.IsAck() {
							go func() { _ = framer.WriteSettingsAck() }()
						}
					case *http2.RSTStreamFrame:
						reset = true
					}
				}
				if took := time.Since(began); took < bridge.AnswerTimeout || took > bridge.AnswerTimeout+time.Second {
					t.Errorf("the stream was reset after %v", took)
				}
				synctest.Wait() // until the call has returned its slot
				if got := w.do(http.MethodGet, "/things/large", ""); len(got.Body) < mebibyte {
					t.Errorf("the next client is answered %d, %d bytes", got.Status, len(got.Body))
				}
			})
		})
	}
}

// unopened is what an HTTP/2 client sends that requests a path and opens no window for the answer.
func unopened(t *testing.T, path string) []byte {
	t.Helper()
	var all, head bytes.Buffer
	all.WriteString(http2.ClientPreface)
	encoder, framer := hpack.NewEncoder(&head), http2.NewFramer(&all, nil)
	err := framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "bridge"}, {":path", path}} {
		err = errors.Join(err, encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	err = errors.Join(err, framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndStream: true, EndHeaders: true}))
	if err != nil {
		t.Error(err)
	}
	return all.Bytes()
}

// The client has 20 s, and a second for each 64 KiB.
func TestALargeAnswerIsReadSlowly(t *testing.T) {
	const most = bridge.AnswerTimeout + 16*time.Second
	for _, test := range []struct {
		name     string
		each     time.Duration // the time to read a KiB
		complete bool
	}{{"32 KiB/s", 30 * time.Millisecond, true}, {"10 KiB/s", 100 * time.Millisecond, false}} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, oneCall, func(t *testing.T, w *world) {
				largeThings(w)
				began := time.Now()
				response, err := http.ReadResponse(bufio.NewReader(slowly{requestOver(t, w, "/things/large"), test.each}), nil)
				if err != nil {
					t.Fatal(err)
				}
				var thing struct {
					Name string `json:"name"`
				}
				err = errors.Join(json.NewDecoder(response.Body).Decode(&thing), response.Body.Close())
				if complete := err == nil && len(thing.Name) == mebibyte; complete != test.complete {
					t.Errorf("got %d bytes, %v", len(thing.Name), err)
				}
				if took := time.Since(began); took < bridge.AnswerTimeout+5*time.Second || took > most+time.Second {
					t.Errorf("the whole answer was read after %v", took)
				}
				synctest.Wait() // until the call has returned its slot
				if got := w.do(http.MethodGet, "/things/large", ""); len(got.Body) < mebibyte {
					t.Errorf("the next client is answered %d, %d bytes", got.Status, len(got.Body))
				}
			})
		})
	}
}

// The body of the next request comes later.
func TestTheDeadlineOfAnAnswerDoesNotAffectTheNextRequest(t *testing.T) {
	inWorld(t, fewRoutes, func(t *testing.T, w *world) {
		conn := requestOver(t, w, "/nothing")
		reader := bufio.NewReader(conn)
		for _, next := range []string{
			"",
			"GET /nothing HTTP/1.1\r\nHost: bridge\r\n\r\n",
			"POST /things/a HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
		} {
			if next != "" {
				time.Sleep(bridge.AnswerTimeout + time.Second)
				if _, err := io.WriteString(conn, next); err != nil {
					t.Fatal(err)
				}
			}
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatalf("%q: %v", next, err)
			}
			_, err = io.Copy(io.Discard, response.Body)
			if err := errors.Join(err, response.Body.Close()); err != nil {
				t.Errorf("%q: %v", next, err)
			}
		}
	})
}

// slowly reads a kilobyte at a time, with pauses.
type slowly struct {
	net.Conn

	each time.Duration
}

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(s.each)
	return s.Conn.Read(p[:min(len(p), 1<<10)])
}
