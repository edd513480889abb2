package backendtest

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Names is a name server on a loopback address.
type Names struct {
	addr string

	mu      sync.Mutex
	names   map[string][]netip.Addr // keys end with a dot
	lookups int
}

// StartNames runs a name server without names until the test ends.
func StartNames(tb testing.TB) *Names {
	tb.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(tb.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	n := &Names{addr: conn.LocalAddr().String(), names: map[string][]netip.Addr{}}
	served := make(chan error, 1)
	go func() { served <- n.serve(conn) }()
	tb.Cleanup(func() {
		if err := conn.Close(); err != nil {
			tb.Errorf("backendtest: %v", err)
		}
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			tb.Errorf("backendtest: the name server ended: %v", err)
		}
	})
	return n
}

// Target returns a gRPC target that looks the name up at this server.
func (n *Names) Target(name, port string) string { return "dns://" + n.addr + "/" + name + ":" + port }

// Set sets the addresses of a name. Without addresses the name does not exist.
func (n *Names) Set(name string, addrs ...string) {
	parsed := make([]netip.Addr, len(addrs))
	for i, addr := range addrs {
		parsed[i] = netip.MustParseAddr(addr)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[name+"."] = parsed
}

// Lookups returns how many questions for IPv4 addresses were answered.
func (n *Names) Lookups() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lookups
}

func (n *Names) serve(conn net.PacketConn) error {
	buffer := make([]byte, 512) // RFC 1035, section 2.3.4
	for {
		size, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return err
		}
		var question dnsmessage.Message
		if question.Unpack(buffer[:size]) != nil || len(question.Questions) != 1 {
			continue
		}
		answer := n.answer(question)
		packed, err := answer.Pack()
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(packed, from); err != nil {
			return err
		}
	}
}

func (n *Names) answer(question dnsmessage.Message) dnsmessage.Message {
	q := question.Questions[0]
	answer := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: question.ID, Response: true, Authoritative: true, RecursionDesired: question.RecursionDesired},
		Questions: question.Questions,
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	addrs := n.names[strings.ToLower(q.Name.String())]
	if len(addrs) == 0 {
		answer.RCode = dnsmessage.RCodeNameError
	}
	if q.Type == dnsmessage.TypeA {
		n.lookups++
	}
	for _, addr := range addrs {
		var body dnsmessage.ResourceBody
		switch {
		case q.Type == dnsmessage.TypeA && addr.Is4():
			body = &dnsmessage.AResource{A: addr.As4()}
		case q.Type == dnsmessage.TypeAAAA && addr.Is6():
			body = &dnsmessage.AAAAResource{AAAA: addr.As16()}
		default:
			continue
		}
		header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header, Body: body})
	}
	return answer
}
