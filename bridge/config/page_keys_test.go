package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// A key that no page explains is found only in the example.
func TestAPageNamesEveryKey(t *testing.T) {
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var pages strings.Builder
	for _, name := range append(names, "../../README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages.Write(text)
	}
	inCode := strings.Join(regexp.MustCompile("(?s)`[^`]+`|\n    [^\n]+|\n```.*?\n```").FindAllString(pages.String(), -1), "\n")
	for _, key := range keysBelow(reflect.TypeFor[Config]()) {
		if !regexp.MustCompile(`\b` + key + `\b`).MatchString(inCode) {
			t.Errorf("no page in docs explains the key %s", key)
		}
	}
}
