package bridge

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/ssebridge/ssebridge/bridge/internal/route"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// Large requests leave a processor to streams: while all that they may use are in use, a further one waits, and a small one
// does not.
func TestLargeRequestsLeaveAProcessorToStreams(t *testing.T) {
	binder, err := route.Compile(route.Spec{Body: route.Fields{All: true}}, (&testv1.PutRequest{}).ProtoReflect().Descriptor(), protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	e, b := &endpoint{bridge: &Bridge{binding: newRenderings()}}, &binding{binder: binder}
	bind := func(size int, patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", http.NoBody)
		r.Header.Set("Content-Type", "application/json")
		_, err := e.bindRequest(b, r, nil, []byte(`{"name":"`+strings.Repeat("x", size)+`"}`))
		return err
	}
	for range cap(e.bridge.binding.free) {
		e.bridge.binding.free <- struct{}{}
	}
	if err := bind(100, time.Minute); err != nil {
		t.Errorf("a small request: %v", err)
	}
	if err := bind(largeRequest, time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a large request while no processor is free: %v", err)
	}
	<-e.bridge.binding.free
	for range 3 { // each gives the processor back
		if err := bind(largeRequest, time.Minute); err != nil {
			t.Errorf("a large request while a processor is free: %v", err)
		}
	}
}
