package site

import (
	"reflect"
	"slices"
	"testing"

	"github.com/ssebridge/ssebridge/bridge/config"
)

func TestKeysThatOnlyStreamsHave(t *testing.T) {
	id, linger, every, compress := "seq", config.Duration(1), config.Duration(1), true
	route := config.Route{
		Path: "/a", Methods: []string{"GET"}, Safe: true, RPC: "a.B/C", Upstream: "app", Auth: config.RouteAuth{Mode: config.AuthNone}, Timeout: 1,
		Request: config.Request{Query: config.Fields{All: true}},
		Event: config.Event{
			ID: &id, Cursor: "unique", Name: config.EventName{Constant: "a"}, Data: config.EventData{Field: "a"},
			EmitDefaults: true, ProtoNames: true, EnumNumbers: true,
		},
		Resume: &config.Resume{}, Reconnect: &config.Reconnect{}, Join: "live", Replay: config.Replay{Linger: &linger}, Share: true,
		SlowClient: "skip", WriteTimeout: 1, OnComplete: "end", OnBadMessage: "gap", OpenGrace: &every,
		Heartbeat: config.Heartbeat{Every: &every}, Retry: 1, IdleTimeout: 1, MaxAge: 1, Compress: &compress,
		Trailers: []string{"a"}, Done: "[DONE]",
	}
	got := streamKeys(route)
	for _, key := range []string{
		"compress", "done", "event.cursor", "event.data", "event.id", "event.name", "heartbeat", "idle_timeout", "join", "max_age", "on_bad_message",
		"on_complete", "open_grace", "reconnect", "replay", "resume", "retry", "share", "slow_client", "trailers", "write_timeout",
	} {
		if !slices.Contains(got, key) {
			t.Errorf("%s is not reported for a unary method", key)
		}
	}
	for _, key := range unaryKeys() {
		if slices.Contains(got, key) {
			t.Errorf("%s is reported for a unary method", key)
		}
	}
	if got := streamKeys(config.Route{Path: "/a", RPC: "a.B/C", Trailers: []string{}, Event: config.Event{ProtoNames: true}}); len(got) > 0 {
		t.Errorf("keys that are not set are reported: %q", got)
	}
}

// A misspelled key in unaryKeys would refuse the right one for unary methods.
func TestUnaryKeysAreKeysOfARoute(t *testing.T) {
	known := map[string]bool{}
	for prefix, mapping := range map[string]reflect.Type{"": reflect.TypeFor[config.Route](), "event.": reflect.TypeFor[config.Event]()} {
		for field := range mapping.Fields() {
			known[prefix+field.Tag.Get("yaml")] = true
		}
	}
	for _, key := range unaryKeys() {
		if !known[key] {
			t.Errorf("a route has no key %s", key)
		}
	}
}
