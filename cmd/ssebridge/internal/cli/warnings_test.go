package cli

import (
	"strings"
	"testing"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// A route that is probably a mistake is a warning on standard error, at its place in the file, and the file is valid.
func TestCheckWarnsOfARouteThatIsProbablyAMistake(t *testing.T) {
	backend := backendtest.Start(t)
	conf := file(t, "ssebridge.yaml", "upstreams: {app: {target: '"+backend.Target()+"'}}\nroutes:\n"+
		"  - {path: /a, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, event: {id: seq}, resume: {field: after}}\n"+
		"  - path: /b\n    rpc: ssebridge.test.v1.FeedService/Watch\n    upstream: app\n    event: {id: cursor}\n    resume: {field: after}\n")
	code, stdout, stderr := run(t, "check", "--connect", "--config", conf)
	if code != ExitOK || !strings.Contains(stdout, "is valid: 2 routes") {
		t.Errorf("exit %d: %s", code, stdout)
	}
	const place = ":7:17: routes[1].event.id: cursor is a string, and resume.field after is an integer: "
	if !strings.HasPrefix(stderr, "warning: ") || strings.Count(stderr, "warning: ") != 1 || !strings.Contains(stderr, place) || !strings.Contains(stderr, "\n                    ^\n") {
		t.Errorf("got %s", stderr)
	}
	if code, _, stderr := run(t, "check", "--config", conf); code != ExitOK || stderr != "" {
		t.Errorf("without --connect: exit %d: %s", code, stderr)
	}
}
