package bridge_test

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// opened is the first block of a route with ids.
func opened(id string) string { return "retry: N\nid: " + id + "\nevent: stream-open\ndata: {}\n\n" }

// ended is the last block of a stream.
func lastBlock(id string) string { return "id: " + id + "\nevent: stream-end\ndata: {}\n\n" }

// Whole streams are compared, from the first byte to the last.
func TestBytesOfAStream(t *testing.T) {
	note := &testv1.FeedEvent{Seq: 7, Kind: "tick", Body: &testv1.FeedEvent_Note{Note: &testv1.Note{Text: "a\nb"}}}
	failed := &testv1.FeedEvent{Seq: 8, Body: &testv1.FeedEvent_Error{Error: "disk"}}
	for _, test := range []struct {
		name, keys string
		events     []*testv1.FeedEvent
		want       string
	}{
		{
			"positions", "retry: 3s",
			[]*testv1.FeedEvent{{Seq: 7}, {Kind: "é"}},
			opened("EPOCH-0") + "id: EPOCH-1\ndata: {\"seq\":\"7\"}\n\nid: EPOCH-2\ndata: {\"kind\":\"é\"}\n\n" + lastBlock("EPOCH-2~end"),
		},
		{
			"an empty stream", "retry: 3s", nil,
			opened("EPOCH-0") + lastBlock("EPOCH-0~end"),
		},
		{
			"a message of defaults", "retry: 3s",
			[]*testv1.FeedEvent{{}},
			opened("EPOCH-0") + "id: EPOCH-1\ndata: {}\n\n" + lastBlock("EPOCH-1~end"),
		},
		{
			"no ids", `event: {id: ""}`,
			[]*testv1.FeedEvent{{Seq: 7}},
			": ok\nretry: N\ndata: {\"seq\":\"7\"}\n\n" + lastBlock("~end"),
		},
		{
			"no ids, and a literal at the end", `event: {id: ""}, done: "[DONE]"`,
			[]*testv1.FeedEvent{{Seq: 7}},
			": ok\nretry: N\ndata: {\"seq\":\"7\"}\n\ndata: [DONE]\n\n" + lastBlock("~end"),
		},
		{
			"a literal with its final id", `done: "[DONE]"`,
			[]*testv1.FeedEvent{{Seq: 7}},
			opened("EPOCH-0") + "id: EPOCH-1\ndata: {\"seq\":\"7\"}\n\nid: EPOCH-1~end\ndata: [DONE]\n\n" + lastBlock("EPOCH-1~end"),
		},
		{
			"integer cursors", "event: {id: seq}",
			[]*testv1.FeedEvent{{Seq: 7}, {Kind: "no cursor"}, {Seq: 8}},
			opened("~EPOCH-0") + "id: 7\ndata: {\"seq\":\"7\"}\n\nid: 7~1\ndata: {\"kind\":\"no cursor\"}\n\nid: 8\ndata: {\"seq\":\"8\"}\n\n" + lastBlock("8~end"),
		},
		{
			"no cursor yet", "event: {id: seq}",
			[]*testv1.FeedEvent{{Kind: "a"}, {Kind: "b"}, {Seq: 1}},
			opened("~EPOCH-0") + "id: ~EPOCH-1\ndata: {\"kind\":\"a\"}\n\nid: ~EPOCH-2\ndata: {\"kind\":\"b\"}\n\nid: 1\ndata: {\"seq\":\"1\"}\n\n" + lastBlock("1~end"),
		},
		{
			"string cursors are escaped", "event: {id: cursor}",
			[]*testv1.FeedEvent{{Cursor: " 50%~é\r\n\x00 x "}, {Cursor: "plain space"}},
			opened("~EPOCH-0") +
				"id: %2050%25%7E%C3%A9%0D%0A%00 x%20\ndata: {\"cursor\":\" 50%~é\\r\\n\\u0000 x \"}\n\n" +
				"id: plain space\ndata: {\"cursor\":\"plain space\"}\n\n" + lastBlock("plain space~end"),
		},
		{
			"a cursor that looks final", "event: {id: cursor}",
			[]*testv1.FeedEvent{{Cursor: "a~end"}},
			opened("~EPOCH-0") + "id: a%7Eend\ndata: {\"cursor\":\"a~end\"}\n\n" + lastBlock("a%7Eend~end"),
		},
		{
			"bytes and timestamps as cursors", "event: {id: token, name: {field: kind}}",
			[]*testv1.FeedEvent{{Token: []byte{0xfb, 0xff, 0x00}, Kind: "k"}},
			opened("~EPOCH-0") + "id: -_8A\nevent: k\ndata: {\"token\":\"+/8A\",\"kind\":\"k\"}\n\n" + lastBlock("-_8A~end"),
		},
		{
			"a timestamp", "event: {id: at}",
			[]*testv1.FeedEvent{{At: &timestamppb.Timestamp{Seconds: 1, Nanos: 5e8}}},
			opened("~EPOCH-0") + "id: 1970-01-01T00:00:01.500Z\ndata: {\"at\":\"1970-01-01T00:00:01.500Z\"}\n\n" + lastBlock("1970-01-01T00:00:01.500Z~end"),
		},
		{
			"a constant name", "event: {name: price}",
			[]*testv1.FeedEvent{{Seq: 7}},
			opened("EPOCH-0") + "id: EPOCH-1\nevent: price\ndata: {\"seq\":\"7\"}\n\n" + lastBlock("EPOCH-1~end"),
		},
		{
			"a name from a field", "event: {name: {field: kind}, data: {field: seq}}",
			[]*testv1.FeedEvent{note, {Seq: 9, Kind: "stream-end"}, {Seq: 10, Kind: "a\r\nid: 5\x00"}, {Seq: 11}},
			opened("EPOCH-0") + "id: EPOCH-1\nevent: tick\ndata: \"7\"\n\nid: EPOCH-2\nevent: x-stream-end\ndata: \"9\"\n\n" +
				"id: EPOCH-3\nevent: aid: 5\ndata: \"10\"\n\nid: EPOCH-4\ndata: \"11\"\n\n" + lastBlock("EPOCH-4~end"),
		},
		{
			"name and data from a oneof", "event: {name: {oneof: body}, data: {oneof: body}}",
			[]*testv1.FeedEvent{note, failed},
			opened("EPOCH-0") + "id: EPOCH-1\nevent: note\ndata: {\"text\":\"a\\nb\"}\n\nid: EPOCH-2\nevent: x-error\ndata: \"disk\"\n\n" + lastBlock("EPOCH-2~end"),
		},
		{
			"an enum as the name", "event: {name: {field: level}, data: {field: level}, enum_numbers: true}",
			[]*testv1.FeedEvent{{Level: testv1.Level_LEVEL_WARNING}},
			opened("EPOCH-0") + "id: EPOCH-1\nevent: LEVEL_WARNING\ndata: 2\n\n" + lastBlock("EPOCH-1~end"),
		},
		{
			"defaults and the names of the proto file", "event: {data: {field: notes}, emit_defaults: true, proto_names: true}",
			[]*testv1.FeedEvent{{Notes: []*testv1.Note{{}}}},
			opened("EPOCH-0") + "id: EPOCH-1\ndata: [{\"text\":\"\"}]\n\n" + lastBlock("EPOCH-1~end"),
		},
		{
			"the last element's cursor", "event: {id: notes.text, data: {field: seq}}",
			[]*testv1.FeedEvent{{Seq: 1, Notes: []*testv1.Note{{Text: "a"}, {Text: "b"}}}, {Seq: 2}},
			opened("~EPOCH-0") + "id: b\ndata: \"1\"\n\nid: b~1\ndata: \"2\"\n\n" + lastBlock("b~1~end"),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, feedRoute(test.keys), func(t *testing.T, w *world) {
				c := w.listen("/feed", ssetest.Options{NoIDs: strings.Contains(test.keys, `id: ""`), Literals: []string{"[DONE]"}})
				rpc := w.rpc()
				rpc.send(test.events...)
				rpc.end(nil)
				if err := c.AwaitEnd(); err != io.EOF { //nolint:errorlint // exactly that is a clean end
					t.Errorf("the stream ended with %v", err)
				}
				if got := transcript(c.Snapshot()); got != test.want {
					t.Errorf("the stream was\n%s\nwant\n%s", got, test.want)
				}
			})
		})
	}
}

// The head is compared as bytes on the socket, because http.Client changes it.
func TestHeadOfAStream(t *testing.T) {
	inWorld(t, feedRoute("retry: 3s"), func(t *testing.T, w *world) {
		conn, err := w.front.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "GET /feed HTTP/1.1\r\nHost: bridge\r\nX-Request-Id: seven\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		w.rpc().accept()
		var head []string
		lines := bufio.NewScanner(conn)
		for lines.Scan() && lines.Text() != "" {
			if !strings.HasPrefix(lines.Text(), "Date: ") {
				head = append(head, lines.Text())
			}
		}
		want := "HTTP/1.1 200 OK|Cache-Control: no-cache, no-store, no-transform|Connection: close|" +
			"Content-Type: text/event-stream|Vary: Accept-Encoding|X-Accel-Buffering: no|X-Content-Type-Options: nosniff|X-Request-Id: seven|Transfer-Encoding: chunked"
		if got := strings.Join(head, "|"); got != want {
			t.Errorf("the head is %s\nwant %s", got, want)
		}
	})
}

// Clients that lost one bridge together do not reconnect together.
func TestReconnectionTimesAreSpread(t *testing.T) {
	inWorld(t, feedRoute("retry: 3s"), func(t *testing.T, w *world) {
		shortest, longest := time.Hour, time.Duration(0)
		for range 200 {
			c := w.listen("/feed", ssetest.Options{})
			c.AwaitEvents(1)
			retry := c.Snapshot().Retry
			shortest, longest = min(shortest, retry), max(longest, retry)
			c.Close()
		}
		if shortest < 2400*time.Millisecond || longest > 3600*time.Millisecond || longest-shortest < 600*time.Millisecond {
			t.Errorf("retry: from %v to %v, want it spread from 2.4s to 3.6s", shortest, longest)
		}
	})
}

func TestWhenTheFirstBytesAreSent(t *testing.T) {
	for _, test := range []struct {
		name string
		act  func(c *rpc)
		want time.Duration
	}{
		{"with its first message", func(c *rpc) { c.count(1, 1) }, 100 * time.Millisecond},
		{"with its end", func(c *rpc) { c.end(nil) }, 100 * time.Millisecond},
		{"not with the backend's headers, which a refusal may follow", func(c *rpc) { c.accept() }, 250 * time.Millisecond},
		{"after open_grace", func(*rpc) {}, 250 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, feedRoute("open_grace: 250ms"), func(t *testing.T, w *world) {
				began := time.Now()
				c := w.listen("/feed", ssetest.Options{})
				rpc := w.rpc()
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				if c.Snapshot().Status != 0 {
					t.Error("the head came before the backend said anything")
				}
				test.act(rpc)
				c.AwaitEvents(1)
				if waited := time.Since(began); waited != test.want {
					t.Errorf("the first block came after %v, want %v", waited, test.want)
				}
			})
		})
	}
}

func TestAClientOfALiveTopicIsAnsweredAtOnce(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}"), func(t *testing.T, w *world) {
		first := w.listen("/feed", ssetest.Options{})
		w.rpc().count(1, 3)
		expect(t, first, "open 1 2 3")
		began := time.Now()
		second := w.listen("/feed", ssetest.Options{})
		if open := second.AwaitEvents(1)[0]; open.ID != "3" || time.Since(began) != 0 {
			t.Errorf("the client joined at %q after %v, want the newest at once", open.ID, time.Since(began))
		}
		w.noRPC()
	})
}
