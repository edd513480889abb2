package admit

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/ssebridge/ssebridge/bridge/internal/peer"
)

// limitLog logs that clients are shed, at most one line per minute and limit.
type limitLog struct {
	logger *slog.Logger

	mu          sync.Mutex
	lines       map[string]*rate.Sometimes // by limit
	loggedProxy bool                       // since the limits were set
}

// limitsChanged allows one more log line about a proxy that is not trusted.
func (l *limitLog) limitsChanged() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loggedProxy = false
}

// LogShed logs that a limit sheds a client. For a limit by address the line names the
// address of this client, as an example.
func (g *Gate) LogShed(r *http.Request, limit string) {
	line, proxy := g.log.line(limit, r)
	line.Do(func() {
		attrs := []any{"limit", limit, "clients", g.streams.count()}
		if byAddress(limit) {
			attrs = append(attrs, "address", addrText(peer.Of(r).Addr))
		}
		g.log.logger.Warn("clients are asked to come back later: a limit is reached", attrs...)
	})
	if proxy {
		g.log.logger.Warn("an address beyond its limit sends X-Forwarded-For, which is not believed; if it is a proxy, name it in trusted_proxies, "+
			"or all of its clients count as one", "limit", limit, "address", addrText(peer.Of(r).Addr))
	}
}

// line returns the rate limiter of a limit's log line, and whether to log that a proxy seems
// to be missing in trusted_proxies.
func (l *limitLog) line(limit string, r *http.Request) (line *rate.Sometimes, proxy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines == nil {
		l.lines = map[string]*rate.Sometimes{}
	}
	if line = l.lines[limit]; line == nil {
		line = &rate.Sometimes{First: 1, Interval: time.Minute}
		l.lines[limit] = line
	}
	if !l.loggedProxy && byAddress(limit) {
		proxy = peer.Disbelieved(r)
		l.loggedProxy = proxy
	}
	return line, proxy
}

// byAddress reports whether a limit is one for each address.
func byAddress(limit string) bool { return limit == LimitClientsPerIP || limit == LimitOpensPerIP }
