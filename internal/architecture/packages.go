package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// module is the path of this module, and modulePrefix what its packages begin with.
const (
	module       = "github.com/ssebridge/ssebridge"
	modulePrefix = module + "/"
)

// pkg is a package of the module. Names of packages are without the module's path. Test
// files do not count.
type pkg struct {
	name    string
	imports []string            // of this module
	files   map[string][]string // each file's own imports of this module, by its path in the module
	lines   int
	methods map[string]int // by type
}

// outside reports whether the package is for tests only.
func (p pkg) outside() bool { return strings.HasSuffix(p.name, "test") }

// listed is what `go list -json` prints of a package, as far as it matters here.
type listed struct {
	ImportPath string   `json:"ImportPath"` //nolint:tagliatelle // the go command's names
	Dir        string   `json:"Dir"`        //nolint:tagliatelle // as above
	GoFiles    []string `json:"GoFiles"`    //nolint:tagliatelle // as above
}

// load reads the packages of the module in a folder that the current system builds.
func load(ctx context.Context, root string) ([]pkg, error) {
	command := exec.CommandContext(ctx, "go", "list", "-json=ImportPath,Dir,GoFiles", "./...")
	command.Dir = root
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.Bytes())
	}
	var packages []pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var one listed
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return packages, nil
		}
		if err != nil {
			return nil, err
		}
		p, err := read(one)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// read reads the files of a package.
func read(one listed) (pkg, error) {
	p := pkg{name: strings.TrimPrefix(one.ImportPath, modulePrefix), files: map[string][]string{}, methods: map[string]int{}}
	seen := map[string]bool{}
	for _, name := range one.GoFiles {
		source, err := os.ReadFile(filepath.Join(one.Dir, name)) //nolint:gosec // a file of this module
		if err != nil {
			return pkg{}, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
		if err != nil {
			return pkg{}, err
		}
		p.lines += bytes.Count(source, []byte("\n"))
		known := ownImports(file)
		p.files[p.name+"/"+name] = known
		for _, imported := range known {
			if !seen[imported] {
				seen[imported] = true
				p.imports = append(p.imports, imported)
			}
		}
		for _, declaration := range file.Decls {
			if method, ok := declaration.(*ast.FuncDecl); ok && method.Recv != nil {
				p.methods[receiver(method.Recv.List[0].Type)]++
			}
		}
	}
	return p, nil
}

// ownImports returns what a file imports of this module.
func ownImports(file *ast.File) []string {
	var own []string
	for _, imported := range file.Imports {
		path, err := strconv.Unquote(imported.Path.Value)
		if err != nil {
			continue // the compiler complains
		}
		if name, ok := strings.CutPrefix(path, modulePrefix); ok {
			own = append(own, name)
		}
	}
	return own
}

// receiver returns the name of a method's type.
func receiver(expr ast.Expr) string {
	switch t := expr.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr: // of a generic type
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return "?"
}
