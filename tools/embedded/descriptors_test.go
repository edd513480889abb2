package embedded_test

import (
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// descriptorSet writes the descriptors of the test's service and returns the file's path.
func descriptorSet(t *testing.T) string {
	t.Helper()
	wire, err := proto.Marshal(backendtest.Descriptors())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "app.binpb")
	if err := os.WriteFile(path, wire, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
