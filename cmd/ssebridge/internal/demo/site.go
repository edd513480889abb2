package demo

import (
	"embed"
	"io/fs"
	"net/http"
)

// web is the page: files as they are, without a build step.
//
//go:embed web
var web embed.FS

// policy lets the page load only its own files and talk only to its server.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// newSite is the demo's public handler: the page's files, the cut, and everything else
// through the cutter to the bridge.
func newSite(bridge http.Handler) http.Handler {
	cutter := newCutter()
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", file("index.html"))
	for _, name := range pageFiles() {
		mux.Handle("GET /"+name, file(name))
	}
	mux.HandleFunc("GET /demo.yaml", serveConfig)
	mux.HandleFunc("POST /demo/cut", cutter.serveCut)
	mux.Handle("/", cutter.guard(bridge))

	// Another site's page must not write into the chat by a user's browser.
	return http.NewCrossOriginProtection().Handler(mux)
}

// pageFiles are the names of the page's files.
func pageFiles() []string {
	entries, err := fs.ReadDir(web, "web")
	if err != nil {
		panic(err) // embedded: it cannot fail
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names
}

// file serves one of the page's files.
func file(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protect(w.Header())
		http.ServeFileFS(w, r, web, "web/"+name)
	})
}

// serveConfig shows the configuration that the demo runs with.
func serveConfig(w http.ResponseWriter, _ *http.Request) {
	protect(w.Header())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(configYAML) // a reader that has gone is no error of ours
}

// protect sets the headers that every file of the page has.
func protect(header http.Header) {
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-cache")
}
