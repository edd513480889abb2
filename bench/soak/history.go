package main

import (
	"strconv"
	"strings"
	"time"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// history is a stream of messages that does not depend on its sender: the message at place
// i, from 1, is due at start + i × every. All backends with the same two values send the
// same messages, so that a new one can resume at the cursors of one that was killed.
type history struct {
	start time.Time
	every time.Duration
}

// due returns when the message at a place is due.
func (h history) due(place int64) time.Time { return h.start.Add(time.Duration(place) * h.every) }

// newest returns the place of the newest message at a time; 0 is before all.
func (h history) newest(now time.Time) int64 { return max(0, int64(now.Sub(h.start)/h.every)) }

// trimmed reports whether a backend that trims has forgotten the message at a
// place.
func (h history) trimmed(place int64, now time.Time) bool { return place <= h.newest(now)-kept }

// message returns the message at a place as a kind of stream sends it.
func (k kind) message(place int64) *testv1.FeedEvent {
	event := &testv1.FeedEvent{
		Body: &testv1.FeedEvent_Note{Note: &testv1.Note{Text: strconv.FormatInt(place, 10)}},
	}
	switch k.cursors {
	case eachHasSeq:
		event.Seq = place
	case someHaveSeq:
		if place%sparse == 0 {
			event.Seq = place
		}
	case eachHasToken:
		event.Cursor = token(place)
	case groupsHaveToken:
		event.Cursor = token(place / group)
	}
	weight := k.weight
	if k.bulky {
		weight = ballast
	}
	event.Kind = strings.Repeat("x", weight)
	return event
}

// helloText is the text of a message that begins an RPC and has no place.
const helloText = "hello"

// helloMessage begins every RPC of some kinds. Its position among the messages differs from
// RPC to RPC, so it must not count.
func helloMessage() *testv1.FeedEvent {
	return &testv1.FeedEvent{Body: &testv1.FeedEvent_Note{Note: &testv1.Note{Text: helloText}}}
}

// after returns the place that follows a request's cursor, or ok = false where
// the request has none or one that was never given out.
func (k kind) after(request *testv1.WatchRequest) (place int64, ok bool) {
	text := request.GetKinds().GetStringValue()
	switch number, valid := parseToken(text); {
	case request.GetAfter() > 0:
		return request.GetAfter() + 1, true
	case text == "" || !valid:
		return 0, false
	case k.cursors == groupsHaveToken:
		return (number + 1) * group, true
	default:
		return number, true // inclusive: the cursor's own message comes again
	}
}

// token is a cursor that only the backend can read.
func token(number int64) string { return "at " + strconv.FormatInt(number, 36) }

func parseToken(text string) (number int64, ok bool) {
	if len(text) < len("at ") || text[:len("at ")] != "at " {
		return 0, false
	}
	number, err := strconv.ParseInt(text[len("at "):], 36, 64)
	return number, err == nil
}
