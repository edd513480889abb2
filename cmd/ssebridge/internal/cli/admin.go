package cli

import (
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"net/url"
	"strings"
)

// newAdmin makes the handler of the admin listener. The bridge's own serves the paths;
// health, readiness and metrics are for every caller that reaches the listener, and
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

// isOpen reports whether a path shows no data of clients.
func isOpen(path string) bool {
	switch path {
	case "/healthz", "/readyz", "/metrics":
		return true
	default:
		return false
	}
}

// isLocal reports whether a request comes from this machine, is for this machine, and
// was not made for another site: the Host keeps out a page whose name resolves to a
// loopback address (DNS rebinding), Sec-Fetch-Site, Origin and Referer one that links
// to it, and the others a proxy beside us.
func isLocal(r *http.Request) bool {
	for name := range r.Header {
		if isOfProxies(name) {
			return false
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return false
	}
	for _, name := range []string{"Origin", "Referer"} {
		for _, from := range r.Header.Values(name) {
			if page, err := url.Parse(from); err != nil || page.Host != r.Host {
				return false
			}
		}
	}
	return isLocalPeer(r) && isLocalHost(r.Host)
}

// isOfProxies reports whether a header, canonically spelt, is one that proxies add: those
// of the standards (RFC 7239, RFC 9110 section 7.6.3), and the customary ones, whatever
// each of them is about. A sidecar in front may send no address, and still a protocol.
func isOfProxies(name string) bool {
	// A proxy may have written X_Forwarded_For, as CGI and some servers take it.
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	switch name {
	case "forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip":
		return true
	default:
		return strings.HasPrefix(name, "x-forwarded") || strings.HasPrefix(name, "x-envoy-") || strings.HasPrefix(name, "x-original-")
	}
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
