//go:build race

package main

// raceEnabled has the bridge built as the test is.
const raceEnabled = true
