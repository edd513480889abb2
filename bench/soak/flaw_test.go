package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFlaws: a configuration is good, and each flaw makes it one that is refused, but
// for the one that only the schema tells.
func TestFlaws(t *testing.T) {
	words := map[string]string{
		"cut short": "end token", "an unknown key": "rotues", "an upstream that is none": "no upstream", "two routes for one request": "/flaw",
	}
	s := newSoak(settings{kinds: allKinds(), clients: 100, every: time.Second})
	f := newFile(filepath.Join(t.TempDir(), "bridge"), false)
	check := func(text string) (says string, err error) {
		if err := f.put(text); err != nil {
			t.Fatal(err)
		}
		output, err := exec.Command(built(t), "check", "--config", f.path).CombinedOutput()
		return string(output), err
	}
	b := &bridge{listen: "127.0.0.1:1", target: "127.0.0.1:2", version: 1}
	good := s.configuration(b)
	if says, err := check(good); err != nil {
		t.Fatalf("without a flaw: %s\n%s", says, good)
	}
	for _, flaw := range flaws() {
		says, err := check(flaw.spoil(good))
		if word := words[flaw.name]; (err == nil) != (word == "") || !strings.Contains(says, word) {
			t.Errorf("%s: %v, %q is missing:\n%s", flaw.name, err, word, says)
		}
	}
}

// TestFlawIsOfTheNextVersion: a part of a broken file that is taken over would be noticed.
func TestFlawIsOfTheNextVersion(t *testing.T) {
	s := newSoak(settings{kinds: allKinds(), clients: 100, every: time.Second})
	b := &bridge{listen: "127.0.0.1:1", target: "127.0.0.1:2"}
	now := s.configuration(b)
	b.version++
	if s.configuration(b) == now {
		t.Error("two versions are the same")
	}
}
