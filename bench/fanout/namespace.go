package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// namespace is a network of its own, joined to the machine's by one link that can
// be taken down: a client in it then is as silent as one whose cable is cut.
type namespace struct {
	name        string
	link        string // the namespace's end
	here, there string // addresses of the two ends
}

// newNamespace makes one. It takes root.
func newNamespace(ctx context.Context) (*namespace, error) {
	number := os.Getpid() % 16384
	third, fourth := number/64, number%64*4
	n := &namespace{
		name: fmt.Sprintf("fanout%d", number), link: fmt.Sprintf("fan%da", number),
		here: fmt.Sprintf("10.213.%d.%d", third, fourth+1), there: fmt.Sprintf("10.213.%d.%d", third, fourth+2),
	}
	outside := fmt.Sprintf("fan%db", number)
	if err := ip(ctx, "netns", "add", n.name); err != nil {
		return nil, fmt.Errorf("a network namespace, which takes root: %w", err)
	}
	for _, arguments := range []string{
		"link add " + outside + " type veth peer name " + n.link,
		"link set " + n.link + " netns " + n.name,
		"addr add " + n.here + "/30 dev " + outside,
		"link set " + outside + " up",
		"-n " + n.name + " addr add " + n.there + "/30 dev " + n.link,
		"-n " + n.name + " link set " + n.link + " up",
	} {
		if err := ip(ctx, strings.Fields(arguments)...); err != nil {
			return nil, errors.Join(err, n.close())
		}
	}
	return n, nil
}

// within returns the words before a command that is to run in the namespace.
func (n *namespace) within() []string { return []string{"ip", "netns", "exec", n.name} }

// cut takes the link down, at the clients' end.
func (n *namespace) cut(ctx context.Context) error {
	return ip(ctx, "-n", n.name, "link", "set", n.link, "down")
}

// close removes the namespace, and its link with it.
func (n *namespace) close() error { return ip(context.Background(), "netns", "del", n.name) }

// ip runs iproute2's command.
func ip(ctx context.Context, arguments ...string) error {
	output, err := exec.CommandContext(ctx, "ip", arguments...).CombinedOutput() //nolint:gosec // commands of this program's own
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(arguments, " "), err, output)
	}
	return nil
}
