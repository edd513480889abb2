package bridge_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

func TestTheEventsPageListsEachCode(t *testing.T) {
	page, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table {
		if row.code > codes.Unauthenticated {
			continue // "any other"
		}
		kind := map[kind]string{reopened: "reopened", passing: "passing", lasting: "final"}[row.kind]
		if slices.Contains([]codes.Code{codes.Unknown, codes.Internal, codes.DataLoss}, row.code) {
			kind += ", final after five in a row"
		}
		want := fmt.Sprintf("| `%s` | %d | %s | %d |\n", row.name, row.code, kind, row.http)
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/events.md does not have the row %s", want)
		}
	}
}

// grpc-go stores a code without its sign.
func TestANegativeCodeKeepsItsSign(t *testing.T) {
	m := backendtest.StartIntermediary(t, backend(t), nil)
	g := startWith(t, parse(t, "upstreams: {app: {target: '"+m.Addr()+"'}}\ndrain: {delay: 0s, grace: 0s}\nroutes:\n"+
		"  - {path: /feed, rpc: "+watch+", upstream: app}\n"), bridge.Options{})
	first := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{}) // returns when the schema is known
	first.AwaitStatus()
	first.Close()
	messages := 0
	m.Answer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_ = http.NewResponseController(w).Flush()
		for range messages {
			_, _ = w.Write(make([]byte, 5)) // an empty message
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "-1")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "odd")
	}))
	if got := do(t, http.MethodGet, g.URL+"/feed", ""); got.Status != http.StatusInternalServerError || got.Body != `{"code":-1,"message":"odd"}`+"\n" {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	messages = 1
	c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	if end := c.AwaitNamed("stream-error", 0); end.Data != `{"code":-1,"message":"odd","status":"-1"}` {
		t.Errorf("the client was sent %s", end.Raw)
	}
}
