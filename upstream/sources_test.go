package upstream

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

func write(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSchemaFromADescriptorSet(t *testing.T) {
	// The set lacks the well-known files, as some tools write it.
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(testv1.File_ssebridge_test_v1_feed_proto),
		protodesc.ToFileDescriptorProto(testv1.File_ssebridge_test_v1_kinds_proto),
	}}
	path := write(t, t.TempDir(), "app.binpb", wire(t, set))
	u := connect(t, Params{Target: "127.0.0.1:1", Schema: SchemaParams{DescriptorSet: path}})
	checkFeed(t, u.Schema())
	again, err := u.RefreshSchema(t.Context())
	if err != nil || again != u.Schema() {
		t.Errorf("a schema of a file was read again: %v", err)
	}
	if s, err := u.awaitSchema(t.Context()); err != nil || s != u.Schema() {
		t.Error(err)
	}
}

func TestSchemaFromSources(t *testing.T) {
	u := connect(t, Params{Target: "127.0.0.1:1", Schema: SchemaParams{
		ImportPaths: []string{"../proto"}, ProtoFiles: []string{"ssebridge/test/v1/feed.proto"},
	}})
	checkFeed(t, u.Schema())
}

// A schema of sources equals that of the set which a compiler makes of them, even where the
// compiler's own descriptors differ: in required fields and checks of UTF-8.
func TestSourcesMeanTheSameAsTheirDescriptorSet(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "old.proto", []byte(`edition = "2023"; package old;
message Event { string text = 1 [features.field_presence = LEGACY_REQUIRED]; repeated int32 numbers = 2; }
message Ask {}
service Feed { rpc Watch(Ask) returns (stream Event); }`))
	u := connect(t, Params{Target: "127.0.0.1:1", Schema: SchemaParams{ImportPaths: []string{dir}, ProtoFiles: []string{"old.proto"}}})
	method, err := u.Schema().Method("old.Feed/Watch")
	if err != nil {
		t.Fatal(err)
	}
	event := method.Output()
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(event.ParentFile())}}
	path := write(t, dir, "old.binpb", wire(t, set))
	same := connect(t, Params{Target: "127.0.0.1:1", Schema: SchemaParams{DescriptorSet: path}}).Schema()
	if same.sum != u.Schema().sum {
		t.Error("the schemas differ")
	}
	for _, message := range [][]byte{{}, {0x0a, 0x01, 0xff}} { // a missing required field; a string that is not UTF-8
		from := func(s *Schema) string {
			method, err := s.Method("old.Feed/Watch")
			if err != nil {
				t.Fatal(err)
			}
			return strconv.FormatBool(proto.Unmarshal(message, dynamicpb.NewMessage(method.Output())) == nil)
		}
		if a, b := from(u.Schema()), from(same); a != b {
			t.Errorf("%x is taken: by sources %s, by a descriptor set %s", message, a, b)
		}
	}
	if event.Fields().ByName("text").Cardinality() != protoreflect.Required || event.RequiredNumbers().Len() != 1 {
		t.Error("the required field is not required")
	}
}

// edition2024 returns a file of edition 2024, as protoc describes it: with a field without
// presence, one with a delimited message, and a closed enum.
func edition2024() *descriptorpb.FileDescriptorProto {
	return &descriptorpb.FileDescriptorProto{
		Name: new("new.proto"), Package: new("new.v1"), Syntax: new("editions"), Edition: descriptorpb.Edition_EDITION_2024.Enum(),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Event"), Field: []*descriptorpb.FieldDescriptorProto{
			{Name: new("explicit"), Number: new(int32(1)), Type: descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()},
			{
				Name: new("implicit"), Number: new(int32(2)), Type: descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
				Options: &descriptorpb.FieldOptions{Features: &descriptorpb.FeatureSet{FieldPresence: descriptorpb.FeatureSet_IMPLICIT.Enum()}},
			},
			{
				Name: new("next"), Number: new(int32(3)), Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
				TypeName: new(".new.v1.Event"),
				Options:  &descriptorpb.FieldOptions{Features: &descriptorpb.FeatureSet{MessageEncoding: descriptorpb.FeatureSet_DELIMITED.Enum()}},
			},
		}}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: new("Feed"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: new("Watch"), InputType: new(".new.v1.Event"), OutputType: new(".new.v1.Event"), ServerStreaming: new(true),
		}}}},
		Options: &descriptorpb.FileOptions{Features: &descriptorpb.FeatureSet{
			EnforceNamingStyle: descriptorpb.FeatureSet_STYLE2024.Enum(),
		}},
	}
}

func TestEdition2024(t *testing.T) {
	check := func(t *testing.T, s *Schema) {
		t.Helper()
		method, err := s.Method("new.v1.Feed/Watch")
		if err != nil {
			t.Fatal(err)
		}
		fields := method.Output().Fields()
		if !fields.ByName("explicit").HasPresence() || fields.ByName("implicit").HasPresence() || fields.ByName("next").Kind() != protoreflect.GroupKind {
			t.Error("the features of the edition are not those of the file")
		}
	}
	t.Run("a descriptor set", func(t *testing.T) {
		path := write(t, t.TempDir(), "new.binpb", wire(t, &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{edition2024()}}))
		check(t, connect(t, Params{Target: "127.0.0.1:1", Schema: SchemaParams{DescriptorSet: path}}).Schema())
	})
	t.Run("reflection", func(t *testing.T) {
		backend := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone), backendtest.WithService(
			&reflectionv1.ServerReflection_ServiceDesc, jointReflection(map[string][]*descriptorpb.FileDescriptorProto{"new.v1.Feed": {edition2024()}})))
		s, err := connect(t, Params{Target: backend.Addr()}).awaitSchema(within(t))
		if err != nil {
			t.Fatal(err)
		}
		check(t, s)
	})
	t.Run("sources", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "new.proto", []byte("edition = \"2024\";\npackage new.v1;\nmessage Event {}\n"))
		_, err := New(Params{Target: "127.0.0.1:1", Schema: SchemaParams{ImportPaths: []string{dir}, ProtoFiles: []string{"new.proto"}}})
		for _, want := range []string{"new.proto:1:11: ", `"2024"`, "schema: {descriptor_set: FILE}"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want it to say %q", err, want)
			}
		}
	})
}

func TestSchemaFromDescriptors(t *testing.T) {
	u := connect(t, Params{Target: "127.0.0.1:1", Schema: SchemaParams{Descriptors: feedFiles(t)}})
	checkFeed(t, u.Schema())
}

// checkFeed checks that a schema has the test service.
func checkFeed(t *testing.T, s *Schema) {
	t.Helper()
	if s == nil {
		t.Fatal("there is no schema")
	}
	md, err := s.Method(watchMethod)
	if err != nil {
		t.Fatal(err)
	}
	if !md.IsStreamingServer() || md.Output().FullName() != "ssebridge.test.v1.FeedEvent" {
		t.Errorf("got %v", md)
	}
	mt, err := s.Resolver(watchMethod).FindMessageByURL("type.googleapis.com/ssebridge.test.v1.Note")
	if err != nil {
		t.Fatal(err)
	}
	note := mt.New().Interface()
	if err := proto.Unmarshal(wire(t, &testv1.Note{Text: "hello"}), note); err != nil {
		t.Fatal(err)
	}
	if got := note.ProtoReflect().Get(mt.Descriptor().Fields().ByName("text")).String(); got != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestWrongParams(t *testing.T) {
	dir := t.TempDir()
	text := write(t, dir, "text.txt", []byte("not a descriptor set"))
	empty := write(t, dir, "empty.binpb", nil)
	incomplete := write(t, dir, "incomplete.binpb", wire(t, &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		{Name: new("a.proto"), Dependency: []string{"google/protobuf/any.proto", "other/b.proto"}},
	}}))
	cyclic := write(t, dir, "cyclic.binpb", wire(t, &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		{Name: new("a.proto"), Dependency: []string{"b.proto"}},
		{Name: new("b.proto"), Dependency: []string{"a.proto"}},
	}}))
	write(t, dir, "bad.proto", []byte("syntax = \"proto3\";\nmessage A {\n  Missing m = 1;\n  Gone g = 2;\n}\n"))
	write(t, dir, "importing.proto", []byte("syntax = \"proto3\";\nimport \"nowhere.proto\";\n"))
	// A pipe without a writer, for which New must not wait.
	pipe := filepath.Join(dir, "pipe.proto")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large")
	if err := errors.Join(os.WriteFile(large, nil, 0o600), os.Truncate(large, 1<<33)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		params Params
		field  string
		want   []string
	}{
		{"no target", Params{}, "target", []string{"is required"}},
		{"a wrong target", Params{Target: "app"}, "target", []string{`"app" has no port`}},
		{"a target that is no URL", Params{Target: "%zz:1"}, "target", []string{"%zz"}},
		{"no CA", Params{Target: "a:1", TLS: &TLS{CA: dir + "/none"}}, "tls.ca", []string{"no such file"}},
		{"no PEM", Params{Target: "a:1", TLS: &TLS{CA: text}}, "tls.ca", []string{"holds no PEM certificate"}},
		{"no key", Params{Target: "a:1", TLS: &TLS{Cert: text}}, "tls.key", []string{"is missing while tls.cert is given"}},
		{"no certificate", Params{Target: "a:1", TLS: &TLS{Key: text}}, "tls.cert", []string{"is missing while tls.key is given"}},
		{"a wrong certificate", Params{Target: "a:1", TLS: &TLS{Cert: text, Key: text}}, "tls.cert", []string{"failed to find any PEM data"}},
		{"two schemas", Params{Target: "a:1", Schema: SchemaParams{DescriptorSet: text, Descriptors: wellKnownFiles()}}, "schema", []string{"more than one source"}},
		{"no files", Params{Target: "a:1", Schema: SchemaParams{ImportPaths: []string{dir}}}, "schema.proto.files", []string{"at least one"}},
		{"no set", Params{Target: "a:1", Schema: SchemaParams{DescriptorSet: dir + "/none"}}, "schema.descriptor_set", []string{"no such file"}},
		{"a folder for a set", Params{Target: "a:1", Schema: SchemaParams{DescriptorSet: dir}}, "schema.descriptor_set", []string{"not a regular file; name a descriptor set, as buf build -o writes it"}},
		{"a wrong set", Params{Target: "a:1", Schema: SchemaParams{DescriptorSet: text}}, "schema.descriptor_set", []string{"the file is no descriptor set, as buf build -o"}},
		{"an empty set", Params{Target: "a:1", Schema: SchemaParams{DescriptorSet: empty}}, "schema.descriptor_set", []string{"has no files in it"}},
		{
			"an incomplete set",
			Params{Target: "a:1", Schema: SchemaParams{DescriptorSet: incomplete}},
			"schema.descriptor_set",
			[]string{"a.proto imports other/b.proto, which is not in the set (write it with `buf build` or `protoc --include_imports`)"},
		},
		{"a cyclic set", Params{Target: "a:1", Schema: SchemaParams{DescriptorSet: cyclic}}, "schema.descriptor_set", []string{"import cycle"}},
		{
			"wrong sources, all that is wrong",
			Params{Target: "a:1", Schema: SchemaParams{ImportPaths: []string{dir}, ProtoFiles: []string{"bad.proto"}}},
			"schema.proto.files",
			[]string{"bad.proto:3:3: ", "bad.proto:4:3: "},
		},
		{
			"an import that is nowhere",
			Params{Target: "a:1", Schema: SchemaParams{ImportPaths: []string{dir}, ProtoFiles: []string{"importing.proto"}}},
			"schema.proto.files",
			[]string{"importing.proto:2:8: "},
		},
		{"no such source", Params{Target: "a:1", Schema: SchemaParams{ImportPaths: []string{dir}, ProtoFiles: []string{"none.proto"}}}, "schema.proto.files", []string{"none.proto", "name it as an import would, from one of import_paths on"}},
		{"a CA that is a pipe", Params{Target: "a:1", TLS: &TLS{CA: pipe}}, "tls.ca", []string{"not a regular file"}},
		{"a certificate that is a pipe", Params{Target: "a:1", TLS: &TLS{Cert: pipe, Key: text}}, "tls.cert", []string{"not a regular file"}},
		{"a key that is a pipe", Params{Target: "a:1", TLS: &TLS{Cert: text, Key: pipe}}, "tls.key", []string{"not a regular file"}},
		{"a set that is a pipe", Params{Target: "a:1", Schema: SchemaParams{DescriptorSet: pipe}}, "schema.descriptor_set", []string{"not a regular file"}},
		{"a source that is a pipe", Params{Target: "a:1", Schema: SchemaParams{ImportPaths: []string{dir}, ProtoFiles: []string{"pipe.proto"}}}, "schema.proto.files", []string{"not a regular file"}},
		{"a large CA", Params{Target: "a:1", TLS: &TLS{CA: large}}, "tls.ca", []string{"larger than 1048576 bytes"}},
		{"a large set", Params{Target: "a:1", Schema: SchemaParams{DescriptorSet: large}}, "schema.descriptor_set", []string{"larger than 67108864 bytes"}},
		{"negative connections", Params{Target: "a:1", Connections: -1}, "connections", []string{"negative"}},
		{"many connections", Params{Target: "a:1", Connections: 1000}, "connections", []string{"1000 is more than 256"}},
		{"negative opens", Params{Target: "a:1", Opens: -1}, "opens", []string{"negative"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := New(c.params)
			if err == nil {
				t.Fatal("accepted", u.Close())
			}
			var paramErr *ParamError
			if !errors.As(err, &paramErr) || paramErr.Field != c.field {
				t.Errorf("got %v, want the field %s", err, c.field)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to say %q", err, want)
				}
			}
		})
	}
}
