package bridge

import (
	"slices"
	"strings"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ssebridge/ssebridge/bridge/internal/route"
)

// CursorFields are the two fields of an RPC by which clients could resume.
type CursorFields struct {
	ID    string // field of the messages, for event.id
	Field string // field of the request, for resume.field
}

// cursorName lists the usual names of cursor fields of one meaning.
type cursorName struct {
	names []string
	// alone is set if such a name is a cursor in a request even without a word such as `after`.
	alone bool
}

// cursorNames returns the names of all meanings. If the request's field is just `after` or the
// like, earlier meanings are more likely.
func cursorNames() []cursorName {
	return []cursorName{
		{[]string{"seq", "sequence", "seqno", "seq_no", "seqnum", "seq_num", "seq_id", "sequence_id", "sequence_no", "sequence_number"}, true},
		{[]string{"cursor"}, true},
		{[]string{"resume_token", "continuation_token", "continue_token", "sync_token", "page_token", "next_page_token", "token"}, true},
		{[]string{"offset"}, true},
		{[]string{"position", "pos"}, true},
		{[]string{"checkpoint"}, true},
		{[]string{"revision", "rev"}, true},
		{[]string{"resource_version", "version", "ver"}, false},
		{[]string{"id", "uuid", "ulid"}, false},
		{[]string{"number"}, false},
		{[]string{"index", "idx"}, false},
		{[]string{
			"time", "timestamp", "ts", "at", "created_at", "create_time", "occurred_at", "published_at", "publish_time", "updated_at", "update_time",
		}, false},
	}
}

// cursorFieldsOf guesses the cursor fields of a method: two fields of the same type whose
// names match, such as after_sequence and sequence.
func cursorFieldsOf(method protoreflect.MethodDescriptor) CursorFields {
	best, bestRank := CursorFields{}, 0
	requests, events := method.Input().Fields(), method.Output().Fields()
	for i := range requests.Len() {
		takes := requests.Get(i)
		kind, ok := route.CursorKindOf(takes)
		if !ok {
			continue
		}
		for j := range events.Len() {
			id := events.Get(j)
			if has, ok := route.CursorKindOf(id); !ok || has != kind || id.Message() != nil && kind != route.CursorTimestamp {
				continue
			}
			if rank := matchRank(string(takes.Name()), string(id.Name()), kind); rank > bestRank {
				best, bestRank = CursorFields{ID: string(id.Name()), Field: string(takes.Name())}, rank
			}
		}
	}
	return best
}

// matchRank returns how well the name of a request's field matches that of a message's field.
// 0 means that they do not match.
func matchRank(takes, id string, kind route.CursorKind) int {
	const (
		sameName = 300 // after_seq and seq
		sameKind = 200 // after_seq and sequence
		noName   = 100 // after and seq
	)
	at := meaning(words(id))
	if at < 0 {
		return 0
	}
	asked := words(takes)
	rest := slices.DeleteFunc(slices.Clone(asked), isStartWord)
	switch {
	case meaning(asked) == at && cursorNames()[at].alone && takes != "token": // a token alone is usually for authentication
		if takes == id {
			return sameName
		}
		return sameKind
	case len(rest) == len(asked):
		return 0
	case len(rest) > 0:
		if meaning(rest) != at {
			return 0
		}
		if slices.Equal(rest, words(id)) {
			return sameName
		}
		return sameKind
	case takes == "after", takes == "since", kind != route.CursorString && (takes == "from" || takes == "start"):
		return noName - at
	default:
		return 0
	}
}

// meaning returns the index in cursorNames of a name, given by its words, or -1. Only an id of
// a message counts: event_id does, room_id does not.
func meaning(name []string) int {
	for len(name) > 1 && slices.Contains([]string{"event", "message", "msg", "record", "entry", "change", "log", "stream"}, name[0]) {
		name = name[1:]
	}
	joined := strings.Join(name, "_")
	for i, c := range cursorNames() {
		if slices.Contains(c.names, joined) {
			return i
		}
	}
	return -1
}

// isStartWord reports whether a word in the name of a request's field denotes a start
// position.
func isStartWord(word string) bool {
	return slices.Contains([]string{
		"after", "since", "from", "last", "start", "starting", "begin", "beginning", "resume", "past", "seen", "received", "known", "previous", "prev",
	}, word)
}

// words splits a name in snake_case or camelCase into words in lower case.
func words(name string) []string {
	var b strings.Builder
	lower := false
	for _, r := range name {
		if unicode.IsUpper(r) && lower {
			b.WriteByte('_')
		}
		lower = unicode.IsLower(r) || unicode.IsDigit(r)
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.FieldsFunc(b.String(), func(r rune) bool { return r == '_' })
}
