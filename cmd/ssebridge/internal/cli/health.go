package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// maxHealth is how much of an answer is read; it is some lines.
const maxHealth = 64 << 10

func newHealth() *cobra.Command {
	var (
		path, admin string
		ready       bool
		timeout     time.Duration
	)
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a bridge that runs on this machine how it is",
		Long: `health asks the admin listener of a bridge, which it finds in the configuration, and exits 0
if it is up; with --ready, if it is ready for clients. Else it exits 1 and says why. It is the
health check of a container that has no other program in it.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if admin == "" {
				var err error
				if admin, err = adminAddress(path); err != nil {
					return err
				}
			}
			question := "/healthz"
			if ready {
				question = "/readyz"
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			answer, err := askAdmin(ctx, admin, question)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), answer)
			return err
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&admin, "admin", "", "the admin listener's address, host:port or unix:///path, in place of the configuration's")
	cmd.Flags().BoolVar(&ready, "ready", false, "whether it is ready, not only up")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long the answer may take")
	return cmd
}

// adminAddress is the address of the admin listener of a configuration.
func adminAddress(path string) (string, error) {
	file, err := load(path)
	if err != nil {
		return "", fmt.Errorf("%w\n(a bridge that runs may be asked without it: --admin names where it listens)", err)
	}
	admin := *file.Config.WithDefaults().Admin
	if admin == "" {
		return "", file.Locate(config.Errorf("admin", "is off, so the bridge cannot be asked; write 127.0.0.1:9901"))
	}
	return admin, nil
}

// askAdmin returns an admin listener's answer to a question, if its status is 200.
func askAdmin(ctx context.Context, address, question string) (string, error) {
	where, err := config.ParseAddress(address)
	if err != nil {
		return "", fmt.Errorf("admin %s: %w", address, err)
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialHere(ctx, where)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+question, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("no answer at %s: %w", address, err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read from
	text, err := io.ReadAll(io.LimitReader(response.Body, maxHealth))
	if err != nil {
		return "", fmt.Errorf("the answer of %s: %w", address, err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s: %s", address, response.Status, strings.TrimSpace(string(text)))
	}
	return string(text), nil
}

// dialHere connects to a listener from this machine: to one on all addresses by that of
// the machine itself, of the one family or the other. Its name, localhost, is not
// looked up: a container without files has no resolver for it.
func dialHere(ctx context.Context, where config.Address) (net.Conn, error) {
	var errs []error
	for _, address := range fromHere(where) {
		conn, err := new(net.Dialer).DialContext(ctx, where.Network, address)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// fromHere is where a listener may be reached from this machine.
func fromHere(where config.Address) []string {
	host, port, err := net.SplitHostPort(where.Address)
	if where.Network != "tcp" || err != nil {
		return []string{where.Address}
	}
	if ip, err := netip.ParseAddr(host); host == "" || host == "localhost" || err == nil && ip.IsUnspecified() {
		return []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}
	}
	return []string{where.Address}
}
