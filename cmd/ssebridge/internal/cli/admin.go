package cli

import (
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
)

// newAdmin makes the handler of the admin listener. The bridge's own is asked for all that
// there is; health, readiness and metrics are for anybody who reaches the listener, and
// everything else for callers on this machine.
func newAdmin(bridge, metrics http.Handler, profiles bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", bridge)
	mux.Handle("GET /metrics", metrics)
	if profiles {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isOpen(r.URL.Path) && !isLocal(r) {
			http.Error(w, "only for callers on this machine, by a loopback address and a loopback Host", http.StatusForbidden)

			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isOpen reports whether a path says nothing about anybody's data.
func isOpen(path string) bool {
	switch path {
	case "/healthz", "/readyz", "/metrics":
		return true
	default:
		return false
	}
}

// isLocal reports whether somebody on this machine asks, for this machine, and by
// themselves: the Host keeps out a page whose name resolves to a loopback address (DNS
// rebinding), Sec-Fetch-Site one that links to it, and the others a proxy beside us.
func isLocal(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if len(r.Header.Values(name)) > 0 {
			return false
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return false
	}

	return isLocalPeer(r) && isLocalHost(r.Host)
}

// isLocalPeer reports whether the connection is from this machine.
func isLocalPeer(r *http.Request) bool {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		return true
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)

	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// isLocalHost reports whether a Host names this machine as such.
func isLocalHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))

	return err == nil && addr.Unmap().IsLoopback()
}
