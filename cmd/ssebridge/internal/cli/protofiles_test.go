package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// putProto puts .proto files, by their names, into a folder.
func putProto(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		replace(t, path, "syntax = \"proto3\";\n"+text)
	}
}

func TestProtoFilesAreThoseThatAreRead(t *testing.T) {
	root := t.TempDir()
	own, others := filepath.Join(root, "own"), filepath.Join(root, "others")
	putProto(t, own, map[string]string{
		"app.proto": "import public \"a/one.proto\";\nimport 'b/two.proto';\nimport \"google/protobuf/timestamp.proto\"; // import \"not.proto\";\n",
		// They import each other, and one of them does not parse.
		"a/one.proto": "import \"app.proto\";\nimport \"b/two.proto\"; message {",
	})
	putProto(t, others, map[string]string{"b/two.proto": "", "a/one.proto": "import \"hidden.proto\";"})
	got := protoFiles(config.ProtoSources{ImportPaths: []string{own, others}, Files: []string{"app.proto", "gone.proto", "app.proto"}})
	slices.Sort(got)
	want := []string{
		"others/b/two.proto", "others/gone.proto", "others/google/protobuf/timestamp.proto",
		"own/a/one.proto", "own/app.proto", "own/b/two.proto", "own/gone.proto", "own/google/protobuf/timestamp.proto",
	}
	for i := range want {
		want[i] = filepath.Join(root, want[i])
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A source that is only imported changes: the schema is read again without a signal.
func TestSourceThatChangesIsTakenOver(t *testing.T) {
	const good, bad = "package ssebridge.demo.v1;\nmessage WatchRequest {}\nmessage Tick { uint64 count = 2; }\n", "message {"
	folder := t.TempDir()
	putProto(t, folder, map[string]string{
		"proto/clock.proto": "package ssebridge.demo.v1;\nimport \"types/tick.proto\";\n" +
			"service ClockService { rpc Watch(WatchRequest) returns (stream Tick); }\n",
		"proto/types/tick.proto": good,
	})
	s := serveFile(t, filepath.Join(folder, "ssebridge.yaml"), func(s *served) {
		s.write(strings.Replace(s.text("", "/clock"), "}}\nroutes:",
			", schema: {proto: {import_paths: [proto], files: [clock.proto]}}}}\nroutes:", 1))
	})
	client := ssetest.Connect(t, "http://"+s.public+"/clock", ssetest.Options{})
	client.AwaitMessages(1)
	putProto(t, folder, map[string]string{"proto/types/tick.proto": bad})
	s.stderr.await(t, "msg=\"the configuration is not reloaded; the one before stays\"", "tick.proto:2:")
	goesOn(t, client)
	putProto(t, folder, map[string]string{"proto/types/tick.proto": good + "// as before\n"})
	s.stderr.await(t, "msg=\"the configuration is reloaded\"")
	goesOn(t, client)
}
