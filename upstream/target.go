package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc/resolver"
)

// address is a target that this package dials itself.
//
// Names are looked up by net.Dialer at each dial and not by grpc-go's DNS
// resolver. That one asks again no sooner than after 30 s and backs off to two
// minutes, so a sidecar that starts before its service has a name, or outlives
// its service's address, would stay away long after the backend is back. It also
// would ask for service configurations in TXT records.
type address struct {
	network   string // tcp or unix
	addr      string
	authority string // what the RPCs' :authority says
}

// parseTarget takes a gRPC target apart. It returns nil for schemes that are
// left to grpc-go's resolvers.
func parseTarget(target string) (*address, error) {
	if target == "" {
		return nil, errors.New("is required")
	}
	scheme, rest, found := strings.Cut(target, ":")
	if !found {
		return nil, fmt.Errorf("%q has no port", target)
	}
	switch scheme {
	case "unix", "unix-abstract":
		return parseSocket(scheme, rest)
	case "dns", "passthrough":
		if port := rest; !strings.HasPrefix(rest, "/") && isPort(port) {
			return parseHostPort(target) // a host that is called dns
		}
		authority, endpoint, ok := cutAuthority(rest)
		if !ok {
			endpoint = rest // dns:host:port
		}
		if authority != "" {
			return nil, nil //nolint:nilnil // dns://server/name asks a certain name server: grpc-go does
		}
		return parseHostPort(endpoint)
	}
	if strings.HasPrefix(rest, "//") {
		if resolver.Get(scheme) == nil { // else grpc-go would take it all for a name
			return nil, fmt.Errorf("%q is not a scheme that gRPC knows here", scheme)
		}
		return nil, nil //nolint:nilnil // documented: grpc-go's
	}
	return parseHostPort(target)
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

// dial connects, with the kernel's keepalive probing a silent link every
// keepalive: three probes without an answer end it.
func (a *address) dial(ctx context.Context, keepalive time.Duration) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable:   true,
		Idle:     keepalive,
		Interval: max(keepalive/keepaliveProbes, time.Second),
		Count:    keepaliveProbes,
	}}
	return dialer.DialContext(ctx, a.network, a.addr)
}
