package bridge_test

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// both are the keys of a route whose ids are positions, and of one whose ids are cursors.
var both = map[string]string{"positions": "", "cursors": "event: {id: seq}"}

func onBoth(t *testing.T, keys string, play func(t *testing.T, w *world)) {
	t.Helper()
	for name, ids := range both {
		t.Run(name, func(t *testing.T) {
			inWorld(t, feedRoute(strings.Trim(ids+", "+keys, ", ")), play)
		})
	}
}

// The id of stream-open skips no event.
func TestAClientThatReconnectsWithinLingerMissesNothing(t *testing.T) {
	onBoth(t, "", func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 2)
		expect(t, c, "open 1 2")
		id := c.Snapshot().LastEventID
		c.Close()
		rpc.count(3, 4)
		time.Sleep(29 * time.Second) // linger is 30s
		c.Reconnect()
		expect(t, c, "open 1 2 open 3 4")
		if open := c.Snapshot().Events[3]; open.ID != id {
			t.Errorf("stream-open has the id %q, want the client's own, %q", open.ID, id)
		}

		// The same position by each name of the id. The header is the browser's own, and has precedence.
		escaped := url.QueryEscape(id)
		for _, path := range []string{"/feed?last_event_id=" + escaped, "/feed?lastEventId=" + escaped} {
			expect(t, w.listen(path, ssetest.Options{}), "open 3 4")
		}
		newest := c.Snapshot().LastEventID
		expect(t, w.listen("/feed?last_event_id="+escaped, ssetest.Options{LastEventID: newest}), "open")
		expect(t, w.listen("/feed", ssetest.Options{LastEventID: id, H2C: true}), "open 3 4")
		w.noRPC()
	})
}

// Clients that use fetch do so.
func TestAClientResumesByPost(t *testing.T) {
	onBoth(t, "methods: [POST]", func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{Method: http.MethodPost, Body: `{"topic":"a"}`})
		rpc := w.rpc()
		rpc.count(1, 3)
		expect(t, c, "open 1 2 3")
		first := c.Snapshot().Events[1].ID
		again := w.listen("/feed", ssetest.Options{Method: http.MethodPost, Body: ` {"topic": "a"}`, LastEventID: first})
		expect(t, again, "open 2 3")
		other := w.listen("/feed", ssetest.Options{Method: http.MethodPost, Body: `{"topic":"b"}`, LastEventID: first})
		w.rpc().count(1, 1)
		expect(t, other, strangerGap(t)+" 1")
	})
}

func TestAClientThatReconnectsAfterLingerIsSentAGap(t *testing.T) {
	onBoth(t, "replay: {linger: 10s}", func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 2)
		expect(t, c, "open 1 2")
		id := c.Snapshot().LastEventID
		c.Close()
		synctest.Wait()
		left := time.Now()
		<-rpc.Gone
		if lingered := time.Since(left); lingered != 10*time.Second {
			t.Errorf("the RPC was cancelled %v after the last client left, want 10s", lingered)
		}
		c.Reconnect()
		w.rpc().count(7, 8)
		expect(t, c, "open 1 2 gap:forgotten 7 8")
		gap := c.Snapshot().Events[3]
		if want := `{"reason":"forgotten","lastEventId":"` + id + `","resumedFrom":"` + gap.ID + `"}`; gap.Data != want {
			t.Errorf("the gap says %s, want %s", gap.Data, want)
		}
		if !gap.HasRetry {
			t.Error("the first block has no retry")
		}
	})
}

// The id of a gap is the position from which the stream continues, so a cut behind it loses nothing.
func TestAClientResumesAtAGap(t *testing.T) {
	onBoth(t, "replay: {linger: 10s}", func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{LastEventID: "NOSUCHEPOCHNOSUCHEPOCHNOSU-5"})
		rpc := w.rpc()
		rpc.accept()
		expect(t, c, strangerGap(t))
		c.Close()
		rpc.count(1, 2)
		c.Reconnect()
		expect(t, c, strangerGap(t)+" open 1 2")
	})
}

// The later events are sent.
func TestEventsThatHaveLeftTheLogAreAGap(t *testing.T) {
	for _, test := range []struct {
		name, replay string
		pad          int // bytes of padding in each message
		want         string
	}{
		{"by events", "events: 3", 0, "7 8 9"},
		{"by bytes", "bytes: 1KiB", 400, "8 9"},
		{"by age", "age: 1m", 0, "8 9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			onBoth(t, "replay: {"+test.replay+"}", func(t *testing.T, w *world) {
				c := w.listen("/feed", ssetest.Options{})
				stays := w.listen("/feed", ssetest.Options{})
				rpc := w.rpc()
				send := func(first, last int64) {
					for seq := first; seq <= last; seq++ {
						rpc.send(&testv1.FeedEvent{Seq: seq, Kind: strings.Repeat("x", test.pad)})
						synctest.Wait()
					}
				}
				send(1, 1)
				expect(t, c, "open 1")
				c.Close()
				send(2, 7)
				time.Sleep(2 * time.Minute)
				send(8, 9)
				expect(t, stays, "open 1 2 3 4 5 6 7 8 9")
				c.Reconnect()
				expect(t, c, "open 1 gap:expired "+test.want)

				// The id of the newest evicted frame is not a gap: no later frame is missing.
				again := w.listen("/feed", ssetest.Options{LastEventID: c.Snapshot().Events[2].ID})
				expect(t, again, "open "+test.want)
				w.noRPC()
			})
		})
	}
}

// This holds for every method and every name of the id. Such an id causes no error, and is never logged raw.
func TestIDsThatNoBridgeWroteAreGaps(t *testing.T) {
	epoch := strings.Repeat("A", 26)
	for _, id := range []string{
		"x", "-", "~", "~~", "%", "%%", "%4", "%zz", "%00", "%0d%0aevent: x", "~end~", "0~end~1", "a~0~end~0", "~e-1", "~" + epoch + "-x",
		epoch + "-1", epoch + "-", epoch + "--1", epoch + "-01", epoch + "-18446744073709551615", epoch + "-18446744073709551616", "~" + epoch + "-0",
		"1~1", "1~-1", "1~99999999999999999999", "\u00e9\u20ac", "\xff\xfe", "a\tb", `"}]`, `<script>`, strings.Repeat("z", 5000),
		strings.Repeat("%7E", 20000), strings.Repeat("\xff", 20000), strings.Repeat("~", 60000),
	} {
		name := id
		if len(name) > 30 {
			name = name[:30] + "…"
		}
		t.Run(name, func(t *testing.T) {
			onBoth(t, "methods: [GET, POST]", func(t *testing.T, w *world) {
				want := "gap:forgotten"
				if strings.HasSuffix(t.Name(), "/cursors") && cursorLike(id) {
					want = "gap:restarted" // the id may be of another bridge
				}
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					byHeader := w.listen("/feed", ssetest.Options{Method: method, LastEventID: id})
					w.Stage.take()
					byHeader.AwaitEvents(1)
					expect(t, byHeader, want)
					if query := "/feed?last_event_id=" + url.QueryEscape(id); len(query) < 60<<10 {
						expect(t, w.listen(query, ssetest.Options{Method: method}), want)
					}
				}
				if logged := w.Logged.String(); strings.ContainsAny(logged, "\x00\t") || !utf8.ValidString(logged) || len(logged) > 10_000 {
					t.Errorf("an id was logged: %.1000q", logged)
				}
			})
		})
	}
}

// strangerGap returns the reason that a client gets for an id that its topic never had. For a
// position a bridge knows whether it wrote it, for another topic or never; for a cursor it does
// not.
func strangerGap(t *testing.T) string {
	t.Helper()
	if strings.HasSuffix(t.Name(), "/cursors") {
		return "gap:restarted"
	}
	return "gap:forgotten"
}

// cursorLike reports whether an id may be a cursor of a backend, with or without an ordinal.
func cursorLike(id string) bool {
	base, ordinal, counted := strings.Cut(id, "~")
	_, err := url.PathUnescape(base)
	n, numberErr := strconv.ParseUint(ordinal, 10, 64)
	return base != "" && err == nil && (!counted || numberErr == nil && n > 0) && len(url.PathEscape(base)) < 4000
}

// take receives all RPCs that a test does not play.
func (s *stage) take() {
	for {
		select {
		case <-s.calls:
		default:
			return
		}
	}
}

func TestIDsThatOnlyAQueryCanCarryAreGaps(t *testing.T) {
	for _, id := range []string{"\x00", "a\r\nid: 5\r\n\r\ndata: forged", "\n", "\x1b[31m", "\x7f", " ", "a\u2028b"} {
		t.Run(url.QueryEscape(id), func(t *testing.T) {
			onBoth(t, "methods: [GET, POST]", func(t *testing.T, w *world) {
				c := w.listen("/feed?lastEventId="+url.QueryEscape(id), ssetest.Options{})
				c.AwaitEvents(1)
				expect(t, c, strangerGap(t))
				if strings.Contains(transcript(c.Snapshot()), "\ndata: forged") {
					t.Error("the id forged an event")
				}
			})
		})
	}
}

func TestEmptyIDsAreAFreshStart(t *testing.T) {
	onBoth(t, "", func(t *testing.T, w *world) {
		for _, path := range []string{"/feed", "/feed?last_event_id=", "/feed?last_event_id=~0", "/feed?lastEventId=&last_event_id="} {
			c := w.listen(path, ssetest.Options{})
			c.AwaitEvents(1)
			expect(t, c, "open")
		}
		c := w.listen("/feed", ssetest.Options{LastEventID: "~0"})
		c.AwaitEvents(1)
		expect(t, c, "open")
	})
}

// The status is that of any head that is too large.
func TestAnIDOverRequestBytesIsRefused(t *testing.T) {
	onBoth(t, "", func(t *testing.T, w *world) {
		id := strings.Repeat("z", 100<<10)
		if got := w.do(http.MethodGet, "/feed", "", "Last-Event-ID", id); got.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("got %d", got.Status)
		}
		if got := w.do(http.MethodGet, "/feed?last_event_id="+id, ""); got.Status != http.StatusRequestURITooLong {
			t.Errorf("got %d", got.Status)
		}
		w.noRPC()
	})
}

// Hardening: guessed ids do not reveal events of another topic.
func TestAPositionOfAnotherTopicIsAGap(t *testing.T) {
	inWorld(t, feedRoute("request: {query: true}"), func(t *testing.T, w *world) {
		mine := w.listen("/feed?topic=a", ssetest.Options{})
		w.rpc().count(1, 3)
		expect(t, mine, "open 1 2 3")
		id := mine.Snapshot().Events[1].ID
		other := w.listen("/feed?topic=b", ssetest.Options{LastEventID: id})
		w.rpc().count(7, 7)
		expect(t, other, "gap:forgotten 7")
	})
}

// Rule 1 of docs/resuming.md: they are counted from the last message with a cursor, and clients can resume at each.
func TestMessagesWithoutACursorHaveOrdinals(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.send(
			&testv1.FeedEvent{Kind: "a"}, &testv1.FeedEvent{Seq: 5, Kind: "b"}, &testv1.FeedEvent{Kind: "c"},
			&testv1.FeedEvent{Kind: "d"}, &testv1.FeedEvent{Seq: 6, Kind: "e"}, &testv1.FeedEvent{Kind: "f"},
		)
		events := c.AwaitEvents(7)
		var ids []string
		for _, event := range events {
			ids = append(ids, canonical(event.ID))
		}
		if got := strings.Join(ids, " "); got != "~EPOCH-0 ~EPOCH-1 5 5~1 5~2 6 6~1" {
			t.Fatalf("the ids are %s", got)
		}
		for i, event := range events {
			again := w.listen("/feed", ssetest.Options{LastEventID: event.ID})
			synctest.Wait()
			seen := again.Snapshot()
			if len(seen.Events) != 7-i || seen.Events[0].Name != "stream-open" || seen.Events[0].ID != event.ID {
				t.Fatalf("resumed at %q: %s", event.ID, seen)
			}
			for k, got := range seen.Events[1:] {
				if got.Data != events[i+1+k].Data || got.ID != events[i+1+k].ID {
					t.Errorf("resumed at %q: %s", event.ID, seen)
				}
			}
		}
		w.noRPC()
	})
}

// Rule 2: stream-open has that id.
func TestTheIDOfTheLastEvictedFrameResumes(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}, join: held, replay: {events: 2}"), func(t *testing.T, w *world) {
		first := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 3)
		expect(t, first, "open 1 2 3")
		c := w.listen("/feed", ssetest.Options{})
		expect(t, c, "open 2 3")
		if id := c.Snapshot().Events[0].ID; id != "1" {
			t.Errorf("stream-open has the id %q, want that of the message evicted last", id)
		}
		expect(t, w.listen("/feed", ssetest.Options{LastEventID: "1"}), "open 2 3")
		rpc.count(4, 4)
		expect(t, w.listen("/feed", ssetest.Options{LastEventID: "1"}), "gap:expired 3 4")
	})
}

// Rule 3: there is none until a message has one. An untranscodable message is only counted.
func TestThereIsNoCursorAfterAnUpstreamGap(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 1)
		rpc.send(unknownAny("") /* has no cursor */, &testv1.FeedEvent{Kind: "k"})
		rpc.end(status.Error(codes.Unavailable, "restarting"))
		w.rpc().send(&testv1.FeedEvent{Kind: "k"}, &testv1.FeedEvent{Seq: 9})
		events := c.AwaitEvents(7)
		var got []string
		for _, event := range events {
			got = append(got, word(event)+" "+canonical(event.ID))
		}
		want := `open ~EPOCH-0|1 1|gap:untranscodable 1~1|{"kind":"k"} 1~2|` +
			`gap:upstream ~EPOCH-4|{"kind":"k"} ~EPOCH-5|9 9`
		if strings.Join(got, "|") != want {
			t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
		}
		// Clients can resume at positions after the gap.
		expect(t, w.listen("/feed", ssetest.Options{LastEventID: events[4].ID}), `open {"kind":"k"} 9`)
		expect(t, w.listen("/feed", ssetest.Options{LastEventID: events[5].ID}), "open 9")
	})
}

// Rule 4: a client that was cut before the first message does not skip the gap.
func TestAGapIsAPositionInTheLog(t *testing.T) {
	onBoth(t, "", func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		other := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.accept()
		expect(t, c, "open")
		c.Close() // its position is before the first message
		rpc.count(1, 1)
		rpc.end(status.Error(codes.Unavailable, "restarting"))
		w.rpc().count(7, 7)
		expect(t, other, "open 1 gap:upstream 7")
		c.Reconnect()
		expect(t, c, "open open 1 gap:upstream 7")
	})
}

// Rule 7.
func TestARepeatedCursorResumesAtItsNewestFrame(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		for _, seq := range []int64{1, 2, 1, 3} {
			rpc.count(seq, seq)
		}
		expect(t, c, "open 1 2 1 3")
		expect(t, w.listen("/feed", ssetest.Options{LastEventID: "1"}), "open 3")
	})
}

// A client or proxy may escape more than it has to. stream-open has the bridge's spelling.
func TestAnIDWithUnneededEscapesResumes(t *testing.T) {
	inWorld(t, feedRoute("event: {id: cursor}"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		w.rpc().send(&testv1.FeedEvent{Cursor: "a~b c", Seq: 1}, &testv1.FeedEvent{Cursor: "d", Seq: 2})
		expect(t, c, "open 1 2")
		for _, id := range []string{"a%7Eb c", "a%7eb%20c", "%61%7Eb c"} {
			again := w.listen("/feed", ssetest.Options{LastEventID: id})
			expect(t, again, "open 2")
			if got := again.Snapshot().Events[0].ID; got != "a%7Eb c" {
				t.Errorf("stream-open repeats %q as %q", id, got)
			}
		}
	})
}

// Rule 14: by cursor only until a new log begins, by its own positions as long as it exists. A
// client without an id opens a new log.
func TestAFinishedLogServesItsTailForLinger(t *testing.T) {
	onBoth(t, "replay: {linger: 30s}", func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.accept()
		start := c.AwaitEvents(1)[0].ID
		rpc.count(1, 2)
		rpc.end(nil)
		_ = c.AwaitEnd()
		expect(t, c, "open 1 2 end")
		first := c.Snapshot().Events[1].ID

		expect(t, w.listen("/feed", ssetest.Options{LastEventID: first}), "open 2 end")
		expect(t, w.listen("/feed", ssetest.Options{LastEventID: start}), "open 1 2 end")
		w.noRPC()

		fresh := w.listen("/feed", ssetest.Options{})
		w.rpc().count(1, 1)
		expect(t, fresh, "open 1")

		expect(t, w.listen("/feed", ssetest.Options{LastEventID: start}), "open 1 2 end")
		again := w.listen("/feed", ssetest.Options{LastEventID: first})
		if first == "1" { // the new log has the cursor, too
			expect(t, again, "open")
		} else {
			expect(t, again, "open 2 end")
		}
		time.Sleep(31 * time.Second)
		expect(t, w.listen("/feed", ssetest.Options{LastEventID: start}), "gap:forgotten 1")
		w.noRPC()
	})
}

// Rule 15.
func TestNeverOpenedTopicsDoNotLinger(t *testing.T) {
	onBoth(t, "", func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		c.Close() // within open_grace
		left := time.Now()
		<-rpc.Gone
		if waited := time.Since(left); waited != 0 {
			t.Errorf("the RPC was cancelled after %v, want at once", waited)
		}
	})
}

func TestJoinDecidesWhereAClientWithoutAnIDStarts(t *testing.T) {
	for _, test := range []struct{ join, want string }{{"live", "open 4"}, {"held", "open 1 2 3 4"}} {
		t.Run(test.join, func(t *testing.T) {
			onBoth(t, "join: "+test.join, func(t *testing.T, w *world) {
				first := w.listen("/feed", ssetest.Options{})
				rpc := w.rpc()
				rpc.count(1, 3)
				expect(t, first, "open 1 2 3")
				second := w.listen("/feed", ssetest.Options{})
				second.AwaitEvents(1)
				rpc.count(4, 4)
				expect(t, second, test.want)

				// The client is cut before its first event, and reconnects to the same position.
				second.Close()
				again := w.listen("/feed", ssetest.Options{LastEventID: second.Snapshot().Events[0].ID})
				expect(t, again, test.want)
				w.noRPC()
			})
		})
	}
	t.Run("without ids", func(t *testing.T) {
		inWorld(t, feedRoute(`join: held, event: {id: ""}`), func(t *testing.T, w *world) {
			first := w.listen("/feed", ssetest.Options{NoIDs: true})
			rpc := w.rpc()
			rpc.count(1, 3)
			expect(t, first, "1 2 3")
			expect(t, w.listen("/feed", ssetest.Options{NoIDs: true, LastEventID: "whatever"}), "1 2 3")
		})
	})
}

// The backend answers before the client has its position.
func TestTheFirstClientMissesNothing(t *testing.T) {
	onBoth(t, "request: {query: true}, methods: [POST]", func(t *testing.T, w *world) {
		w.Stage.watch = numbers(3, nil)
		for i := range 300 {
			c := w.listen("/feed", ssetest.Options{Method: http.MethodPost, Body: `{"after":` + strings.Repeat("1", i%10+1) + `}`})
			if err := c.AwaitEnd(); err != io.EOF { //nolint:errorlint // exactly that is a clean end
				t.Fatal(err)
			}
			expect(t, c, "open 1 2 3 end")
		}
	})
}
