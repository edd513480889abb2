package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// A faulty answer ends its RPC. Other RPCs on the connection go on.
func TestMisbehaviourEndsOneRPC(t *testing.T) {
	large := strings.Repeat("x", 2<<20)
	many := func(h http.Header, prefix string) {
		for i := range 9000 {
			h.Set(fmt.Sprintf("%sX-%d", prefix, i), "many small values, of which HPACK makes few bytes")
		}
	}
	head := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/grpc")
		_ = http.NewResponseController(w).Flush()
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
		code   codes.Code
	}{
		{"large headers", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", large)
			head(w)
		}, ErrHeadersTooLarge, codes.ResourceExhausted},
		{"many headers", func(w http.ResponseWriter, _ *http.Request) {
			many(w.Header(), "")
			head(w)
		}, ErrHeadersTooLarge, codes.ResourceExhausted},
		{"large trailers", func(w http.ResponseWriter, _ *http.Request) {
			head(w)
			w.Header().Set(http.TrailerPrefix+"X-Large", large)
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		}, ErrHeadersTooLarge, codes.ResourceExhausted},
		{"many trailers", func(w http.ResponseWriter, _ *http.Request) {
			head(w)
			many(w.Header(), http.TrailerPrefix)
		}, ErrHeadersTooLarge, codes.ResourceExhausted},
		{"a page with large headers", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("X-Large", large)
			w.WriteHeader(http.StatusForbidden)
		}, nil, codes.ResourceExhausted}, // foreign if the content type comes first
		{"a message that is none", func(w http.ResponseWriter, _ *http.Request) {
			head(w)
			_, _ = w.Write([]byte("\x07\x00\x00\x00\x01a"))
		}, nil, codes.Internal},
		{"a message without an end", func(w http.ResponseWriter, _ *http.Request) {
			head(w)
			_, _ = w.Write([]byte{0, 0, 0, 1, 0, 'a'})
		}, ErrForeign, codes.Unavailable},
		{"a reset", func(w http.ResponseWriter, _ *http.Request) {
			head(w)
			panic(http.ErrAbortHandler)
		}, ErrForeign, codes.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			backend := backendtest.Start(t)
			m := backendtest.StartIntermediary(t, backend, nil)
			u := connect(t, Params{Target: m.Addr(), Connections: 1, Schema: quiet()})
			neighbour := watch(t, u, nil)
			backend.AwaitRunning(1)
			m.Answer(c.answer)
			for range 3 {
				s := watch(t, u, nil)
				err := s.Accepted()
				if err == nil {
					err = s.Next(discard)
				}
				if code := status.Code(err); code != c.code && (c.want != nil || code != codes.Unavailable) {
					t.Fatalf("got %v", err)
				}
				if c.want != nil && !errors.Is(err, c.want) {
					t.Fatalf("%v is not %v", err, c.want)
				}
			}
			m.Answer(nil)
			backend.Feed.Publish(&testv1.FeedEvent{Kind: "on"})
			if got := next(t, neighbour).GetKind(); got != "on" {
				t.Errorf("the neighbour got %q", got)
			}
			if got := backend.Opens(); got != 1 {
				t.Errorf("%d RPCs were opened at the backend, so the connection was lost", got)
			}
		})
	}
}

// grpc-go has another text for a message that is too large after decompression.
func TestACompressedMessageThatIsTooLarge(t *testing.T) {
	backend := backendtest.Start(t)
	backend.OnWatch(func(_ *testv1.WatchRequest, stream watchServer) error {
		if err := grpc.SetSendCompressor(stream.Context(), "gzip"); err != nil {
			return err
		}
		return stream.Send(&testv1.FeedEvent{Payload: make([]byte, 1<<20)})
	})
	cc, err := grpc.NewClient(backend.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cc.Close(); err != nil {
			t.Error(err)
		}
	})
	for name, params := range map[string]Params{
		"own connection":            {Target: backend.Addr()},
		"the embedder's connection": {Conn: cc},
	} {
		t.Run(name, func(t *testing.T) {
			params.MaxMessageBytes = 64 << 10
			err := watch(t, connect(t, params), nil).Next(discard)
			wantCode(t, err, codes.ResourceExhausted)
			if !errors.Is(err, ErrMessageTooLarge) {
				t.Errorf("%v is not ErrMessageTooLarge", err)
			}
			params.MaxMessageBytes = 2 << 20
			if got := len(next(t, watch(t, connect(t, params), nil)).GetPayload()); got != 1<<20 {
				t.Errorf("got %d bytes", got)
			}
		})
	}
}
