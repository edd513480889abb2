package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/resolver"
)

// target is a parsed Params.Target. It is dialed as it is, resolved into addresses, or, for names,
// either.
type target struct {
	// dialed is the target for net.Dialer; nil if only a resolver can interpret it.
	dialed *address
	// builder makes resolvers for url; nil if the target is one address.
	builder resolver.Builder
	url     resolver.Target
}

// address is an address for net.Dialer, which looks a name up at each dial.
type address struct {
	network   string // tcp or unix
	addr      string
	authority string // the RPCs' :authority
}

// parseTarget parses a gRPC target.
func parseTarget(text string) (target, error) {
	if text == "" {
		return target{}, errors.New("is required")
	}
	scheme, rest, found := strings.Cut(text, ":")
	if !found {
		return target{}, fmt.Errorf("%q has no port", text)
	}
	switch scheme {
	case "unix", "unix-abstract":
		return dialedOnly(parseSocket(scheme, rest))
	case "dns", "passthrough":
		if port := rest; !strings.HasPrefix(rest, "/") && isPort(port) {
			return parseName(text) // a host named dns or passthrough
		}
		authority, endpoint, ok := cutAuthority(rest)
		switch {
		case authority != "": // dns://server/name asks a certain name server
			return parseResolved(scheme, text)
		case !ok:
			endpoint = rest // dns:host:port
		}
		if scheme == "passthrough" {
			return dialedOnly(parseHostPort(endpoint))
		}
		return parseName(endpoint)
	}
	if strings.HasPrefix(rest, "//") {
		return parseResolved(scheme, text)
	}
	return parseName(text)
}

func dialedOnly(a *address, err error) (target, error) { return target{dialed: a}, err }

// parseResolved leaves a target to the resolver that grpc-go has for its scheme.
func parseResolved(scheme, text string) (target, error) {
	builder := resolver.Get(scheme)
	if builder == nil {
		return target{}, fmt.Errorf("%q is not a scheme that gRPC knows here", scheme)
	}
	u, err := url.Parse(text)
	if err != nil {
		return target{}, err
	}
	return target{builder: builder, url: resolver.Target{URL: *u}}, nil
}

// parseName reads host:port. A name is resolved, since it may have several addresses. An IP address
// is not, nor is localhost, which is always this machine (RFC 6761, section 6.3).
func parseName(hostport string) (target, error) {
	dialed, err := parseHostPort(hostport)
	if err != nil {
		return target{}, err
	}
	u, err := url.Parse("dns:///" + dialed.addr)
	if err != nil {
		return target{}, err
	}
	t := target{dialed: dialed}
	host, _, err := net.SplitHostPort(dialed.addr)
	if err != nil {
		return target{}, err
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(host); err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return t, nil
	}
	t.builder = resolver.Get("dns")
	t.url = resolver.Target{URL: *u}
	return t, nil
}

// authority returns the RPCs' :authority. Unless TLS.ServerName is set, it is also the name in the
// backend's certificate.
func (t target) authority() string {
	if t.dialed != nil {
		return t.dialed.authority
	}
	if builder, ok := t.builder.(resolver.AuthorityOverrider); ok {
		return builder.OverrideAuthority(t.url)
	}
	return t.url.Endpoint()
}

// Server returns the backend's address according to its target: a host and a port, or the path of a
// socket and 0. It is empty if Params.Conn came without a target.
func (u *Upstream) Server() (address string, port int) {
	t, err := parseTarget(u.params.Target)
	if err != nil {
		return "", 0
	}
	name := t.url.Endpoint()
	if t.dialed != nil {
		name = t.dialed.addr
		if t.dialed.network == "unix" {
			return name, 0
		}
	}
	host, text, err := net.SplitHostPort(name)
	if err != nil {
		return name, 0
	}
	port, err = strconv.Atoi(text)
	if err != nil {
		return name, 0
	}
	return host, port
}

// cutAuthority splits "//authority/endpoint".
func cutAuthority(rest string) (authority, endpoint string, ok bool) {
	rest, ok = strings.CutPrefix(rest, "//")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}

func parseHostPort(hostport string) (*address, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, fmt.Errorf("%q is not host:port", hostport)
	}
	if !isPort(port) {
		return nil, fmt.Errorf("%q is not a port", port)
	}
	if host == "" {
		host = "localhost"
	}
	hostport = net.JoinHostPort(host, port)
	return &address{network: "tcp", addr: hostport, authority: hostport}, nil
}

func parseSocket(scheme, rest string) (*address, error) {
	if strings.HasPrefix(rest, "//") && scheme == "unix" {
		authority, path, _ := cutAuthority(rest)
		if authority != "" {
			return nil, fmt.Errorf("a socket's path must be absolute after unix://, got %q", rest[len("//"):])
		}
		rest = "/" + path
	}
	if strings.Trim(rest, "/") == "" {
		return nil, errors.New("names no socket")
	}
	if scheme == "unix-abstract" {
		rest = "@" + rest
	}
	return &address{network: "unix", addr: rest, authority: "localhost"}, nil
}

func isPort(s string) bool {
	if s == "" || len(s) > 5 {
		return false
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n >= 1 && n <= 65535
}

// dial connects. The kernel probes a silent link every keepalive, and three unanswered probes end
// the connection.
func (a *address) dial(ctx context.Context, keepalive time.Duration) (net.Conn, error) {
	return dial(ctx, a.network, a.addr, keepalive)
}

func dial(ctx context.Context, network, addr string, keepalive time.Duration) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable:   true,
		Idle:     keepalive,
		Interval: max(keepalive/keepaliveProbes, time.Second),
		Count:    keepaliveProbes,
	}}
	return dialer.DialContext(ctx, network, addr)
}
