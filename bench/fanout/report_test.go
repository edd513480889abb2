package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/ssebridge/ssebridge/bench/internal/load"
)

func TestMedian(t *testing.T) {
	for _, set := range []struct {
		all  []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(set.all); got != set.want {
			t.Errorf("%v: %v, want %v", set.all, got, set.want)
		}
	}
}

func TestARatioIsOfOneRound(t *testing.T) {
	of := func(cpu time.Duration) sample {
		return sample{Result: load.Result{Events: 50, Clients: 10, Counted: 5, Seconds: 2}, user: cpu / 2, system: cpu / 2}
	}
	// The machine was twice as slow in the second round, for both.
	r := rounds{
		"a": {of(20 * time.Millisecond), of(40 * time.Millisecond), of(20 * time.Millisecond)},
		"b": {of(10 * time.Millisecond), of(20 * time.Millisecond), of(10 * time.Millisecond)},
	}
	if got := r.against("a", "b", sample.perEvent); got != 2 {
		t.Errorf("%v", got)
	}
	if got := r.median("a", sample.perEvent); got != 200 { // 20 ms by 100 events, for half of the clients counts
		t.Errorf("%v µs", got)
	}
	if got := r.median("a", sample.rate); got != 50 {
		t.Errorf("%v a second", got)
	}
	if got := r.against("a", "nobody", sample.perEvent); got != 0 {
		t.Errorf("against nobody: %v", got)
	}
}

func TestVerdicts(t *testing.T) {
	var r report
	r.atMost("within", 1, 1.3, "×")
	r.atMost("beyond", 1.31, 1.3, "×")
	r.atMost("not measured", 0, 1.3, "×")
	r.atLeast("enough", 3, 3, "×")
	r.atLeast("too little", 2.9, 3, "×")
	r.none("none", 0)
	r.none("some", 1)
	var passed []string
	for _, v := range r.verdicts {
		if v.pass {
			passed = append(passed, v.what)
		}
	}
	if want := []string{"within", "enough", "none"}; !slices.Equal(passed, want) {
		t.Errorf("%q pass", passed)
	}
	if err := missed([]*report{&r}); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("%v", err)
	}
	if err := missed(nil); err != nil {
		t.Error(err)
	}
}

func TestCasesAreChosenByName(t *testing.T) {
	chosen, err := chooseCases("latency-1,fanout-1k-30")
	if err != nil || len(chosen) != 2 || chosen[0].name != "latency-1" {
		t.Errorf("%v, %v", chosen, err)
	}
	if all, err := chooseCases(""); err != nil || len(all) != len(cases()) {
		t.Errorf("%d, %v", len(all), err)
	}
	if _, err := chooseCases("latency-2"); err == nil {
		t.Error("a case that there is not")
	}
}

func TestOnlyTheSectionIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "figures.md")
	if err := os.WriteFile(path, []byte("# By hand\n\nBefore.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	reports := []*report{{
		name: "fanout-1k-30", about: "one", columns: []string{"", "µs"}, rows: [][]string{{"a", "1"}}, bars: []bar{{"a < b", 1}, {ours, 200}, {"none", 0}},
	}}
	for _, figure := range []float64{1, 2} {
		reports[0].verdicts = nil
		reports[0].atMost("figure", figure, 1, "×")
		if err := writeMarkdown(path, settings{repetitions: 3}, machine{when: "today"}, reports); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if figure == 1 {
			// What comes after stays too.
			text = append(text, "\nAfter.\n"...)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got := string(text)
		if !strings.HasPrefix(got, "# By hand\n\nBefore.\n\n<!--") || !strings.HasSuffix(got, "\nAfter.\n") ||
			strings.Count(got, "2×") != 1 || strings.Contains(got, "pass") || strings.Count(got, generatedBegin) != 1 {
			t.Errorf("%s", got)
		}
	}
	if _, err := replaceSection([]byte("x\n"+generatedBegin+"\n"), nil); err == nil {
		t.Error("a section without an end was replaced")
	}
	drawing, err := os.ReadFile(filepath.Join(filepath.Dir(path), "figures.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(strings.NewReader(string(drawing))); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, drawing)
		}
	}
}

func TestEveryCaseWithBarsHasAUnit(t *testing.T) {
	known := units()
	for name := range known {
		if !slices.Contains(caseNames(), name) {
			t.Errorf("no case %s", name)
		}
	}
	if len(known) != len(cases())-len([]string{"stalled", "silent", "churn"}) {
		t.Errorf("%d of %d cases have a unit", len(known), len(cases()))
	}
}

func TestAStackBelongsToItsInnermostPart(t *testing.T) {
	stack := func(functions ...string) *profile.Sample {
		s := &profile.Sample{}
		for _, name := range functions {
			s.Location = append(s.Location, &profile.Location{Line: []profile.Line{{Function: &profile.Function{Name: name}}}})
		}
		return s
	}
	for want, s := range map[string]*profile.Sample{
		"wake-up":              stack("runtime.futex", "runtime.ready", "google.golang.org/grpc/internal/transport.(*recvBuffer).put"),
		"receive":              stack("syscall.Syscall", "internal/poll.(*FD).Read", "google.golang.org/grpc/internal/transport.(*http2Client).reader"),
		"write":                stack("syscall.write", "internal/poll.(*FD).Write", "net/http.(*checkConnErrorWriter).Write"),
		"transcode and render": stack("runtime.memmove", "github.com/ssebridge/ssebridge/bridge/internal/transcode.(*Plan).Append", "github.com/ssebridge/ssebridge/upstream.(*Stream).Next"),
		other:                  stack("main.main"),
	} {
		if got := partOf(parts(), s); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
