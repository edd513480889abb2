package bridge_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// Its error is reported.
func TestARefusedReloadChangesNothing(t *testing.T) {
	inWorld(t, routesOf("retry: 3s"), func(t *testing.T, w *world) {
		c := w.listen("/a", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 1)
		if reloads := w.Bridge.Reloads(); reloads.OK+reloads.Failed > 0 || !reloads.Last.IsZero() {
			t.Errorf("before any reload: %+v", reloads)
		}
		for i, test := range []struct{ settings, want string }{
			{routesOf("retry: 4s, event: {id: sek}"), `routes[0].event.id: ssebridge.test.v1.FeedEvent has no field "sek"; did you mean "seq"?`},
			{routesOf("retry: 3s, timeout: 30s"), "routes[0].timeout: is for unary methods, and " + watch + " is a stream; leave it out, or use max_age"},
			{routesOf("retry: 3s") + "  - {path: '/{x=**}', rpc: " + watch + ", upstream: app, share: true}", "routes[1].path: GET /a matches routes[0] (/a) too; no request may match two routes"},
		} {
			err := w.reload(test.settings)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
			if reloads := w.Bridge.Reloads(); reloads.OK != 0 || reloads.Failed != i+1 || !reloads.Last.Equal(time.Now()) || reloads.Err == nil {
				t.Errorf("after %d: %+v", i+1, reloads)
			}
			time.Sleep(time.Second)
		}
		wrong := w.config
		wrong.Limits.Topics = -1
		if err := w.Bridge.Reload(wrong); err == nil || !strings.HasPrefix(err.Error(), "limits.topics: ") {
			t.Errorf("a configuration filled in Go is not validated: %v", err)
		}
		code, text := probe(w.Bridge.Admin(), "/readyz")
		if code != http.StatusOK || !strings.Contains(text, "\nreloads: 0 ok, 4 failed; the last one, at 2000-01-01T00:00:0") ||
			!strings.HasSuffix(text, "Z, failed, and what was before it holds; the log says why: limits.topics\n") {
			t.Errorf("/readyz says %d %s", code, text)
		}
		rpc.count(2, 2)
		expect(t, c, "open 1 2")
		w.reloaded(routesOf("retry: 3s"))
		if reloads := w.Bridge.Reloads(); reloads.OK != 1 || reloads.Failed != 4 || reloads.Err != nil {
			t.Errorf("in the end: %+v", reloads)
		}
		if _, text := probe(w.Bridge.Admin(), "/readyz"); !strings.HasSuffix(text, "Z, was ok\n") {
			t.Errorf("/readyz says %s", text)
		}
		rpc.count(3, 3)
		expect(t, c, "open 1 2 3")
	})
}

// The full error quotes the file, and the page is public.
func TestReadyzShowsNoLineOfTheConfiguration(t *testing.T) {
	inWorld(t, feedRoute("retry: 3s"), func(t *testing.T, w *world) {
		line := config.Errorf("upstreams.app.schema.descriptor_set", "open /etc/hidden: no such file")
		line.File, line.Line, line.Snippet = "/etc/hidden.yaml", 3, "metadata: {authorization: hidden}"
		many := config.Errors{line, line, config.Errorf("", "the document hidden")}
		for i := range 30 {
			many = append(many, config.Errorf(fmt.Sprintf("routes[%d].rpc", i), "hidden"))
		}
		for _, test := range []struct {
			err  error
			want string
		}{
			{errors.New("reading the configuration: open /etc/hidden.yaml"), ""},
			{fmt.Errorf("the configuration is not valid:\n%w", config.Errors{line}), ": upstreams.app.schema.descriptor_set"},
			{errors.Join(errors.New("hidden"), many), ": upstreams.app.schema.descriptor_set, routes[0].rpc, "},
		} {
			w.Bridge.ReloadFailed(test.err)
			_, text := probe(w.Bridge.Admin(), "/readyz")
			if strings.Contains(text, "hidden") || !strings.Contains(text, " failed, and what was before it holds; the log says why"+test.want) ||
				strings.Count(text, "\n") != 2 || len(text) > 600 {
				t.Errorf("got %s", text)
			}
		}
		// The caller may change its error later. The bridge has a copy.
		line.Path = "hidden"
		if _, text := probe(w.Bridge.Admin(), "/readyz"); strings.Contains(text, "hidden") {
			t.Errorf("got %s", text)
		}
		if reloads := w.Bridge.Reloads(); reloads.OK != 0 || reloads.Failed != 3 {
			t.Errorf("Reloads has %+v", reloads)
		}
	})
}
