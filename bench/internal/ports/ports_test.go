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
