package listen

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

func TestOpenErrorsNameTheFix(t *testing.T) {
	taken := tcp(t)
	defer closing(t, taken)
	for name, tc := range map[string]struct{ address, want string }{
		"taken":     {taken.Addr().String(), "cannot listen on " + taken.Addr().String() + ": the address is in use; stop what listens there"},
		"elsewhere": {"192.0.2.1:8080", "cannot listen on 192.0.2.1:8080: this machine does not have the address"},
		"no port":   {"127.0.0.1", "must be host:port"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), tc.address)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
		})
	}
	if got := Advice(syscall.EACCES); !strings.Contains(got, "ports below 1024") {
		t.Errorf("got %q", got)
	}
	if got := Advice(errors.New("else")); got != "else" {
		t.Errorf("got %q", got)
	}
}
