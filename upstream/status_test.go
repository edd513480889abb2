package upstream

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestEnded(t *testing.T) {
	if got := ended(io.EOF, 10); got != io.EOF { //nolint:errorlint // as it is, not wrapped
		t.Errorf("got %v", got)
	}
	wantCode(t, ended(errors.New("odd"), 10), codes.Unknown)
	for message, want := range map[string]bool{
		"grpc: received message larger than max (11 vs. 10)":   true,
		"grpc: received message larger than max (10 vs. 10)":   false,
		"grpc: received message larger than max (11 vs. 9)":    false,
		"x grpc: received message larger than max (11 vs. 10)": false,
		"grpc: received message larger than max (-1 vs. 10)":   false,
		"trying to send message larger than max (11 vs. 10)":   false,
		"": false,
	} {
		err := ended(status.Error(codes.ResourceExhausted, message), 10)
		wantCode(t, err, codes.ResourceExhausted)
		if got := errors.Is(err, ErrMessageTooLarge); got != want {
			t.Errorf("%q: got %v", message, got)
		}
	}
	if errors.Is(ended(status.Error(codes.Internal, "grpc: received message larger than max (11 vs. 10)"), 10), ErrMessageTooLarge) {
		t.Error("another code")
	}
}

// Hardening: what grpc-go says of a broken connection names the addresses of both ends.
func TestLostConnectionNamesNobody(t *testing.T) {
	for _, message := range []string{
		`connection error: desc = "error reading from server: read tcp 10.0.0.7:4->10.0.0.5:50051: read: connection reset by peer"`,
		`closing transport due to: connection error: desc = "10.0.0.5", received prior goaway: code: NO_ERROR`,
		"error reading from server: read tcp 10.0.0.7:4->10.0.0.5:50051: EOF",
		"transport: Error while dialing: dial tcp 10.0.0.5:50051: connect: connection refused",
	} {
		err := ended(status.Error(codes.Unavailable, message), 10)
		wantCode(t, err, codes.Unavailable)
		if got := status.Convert(err).Message(); got != "the connection to the backend was lost" {
			t.Errorf("anybody may read %q", got)
		}
		if !strings.Contains(err.Error(), message) {
			t.Errorf("the operator reads only %q", err)
		}
	}
	const own = "10.0.0.5 is in maintenance"
	if got := status.Convert(ended(status.Error(codes.Unavailable, own), 10)).Message(); got != own {
		t.Errorf("the backend's own words became %q", got)
	}
}

// What may carry a backend's bytes is one printable line in a log.
func TestClip(t *testing.T) {
	cause := errors.New("a\nb\x1b[31m\x00\xff\u2028é")
	err := clip(cause)
	if got := err.Error(); got != "a?b?[31m???é" {
		t.Errorf("got %q", got)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	long := clip(errors.New(strings.Repeat("é", 10_000))).Error()
	if len(long) > maxErrorLen+8 || !utf8.ValidString(long) {
		t.Errorf("%d bytes", len(long))
	}
}
