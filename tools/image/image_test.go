package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"debug/elf"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// version is what the test's image is released as.
const version = "1.2.3"

// build builds the bridge as `make build`, `make image` and the Dockerfile do.
func build(t testing.TB) string {
	t.Helper()
	flags, err := exec.Command("../../scripts/ldflags.sh", version).Output()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ssebridge")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", strings.TrimSpace(string(flags)), "-o", file, "./cmd/ssebridge")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return file
}

// written runs the command for some binaries and returns the folder that it wrote into.
func written(t testing.TB, binaries ...string) string {
	t.Helper()
	folder := t.TempDir()
	args := []string{"-out", folder, "-version", version, "-revision", "abc"}
	for _, b := range binaries {
		args = append(args, "-binary", b)
	}
	var out bytes.Buffer
	if err := run(args, &out); err != nil {
		t.Fatal(err)
	}
	t.Log(strings.TrimSpace(out.String()))
	return folder
}

// images reads the images of a layout, each by its platform.
func images(t testing.TB, folder string) map[string]v1.Image {
	t.Helper()
	outer, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	outermost, err := outer.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(outermost.Manifests) != 1 {
		t.Fatalf("the layout has %d entries, want the one index", len(outermost.Manifests))
	}
	index, err := outer.ImageIndex(outermost.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]v1.Image{}
	for _, m := range manifest.Manifests {
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		found[m.Platform.String()] = image
	}
	return found
}

// unpack writes an image's files into a folder, as an engine would.
func unpack(t testing.TB, image v1.Image, root string) {
	t.Helper()
	content := mutate.Extract(image)
	defer func() {
		if err := content.Close(); err != nil {
			t.Error(err)
		}
	}()
	tape := tar.NewReader(content)
	for {
		head, err := tape.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(root, filepath.FromSlash(filepath.Clean("/"+head.Name)))
		switch head.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(name, 0o755)
		case tar.TypeReg:
			var bytes []byte
			if bytes, err = io.ReadAll(tape); err == nil {
				err = os.WriteFile(name, bytes, os.FileMode(head.Mode))
			}
		default:
			t.Fatalf("%s is neither a file nor a folder", head.Name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// two are files that stand for the binaries of two platforms.
func two(t testing.TB) []string {
	t.Helper()
	folder := t.TempDir()
	var binaries []string
	for _, arch := range []string{"amd64", "arm64"} {
		file := filepath.Join(folder, arch)
		if err := os.WriteFile(file, []byte("for "+arch), 0o600); err != nil {
			t.Fatal(err)
		}
		binaries = append(binaries, "linux/"+arch+"="+file)
	}
	return binaries
}

func TestImageSaysHowItIsRun(t *testing.T) {
	found := images(t, filepath.Join(written(t, two(t)...), "layout"))
	if len(found) != 2 {
		t.Fatalf("%d platforms, want two", len(found))
	}
	for platform, image := range found {
		file, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if got := file.Platform().String(); got != platform {
			t.Errorf("%s: the image says %s", platform, got)
		}
		c := file.Config
		if c.User != "65532:65532" {
			t.Errorf("%s: user %q, want a number, and not root's", platform, c.User)
		}
		if command := slices.Concat(c.Entrypoint, c.Cmd); !slices.Equal(command, []string{"/ssebridge", "serve", "--config", "/etc/ssebridge/ssebridge.yaml"}) {
			t.Errorf("%s: it runs %q", platform, command)
		}
		for _, port := range []string{"8080/tcp", "9901/tcp"} {
			if _, ok := c.ExposedPorts[port]; !ok {
				t.Errorf("%s: port %s is not exposed", platform, port)
			}
		}
		for key, want := range map[string]string{"title": "ssebridge", "version": "1.2.3", "revision": "abc", "licenses": "Apache-2.0"} {
			if got := c.Labels[label+key]; got != want {
				t.Errorf("%s: label %s is %q, want %q", platform, key, got, want)
			}
		}
		root := t.TempDir()
		unpack(t, image, root)
		content, err := os.ReadFile(filepath.Join(root, "ssebridge"))
		if err != nil || string(content) != "for "+file.Architecture {
			t.Errorf("%s holds %q, %v", platform, content, err)
		}
		for _, name := range []string{"LICENSE", "THIRD_PARTY_NOTICES"} {
			want, err := os.ReadFile(filepath.Join("../..", name))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %s is not the project's (%v)", platform, name, err)
			}
		}
	}
}

// The same files give the same bytes, whenever and by whomever it is made.
func TestImageIsReproducible(t *testing.T) {
	binaries := two(t)
	first, err := os.ReadFile(filepath.Join(written(t, binaries...), "ssebridge.tar"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(filepath.Join(written(t, binaries...), "ssebridge.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(first) == 0 || !bytes.Equal(first, second) {
		t.Errorf("two archives of the same files differ (%d and %d bytes)", len(first), len(second))
	}
}

func TestImageIsRefused(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for name, args := range map[string][]string{
		"nothing":                {},
		"no binary":              {"-out", t.TempDir(), "-version", "1"},
		"a binary of no machine": {"-out", t.TempDir(), "-version", "1", "-binary", "ssebridge"},
		"a missing binary":       {"-out", t.TempDir(), "-version", "1", "-binary", "linux/amd64=" + missing},
		"no certificates":        {"-out", t.TempDir(), "-version", "1", "-binary", "linux/amd64=image.go", "-ca", missing},
		"no licence":             {"-out", t.TempDir(), "-version", "1", "-binary", "linux/amd64=image.go", "-license", missing},
		"no notices":             {"-out", t.TempDir(), "-version", "1", "-binary", "linux/amd64=image.go", "-notices", missing},
		"not certificates":       {"-out", t.TempDir(), "-version", "1", "-binary", "linux/amd64=image.go", "-ca", "image.go"},
	} {
		if err := run(args, io.Discard); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}

// The image of the real bridge: nothing that it would need a loader for, and
// certificates that Go takes.
func checkFiles(t testing.TB, root string) {
	t.Helper()
	program, err := elf.Open(filepath.Join(root, "ssebridge"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary is not static: it names a loader, which the image has not")
		}
	}
	if err := program.Close(); err != nil {
		t.Error(err)
	}
	pem, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		t.Error("Go finds no certificate in the bundle")
	}
}

// native is this machine's platform.
const native = "linux/" + runtime.GOARCH

// The version that an image is made with is what its binary says, and each way to an image passes it on.
func TestVersionReachesTheBinary(t *testing.T) {
	out, err := exec.Command(build(t), "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "ssebridge "+version+",") {
		t.Errorf("the binary says %q (%v)", out, err)
	}
	for name, passes := range map[string]string{
		"scripts/image.sh":         `-ldflags "$(scripts/ldflags.sh "$version")"`,
		"deploy/docker/Dockerfile": `-ldflags "$(scripts/ldflags.sh "$VERSION")"`,
		"Makefile":                 `-ldflags "$$(scripts/ldflags.sh $(VERSION))"`,
	} {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), passes) {
			t.Errorf("%s does not build with %s", name, passes)
		}
	}
}
