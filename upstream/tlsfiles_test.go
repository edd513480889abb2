package upstream

import (
	"errors"
	"os"
	"testing"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// A file that becomes unusable changes nothing: a backend that restarts meanwhile is connected to
// again. The log reports it once.
func TestUnusableTLSFilesChangeNothing(t *testing.T) {
	for name, spoil := range map[string]func(files *TLS, stranger string) error{
		"an empty authority":          func(files *TLS, _ string) error { return os.Truncate(files.CA, 0) },
		"an authority that is gone":   func(files *TLS, _ string) error { return os.Remove(files.CA) },
		"an authority that is cut":    func(files *TLS, _ string) error { return os.Truncate(files.CA, 100) },
		"a certificate that is gone":  func(files *TLS, _ string) error { return os.Remove(files.Cert) },
		"a certificate that is empty": func(files *TLS, _ string) error { return os.Truncate(files.Cert, 0) },
		"a folder for a certificate": func(files *TLS, _ string) error {
			return errors.Join(os.Remove(files.Cert), os.Mkdir(files.Cert, 0o700))
		},
		"a key of another certificate": func(files *TLS, stranger string) error { return os.Rename(stranger, files.Key) },
	} {
		t.Run(name, func(t *testing.T) {
			authority := backendtest.NewAuthority(t)
			backend := backendtest.Start(t, backendtest.WithTLS(authority), backendtest.WithClientAuth())
			files := &TLS{CA: authority.CAFile}
			files.Cert, files.Key = authority.Issue(t, "client")
			_, stranger := authority.Issue(t, "stranger")
			log := new(lines)
			u := connect(t, Params{Target: backend.Target(), TLS: files, Schema: quiet(), Logger: log.logger()})
			watch(t, u, nil)
			if err := spoil(files, stranger); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				before := u.pool.newestGeneration()
				backend.Restart()
				awaitConnection(t, u, before)
				watch(t, u, nil)
			}
			if n := log.count("the files of tls cannot be used"); n != 1 {
				t.Errorf("the log reports it %d times", n)
			}
		})
	}
}

// awaitConnection waits for a connection that is newer than a generation.
func awaitConnection(t *testing.T, u *Upstream, before uint64) {
	t.Helper()
	ctx := within(t)
	u.pool.mu.Lock()
	defer u.pool.mu.Unlock()
	for u.pool.generation <= before {
		if err := u.pool.waitLocked(ctx); err != nil {
			t.Fatal("not connected again")
		}
	}
}
