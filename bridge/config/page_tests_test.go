package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTestsOfThePagesExist looks up the tests and benchmarks that pages in docs name, such as those of the rules of
// resuming.
func TestTestsOfThePagesExist(t *testing.T) {
	const root = "../.."
	pages, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	decisions, err := filepath.Glob(root + "/docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
	there := map[string]bool{}
	for _, path := range goFiles(t, root) {
		if strings.HasSuffix(path, "_test.go") {
			for _, found := range function.FindAllSubmatch(readFile(t, path), -1) {
				there[string(found[1])] = true
			}
		}
	}
	named := 0
	for _, page := range append(append(pages, decisions...), root+"/SECURITY.md") {
		for _, found := range regexp.MustCompile("`((?:Test|Benchmark|Fuzz)[A-Z]\\w+)`").FindAllStringSubmatch(string(readFile(t, page)), -1) {
			if named++; !there[found[1]] {
				t.Errorf("%s names %s, which does not exist", page, found[1])
			}
		}
	}
	if named < 30 {
		t.Errorf("only %d names were found", named)
	}
}

// TestFilesOfThePagesExist looks up the Go files that ARCHITECTURE.md and the decisions name, by their path or a part of it.
func TestFilesOfThePagesExist(t *testing.T) {
	const root = "../.."
	pages, err := filepath.Glob(root + "/docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	files := goFiles(t, root)
	named := 0
	for _, page := range append(pages, root+"/ARCHITECTURE.md") {
		for _, name := range regexp.MustCompile(`[a-z][a-z0-9_/]*\.go\b`).FindAllString(string(readFile(t, page)), -1) {
			named++
			if !slices.ContainsFunc(files, func(path string) bool { return strings.HasSuffix(path, "/"+name) }) {
				t.Errorf("%s names %s, which does not exist", page, name)
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d names were found", named)
	}
}

// goFiles returns the paths of all Go files below root, with slashes.
func goFiles(t *testing.T, root string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go"):
			files = append(files, filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
