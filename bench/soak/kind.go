package main

import (
	"slices"
	"strconv"
	"strings"
)

const (
	// sparse: one message of so many has a cursor, where not all have.
	sparse = 4
	// group: so many messages share a cursor, where cursors repeat.
	group = 3
	// before: so many messages of the past begin an RPC that has history.
	before = 20
)

// cursors says which messages of a stream carry what cursor.
type cursors int

const (
	eachHasSeq      cursors = iota // an integer
	someHaveSeq                    // an integer, one message of four
	eachHasToken                   // an opaque text
	groupsHaveToken                // an opaque text, three messages the same
)

// kind is a kind of route, and of the stream behind it.
type kind struct {
	name    string
	cursors cursors
	// keys is the route's configuration but path, rpc and upstream.
	keys string
	// history: an RPC without a cursor begins with some messages of the past.
	history bool
	// excused are the reasons of gaps that the kind has to put up with when
	// bridges are killed and RPCs are lost. Where no cursor has come yet, that
	// is every kind: only the log knows such a client's place.
	excused []string
	// place is the place that an id names, ok = false where ids name none.
	place func(id string) (place int64, ok bool)
}

// The logs of routes whose ids only a log knows hold more than any fault
// lasts. Those of the others hold little, so that who comes back often finds
// that its cursor has left them.
const (
	longLog  = "replay: {events: 8192, linger: 60s}"
	shortLog = "replay: {events: 12, linger: 2s}"
)

// allKinds are the kinds of routes that a soak has.
func allKinds() []kind {
	return []kind{
		{name: "positions", keys: longLog, excused: lost(), place: noPlace},
		{name: "ids", keys: longLog + ", event: {id: seq}", excused: lost(), place: seqPlace},
		{name: "exclusive", keys: shortLog + ", event: {id: seq}, resume: {field: after}", place: seqPlace},
		{
			name: "sparse", cursors: someHaveSeq, place: seqPlace,
			keys: shortLog + ", event: {id: seq}, resume: {field: after}",
		},
		{
			name: "inclusive", cursors: eachHasToken, place: tokenPlace,
			keys: shortLog + ", event: {id: cursor}, resume: {field: kinds.string_value, inclusive: true}",
		},
		{
			name: "repeats", cursors: groupsHaveToken, place: groupPlace,
			keys: shortLog + ", event: {id: cursor, cursor: repeats}, resume: {field: kinds.string_value}",
		},
		{
			name: "own", history: true, place: seqPlace,
			keys: shortLog + ", event: {id: seq}, resume: {field: after}, join: own",
		},
	}
}

// kindOf returns the kind of a topic, which is <kind>-<room>.
func kindOf(topic string) (kind, bool) {
	name, _, _ := strings.Cut(topic, "-")
	kinds := allKinds()
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, false
	}
	return kinds[i], true
}

// excuses reports whether a gap is one that the kind has to put up with, told
// to a client with the given last id.
func (k kind) excuses(reason, lastID string) bool {
	if k.resumes() && strings.HasPrefix(lastID, "~") {
		return reason == "expired" || slices.Contains(lost(), reason) // its log is short
	}
	return slices.Contains(k.excused, reason)
}

// resumes reports whether a cursor is all that a client needs.
func (k kind) resumes() bool { return k.excused == nil }

// lost are the gaps of those whose place only a bridge, or an RPC, has known.
func lost() []string { return []string{"restarted", "upstream"} }

// cut takes an id apart: <cursor>~n. An id that is a position in a log has no
// cursor.
func cut(id string) (cursor string, n int64, ok bool) {
	cursor, digits, counted := strings.Cut(id, "~")
	if cursor == "" {
		return "", 0, false
	}
	if counted {
		var err error
		if n, err = strconv.ParseInt(digits, 10, 64); err != nil {
			return "", 0, false
		}
	}
	return cursor, n, true
}

func noPlace(string) (place int64, ok bool) { return 0, false }

func seqPlace(id string) (place int64, ok bool) {
	cursor, n, ok := cut(id)
	seq, err := strconv.ParseInt(cursor, 10, 64)
	return seq + n, ok && err == nil
}

func tokenPlace(id string) (place int64, ok bool) {
	cursor, n, ok := cut(id)
	number, valid := parseToken(cursor)
	return number + n, ok && valid
}

// groupPlace counts from the last message of the cursor's group.
func groupPlace(id string) (place int64, ok bool) {
	cursor, n, ok := cut(id)
	number, valid := parseToken(cursor)
	return number*group + group - 1 + n, ok && valid
}
