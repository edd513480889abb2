package main

import "testing"

// TestTooFewFaults: a soak that has not tried a fault fails.
func TestTooFewFaults(t *testing.T) {
	s := &soak{settings: settings{faults: 3, each: 1}, faults: map[string]int{"a": 2}}
	if s.faultsFew() == nil {
		t.Error("2 faults are enough where 3 were to be")
	}
	s.did("a")
	if err := s.faultsFew(); err != nil {
		t.Error(err)
	}
	s.plan([]fault{{name: "b"}})
	if s.faultsFew() == nil {
		t.Error("a fault that never was is enough")
	}
}
