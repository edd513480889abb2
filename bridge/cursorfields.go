package bridge

import (
	"slices"
	"strings"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ssebridge/ssebridge/bridge/internal/route"
)

// CursorFields are two fields of an RPC by which a client could resume.
type CursorFields struct {
	ID    string // of the messages, for event.id
	Field string // of the request, for resume.field
}

// cursorName is what fields that carry a cursor of one kind are called.
type cursorName struct {
	names []string
	// alone says that a field of the request is a cursor without a word such as `after`.
	alone bool
}

// cursorNames returns the names of all kinds. Earlier ones are likelier, where the
// request's field does not say which it is, as in `after`.
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

// cursorFieldsOf guesses which fields of a method are its cursor: of one type, and with
// names that say the same, such as after_sequence and sequence.
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
			if rank := alike(string(takes.Name()), string(id.Name()), kind); rank > bestRank {
				best, bestRank = CursorFields{ID: string(id.Name()), Field: string(takes.Name())}, rank
			}
		}
	}
	return best
}

// alike says how likely a field of the request takes the value of a field of the
// messages, by their names; 0 is not at all.
func alike(takes, id string, kind route.CursorKind) int {
	const (
		sameName = 300 // after_seq and seq
		sameKind = 200 // after_seq and sequence
		unsaid   = 100 // after and seq
	)
	at := meaning(words(id))
	if at < 0 {
		return 0
	}
	asked := words(takes)
	rest := slices.DeleteFunc(slices.Clone(asked), isStartWord)
	switch {
	case meaning(asked) == at && cursorNames()[at].alone && takes != "token": // a token alone says who asks
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
		return unsaid - at
	default:
		return 0
	}
}

// meaning returns the index in cursorNames of a name's words, -1 where it has another
// meaning: room_id is not the id of a message, and event_id is.
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

// isStartWord reports whether a word in the name of a request's field says where to go on.
func isStartWord(word string) bool {
	return slices.Contains([]string{
		"after", "since", "from", "last", "start", "starting", "begin", "beginning", "resume", "past", "seen", "received", "known", "previous", "prev",
	}, word)
}

// words splits a name as protobuf or JSON writes it into its words, in lower case.
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
