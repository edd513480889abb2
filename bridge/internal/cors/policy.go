package cors

import (
	"net/http"
	"strings"
	"time"

	"github.com/rs/cors"
)

// Params say who may read answers.
type Params struct {
	// Origins are scheme://host[:port], with *. before the host for one further label of it; "null"; or
	// "*" alone.
	Origins []string
	// Credentials lets pages send cookies and client certificates.
	Credentials bool
	// Methods are the methods that pages may send.
	Methods []string
	// Headers are those that pages may send besides requestHeaders, and Expose those that they may
	// read besides responseHeaders.
	Headers, Expose []string
	// MaxAge is how long a browser remembers the answer to a preflight; 0 is not at all.
	MaxAge time.Duration
}

// requestHeaders returns the request headers that an allowed page may always send.
func requestHeaders() []string {
	return []string{"accept", "authorization", "content-type", "last-event-id", "prefer", "x-request-id"}
}

// responseHeaders returns the response headers that an allowed page may always read, besides those that
// the Fetch Standard allows (section 3.3.4).
func responseHeaders() []string { return []string{"x-request-id", "retry-after", "www-authenticate"} }

// Policy sets the headers that let pages of other origins read answers. A nil Policy lets none. It is
// safe for concurrent use.
type Policy struct {
	cors        *cors.Cors
	credentials bool
}

// New returns a policy, nil if there are no origins.
func New(p Params) *Policy {
	if len(p.Origins) == 0 {
		return nil
	}
	options := cors.Options{
		AllowedOrigins: p.Origins, AllowedMethods: p.Methods, AllowCredentials: p.Credentials,
		AllowedHeaders: append(requestHeaders(), p.Headers...), ExposedHeaders: append(responseHeaders(), p.Expose...),
		MaxAge: int(p.MaxAge / time.Second),
	}
	if options.MaxAge == 0 {
		options.MaxAge = -1 // 0 leaves the time to the browser
	}
	if p.Origins[0] != "*" {
		options.AllowOriginVaryRequestFunc = allow(p.Origins)
	}
	return &Policy{cors.New(options), p.Credentials}
}

// Admit sets the headers of the answer to a request, Vary among them. To a request from an origin that
// is not allowed it sets no other.
func (p *Policy) Admit(header http.Header, r *http.Request) {
	if p != nil {
		p.cors.HandlerFunc(headerOnly{header}, r)
	}
}

// TrustsCookies reports whether the page that has caused a request may use the client's cookies.
func (p *Policy) TrustsCookies(r *http.Request) bool {
	return p != nil && p.credentials && p.cors.OriginAllowed(r)
}

// Preflight reports whether a request asks if a page may send another one, and returns the method of
// that one.
func Preflight(r *http.Request) (method string, asks bool) {
	method = r.Header.Get("Access-Control-Request-Method")
	return method, r.Method == http.MethodOptions && method != "" && r.Header.Get("Origin") != ""
}

// allow returns the test of an origin. Of two origins in one request none is believed.
func allow(origins []string) func(*http.Request, string) (bool, []string) {
	exact := map[string]bool{}
	type pattern struct{ scheme, below string }
	var patterns []pattern
	for _, origin := range origins {
		if scheme, host, found := strings.Cut(origin, "://*."); found {
			patterns = append(patterns, pattern{scheme + "://", "." + host})
		} else {
			exact[origin] = true
		}
	}
	return func(r *http.Request, origin string) (bool, []string) {
		if len(r.Header["Origin"]) != 1 {
			return false, nil
		}
		if exact[origin] {
			return true, nil
		}
		for _, p := range patterns {
			host, ofScheme := strings.CutPrefix(origin, p.scheme)
			label, below := strings.CutSuffix(host, p.below)
			if ofScheme && below && isLabel(label) {
				return true, nil
			}
		}
		return false, nil
	}
}

// isLabel reports whether a text is one label of a host, as browsers write it.
func isLabel(s string) bool {
	return s != "" && len(s) <= 63 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// headerOnly is an answer of which only the headers are set.
type headerOnly struct{ header http.Header }

func (h headerOnly) Header() http.Header         { return h.header }
func (h headerOnly) Write(p []byte) (int, error) { return len(p), nil }
func (h headerOnly) WriteHeader(int)             {}
