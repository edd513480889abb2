package config

import (
	"errors"
	"fmt"
	"time"
)

// Duration is a span of time, in YAML 250ms, 15s, 5m or 1h30m.
type Duration time.Duration

var errDuration = errors.New("a duration such as 250ms, 15s or 5m")

// ParseDuration reads a duration in YAML form: numbers with the unit ns, us, ms, s, m or h; a bare 0
// needs no unit. It accepts negative durations, which Validate refuses.
func ParseDuration(text string) (Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errDuration // time's own message quotes the text, which may be a secret
	}
	return Duration(d), nil
}

// Std returns v as a time.Duration.
func (v Duration) Std() time.Duration { return time.Duration(v) }

// String returns v in ParseDuration's form, without zero units: 5m, not 5m0s.
func (v Duration) String() string {
	std := v.Std()
	switch {
	case std == 0:
		return "0s"
	case std%time.Hour == 0:
		return fmt.Sprintf("%dh", std/time.Hour)
	case std%time.Minute == 0 && std.Abs() < time.Hour:
		return fmt.Sprintf("%dm", std/time.Minute)
	default:
		return std.String()
	}
}
