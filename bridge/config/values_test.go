package config

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "512B": 512, "64KiB": 64 * KiB, "8MiB": 8 * MiB, "1GiB": GiB, "0KiB": 0,
		"9223372036854775807": math.MaxInt64, "8589934591GiB": 8589934591 * GiB,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "B", "KiB", "-1", "+1", "1.5MiB", "1KB", "1kib", "1 MiB", "1MiB ", "1iB", "1K", "1BB", "1KiBB",
		"9223372036854775808", "8589934592GiB", "1_000", "0x10",
	} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%s: %d", text, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"250ms": 250 * time.Millisecond, "15s": 15 * time.Second, "1h30m": 90 * time.Minute, "0": 0, "0s": 0, "-1s": -time.Second,
	} {
		if got, err := ParseDuration(text); err != nil || got.Std() != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "15", "15 s", "s", "1d", "9999999h", "15S"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestStringsAreShort(t *testing.T) {
	for want, got := range map[string]string{
		"0s": Duration(0).String(), "250ms": Duration(250e6).String(), "10m": seconds(600).String(), "1h": hour.String(),
		"1h30m0s": seconds(5400).String(), "1m30s": seconds(90).String(), "-1s": seconds(-1).String(), "-2m": seconds(-120).String(),
		"0B": Size(0).String(), "1000B": Size(1000).String(), "64KiB": (64 * KiB).String(), "3MiB": (3 * MiB).String(),
		"2GiB": (2 * GiB).String(), "-1KiB": (-KiB).String(),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestStringsParseBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64().Draw(t, "duration"))
		if got, err := ParseDuration(d.String()); err != nil || got != d {
			t.Errorf("%s: %s, %v", d, got, err)
		}
		s := Size(rapid.Int64Min(0).Draw(t, "size"))
		if got, err := ParseSize(s.String()); err != nil || got != s || got.Bytes() != int64(s) {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	})
}

// The first allowed value is the default, and Validate accepts each of them.
func TestAllowedValues(t *testing.T) {
	if len(allowedValues("routes[].path")) != 0 {
		t.Error("a path is enumerated")
	}
	r := Config{Routes: []Route{{}}, Upstreams: map[string]Upstream{"a": {}}}.WithDefaults().Routes[0]
	for pattern, got := range map[string]string{
		"routes[].auth.mode": r.Auth.Mode, "routes[].event.cursor": r.Event.Cursor, "routes[].join": r.Join,
		"routes[].slow_client": r.SlowClient, "routes[].on_complete": r.OnComplete, "routes[].on_bad_message": r.OnBadMessage,
		"routes[].heartbeat.as": r.Heartbeat.As,
	} {
		if allowedValues(pattern)[0] != got {
			t.Errorf("%s: %s is the default", pattern, got)
		}
	}
}
