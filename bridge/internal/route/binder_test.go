package route

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// request is a client's request in the tests.
type request struct {
	query string
	// headers are "name: value" lines.
	headers []string
	params  map[string]string
	// body is sent as application/json unless headers has a content type.
	body string
}

func (q request) http() *http.Request {
	method := http.MethodGet
	if q.body != "" {
		method = http.MethodPost
	}

	r := httptest.NewRequest(method, "/", nil)
	r.URL.RawQuery = q.query

	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}

	for _, line := range q.headers {
		name, value, _ := strings.Cut(line, ": ")
		if strings.HasPrefix(http.CanonicalHeaderKey(name), "Content-") {
			r.Header.Del(name)
		}

		if value != "" {
			r.Header.Add(name, value)
		}
	}
	return r
}

func (q request) bind(b *Binder) (Bound, error) {
	return b.Bind(q.http(), q.params, []byte(q.body), Client{})
}

// The specs of the tests.
var (
	// openSpec opens every field to clients.
	openSpec = Spec{
		Query: Fields{All: true}, Body: Fields{All: true},
		Reserved: []string{"last_event_id", "lastEventId"},
	}
	// boundSpec binds fields from every source.
	boundSpec = Spec{
		Resume: &ResumeSpec{Field: "after"},
		Set: map[string]any{
			"history": true, "kinds.nested.number": int64(7), "kinds.choice_nested.name": "set",
			"kinds.string_string_map[env]": "prod", "kinds.string_list": []any{"a", "b"},
		},
		Params:   []string{"topic", "kinds.int32_value"},
		Headers:  map[string]string{"X-User": "kinds.string_value", "x-tag": "kinds.int32_list"},
		Query:    Fields{All: true},
		Body:     Fields{All: true},
		Metadata: []Metadata{{Name: "Authorization", Key: true}, {Name: "x-experiment"}, {Name: "trace-bin", Key: true}},
		Reserved: []string{"last_event_id", "lastEventId"},
	}
	// listSpec opens some fields to clients.
	listSpec = Spec{
		Query: Fields{Paths: []string{"limit", "kinds.nested.name", "kinds.string_int64_map"}},
		Body:  Fields{Paths: []string{"topic", "kinds.nested.color", "kinds.string_string_map[a]"}},
	}
	// closedSpec opens no field to clients.
	closedSpec = Spec{Params: []string{"topic"}}
)

// watchRequest is the message type of the tests.
func watchRequest() protoreflect.MessageDescriptor {
	return (&testv1.WatchRequest{}).ProtoReflect().Descriptor()
}

func compile(tb testing.TB, spec Spec) *Binder {
	tb.Helper()

	b, err := Compile(spec, watchRequest(), protoregistry.GlobalTypes)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// outcome returns an error as "status field: message".
func outcome(err error) string {
	var refused *Error
	if !errors.As(err, &refused) {
		return fmt.Sprint(err)
	}
	return fmt.Sprintf("%d %s: %s", refused.Status, refused.Field, refused.Message)
}

func decode(tb testing.TB, bound Bound) *testv1.WatchRequest {
	tb.Helper()

	m := &testv1.WatchRequest{}
	if err := proto.Unmarshal(bound.Wire, m); err != nil {
		tb.Fatal(err)
	}
	return m
}
