package bridge_test

import (
	"net/http"
	"strings"
	"testing"
)

// The head of a request counts before its client is admitted. Requests with large heads, whose bodies do not come, take no more
// memory than limits.pending_bytes, and small requests are served beside them.
func TestHeadsThatWaitForTheirBodiesAreBounded(t *testing.T) {
	g := pendingGateway(t, "512KiB")
	cookie := strings.Repeat("c", 50<<10)
	for range 30 {
		dialled(t, g, "POST /put HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nCookie: "+cookie+"\r\nContent-Length: 10\r\n\r\n{")
	}
	eventually(t, "the limit to be reached", func() bool { return strings.Contains(g.Log.String(), "limit=limits.pending_bytes") })
	if held := g.Bridge.PendingRequests(); held > 256<<10 || held < 100<<10 {
		t.Errorf("%d bytes are held for requests", held)
	}
	wantThing(t, g)
	if got := do(t, http.MethodPost, g.URL+"/put", `{"name":"small"}`, "Content-Type", "application/json"); got.Status != http.StatusOK {
		t.Errorf("a small request is answered %d", got.Status)
	}
}
