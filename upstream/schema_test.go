package upstream

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// feedFiles returns the test service's files with all their imports.
func feedFiles(t testing.TB) *protoregistry.Files {
	t.Helper()
	files := new(protoregistry.Files)
	if err := register(files, testv1.File_ssebridge_test_v1_feed_proto); err != nil {
		t.Fatal(err)
	}
	return files
}

// parseFile returns the file of a descriptor with imports from deps.
func parseFile(t testing.TB, file *descriptorpb.FileDescriptorProto, deps protodesc.Resolver) protoreflect.FileDescriptor {
	t.Helper()
	fd, err := protodesc.NewFile(file, deps)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestSchemaMethod(t *testing.T) {
	broken := map[protoreflect.FullName]error{"x.Broken": errors.New("its file is missing")}
	s, err := newSchema([]*protoregistry.Files{feedFiles(t)}, nil, broken, nil)
	if err != nil {
		t.Fatal(err)
	}
	for rpc, want := range map[string]string{
		"ssebridge.test.v1.FeedService/Watch":  "ssebridge.test.v1.FeedService.Watch",
		"/ssebridge.test.v1.FeedService/Watch": "ssebridge.test.v1.FeedService.Watch",
		"ssebridge.test.v1.FeedService/Wach":   `service "ssebridge.test.v1.FeedService" has no method "Wach"; did you mean "Watch"?`,
		"ssebridge.test.v1.FeedService/Delete": `service "ssebridge.test.v1.FeedService" has no method "Delete"`,
		"ssebridge.test.v1.FedService/Watch":   `service "ssebridge.test.v1.FedService" is not known to the backend; did you mean "ssebridge.test.v1.FeedService"?`,
		"v2.FeedService/Watch":                 `service "v2.FeedService" is not known to the backend; did you mean "ssebridge.test.v1.FeedService"?`,
		"x.Broken/Watch":                       `service "x.Broken" is listed by the backend, but its schema could not be read: its file is missing`,
		"completely.Different/Watch":           `service "completely.Different" is not known to the backend`,
		"ssebridge.test.v1.FeedService.Watch":  `rpc "ssebridge.test.v1.FeedService.Watch" is not of the form package.Service/Method`,
		"/Watch":                               `rpc "/Watch" is not of the form package.Service/Method`,
		"":                                     `rpc "" is not of the form package.Service/Method`,
		"a/b/c":                                `service "a" is not known to the backend`,
		strings.Repeat("x", 500) + "/Watch":    fmt.Sprintf("service %q is not known to the backend", strings.Repeat("x", 500)),
	} {
		md, err := s.Method(rpc)
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = string(md.FullName())
		}
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", rpc, got, want)
		}
	}
}

func TestSchemaMethodsAreSorted(t *testing.T) {
	s, err := newSchema([]*protoregistry.Files{feedFiles(t)}, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, md := range s.Methods() {
		got = append(got, string(md.Name()))
	}
	if fmt.Sprint(got) != "[Chat Get Put Upload Watch]" {
		t.Errorf("got %v", got)
	}
}

func TestSchemaChecksum(t *testing.T) {
	sum := func(files *protoregistry.Files, broken map[protoreflect.FullName]error) string {
		s, err := newSchema([]*protoregistry.Files{files}, nil, broken, nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(s.sum[:])
	}
	base := sum(feedFiles(t), nil)
	if sum(feedFiles(t), nil) != base {
		t.Error("equal files have different sums")
	}
	if sum(feedFiles(t), map[protoreflect.FullName]error{"a.B": errors.New("gone")}) == base {
		t.Error("a broken service makes no difference")
	}
	more := feedFiles(t)
	if err := more.RegisterFile(parseFile(t, &descriptorpb.FileDescriptorProto{Name: new("more.proto")}, nil)); err != nil {
		t.Fatal(err)
	}
	if sum(more, nil) == base {
		t.Error("a further file makes no difference")
	}
}

func TestResolver(t *testing.T) {
	var asked []protoreflect.FullName
	s, err := newSchema([]*protoregistry.Files{feedFiles(t)}, nil, nil, func(name protoreflect.FullName) { asked = append(asked, name) })
	if err != nil {
		t.Fatal(err)
	}
	r := s.Resolver(watchMethod)
	for _, name := range []protoreflect.FullName{"ssebridge.test.v1.Note", "google.protobuf.Timestamp", "google.protobuf.Api"} {
		mt, err := r.FindMessageByName(name)
		if err != nil || mt.Descriptor().FullName() != name {
			t.Errorf("%s: %v", name, err)
		}
		for _, url := range []string{"type.googleapis.com/" + string(name), "https://example.com/a/b/" + string(name), string(name)} {
			if mt, err := r.FindMessageByURL(url); err != nil || mt.Descriptor().FullName() != name {
				t.Errorf("%s: %v", url, err)
			}
		}
	}
	if _, err := r.FindMessageByURL("type.googleapis.com/x.Y"); !errors.Is(err, protoregistry.NotFound) {
		t.Errorf("got %v, want NotFound", err)
	}
	if _, err := r.FindExtensionByName("x.y"); !errors.Is(err, protoregistry.NotFound) {
		t.Errorf("got %v, want NotFound", err)
	}
	if _, err := r.FindExtensionByNumber("google.protobuf.FieldOptions", 1000); !errors.Is(err, protoregistry.NotFound) {
		t.Errorf("got %v, want NotFound", err)
	}
	if fmt.Sprint(asked) != "[x.Y]" {
		t.Errorf("remembered %v", asked)
	}
}

func TestSuggestionIsBounded(t *testing.T) {
	long := strings.Repeat("a", maxSuggestionLen+1)
	yield := func(name string) func(func(string) bool) {
		return func(yield func(string) bool) { yield(name) }
	}
	if got := suggestion(long, yield(long)); got != "" {
		t.Errorf("got %q", got)
	}
	if got := suggestion("abc", yield(long)); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestWantedTypesAreBounded(t *testing.T) {
	k := &schemaKeeper{}
	k.want("not a name")
	k.want(protoreflect.FullName(strings.Repeat("a", maxTypeName+1)))
	if len(k.wanted) != 0 {
		t.Errorf("remembered %v", k.wanted)
	}
	for i := range 2 * maxWanted {
		k.want(protoreflect.FullName(fmt.Sprintf("x.T%d", i)))
		k.want(protoreflect.FullName(fmt.Sprintf("x.T%d", i)))
	}
	if len(k.wanted) != maxWanted || k.wanted[maxWanted-1] != "x.T511" {
		t.Errorf("%d are remembered, the last is %s", len(k.wanted), k.wanted[len(k.wanted)-1])
	}
}
