package bridge_test

import (
	"net/http"
	"strings"
	"testing"
)

// The head of a request counts before its client is admitted. Requests with large heads, whose
// bodies do not arrive, take no more memory than limits.pending_bytes, and small requests are
// served meanwhile.
func TestHeadsThatWaitForTheirBodiesAreBounded(t *testing.T) {
	g := pendingGateway(t, "512KiB")
	cookie := strings.Repeat("c", 50<<10)
	for range 30 {
		dialled(t, g, "POST /put HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nCookie: "+cookie+"\r\nContent-Length: 10\r\n\r\n{")
	}
	eventually(t, "the limit to be reached", func() bool { return strings.Contains(g.Log.String(), "limit=limits.pending_bytes") })
	if counted := g.Bridge.PendingRequests(); counted > 256<<10 || counted < 100<<10 {
		t.Errorf("%d bytes are counted for requests", counted)
	}
	wantThing(t, g)
	if got := do(t, http.MethodPost, g.URL+"/put", `{"name":"small"}`, "Content-Type", "application/json"); got.Status != http.StatusOK {
		t.Errorf("a small request is answered %d", got.Status)
	}
}
