package config

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// inGo returns a configuration as filled in by an embedding program.
func inGo(change func(r *Route)) Config {
	r := Route{Path: "/a", RPC: "p.S/M", Upstream: "app"}
	if change != nil {
		change(&r)
	}
	return Config{Upstreams: map[string]Upstream{"app": {Target: "localhost:1"}}, Routes: []Route{r}}
}

func TestValidateInGo(t *testing.T) {
	if err := inGo(nil).Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		name   string
		change func(r *Route)
		want   string
	}{
		{
			"without effect by its value", func(r *Route) { r.Join = "held" },
			"routes[0].join: join has no effect without share: true, as each client has an RPC of its own, from its first message; add share: true, or remove it",
		},
		{"without effect but default", func(r *Route) { r.Join, r.SlowClient = "live", "disconnect" }, ""},
		{
			"body without POST", func(r *Route) { r.Request.Body = &Fields{All: true} },
			"routes[0].request.body: request.body has no effect where methods does not name POST; remove it, or write methods: [GET, POST]",
		},
		{"body: false without POST", func(r *Route) { r.Request.Body = &Fields{} }, ""},
		{
			"fields of both kinds", func(r *Route) { r.Request.Query = Fields{All: true, Paths: []string{"a"}} },
			"routes[0].request.query: allows all fields and lists some; keep one of the two",
		},
		{"negative number", func(r *Route) { r.Replay.Events = -1 }, "routes[0].replay.events: must be from 1 to 10000000"},
		{"constants of Go's types", func(r *Route) {
			r.Request.Set = map[string]any{"a": 1, "b": int32(2), "c": []string{"x"}, "d": float32(1), "e": []any{uint8(1), true}}
		}, ""},
		{
			"constant of another type", func(r *Route) { r.Request.Set = map[string]any{"a": struct{}{}} },
			"routes[0].request.set.a: must be nil, a string, a boolean, a number, or a list or a map of those",
		},
		{"constants of any JSON", func(r *Route) {
			r.Request.Set = map[string]any{
				"a": nil, "b": []any{[]any{1}}, "c": map[string]any{"d": []map[string]int{{"e": 1}}}, "f": map[string]any{},
			}
		}, ""},
		{
			"a constant that contains itself", func(r *Route) {
				own := map[string]any{}
				own["a"] = own
				r.Request.Set = own
			},
			"routes[0].request.set.a: must be nil, a string, a boolean, a number, or a list or a map of those",
		},
		{
			"event name of two forms", func(r *Route) { r.Event.Name = EventName{Constant: "a", Field: "b"} },
			"routes[0].event.name: has more than one form; keep one of them",
		},
		{
			"metadata without a name", func(r *Route) { r.Request.Metadata = []Metadata{{}} },
			"routes[0].request.metadata[0]: name is required: the header to forward",
		},
		{"unknown mode", func(r *Route) { r.Auth.Mode = "some" }, "routes[0].auth: must be none, optional or required"},
		{
			"negative attempts", func(r *Route) { r.Reconnect = &Reconnect{Attempts: new(-1)} },
			"routes[0].reconnect.attempts: must be from 0, which is without end, to 1000000",
		},
		{"no codes", func(r *Route) { r.Reconnect = &Reconnect{Codes: []string{}} }, ""},
	} {
		err := inGo(c.change).Validate()
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestValidateNothing(t *testing.T) {
	err := Config{}.Validate()
	want := "upstreams: at least one is needed\nroutes: at least one is needed"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	var errs Errors
	var one *Error
	if !errors.As(err, &errs) || len(errs) != 2 || !errors.As(err, &one) || one.Path != "upstreams" {
		t.Errorf("%#v", err)
	}
}

func TestConstantsAreNormal(t *testing.T) {
	type word string
	c := inGo(func(r *Route) {
		r.Request.Set = map[string]any{"a": 1, "b": uint8(2), "c": []word{"x"}, "d": float32(1.5), "e": word("y"), "f": []any{int8(1), "z"}}
	})
	want := map[string]any{"a": int64(1), "b": uint64(2), "c": []any{"x"}, "d": 1.5, "e": "y", "f": []any{int64(1), "z"}}
	if diff := cmp.Diff(want, c.WithDefaults().Routes[0].Request.Set); diff != "" {
		t.Error(diff)
	}
}

// Validate gives the same verdict on a configuration and on the one with its defaults.
func TestValidateAgreesWithDefaults(t *testing.T) {
	of := func(words ...string) *rapid.Generator[string] { return rapid.SampledFrom(append(words, "")) }
	duration := rapid.SampledFrom([]Duration{0, 0, -1, Duration(1e6), seconds(1), seconds(30), 100 * hour})
	pointer := func(t *rapid.T, name string) *Duration {
		if rapid.Bool().Draw(t, name+" set") {
			return new(duration.Draw(t, name))
		}
		return nil
	}
	rapid.Check(t, func(t *rapid.T) {
		c := inGo(func(r *Route) {
			r.Methods = rapid.SampledFrom([][]string{nil, {"GET"}, {"POST"}, {"GET", "POST"}, {"get"}}).Draw(t, "methods")
			r.Join = of("live", "held", "own").Draw(t, "join")
			r.Share = rapid.Bool().Draw(t, "share")
			r.SlowClient = of("disconnect", "skip").Draw(t, "slow_client")
			r.OnComplete = of("end", "reopen").Draw(t, "on_complete")
			r.Done = of("x").Draw(t, "done")
			r.Event.Cursor = of("unique", "repeats").Draw(t, "cursor")
			if rapid.Bool().Draw(t, "has id") {
				r.Event.ID = new(of("seq").Draw(t, "id"))
			}
			code := rapid.SliceOfN(rapid.SampledFrom([]string{"ABORTED", "UNAVAILABLE", "OK", "x"}), 0, 2)
			if rapid.Bool().Draw(t, "has resume") {
				r.Resume = &Resume{
					Field: of("after", "x.").Draw(t, "resume.field"), Inclusive: rapid.Bool().Draw(t, "inclusive"),
					Offset:  rapid.SampledFrom([]int64{0, 1}).Draw(t, "offset"),
					Expired: Expired{Codes: code.Draw(t, "expired"), Field: of("e").Draw(t, "expired.field")},
				}
			}
			if rapid.Bool().Draw(t, "has reconnect") {
				r.Reconnect = &Reconnect{Codes: code.Draw(t, "codes"), Initial: duration.Draw(t, "initial"), Max: duration.Draw(t, "max")}
			}
			r.Replay = Replay{Events: rapid.SampledFrom([]int{0, -1, 5}).Draw(t, "events"), Linger: pointer(t, "linger")}
			r.Heartbeat = Heartbeat{Every: pointer(t, "every"), As: of("comment", "event").Draw(t, "as")}
			r.Retry, r.MaxAge = duration.Draw(t, "retry"), duration.Draw(t, "max_age")
			if rapid.Bool().Draw(t, "has body") {
				r.Request.Body = &Fields{All: rapid.Bool().Draw(t, "body")}
			}
			r.Request.Metadata = []Metadata{{Name: of("a", "traceparent", "te").Draw(t, "metadata")}}
		})
		if rapid.Bool().Draw(t, "upstream has reconnect") {
			c.Upstreams["app"] = Upstream{
				Target:    "localhost:1",
				Reconnect: &Reconnect{Initial: duration.Draw(t, "upstream initial"), Max: duration.Draw(t, "upstream max")},
			}
		}
		c.Listen = of(":9901", ":1", "x").Draw(t, "listen")
		bare, whole := c.Validate(), c.WithDefaults().Validate()
		if (bare == nil) != (whole == nil) || bare != nil && bare.Error() != whole.Error() {
			t.Errorf("as written: %v\nwith defaults: %v", bare, whole)
		}
	})
}

// The unsupported keys are refused by name.
func TestUnsupportedIsRefused(t *testing.T) {
	listed := unsupported()
	for _, l := range listed {
		if !isUnsupported(l.pattern, l.value) {
			t.Errorf("%+v is not found", l)
		}
		if isUnsupported(l.pattern+"x", l.value) || l.value != "" && isUnsupported(l.pattern, "x"+l.value) {
			t.Errorf("%+v refuses others too", l)
		}
	}
}
