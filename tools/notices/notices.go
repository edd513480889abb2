package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// platforms are those that the binary is released for, and those that `make portable`
// builds: what is linked differs a little.
func platforms() []string {
	return []string{"linux/amd64", "linux/arm64", "linux/386", "darwin/arm64", "windows/amd64"}
}

// command is the package of the binary.
const command = "./cmd/ssebridge"

// standard is what the Go distribution is called here, which has no module and whose
// licence does not change with its version.
const standard = "the Go runtime and standard library"

var licence = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying|notice|patents)([.-][^.]*)?(\.(md|txt))?$`)

// isLicence reports whether a file goes with a copy of the source or the binary, by its name.
func isLicence(name string) bool { return licence.MatchString(name) && filepath.Ext(name) != ".go" }

// module is a module of which packages are linked, or the standard library.
type module struct {
	name, version, dir string
	folders            map[string]bool // of the packages
}

// String is how the module is named in the notices.
func (m *module) String() string { return strings.TrimSpace(m.name + " " + m.version) }

// source is where the module's source is to be had (MPL-2.0, section 3.2).
func (m *module) source() string {
	if m.name == standard {
		return "https://go.dev/dl/"
	}
	return "https://pkg.go.dev/" + m.name + "@" + m.version
}

// notices returns the text for the command of the module in a folder.
func notices(ctx context.Context, root string) (string, error) {
	linked, err := modules(ctx, root)
	if err != nil {
		return "", err
	}
	// Many modules have one licence, word by word: it is printed once.
	type text struct {
		content string
		of      []string
	}
	texts := map[string]*text{}
	var order []*text
	var out strings.Builder
	out.WriteString("The ssebridge command is linked with the software below. Its own licence is in LICENSE.\n" +
		"This file is generated: make generate.\n\n")
	for _, m := range linked {
		files, err := m.licences()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "  %s\n      %s\n", m, m.source())
		for _, file := range slices.Sorted(maps.Keys(files)) {
			content := files[file]
			key := strings.Join(strings.Fields(content), " ")
			t := texts[key]
			if t == nil {
				t = &text{content: content}
				texts[key] = t
				order = append(order, t)
			}
			t.of = append(t.of, m.String()+": "+file)
		}
	}
	for _, t := range order {
		double, single := strings.Repeat("=", 80), strings.Repeat("-", 80)
		fmt.Fprintf(&out, "\n%s\n%s\n%s\n\n%s\n", double, strings.Join(t.of, "\n"), single, strings.TrimRight(t.content, "\n \t"))
	}
	return out.String(), nil
}

// modules returns what the command is linked with on any of the platforms, by name.
func modules(ctx context.Context, root string) ([]*module, error) {
	found := map[string]*module{}
	for _, platform := range platforms() {
		system, arch, _ := strings.Cut(platform, "/")
		list := exec.CommandContext(ctx, "go", "list", "-deps", "-f",
			"{{if .Standard}}*\t\t\t{{else}}{{with .Module}}{{.Path}}\t{{.Version}}\t{{.Dir}}\t{{end}}{{end}}{{.Dir}}", command)
		list.Dir = root
		list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
		var failed strings.Builder
		list.Stderr = &failed
		output, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("go list for %s: %w\n%s", platform, err, failed.String())
		}
		for line := range strings.Lines(string(output)) {
			fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			if len(fields) != 4 {
				return nil, fmt.Errorf("go list says %q", line)
			}
			name, version, dir, folder := fields[0], fields[1], fields[2], fields[3]
			switch {
			case name == "*":
				name = standard
			case version == "": // this module
				continue
			}
			m := found[name]
			if m == nil {
				m = &module{name: name, version: version, dir: dir, folders: map[string]bool{}}
				found[name] = m
			}
			if name != standard {
				m.folders[folder] = true
			}
		}
	}
	var err error
	if found[standard].dir, err = goRoot(ctx, root); err != nil {
		return nil, err
	}
	found[standard].folders[found[standard].dir] = true
	return slices.SortedFunc(maps.Values(found), func(a, b *module) int { return strings.Compare(a.name, b.name) }), nil
}

func goRoot(ctx context.Context, root string) (string, error) {
	env := exec.CommandContext(ctx, "go", "env", "GOROOT")
	env.Dir = root // whose go.mod may choose the toolchain
	output, err := env.Output()
	return strings.TrimSpace(string(output)), err
}

// licences returns the texts that go with the module, by the names of their files. They
// are those of the linked packages' folders and of all folders above them, since a package
// may have been taken from elsewhere, with a licence of its own.
func (m *module) licences() (map[string]string, error) {
	texts := map[string]string{}
	seen := map[string]bool{}
	for folder := range m.folders {
		for ; !seen[folder]; folder = filepath.Dir(folder) {
			seen[folder] = true
			if err := m.addLicences(texts, folder); err != nil {
				return nil, err
			}
			if folder == m.dir {
				break
			}
		}
	}
	if len(texts) == 0 {
		return nil, errors.New(m.String() + " has no file with its licence; ask its authors before it is linked")
	}
	return texts, nil
}

// addLicences adds the texts in one folder.
func (m *module) addLicences(texts map[string]string, folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() || !isLicence(entry.Name()) {
			continue
		}
		path := filepath.Join(folder, entry.Name())
		text, err := os.ReadFile(path) //nolint:gosec // of a module that is linked
		if err != nil {
			return err
		}
		name, err := filepath.Rel(m.dir, path)
		if err != nil {
			return err
		}
		texts[filepath.ToSlash(name)] = string(text)
	}
	return nil
}
