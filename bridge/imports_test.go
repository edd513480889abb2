package bridge_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the path of this module, and modulePrefix what its packages begin with.
const (
	module       = "github.com/ssebridge/ssebridge"
	modulePrefix = module + "/"
)

// allowedImports is the whole import graph of the module: each package and what it
// may import of this module, both without the module's path. It is what keeps a
// stage from knowing what is none of its business, so a new line wants a reason.
// Packages whose names end in "test" serve tests only and stand outside, as
// importers; nothing here may import them.
var allowedImports = map[string][]string{
	"cmd/ssebridge": {"cmd/ssebridge/internal/cli"},
	"cmd/ssebridge/internal/cli": {
		"bridge",
		"bridge/config",
		"cmd/ssebridge/internal/demo",
		"cmd/ssebridge/internal/http2server",
		"cmd/ssebridge/internal/listen",
		"cmd/ssebridge/internal/watch",
		"internal/logqueue",
		"internal/regular",
		"internal/release",
	},
	"cmd/ssebridge/internal/http2server": {},
	"cmd/ssebridge/internal/listen":      {"bridge/config", "internal/acked", "internal/address", "internal/regular"},
	"cmd/ssebridge/internal/watch":       {"internal/regular"},
	"cmd/ssebridge/internal/demo":        {"bridge", "bridge/config", "gen/ssebridge/demo/v1"},
	"bridge": {
		"bridge/config",
		"bridge/internal/admit",
		"bridge/internal/configerr",
		"bridge/internal/delivery",
		"bridge/internal/failure",
		"bridge/internal/observe",
		"bridge/internal/reason",
		"bridge/internal/route",
		"bridge/internal/serve",
		"bridge/internal/site",
		"bridge/internal/source",
		"bridge/internal/sse",
		"bridge/internal/topic",
		"internal/logqueue",
		"upstream",
	},
	"bridge/config": {"internal/nearest", "internal/regular"},
	"bridge/internal/admit": {
		"bridge/config",
		"bridge/internal/peer",
		"bridge/internal/reason",
		"internal/address",
	},
	"bridge/internal/configerr": {"bridge/config"},
	"bridge/internal/deflate":   {},
	"bridge/internal/delivery": {
		"bridge/internal/deflate",
		"bridge/internal/reason",
		"bridge/internal/replay",
		"bridge/internal/tally",
		"internal/acked",
	},
	"bridge/internal/failure": {
		"bridge/internal/route",
		"bridge/internal/transcode",
		"internal/printable",
		"upstream",
	},
	"bridge/internal/observe": {
		"bridge/config",
		"bridge/internal/admit",
		"bridge/internal/delivery",
		"bridge/internal/failure",
		"bridge/internal/peer",
		"bridge/internal/reason",
		"bridge/internal/tally",
		"bridge/internal/topic",
		"bridge/internal/transcode",
		"internal/logqueue",
		"internal/printable",
		"internal/release",
		"upstream",
	},
	"bridge/internal/peer":   {"internal/address"},
	"bridge/internal/reason": {},
	"bridge/internal/replay": {"bridge/internal/deflate", "bridge/internal/reason"},
	"bridge/internal/route":  {"internal/nearest"},
	"bridge/internal/serve": {
		"bridge/config",
		"bridge/internal/admit",
		"bridge/internal/delivery",
		"bridge/internal/failure",
		"bridge/internal/observe",
		"bridge/internal/peer",
		"bridge/internal/reason",
		"bridge/internal/replay",
		"bridge/internal/route",
		"bridge/internal/site",
		"bridge/internal/source",
		"bridge/internal/sse",
		"bridge/internal/topic",
		"bridge/internal/transcode",
		"internal/printable",
		"upstream",
	},
	"bridge/internal/site": {
		"bridge/config",
		"bridge/internal/admit",
		"bridge/internal/configerr",
		"bridge/internal/delivery",
		"bridge/internal/failure",
		"bridge/internal/observe",
		"bridge/internal/reason",
		"bridge/internal/route",
		"bridge/internal/sse",
		"bridge/internal/topic",
		"bridge/internal/transcode",
		"upstream",
	},
	"bridge/internal/source": {
		"bridge/config",
		"bridge/internal/admit",
		"bridge/internal/failure",
		"bridge/internal/observe",
		"bridge/internal/reason",
		"bridge/internal/replay",
		"bridge/internal/route",
		"bridge/internal/site",
		"bridge/internal/sse",
		"bridge/internal/topic",
		"bridge/internal/transcode",
		"internal/printable",
		"upstream",
	},
	"bridge/internal/sse":   {"bridge/internal/reason"},
	"bridge/internal/tally": {},
	"bridge/internal/topic": {
		"bridge/internal/reason",
		"bridge/internal/replay",
		"bridge/internal/tally",
	},
	"bridge/internal/transcode": {"internal/nearest"},
	"gen/ssebridge/demo/v1":     {},
	"gen/ssebridge/test/v1":     {},
	"internal/acked":            {},
	"internal/address":          {},
	"internal/logqueue":         {},
	"internal/nearest":          {},
	"internal/printable":        {},
	"internal/regular":          {},
	"internal/release":          {},
	"upstream":                  {"internal/nearest", "internal/regular"},
}

// goPackage is what `go list -json` says of a package, as far as it matters here.
// Imports leaves out those of _test files.
type goPackage struct {
	ImportPath string   `json:"ImportPath"`
	Imports    []string `json:"Imports"`
}

// outside reports whether the package is for tests only.
func (p goPackage) outside() bool {
	return strings.HasSuffix(p.ImportPath, "test")
}

// goMod is what `go mod edit -json` says of a go.mod, as far as it matters here.
type goMod struct {
	Module  modulePath `json:"Module"`
	Replace []struct {
		Old modulePath `json:"Old"`
	} `json:"Replace"`
}

// modulePath names a module.
type modulePath struct {
	Path string `json:"Path"`
}

func TestImportsFollowTheTable(t *testing.T) {
	found := map[string]bool{}
	for _, pkg := range modulePackages(t) {
		if pkg.outside() {
			continue
		}
		name := strings.TrimPrefix(pkg.ImportPath, modulePrefix)
		found[name] = true
		allowed, known := allowedImports[name]
		if !known {
			t.Errorf("package %s is not in the table of imports", name)
			continue
		}
		for _, path := range pkg.Imports {
			imported, own := strings.CutPrefix(path, modulePrefix)
			if own && !slices.Contains(allowed, imported) {
				t.Errorf("package %s may not import %s", name, imported)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(allowedImports)) {
		if !found[name] {
			t.Errorf("the table of imports names %s, which does not exist", name)
		}
	}
}

// A table with a cycle, or with a package that it does not list, would allow what it
// is there to prevent.
func TestImportTableIsAClosedDAG(t *testing.T) {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(name string, path []string)
	visit = func(name string, path []string) {
		path = append(path, name)
		if _, known := allowedImports[name]; !known {
			t.Errorf("the table allows %s, which it does not list", strings.Join(path, " → "))
		}
		if state[name] == visiting {
			t.Errorf("the table allows the cycle %s", strings.Join(path, " → "))
		}
		if state[name] != 0 {
			return
		}
		state[name] = visiting
		for _, imported := range allowedImports[name] {
			visit(imported, path)
		}
		state[name] = done
	}
	for _, name := range slices.Sorted(maps.Keys(allowedImports)) {
		visit(name, nil)
	}
}

// Generated code is for the demo and for tests: a bridge knows no message type when it is compiled.
func TestOnlyTheDemoKnowsGeneratedCode(t *testing.T) {
	for name, imports := range allowedImports {
		for _, imported := range imports {
			if strings.HasPrefix(imported, "gen/") && name != "cmd/ssebridge/internal/demo" {
				t.Errorf("the table lets %s import %s", name, imported)
			}
		}
	}
}

// A replace directive makes `go install …@latest` fail, and an embedder does not get its effect.
func TestGoModHasNoReplace(t *testing.T) {
	var mod goMod
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	if mod.Module.Path != module {
		t.Errorf("the module is %s, want %s", mod.Module.Path, module)
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s", r.Old.Path)
	}
}

// modulePackages lists every package of the module that the current system builds.
func modulePackages(t *testing.T) []goPackage {
	t.Helper()
	readSources(t)
	decoder := json.NewDecoder(bytes.NewReader(goCommand(t, "list", "-json=ImportPath,Imports", "./...")))
	var packages []goPackage
	for {
		var pkg goPackage
		err := decoder.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, pkg)
	}
}

// readSources reads what `go list` will read. The go command keeps a test's result
// until a file that the test itself read has changed, and does not see what a child reads.
func readSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git"):
			return fs.SkipDir
		case filepath.Ext(path) != ".go" && entry.Name() != "go.mod":
			return nil
		}
		_, err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goCommand runs the go command at the top of the module and returns what it prints.
func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = ".."
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}
