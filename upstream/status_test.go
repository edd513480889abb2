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

func TestEndings(t *testing.T) {
	embedders := ending{maxBytes: 10}
	if got := embedders.error(io.EOF); got != io.EOF { //nolint:errorlint // as it is, not wrapped
		t.Errorf("got %v", got)
	}
	wantCode(t, embedders.error(errors.New("odd")), codes.Unknown)
	for message, want := range map[string]bool{
		"grpc: received message larger than max (11 vs. 10)":   true,
		"grpc: received message larger than max (10 vs. 10)":   false,
		"grpc: received message larger than max (11 vs. 9)":    false,
		"x grpc: received message larger than max (11 vs. 10)": false,
		"grpc: received message larger than max (-1 vs. 10)":   false,
		"trying to send message larger than max (11 vs. 10)":   false,
		"": false,
	} {
		err := embedders.error(status.Error(codes.ResourceExhausted, message))
		wantCode(t, err, codes.ResourceExhausted)
		if got := errors.Is(err, ErrMessageTooLarge); got != want {
			t.Errorf("%q: got %v", message, got)
		}
	}
	if errors.Is(embedders.error(status.Error(codes.Internal, "grpc: received message larger than max (11 vs. 10)")), ErrMessageTooLarge) {
		t.Error("another code")
	}
}

// grpc-go's message for a broken connection names the addresses of both ends, which a client must
// not learn.
func TestALostConnectionNamesNoAddress(t *testing.T) {
	embedders := ending{maxBytes: 10}
	for _, message := range []string{
		`connection error: desc = "error reading from server: read tcp 10.0.0.7:4->10.0.0.5:50051: read: connection reset by peer"`,
		`closing transport due to: connection error: desc = "10.0.0.5", received prior goaway: code: NO_ERROR`,
		"error reading from server: read tcp 10.0.0.7:4->10.0.0.5:50051: EOF",
		"transport: Error while dialing: dial tcp 10.0.0.5:50051: connect: connection refused",
		"closing connection since the server is not reading: write tcp 10.0.0.7:4->10.0.0.5:50051: i/o timeout",
		"error reading server preface: read tcp 10.0.0.7:4->10.0.0.5:50051: connection reset by peer",
	} {
		err := embedders.error(status.Error(codes.Unavailable, message))
		wantCode(t, err, codes.Unavailable)
		if got := status.Convert(err).Message(); got != "the connection to the backend was lost" {
			t.Errorf("the public status is %q", got)
		}
		if !strings.Contains(err.Error(), message) {
			t.Errorf("the error is only %q", err)
		}
	}
	for _, code := range []codes.Code{codes.Canceled, codes.DeadlineExceeded} {
		err := embedders.error(status.Error(code, `latest balancer error: connection error: desc = "transport: Error while dialing: dial tcp 10.0.0.5:50051"`))
		wantCode(t, err, code)
		if got := status.Convert(err).Message(); got != "the connection to the backend was lost" {
			t.Errorf("the public status is %q", got)
		}
	}
	if got := status.Convert(embedders.error(errors.New("dial tcp 10.0.0.5:50051"))).Message(); got != "the RPC failed" {
		t.Errorf("the public status of the embedder's connection is %q", got)
	}
	const own = "10.0.0.5 is in maintenance"
	if got := status.Convert(embedders.error(status.Error(codes.Unavailable, own))).Message(); got != own {
		t.Errorf("the backend's own status became %q", got)
	}
}

// A text that may contain a backend's bytes is one printable line in a log.
func TestClip(t *testing.T) {
	cause := errors.New("a\nb\x1b[31m\x00\xff\u2028é")
	err := clip(cause)
	if got := err.Error(); got != "a b?[31m???é" {
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
