package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goMod is what `go mod edit -json` says of a go.mod, as far as it matters here.
type goMod struct {
	Module  modulePath   `json:"Module"`
	Require []modulePath `json:"Require"`
	Replace []struct {
		Old modulePath `json:"Old"`
	} `json:"Replace"`
}

// modulePath names a module.
type modulePath struct {
	Path string `json:"Path"`
}

// TestArchitecture: each package imports what the table lets it import, and rooms are within their bounds.
func TestArchitecture(t *testing.T) {
	readSources(t)
	packages, err := load(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range check(packages, allowedImports) {
		t.Error(fault)
	}
	var table bytes.Buffer
	if err := write(&table, packages); err != nil || strings.Count(table.String(), "\n") != len(allowedImports)+1 {
		t.Errorf("%v, %d packages:\n%s", err, len(allowedImports), table.String())
	}
}

// Each fault is found.
func TestFaultsAreFound(t *testing.T) {
	room := func(change func(p *pkg)) []pkg {
		p := pkg{name: "bridge/internal/serve", lines: 1, files: map[string][]string{}, methods: map[string]int{}}
		change(&p)
		return []pkg{p}
	}
	table := map[string][]string{"bridge/internal/serve": {}}
	for want, faults := range map[string][]string{
		"package bridge/internal/serve may not import bridge/internal/site": check(room(func(p *pkg) { p.imports = []string{"bridge/internal/site"} }), table),
		"package other is not in the table of imports":                      check([]pkg{{name: "other"}}, map[string][]string{}),
		"the table of imports names other, which does not exist":            check(nil, map[string][]string{"other": {}}),
		"the table lets bridge/internal/serve import a, which it does not": check(append(room(func(*pkg) {}), pkg{name: "a"}),
			map[string][]string{"bridge/internal/serve": {"a"}, "a": {}}),
		"room bridge/internal/serve has 2501 lines, more than 2500":   check(room(func(p *pkg) { p.lines = 2501 }), table),
		"bridge/internal/serve.exchange has 21 methods, more than 20": check(room(func(p *pkg) { p.methods["exchange"] = 21 }), table),
		"the table allows the cycle a → b → a":                        cycles(map[string][]string{"a": {"b"}, "b": {"a"}}),
		"the table allows a → b, which it does not list":              cycles(map[string][]string{"a": {"b"}}),
		"serve/x.go knows 6 rooms, more than 5: bridge, bridge/internal/admit, bridge/internal/failure, bridge/internal/observe, bridge/internal/peer, bridge/internal/site": checkRoom(pkg{
			files: map[string][]string{"serve/x.go": {
				"bridge", "bridge/internal/admit", "bridge/internal/failure", "bridge/internal/observe", "bridge/internal/peer", "bridge/internal/site",
			}},
		}),
	} {
		if !slices.Contains(faults, want) {
			t.Errorf("found %q, want %q", faults, want)
		}
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
	mod := readGoMod(t)
	if mod.Module.Path != module {
		t.Errorf("the module is %s, want %s", mod.Module.Path, module)
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s", r.Old.Path)
	}
}

// browserDrivers are what the paths of modules that drive a browser begin with.
var browserDrivers = []string{"github.com/chromedp/", "github.com/go-rod/", "github.com/playwright-community/", "github.com/tebeka/selenium"}

// An embedder has the modules of go.mod in its own module graph, those of tests too.
func TestGoModHasNoBrowserDriver(t *testing.T) {
	for _, required := range readGoMod(t).Require {
		for _, driver := range browserDrivers {
			if strings.HasPrefix(required.Path, driver) {
				t.Errorf("go.mod requires %s: tests with a browser are in cmd/ssebridge/browsertest", required.Path)
			}
		}
	}
}

// readGoMod reads the module's go.mod.
func readGoMod(t *testing.T) goMod {
	t.Helper()
	readSources(t)
	var mod goMod
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	return mod
}

// readSources reads what `go list` will read. The go command keeps a test's result
// until a file that the test itself read has changed, and does not see what a child reads.
func readSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
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
	command.Dir = "../.."
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}
