package main

import (
	"strconv"
	"strings"
)

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

// hasNoCursor reports whether an id of a route with cursors is a position in a
// log, which is as good as that log.
func hasNoCursor(id string) bool { return strings.HasPrefix(id, "~") }

func noPlace(string) (place int64, ok bool) { return 0, false }

func seqPlace(id string) (place int64, ok bool) {
	cursor, n, ok := cut(id)
	seq, err := strconv.ParseInt(cursor, 10, 64)
	return seq + n, ok && err == nil
}

// basePlace counts nothing that has no cursor.
func basePlace(id string) (place int64, ok bool) {
	cursor, _, _ := strings.Cut(id, "~")
	return seqPlace(cursor)
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

// position returns the seq of an id that is a position in a log.
func position(id string) (seq uint64, ok bool) {
	epoch, digits, found := strings.Cut(strings.TrimPrefix(id, "~"), "-")
	if !found || len(epoch) != 26 {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	return seq, err == nil
}
