// Command architecture prints the packages of the module with their size and their imports of
// each other, and fails where they differ from the table of imports (table.go) or where a
// room is past its bounds. It is run at the top of the module.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
)

func main() {
	packages, err := load(context.Background(), ".")
	if err == nil {
		err = write(os.Stdout, packages)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	faults := check(packages, allowedImports)
	for _, fault := range faults {
		fmt.Fprintln(os.Stderr, fault)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
}

// write prints a line for each package: a room is marked by *, fan-in is how many packages
// import it, fan-out how many it imports.
func write(out io.Writer, packages []pkg) error {
	importers := map[string]int{}
	for _, p := range packages {
		if p.outside() {
			continue
		}
		for _, imported := range p.imports {
			importers[imported]++
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "package\tlines\tfiles\tfan-in\tfan-out\tmost methods\t\n")
	for _, p := range slices.SortedFunc(slices.Values(packages), func(a, b pkg) int { return cmp.Compare(a.name, b.name) }) {
		if p.outside() {
			continue
		}
		mark := " "
		if rooms[p.name] {
			mark = "*"
		}
		name, methods := largest(p)
		fmt.Fprintf(table, "%s %s\t%d\t%d\t%d\t%d\t%s %d\t\n", p.name, mark, p.lines, len(p.files), importers[p.name], len(p.imports), name, methods)
	}
	return table.Flush()
}

// largest returns the type with most methods.
func largest(p pkg) (name string, methods int) {
	for _, candidate := range slices.Sorted(maps.Keys(p.methods)) {
		if n := p.methods[candidate]; n > methods {
			name, methods = candidate, n
		}
	}
	return name, methods
}
