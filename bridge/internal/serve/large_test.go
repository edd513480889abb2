package serve

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/source"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream"
)

// While large requests use all processors that they may, a further one waits, and a small one does not.
func TestLargeRequestsLeaveAProcessorToStreams(t *testing.T) {
	binder, err := route.Compile(route.Spec{Body: route.Fields{All: true}}, (&testv1.PutRequest{}).ProtoReflect().Descriptor(), protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	h, b := &Handler{Binding: source.NewProcessors(), Observer: observe.New(observe.Params{})}, &site.Binding{Binder: binder}
	bind := func(size int, patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", http.NoBody)
		r.Header.Set("Content-Type", "application/json")
		x := &exchange{handler: h, endpoint: &site.Endpoint{}, r: r, record: h.Observer.Begin(http.Header{}, r)}
		_, err := x.bind(b, []byte(`{"name":"`+strings.Repeat("x", size)+`"}`))
		return err
	}
	busy := occupy(t, h.Binding)
	if err := bind(100, time.Minute); err != nil {
		t.Errorf("a small request: %v", err)
	}
	if err := bind(largeRequest, time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a large request while no processor is free: %v", err)
	}
	busy[0]()     // one processor becomes free
	for range 3 { // each releases the processor
		if err := bind(largeRequest, time.Minute); err != nil {
			t.Errorf("a large request while a processor is free: %v", err)
		}
	}
}

// occupy acquires all processors, and returns a function to release each.
func occupy(t *testing.T, processors source.Processors) (release []func()) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		one, err := processors.Acquire(ctx)
		cancel()
		if err != nil {
			return release
		}
		release = append(release, one)
	}
}

// The failure is DEADLINE_EXCEEDED, not UNKNOWN.
func TestAUnaryCallTimesOutWhileItsAnswerWaitsForAProcessor(t *testing.T) {
	sources, up := &source.Sources{Rendering: source.NewProcessors()}, &site.Backend{Intake: upstream.NewIntake(1 << 20)}
	occupy(t, sources.Rendering)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := render(ctx, sources, up, nil, make([]byte, source.LargeRendering)); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}
