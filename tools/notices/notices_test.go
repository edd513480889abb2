package main

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const file = "../../THIRD_PARTY_NOTICES"

// TestNoticesAreTrue compares the committed file with what is linked now.
func TestNoticesAreTrue(t *testing.T) {
	want, err := notices(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("THIRD_PARTY_NOTICES is out of date; regenerate it by: make generate")
	}
}

// TestEachLinkedModuleIsNamed asks the binary itself.
func TestEachLinkedModuleIsNamed(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "ssebridge")
	build := exec.Command("go", "build", "-o", binary, command)
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) < 10 {
		t.Errorf("the binary names %d modules only", len(info.Deps))
	}
	for _, m := range info.Deps {
		for _, name := range []string{"  " + m.Path + " " + m.Version + "\n", "\n" + m.Path + " " + m.Version + ": "} {
			if !strings.Contains(string(text), name) {
				t.Errorf("%s %s is linked, and the notices lack %q", m.Path, m.Version, name)
			}
		}
	}
	for _, words := range []string{
		"Mozilla Public License, version 2.0", "Apache License", "Redistribution and use in source and binary forms", "Permission is hereby granted, free of charge",
	} {
		if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), words) {
			t.Errorf("no licence says %q", words)
		}
	}
}

func TestLicenceFilesAreRecognised(t *testing.T) {
	for name, want := range map[string]bool{
		"LICENSE": true, "LICENSE.md": true, "LICENSE.txt": true, "LICENCE": true, "License": true, "COPYING": true, "NOTICE": true, "NOTICE.txt": true, "PATENTS": true,
		"LICENSE-MIT": true, "LICENSE.libyaml": true, "UNLICENSE": true, "license.go": false, "license_test.go": false, "licenses": false, "README.md": false,
	} {
		if isLicence(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
}
