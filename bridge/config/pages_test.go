package config

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The figures in README and docs that follow from other files are up to date.
func TestFiguresInDocs(t *testing.T) {
	readme, operations := string(readFile(t, "../../README.md")), string(readFile(t, "../../docs/operations.md"))
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(readFile(t, "../../go.mod"))
	route := Config{Routes: []Route{{}}}.WithDefaults().Routes[0]
	gone := time.Duration(*route.Heartbeat.Every + route.WriteTimeout)
	editor, _, _ := strings.Cut(string(readFile(t, "../../cmd/ssebridge/internal/cli/skeleton.yaml.tmpl")), "\n")
	for _, want := range []string{
		fmt.Sprintf("Go %s or later", language[1]),
		fmt.Sprintf("is gone within a\n  heartbeat and `write_timeout` (%.0f s by default)", gone.Seconds()),
		"begins with\n\n    " + editor + "\n\n",
	} {
		if !strings.Contains(readme, want) {
			t.Errorf("README.md does not say %q", want)
		}
	}

	// The example of the sizing formula follows the formula, with the table's figure for a topic.
	topic := regexp.MustCompile(`\| a topic, [^|]*\| (\d+) KiB with one small event`).FindStringSubmatch(operations)
	example := regexp.MustCompile(`(\d+) MiB \+ ([\d,]+) × (\d+) KiB = (\d+) MiB, and (\d+) MiB\s+with garbage`).FindStringSubmatch(operations)
	if topic == nil || example == nil || example[3] != topic[1] ||
		!strings.Contains(operations, fmt.Sprintf("Memory: %s MiB + clients × the above + topics × %s KiB + `limits.replay_bytes` + `limits.pending_bytes`", example[1], topic[1])) {
		t.Fatalf("docs/operations.md: a topic is %q, and the example %q", topic, example)
	}
	number := func(text string) float64 {
		n, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	used := number(example[1]) + number(example[2])*number(example[3])/1024
	if math.Abs(used-number(example[4])) > 1 || math.Abs(used*4/3-number(example[5])) > 12 {
		t.Errorf("docs/operations.md: %s, which is %.0f and %.0f", example[0], used, used*4/3)
	}
}

// README refers to the proxies' configuration files, since a page needs a proxy that does not hold back
// its streams.
func TestProxiesInDocs(t *testing.T) {
	readme, page := string(readFile(t, "../../README.md")), string(readFile(t, "../../docs/proxies.md"))
	products := map[string]string{
		"nginx.conf": "nginx", "haproxy.cfg": "HAProxy", "Caddyfile": "Caddy", "apache.conf": "Apache", "envoy.yaml": "Envoy", "traefik.yaml": "Traefik",
	}
	files, err := os.ReadDir("../../deploy/proxy")
	if err != nil {
		t.Fatal(err)
	}
	_, named, ok := strings.Cut(readme, "[deploy/proxy](deploy/proxy) (")
	named, _, _ = strings.Cut(named, ")")
	if !ok || !strings.Contains(readme, "[docs/proxies.md](docs/proxies.md)") || !strings.Contains(readme, "Vite") {
		t.Error("README.md does not lead to the proxies' files and to Vite")
	}
	for _, file := range files {
		name := file.Name()
		product, known := products[name]
		if !known {
			if !strings.HasPrefix(filepath.Base(name), "ssebridge-away.") {
				t.Errorf("the test does not know the product of deploy/proxy/%s", name)
			}
			continue
		}
		if !strings.Contains(named, product) || !strings.Contains(page, "deploy/proxy/"+name) {
			t.Errorf("README.md or docs/proxies.md does not name %s for %s", name, product)
		}
	}
	// The recipe makes Vite's proxy close the page's connection when the bridge's is closed.
	if _, recipe, ok := strings.Cut(page, "## Vite's dev server"); !ok || !strings.Contains(recipe, "vite.config.js") || !strings.Contains(recipe, "destroy") {
		t.Error("docs/proxies.md has no recipe for Vite's dev server")
	}
}
