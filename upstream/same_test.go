package upstream

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

const sameProto = `syntax = "proto3"; package same; import "other.proto"; message Same { Other other = 1; }`

// An upstream is the same if New would make an equal one of the parameters, including the files.
func TestSame(t *testing.T) {
	authority, dir := backendtest.NewAuthority(t), t.TempDir()
	cert, key := authority.Issue(t, "client")
	write(t, dir, "same.proto", []byte(sameProto))
	write(t, dir, "other.proto", []byte(`syntax = "proto3"; package same; message Other { string text = 1; }`))
	params := func() Params {
		return Params{
			Name: "app", Target: "127.0.0.1:1", Metadata: map[string]string{"a": "b"},
			TLS:    &TLS{CA: authority.CAFile, Cert: cert, Key: key},
			Schema: SchemaParams{ImportPaths: []string{dir}, ProtoFiles: []string{"same.proto"}},
		}
	}
	u := connect(t, params())
	expect := func(what string, p Params, want bool) {
		t.Helper()
		if got, err := u.Same(p); err != nil || got != want {
			t.Errorf("%s: %t, %v; want %t", what, got, err, want)
		}
	}
	expect("nothing has changed", params(), true)
	for what, change := range map[string]func(*Params){
		"the target":        func(p *Params) { p.Target = "127.0.0.1:2" },
		"metadata":          func(p *Params) { p.Metadata["a"] = "c" },
		"the largest":       func(p *Params) { p.MaxMessageBytes = 1 },
		"connections":       func(p *Params) { p.Connections = 2 },
		"the server's name": func(p *Params) { p.TLS.ServerName = "x" },
		"no TLS":            func(p *Params) { p.TLS = nil },
		"reflection":        func(p *Params) { p.Schema = SchemaParams{} },
	} {
		p := params()
		change(&p)
		expect(what, p, false)
	}
	explicit := params()
	explicit.Opens = defaultOpens
	expect("a default, written out", explicit, true)

	write(t, dir, "other.proto", []byte(`syntax = "proto3"; package same; message Other { string title = 1; }`))
	expect("an import", params(), false)
	write(t, dir, "other.proto", []byte(`syntax = "proto3"; package same; /* a comment */ message Other { string text = 1; }`))
	expect("a comment", params(), true)

	before, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	authority.Issue(t, "client")
	expect("a renewed certificate", params(), true)
	write(t, filepath.Dir(cert), filepath.Base(cert), before)
	failed := new(ParamError)
	if _, err := u.Same(params()); !errors.As(err, &failed) || failed.Field != "tls.cert" {
		t.Errorf("a certificate without its key: %v", err)
	}
	authority.Issue(t, "client")
	write(t, dir, "same.proto", []byte("no proto"))
	if _, err := u.Same(params()); !errors.As(err, &failed) || failed.Field != "schema.proto.files" {
		t.Errorf("a schema that does not compile: %v", err)
	}
	if err := os.Remove(authority.CAFile); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "same.proto", []byte(sameProto))
	if _, err := u.Same(params()); !errors.As(err, &failed) || failed.Field != "tls.ca" {
		t.Errorf("an authority that is gone: %v", err)
	}
}
