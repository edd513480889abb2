package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// kind is the meaning of a failure for a stream.
type kind int

const (
	reopened kind = iota // the RPC is reopened, and clients notice nothing, or get a gap
	passing              // clients are asked to reconnect
	lasting              // the stream has failed for good
)

// table lists the kind of each code, and its HTTP status.
var table = []struct {
	code codes.Code
	name string
	kind kind
	http int
}{
	{codes.Canceled, "CANCELLED", passing, 499},
	{codes.Unknown, "UNKNOWN", passing, 500},
	{codes.InvalidArgument, "INVALID_ARGUMENT", lasting, 400},
	{codes.DeadlineExceeded, "DEADLINE_EXCEEDED", passing, 504},
	{codes.NotFound, "NOT_FOUND", lasting, 404},
	{codes.AlreadyExists, "ALREADY_EXISTS", lasting, 409},
	{codes.PermissionDenied, "PERMISSION_DENIED", lasting, 403},
	{codes.ResourceExhausted, "RESOURCE_EXHAUSTED", passing, 429},
	{codes.FailedPrecondition, "FAILED_PRECONDITION", lasting, 400},
	{codes.Aborted, "ABORTED", passing, 409},
	{codes.OutOfRange, "OUT_OF_RANGE", lasting, 400},
	{codes.Unimplemented, "UNIMPLEMENTED", lasting, 501},
	{codes.Internal, "INTERNAL", passing, 500},
	{codes.Unavailable, "UNAVAILABLE", reopened, 503},
	{codes.DataLoss, "DATA_LOSS", passing, 500},
	{codes.Unauthenticated, "UNAUTHENTICATED", lasting, 401},
	{17, "17", lasting, 500},
	{99, "99", lasting, 500},
	{1<<31 - 1, "2147483647", lasting, 500},
}

// moment is the time at which an RPC fails.
type moment int

const (
	beforeTheFirstBytes moment = iota
	beforeAMessage
	afterAMessage
)

func (m moment) String() string {
	return [...]string{"before the first bytes", "before a message", "after a message"}[m]
}

// For browsers and for clients that prefer a status, on routes with ids and without.
func TestEachCodeAtEachMoment(t *testing.T) {
	for _, row := range table {
		for when := beforeTheFirstBytes; when <= afterAMessage; when++ {
			for _, prefer := range []bool{false, true} {
				for _, ids := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s %s, prefer %v, ids %v", row.name, when, prefer, ids), func(t *testing.T) {
						keys := ""
						if !ids {
							keys = `event: {id: ""}`
						}
						inWorld(t, feedRoute(keys), func(t *testing.T, w *world) {
							o := ssetest.Options{NoIDs: !ids}
							if prefer {
								o.Header = http.Header{"Prefer": {"status"}}
							}
							c := w.listen("/feed", o)
							rpc := w.rpc()
							if when >= beforeAMessage {
								rpc.accept()
								c.AwaitStatus()
							}
							if when == afterAMessage {
								rpc.count(1, 1)
							}
							rpc.end(status.Error(row.code, "why it failed"))

							switch {
							case row.kind == reopened && when == beforeTheFirstBytes && prefer,
								row.kind == passing && when == beforeTheFirstBytes && (prefer || !ids),
								row.kind == lasting && when == beforeTheFirstBytes:
								wantStatus(t, c, row.code, row.http)
							case row.kind == reopened && when < afterAMessage:
								w.rpc().count(1, 1)
								wantEvents(t, c, ids, "1")
							case row.kind == reopened && ids:
								w.rpc().count(2, 2)
								wantEvents(t, c, ids, "1 gap:upstream 2")
							case row.kind == lasting || !ids:
								wantError(t, c, ids, when, row.code, row.name)
							default:
								wantRetry(t, c, when, row.code, row.name)
							}
						})
					})
				}
			}
		}
	}
}

// wantEvents expects a stream that is still open.
func wantEvents(t *testing.T, c *ssetest.Client, ids bool, want string) {
	t.Helper()
	if ids {
		want = "open " + want
	}
	expect(t, c, want)
}

func wantStatus(t *testing.T, c *ssetest.Client, code codes.Code, want int) {
	t.Helper()
	_ = c.AwaitEnd()
	seen := c.Snapshot()
	if seen.Status != want || len(seen.Events) > 0 || seen.Header.Get("Content-Type") != "application/json" {
		t.Errorf("want the status %d and JSON, got %s\n%v", want, seen, seen.Header)
	}
	said := said(t, seen.Body)
	if said.Code != int(code) || (said.Message == "why it failed") == hidden(code) {
		t.Errorf("the status says %+v", said)
	}
}

func wantError(t *testing.T, c *ssetest.Client, ids bool, when moment, code codes.Code, name string) {
	t.Helper()
	if err := c.AwaitEnd(); err != io.EOF { //nolint:errorlint // exactly that is a clean end
		t.Errorf("the stream ended with %v", err)
	}
	seen := c.Snapshot()
	want := "error:" + name
	id := "~end"
	if when == afterAMessage {
		want = "1 " + want
	}
	if ids {
		want = "open " + want
		id = map[moment]string{beforeAMessage: "EPOCH-0~end", afterAMessage: "EPOCH-1~end"}[when]
	}
	last := seen.Events[len(seen.Events)-1]
	said := said(t, last.Data)
	if story(seen) != want || canonical(last.ID) != id || said.Code != int(code) || (said.Message == "why it failed") == hidden(code) {
		t.Errorf("want %s with the id %s, got %s", want, id, seen)
	}
}

func wantRetry(t *testing.T, c *ssetest.Client, when moment, code codes.Code, name string) {
	t.Helper()
	if err := c.AwaitEnd(); err != io.EOF { //nolint:errorlint // exactly that is a clean end
		t.Errorf("the stream ended with %v", err)
	}
	seen := c.Snapshot()
	want, id := "open retry:upstream", "EPOCH-0"
	if when == afterAMessage {
		want, id = "open 1 retry:upstream", "EPOCH-1"
	}
	last := seen.Events[len(seen.Events)-1]
	said := said(t, last.Data)
	if story(seen) != want || canonical(seen.LastEventID) != id || said.Code != int(code) || said.Status != name ||
		(said.Message == "why it failed") == hidden(code) || last.Retry < 100*time.Millisecond || last.Retry > 10*time.Second {
		t.Errorf("want %s with the id %s left alone, got %s", want, id, seen)
	}
}

// hidden reports whether clients do not see a code's message.
func hidden(code codes.Code) bool { return code == codes.Internal || code == codes.Unknown }

// rpcStatus is a google.rpc.Status as clients get it.
type rpcStatus struct {
	Code     int               `json:"code"`
	Status   string            `json:"status"`
	Message  string            `json:"message"`
	Details  []json.RawMessage `json:"details"`
	Trailers map[string]string `json:"trailers"`
}

// said parses a google.rpc.Status.
func said(t *testing.T, text string) rpcStatus {
	t.Helper()
	var s rpcStatus
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return s
}

// Unlike a stream, it has a status for UNAVAILABLE, too.
func TestAUnaryMethodHasTheSameStatuses(t *testing.T) {
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			inWorld(t, "routes: [{path: /get, rpc: ssebridge.test.v1.FeedService/Get, upstream: app}]", func(t *testing.T, w *world) {
				w.Stage.get = func(context.Context, *testv1.GetRequest) (*testv1.GetResponse, error) {
					return nil, status.Error(row.code, "why it failed")
				}
				got := w.do(http.MethodGet, "/get", "")
				said := said(t, got.Body)
				if got.Status != row.http || said.Code != int(row.code) || (said.Message == "why it failed") == hidden(row.code) {
					t.Errorf("got %+v, want %d", got, row.http)
				}
			})
		})
	}
}

// An internal error may be a bug of the backend, which no reconnect mends.
func TestAStreamEndsAtTheFifthInternalErrorInARow(t *testing.T) {
	for _, code := range []codes.Code{codes.Internal, codes.Unknown, codes.DataLoss} {
		t.Run(code.String(), func(t *testing.T) {
			inWorld(t, feedRoute(""), func(t *testing.T, w *world) {
				c := w.listen("/feed", ssetest.Options{})
				fail := func() {
					t.Helper()
					rpc := w.rpc()
					rpc.accept()
					rpc.end(status.Error(code, "a bug"))
					_ = c.AwaitEnd()
				}
				for range 4 {
					fail()
					c.Reconnect()
				}
				rpc := w.rpc() // an RPC that works resets the count
				rpc.count(1, 1)
				rpc.end(status.Error(code, "a bug"))
				_ = c.AwaitEnd()
				for range 4 {
					c.Reconnect()
					fail()
				}
				if seen := story(c.Snapshot()); strings.Contains(seen, "error") {
					t.Fatalf("given up too early: %s", seen)
				}
				c.Reconnect()
				fail()
				want := strings.Repeat("open retry:upstream ", 4) + "open 1 retry:upstream open gap:upstream retry:upstream" +
					strings.Repeat(" open retry:upstream", 3) + " open error:" + map[codes.Code]string{
					codes.Internal: "INTERNAL", codes.Unknown: "UNKNOWN", codes.DataLoss: "DATA_LOSS",
				}[code]
				expect(t, c, want)
				c.Reconnect()
				if _ = c.AwaitEnd(); c.Snapshot().Status != http.StatusNoContent {
					t.Errorf("the final id is answered with %d", c.Snapshot().Status)
				}
			})
		})
	}
}

func TestTheFifthInternalErrorBeforeTheFirstBytesIsAStatus(t *testing.T) {
	inWorld(t, feedRoute("open_grace: 60s"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		for range 4 {
			w.rpc().end(status.Error(codes.Internal, "a bug"))
			_ = c.AwaitEnd()
			c.Reconnect()
		}
		w.rpc().end(status.Error(codes.Internal, "a bug"))
		_ = c.AwaitEnd()
		if seen := c.Snapshot(); seen.Status != http.StatusInternalServerError || story(seen) != strings.Join([]string{
			"open retry:upstream", "open retry:upstream", "open retry:upstream", "open retry:upstream",
		}, " ") {
			t.Errorf("got %s", seen)
		}
	})
}

// Clients do not notice a backend that is away for a while, and the attempts at it are spaced.
func TestUnavailableIsHiddenFromClients(t *testing.T) {
	inWorld(t, feedRoute("heartbeat: {every: 0s}"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		began := time.Now()
		var attempts []time.Duration
		for range 12 {
			rpc := w.rpc()
			attempts = append(attempts, time.Since(began))
			rpc.end(status.Error(codes.Unavailable, "starting"))
		}
		w.rpc().count(1, 2)
		messages := c.AwaitMessages(2)
		if messages[0].Data != `{"seq":"1"}` || c.Snapshot().Gaps > 0 || c.Snapshot().Connections > 1 {
			t.Errorf("the client saw %s", c.Snapshot())
		}
		for i, most := 1, 100*time.Millisecond; i < len(attempts); i, most = i+1, min(2*most, 10*time.Second) {
			if pause := attempts[i] - attempts[i-1]; pause < most/2 || pause > most {
				t.Errorf("attempt %d came after %v, want between %v and %v", i, pause, most/2, most)
			}
		}
	})
}

// Hardening: a client gets only the id of an internal error's incident, which is logged once for all clients.
func TestInternalDetailsAreOnlyLogged(t *testing.T) {
	secret := func(code codes.Code) error {
		s, err := status.New(code, "pq: password=hunter2\x1b[31m\nforged line, \u0430dmin").WithDetails(&errdetails.DebugInfo{Detail: "hunter2 at main.go"})
		if err != nil {
			t.Fatal(err)
		}
		return s.Err()
	}
	incident := regexp.MustCompile(`incident[ =]([A-Z2-7]{12})`)
	for _, code := range []codes.Code{codes.Internal, codes.Unknown} {
		t.Run(code.String(), func(t *testing.T) {
			inWorld(t, feedRoute(""), func(t *testing.T, w *world) {
				var clients []*ssetest.Client
				for range 5 {
					clients = append(clients, w.listen("/feed", ssetest.Options{}))
				}
				rpc := w.rpc()
				rpc.count(1, 1)
				for _, c := range clients {
					c.AwaitEvents(1)
				}
				rpc.end(secret(code))
				ids := map[string]bool{}
				for _, c := range clients {
					_ = c.AwaitEnd()
					text := transcript(c.Snapshot())
					if strings.Contains(text, "hunter2") || strings.Contains(text, "forged") {
						t.Errorf("a client was sent %s", text)
					}
					for _, id := range incident.FindAllStringSubmatch(text, -1) {
						ids[id[1]] = true
					}
				}
				synctest.Wait() // until the lines are written
				if len(ids) != 1 {
					t.Errorf("one incident has the ids %v", ids)
				}
				logged := incident.FindAllStringSubmatch(w.Logged.String(), -1)
				if len(logged) != 1 || !ids[logged[0][1]] || !strings.Contains(w.Logged.String(), "hunter2") {
					t.Errorf("logged %q, want the incident once", w.Logged)
				}
				raw := func(c rune) bool { return c != '\n' && (c < ' ' || c > '~') }
				if strings.ContainsFunc(w.Logged.String(), raw) || strings.Contains(w.Logged.String(), "\nforged") {
					t.Errorf("the log has raw bytes of the backend: %q", w.Logged)
				}
			})
		})
		t.Run(code.String()+" before the first bytes", func(t *testing.T) {
			inWorld(t, feedRoute(`event: {id: ""}`), func(t *testing.T, w *world) {
				c := w.listen("/feed", ssetest.Options{NoIDs: true})
				w.rpc().end(secret(code))
				_ = c.AwaitEnd()
				synctest.Wait() // until the lines are written
				id := incident.FindStringSubmatch(c.Snapshot().Body)
				logged := incident.FindAllStringSubmatch(w.Logged.String(), -1)
				if id == nil || len(logged) != 1 || logged[0][1] != id[1] || strings.Contains(c.Snapshot().Body, "hunter2") {
					t.Errorf("sent %q, logged %q", c.Snapshot().Body, w.Logged)
				}
			})
		})
		t.Run(code.String()+" of a unary method", func(t *testing.T) {
			inWorld(t, "routes: [{path: /get, rpc: ssebridge.test.v1.FeedService/Get, upstream: app}]", func(t *testing.T, w *world) {
				w.Stage.get = func(context.Context, *testv1.GetRequest) (*testv1.GetResponse, error) { return nil, secret(code) }
				got := w.do(http.MethodGet, "/get", "")
				synctest.Wait() // until the lines are written
				logged := incident.FindAllStringSubmatch(w.Logged.String(), -1)
				if len(logged) != 1 || !strings.Contains(got.Body, logged[0][1]) || strings.Contains(got.Body, "hunter2") {
					t.Errorf("sent %q, logged %q", got.Body, w.Logged)
				}
			})
		})
	}
}

// Details are meant for clients, unless their type is unknown: then they are only bytes.
func TestDetailsOfOtherCodesReachClients(t *testing.T) {
	info := &errdetails.ErrorInfo{Reason: "NO_SUCH_ROOM", Domain: "chat", Metadata: map[string]string{"room": "<&>"}}
	s := status.New(codes.NotFound, "no room\n\x00 \u2028").Proto()
	for _, detail := range []proto.Message{
		info, &testv1.Note{Text: "own"},
		&anypb.Any{TypeUrl: "type.example/nobody.knows.This", Value: []byte("\x0a\x02hi")},
		&anypb.Any{TypeUrl: "type.googleapis.com/google.rpc.ErrorInfo", Value: []byte("\xff\xff")},
		&anypb.Any{},
		// A map entry with a second key, of the wrong type, on which dynamicpb panics.
		&anypb.Any{TypeUrl: "type.googleapis.com/ssebridge.test.v1.Kinds", Value: []byte("\xea\x03\x05\x0a\x01a\x08\x01")},
	} {
		packed, ok := detail.(*anypb.Any)
		if !ok {
			var err error
			if packed, err = anypb.New(detail); err != nil {
				t.Fatal(err)
			}
		}
		s.Details = append(s.Details, packed)
	}
	check := func(t *testing.T, text string) {
		t.Helper()
		said := said(t, text)
		if said.Message != "no room\n\x00 \u2028" || len(said.Details) != 2 {
			t.Fatalf("the client was sent %s", text)
		}
		for i, want := range []string{
			`{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"NO_SUCH_ROOM","domain":"chat","metadata":{"room":"<&>"}}`,
			`{"@type":"type.googleapis.com/ssebridge.test.v1.Note","text":"own"}`,
		} {
			if canonicalJSON(t, string(said.Details[i])) != canonicalJSON(t, want) {
				t.Errorf("detail %d is %s, want %s", i, said.Details[i], want)
			}
		}
	}
	inWorld(t, feedRoute(""), func(t *testing.T, w *world) {
		early := w.listen("/feed", ssetest.Options{})
		w.rpc().end(status.FromProto(s).Err())
		_ = early.AwaitEnd()
		check(t, early.Snapshot().Body)

		late := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.accept()
		late.AwaitEvents(1)
		rpc.end(status.FromProto(s).Err())
		_ = late.AwaitEnd()
		synctest.Wait()
		check(t, late.Snapshot().Events[1].Data)
	})
}

// Hardening: grpc-go's error of a broken connection has the addresses of both ends.
func TestALostConnectionDoesNotRevealAddresses(t *testing.T) {
	for _, test := range []struct{ keys, want string }{
		{"reconnect: {codes: [ABORTED]}", "open 1 retry:upstream"}, {`event: {id: ""}`, "1 error:UNAVAILABLE"},
	} {
		inWorld(t, feedRoute(test.keys), func(t *testing.T, w *world) {
			c := w.listen("/feed", ssetest.Options{NoIDs: strings.Contains(test.keys, `id: ""`)})
			w.rpc().count(1, 1)
			if err := w.Cable.Close(); err != nil {
				t.Error(err)
			}
			endedWell(t, c)
			expect(t, c, test.want)
			if text := transcript(c.Snapshot()); strings.Contains(text, "10.0.0") || !strings.Contains(text, "the connection to the backend was lost") {
				t.Errorf("the client was sent %s", text)
			}
		})
	}
}

// canonicalJSON returns the canonical form of a JSON document.
func canonicalJSON(t *testing.T, text string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	spelt, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(spelt)
}
