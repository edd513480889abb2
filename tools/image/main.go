package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// certificates is where Debian's ca-certificates package keeps the bundle.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// run writes the layout that the command line asks for, and says where it is.
func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	out := flags.String("out", "", "the folder to write layout/ and ssebridge.tar into; what they held is replaced")
	version := flags.String("version", "", "the version, which becomes a label and the image's tag")
	revision := flags.String("revision", "", "the commit, which becomes a label")
	bundle := flags.String("ca", certificates, "the certificates, as PEM")
	licence := flags.String("license", "../../LICENSE", "the project's licence")
	notices := flags.String("notices", "../../THIRD_PARTY_NOTICES", "the licences of what is linked")
	contents := contents{}
	flags.Func("binary", "`os/arch=file` of a static binary; once for each platform", contents.addBinary)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || *version == "" || len(contents.binaries) == 0 || flags.NArg() > 0 {
		return errors.New("want -out, -version and at least one -binary, and nothing else; see -help")
	}
	if err := contents.readCertificates(*bundle); err != nil {
		return err
	}
	if err := contents.readLicences(*licence, *notices); err != nil {
		return err
	}
	index, err := newIndex(contents, labels(*version, *revision))
	if err != nil {
		return err
	}
	folder, archive := filepath.Join(*out, "layout"), filepath.Join(*out, "ssebridge.tar")
	if err := write(index, folder, archive, "ssebridge/ssebridge", *version); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s, and in one file %s\n%s\n", folder, archive, digest)
	return err
}

// binary is a program of one platform.
type binary struct {
	platform v1.Platform
	content  []byte
}

// contents is what goes into the image.
type contents struct {
	binaries     []binary
	certificates []byte
	// licence is the project's own, and notices are those of the linked modules. Both have
	// to be distributed with the binary.
	licence, notices []byte
}

// addBinary reads a binary, given as os/arch=file.
func (c *contents) addBinary(given string) error {
	name, file, found := strings.Cut(given, "=")
	if !found {
		return fmt.Errorf("%q is not os/arch=file", given)
	}
	platform, err := v1.ParsePlatform(name)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(file) //nolint:gosec // the command line's own
	if err != nil {
		return err
	}
	c.binaries = append(c.binaries, binary{*platform, content})
	return nil
}

// readLicences reads the licences.
func (c *contents) readLicences(licence, notices string) error {
	for _, f := range []struct {
		name string
		into *[]byte
	}{{licence, &c.licence}, {notices, &c.notices}} {
		content, err := os.ReadFile(f.name)
		if err == nil && len(content) == 0 {
			err = fmt.Errorf("%s is empty", f.name)
		}
		if err != nil {
			return fmt.Errorf("the licences: %w", err)
		}
		*f.into = content
	}
	return nil
}

// readCertificates reads the bundle. An image without one would fail at its first TLS
// upstream only, so that is an error here.
func (c *contents) readCertificates(file string) error {
	content, err := os.ReadFile(file) //nolint:gosec // the command line's own
	if err != nil {
		return fmt.Errorf("the certificates: %w; install ca-certificates, or name another bundle with -ca", err)
	}
	if !strings.Contains(string(content), "-----BEGIN CERTIFICATE-----") {
		return fmt.Errorf("%s holds no certificate in PEM", file)
	}
	c.certificates = content
	return nil
}
