package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// check returns what is wrong with the packages of the module, by the table of imports and
// the bounds of rooms.
func check(packages []pkg, allowed map[string][]string) (faults []string) {
	found := map[string]bool{}
	for _, p := range packages {
		if p.outside() {
			continue
		}
		found[p.name] = true
		known, listed := allowed[p.name]
		if !listed {
			faults = append(faults, fmt.Sprintf("package %s is not in the table of imports", p.name))
			continue
		}
		for _, imported := range p.imports {
			if !slices.Contains(known, imported) {
				faults = append(faults, fmt.Sprintf("package %s may not import %s", p.name, imported))
			}
		}
		for _, imported := range known {
			if !slices.Contains(p.imports, imported) && p.lines > 0 {
				faults = append(faults, fmt.Sprintf("the table lets %s import %s, which it does not", p.name, imported))
			}
		}
		if rooms[p.name] {
			faults = append(faults, checkRoom(p)...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		if !found[name] {
			faults = append(faults, fmt.Sprintf("the table of imports names %s, which does not exist", name))
		}
	}
	return append(faults, cycles(allowed)...)
}

// checkRoom returns how a room is past its bounds.
func checkRoom(p pkg) (faults []string) {
	if p.lines > mostLines {
		faults = append(faults, fmt.Sprintf("room %s has %d lines, more than %d", p.name, p.lines, mostLines))
	}
	for _, name := range slices.Sorted(maps.Keys(p.methods)) {
		if n := p.methods[name]; n > mostMethods {
			faults = append(faults, fmt.Sprintf("%s.%s has %d methods, more than %d", p.name, name, n, mostMethods))
		}
	}
	for _, file := range slices.Sorted(maps.Keys(p.files)) {
		var known []string
		for _, imported := range p.files[file] {
			if rooms[imported] {
				known = append(known, imported)
			}
		}
		if len(known) > mostKnown && file != assembly {
			faults = append(faults, fmt.Sprintf("%s knows %d rooms, more than %d: %s", file, len(known), mostKnown, strings.Join(known, ", ")))
		}
	}
	return faults
}

// cycles returns the cycles of a table, and the packages that it allows and does not list: both
// would allow what it is there to prevent.
func cycles(allowed map[string][]string) (faults []string) {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(name string, path []string)
	visit = func(name string, path []string) {
		path = append(path, name)
		if _, known := allowed[name]; !known {
			faults = append(faults, fmt.Sprintf("the table allows %s, which it does not list", strings.Join(path, " → ")))
		}
		if state[name] == visiting {
			faults = append(faults, "the table allows the cycle "+strings.Join(path, " → "))
		}
		if state[name] != 0 {
			return
		}
		state[name] = visiting
		for _, imported := range allowed[name] {
			visit(imported, path)
		}
		state[name] = done
	}
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		visit(name, nil)
	}
	return faults
}
