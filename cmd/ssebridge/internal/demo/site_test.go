package demo

import (
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// visit asks the site for something; the bridge behind it answers 418.
func visit(t *testing.T, method, path string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	bridge := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	request := httptest.NewRequest(method, path, nil)
	maps.Copy(request.Header, header)
	recorder := httptest.NewRecorder()
	newSite(bridge).ServeHTTP(recorder, request)
	return recorder
}

func TestSiteServesThePage(t *testing.T) {
	for path, kind := range map[string]string{
		"/":          "text/html; charset=utf-8",
		"/app.css":   "text/css; charset=utf-8",
		"/app.js":    "text/javascript; charset=utf-8",
		"/stream.js": "text/javascript; charset=utf-8",
		"/icon.svg":  "image/svg+xml",
		"/demo.yaml": "text/plain; charset=utf-8",
	} {
		t.Run(path, func(t *testing.T) {
			got := visit(t, http.MethodGet, path, nil)
			if got.Code != http.StatusOK || got.Header().Get("Content-Type") != kind {
				t.Fatalf("%d %s", got.Code, got.Header().Get("Content-Type"))
			}
			if body, err := io.ReadAll(got.Body); err != nil || len(body) == 0 {
				t.Fatalf("%d bytes, %v", len(body), err)
			}
			for name, want := range map[string]string{
				"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			} {
				if got := got.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestSiteLeavesTheRestToTheBridge(t *testing.T) {
	for _, path := range []string{"/clock", "/tokens?prompt=x", "/web/", "/nothing", "/rooms/lobby/events"} {
		if got := visit(t, http.MethodGet, path, nil).Code; got != http.StatusTeapot {
			t.Errorf("%s: %d", path, got)
		}
	}
	if got := visit(t, http.MethodPost, "/rooms/lobby/messages", nil).Code; got != http.StatusTeapot {
		t.Errorf("POST: %d", got)
	}
}

// Another site's page can have a user's browser send a POST; it must not write.
func TestSiteRefusesWritesFromOtherSites(t *testing.T) {
	for _, path := range []string{"/rooms/lobby/messages", "/demo/cut?page=" + pageA} {
		for name, header := range map[string]http.Header{
			"by fetch metadata": {"Sec-Fetch-Site": {"cross-site"}},
			"by origin":         {"Origin": {"https://elsewhere.example"}},
		} {
			if got := visit(t, http.MethodPost, path, header).Code; got != http.StatusForbidden {
				t.Errorf("%s, %s: %d, want 403", path, name, got)
			}
		}
	}
}

// The page works offline and under its policy: it names no other host, and has no
// script or style in its markup.
func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	elsewhere := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9-]+\.[a-z]`)
	inline := regexp.MustCompile(`(?i)<style|<script>|\son[a-z]+=|\sstyle=|javascript:`)
	for _, name := range pageFiles() {
		text, err := fs.ReadFile(web, "web/"+name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if found := elsewhere.FindString(line); found != "" && !strings.Contains(line, "http://www.w3.org/2000/svg") {
				t.Errorf("%s names another host: %s", name, line)
			}
			if strings.HasSuffix(name, ".html") && inline.MatchString(line) {
				t.Errorf("%s: the policy forbids: %s", name, line)
			}
			if strings.Contains(line, "innerHTML") {
				t.Errorf("%s writes markup from text: %s", name, line)
			}
		}
	}
}
