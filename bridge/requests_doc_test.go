package bridge_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/ssebridge/ssebridge/bridge"
)

// Each row of docs/requests.md is sent as a request. The message and the routes are those of the
// page, and the backend answers with the request that it gets.
func TestTheRequestsPageIsTrue(t *testing.T) {
	page, err := os.ReadFile("../docs/requests.md")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "rooms.proto"), []byte(fenced(t, string(page), "proto")), 0o600); err != nil {
		t.Fatal(err)
	}
	_, routes, _ := strings.Cut(fenced(t, string(page), "yaml"), "\n")
	target := echo(t)
	g := startWith(t, parse(t, "upstreams:\n  app: {target: '"+target+"', schema: {proto: {import_paths: ['"+folder+"'], files: [rooms.proto]}}}\n"+
		"routes:\n"+routes), bridge.Options{})

	rows := tableRows(string(page))
	if len(rows) < 80 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, row := range rows {
		got := row.ask(t, g.URL)
		if !row.matches(t, got) {
			t.Errorf("%s %s:\ngot  %d %s\nwant %d %s", row.kind, row.sent, got.Status, got.Body, row.status, row.want)
		}
	}
}

// fenced returns the page's first code block of a language.
func fenced(t *testing.T, page, language string) string {
	t.Helper()
	_, after, opened := strings.Cut(page, "```"+language+"\n")
	text, _, closed := strings.Cut(after, "```")
	if !opened || !closed {
		t.Fatalf("the page has no block of %s", language)
	}
	return text
}

// docRow is a row of a table: a request, and the resulting message or error.
type docRow struct {
	kind, sent string
	status     int
	want       string
}

var rowPattern = regexp.MustCompile("^\\| `(.+)` \\| (?:(40[04]) )?`(.+)` \\|$")

// tableRows returns the rows of all tables whose first column is a kind of request.
func tableRows(page string) []docRow {
	var rows []docRow
	kind := ""
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if m := regexp.MustCompile(`^\| (Query|Path|Header|Body) \|`).FindStringSubmatch(line); m != nil {
			kind = m[1]
			continue
		}
		if m := rowPattern.FindStringSubmatch(line); m != nil {
			row := docRow{kind: kind, sent: m[1], status: http.StatusOK, want: m[3]}
			switch m[2] {
			case "400":
				row.status = http.StatusBadRequest
			case "404":
				row.status = http.StatusNotFound
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// ask sends the row's request.
func (r docRow) ask(t *testing.T, url string) reply {
	t.Helper()
	// A browser encodes these, too, in the query of a URL.
	inQuery := strings.NewReplacer(`"`, "%22", " ", "%20", "{", "%7B", "}", "%7D").Replace
	switch r.kind {
	case "Query":
		return do(t, http.MethodGet, url+"/ask?"+inQuery(r.sent), "")
	case "Path":
		return do(t, http.MethodGet, url+inQuery(r.sent), "")
	case "Header":
		name, value, _ := strings.Cut(r.sent, ": ")
		return do(t, http.MethodGet, url+"/headers", "", name, value)
	default:
		return do(t, http.MethodPost, url+"/ask", r.sent, "Content-Type", "application/json")
	}
}

// matches compares the answer with the row.
func (r docRow) matches(t *testing.T, got reply) bool {
	t.Helper()
	if got.Status != r.status {
		return false
	}
	if r.status == http.StatusOK {
		return sameJSON(t, got.Body, r.want)
	}
	return errorMessage(t, got.Body) == r.want
}

// errorMessage returns the message of an error.
func errorMessage(t *testing.T, body string) string {
	t.Helper()
	var said struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(body), &said); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return said.Message
}

// echo is a backend that answers each RPC with its request.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
		return stream.SendMsg(&message)
	}))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// bytesCodec passes messages as bytes.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil //nolint:errcheck // the handler's own
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize() //nolint:errcheck // the handler's own
	return nil
}
