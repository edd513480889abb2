package upstream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// sends returns a response with files, each given as "name import import …".
func sends(t testing.TB, files ...string) *reflectionv1.ServerReflectionResponse {
	t.Helper()
	response := &reflectionv1.FileDescriptorResponse{}
	for _, file := range files {
		words := strings.Fields(file)
		response.FileDescriptorProto = append(response.FileDescriptorProto,
			wire(t, &descriptorpb.FileDescriptorProto{Name: &words[0], Dependency: words[1:]}))
	}
	return &reflectionv1.ServerReflectionResponse{
		MessageResponse: &reflectionv1.ServerReflectionResponse_FileDescriptorResponse{FileDescriptorResponse: response},
	}
}

// The guard finds files that import each other in any order and in any number of responses, and no
// others.
func TestGuardFindsCycles(t *testing.T) {
	for _, c := range []struct {
		files string
		want  bool
	}{
		{"a b c, b d, c d b, d", false},
		{"a a", true},
		{"a b, b a", true},
		{"a b, b c, c d, d b", true},
		{"a x, b a x, c b a, d c missing", false},
		{"a b missing, b c missing, c a missing", true},
		{"a b b b, b", false},
		{"a b, a a, b", false}, // the first file of a name counts
	} {
		files := strings.Split(c.files, ", ")
		for range 50 {
			g := newReflectionGuard()
			var err error
			for rest := files; len(rest) > 0; {
				n := 1 + rand.N(len(rest))
				err = g.admit(sends(t, rest[:n]...))
				rest = rest[n:]
			}
			if got := errors.Is(err, errReflectionLimit); got != c.want {
				t.Fatalf("%q: found %v, want %v: %v", files, got, c.want, err)
			}
			if !strings.Contains(c.files, "a a") {
				rand.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
			}
		}
	}
	if err := newReflectionGuard().admit("no message"); !errors.Is(err, errReflectionLimit) {
		t.Errorf("got %v", err)
	}
}

// schemaOf returns a schema as large as the guard admits: each file imports those after it.
func schemaOf(n int) []string {
	files := make([]string, n)
	for i := range files {
		var b strings.Builder
		fmt.Fprintf(&b, "f%d", i)
		for next := i + 1; next < min(n, i+1+maxReflectionImports/maxReflectionFiles); next++ {
			fmt.Fprintf(&b, " f%d", next)
		}
		files[i] = b.String()
	}
	return files
}

// Hardening: a complete file is not followed again. Otherwise the work would grow with the square
// of the number of files.
func TestGuardFollowsAFileOnce(t *testing.T) {
	files := schemaOf(maxReflectionFiles)
	slices.Reverse(files)
	oneByOne, atOnce := newReflectionGuard(), newReflectionGuard()
	for _, file := range files {
		name, _, _ := strings.Cut(file, " ")
		if err := oneByOne.admit(sends(t, file)); err != nil {
			t.Fatal(err)
		}
		if !oneByOne.imports.file(name).complete {
			t.Fatalf("%s is followed again for each file that imports it", name)
		}
	}
	rand.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	if err := atOnce.admit(sends(t, files...)); err != nil {
		t.Fatal(err)
	}
	for name, f := range atOnce.imports.files {
		if !f.complete {
			t.Fatalf("%s is followed again", name)
		}
	}
	if err := atOnce.admit(sends(t, "one-more")); !errors.Is(err, errReflectionLimit) {
		t.Errorf("got %v for more files than are admitted", err)
	}
}

func BenchmarkGuard(b *testing.B) {
	files := schemaOf(maxReflectionFiles)
	missing := slices.Clone(files)
	slices.Reverse(missing)
	missing[0] += " missing" // so that no file is ever complete
	shuffled := slices.Clone(files)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for name, responses := range map[string][]proto.Message{
		"at once":           {sends(b, shuffled...)},
		"one by one":        oneByOne(b, files),
		"in no order":       oneByOne(b, shuffled),
		"missing an import": oneByOne(b, missing),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				g := newReflectionGuard()
				for _, response := range responses {
					if err := g.admit(response); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func oneByOne(b *testing.B, files []string) []proto.Message {
	b.Helper()
	responses := make([]proto.Message, len(files))
	for i, file := range files {
		responses[i] = sends(b, file)
	}
	return responses
}
