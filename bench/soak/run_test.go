package main

import "testing"

// TestPorts: none is given twice, though all are free again at once.
func TestPorts(t *testing.T) {
	free, seen := newPorts(1), map[string]bool{}
	for range 500 {
		address := free.next()
		if seen[address] {
			t.Fatalf("%s is given twice", address)
		}
		seen[address] = true
	}
}

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
