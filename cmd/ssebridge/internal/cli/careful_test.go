package cli

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/listen"
)

// taker takes every configuration over, or refuses it, and counts.
type taker struct {
	taken, failed int
	during        func() error
}

func (k *taker) Reload(config.Config) error {
	if k.during != nil {
		if err := k.during(); err != nil {
			return err
		}
	}
	k.taken++
	return nil
}

func (k *taker) ReloadFailed(error) { k.failed++ }

// someText is a configuration with more keys of the file, of its upstream, and these paths.
func someText(more, upstream string, paths ...string) string {
	var b strings.Builder
	b.WriteString("listen: 127.0.0.1:0\nadmin: \"\"\n" + more + "upstreams: {app: {target: \"127.0.0.1:1\"" + upstream + "}}\nroutes:\n")
	for _, path := range paths {
		b.WriteString("  - {path: " + path + ", rpc: a.B/C, upstream: app}\n")
	}
	return b.String()
}

// newReloading is what reloads a file of a folder, which has a text.
func newReloading(t *testing.T, folder, text string) (*reloading, *taker) {
	t.Helper()
	path := filepath.Join(folder, "ssebridge.yaml")
	replace(t, path, text)
	file, err := load(path)
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	public := listen.NewProxied(listen.ProxiedParams{Listener: listener, Timeout: time.Second, Logger: logger})
	watcher := watchFile(path, logger)
	t.Cleanup(func() {
		watcher.close()
		closing(t, public)
	})
	full := file.Config.WithDefaults()
	k := &taker{}
	return &reloading{params: serveParams{path: path, logger: logger}, bridge: k, watcher: watcher, started: full, current: full, public: public}, k
}

// A file that is being written in place lacks the routes at its end for a moment. Their clients would be told the end,
// and never come back.
func TestRoutesThatAreGoneAreNotBelievedAtOnce(t *testing.T) {
	all, some, fewer := someText("", "", "/a", "/b", "/c"), someText("", "", "/a", "/b"), someText("", "", "/a")
	r, k := newReloading(t, t.TempDir(), all)
	for i, step := range []struct {
		text    string
		careful bool
		want    time.Duration
		taken   int
	}{
		{some, true, steady, 0},
		{fewer, true, steady, 0}, // another one
		{all, true, 0, 1},        // it was half written
		{fewer, true, steady, 1},
		{fewer, true, 0, 2},                              // it stays so
		{someText("", "", "/a", "/b", "/c"), true, 0, 3}, // more of them
		{some, false, 0, 4},                              // SIGHUP asks for it
		{fewer, true, steady, 4},
		{"nonsense", true, 0, 4},
		{fewer, true, steady, 4}, // was not the same in between
	} {
		replace(t, r.params.path, step.text)
		if got := r.reload("test", step.careful); got != step.want || k.taken != step.taken {
			t.Errorf("step %d: again after %v, %d taken, want %v, %d", i, got, k.taken, step.want, step.taken)
		}
	}
}

// The bridge hears of each failure, for its admin listener and its metrics.
func TestEachFailureIsCounted(t *testing.T) {
	folder := t.TempDir()
	cert, key := selfSigned(t, "first")
	replace(t, filepath.Join(folder, "tls.crt"), cert)
	replace(t, filepath.Join(folder, "tls.key"), key)
	const secure = "tls: {cert: tls.crt, key: tls.key}\n"
	good := someText(secure, "", "/a")
	r, k := newReloading(t, folder, good)
	var err error
	if r.certificates, err = listen.NewCertificates(*r.current.TLS); err != nil {
		t.Fatal(err)
	}
	fail := func(what, text string) {
		t.Helper()
		before := k.failed
		replace(t, r.params.path, text)
		r.reload("test", false)
		if k.failed != before+1 {
			t.Errorf("%s: %d are counted", what, k.failed-before)
		}
	}
	fail("syntax", "routes: [}")
	fail("an unknown key", good+"oops: 1\n")
	fail("a restart", strings.Replace(good, "127.0.0.1:0", "127.0.0.1:1", 1))
	fail("another certificate", strings.Replace(good, "tls.key", "gone.key", 1))
	if k.taken != 0 {
		t.Errorf("%d were taken", k.taken)
	}
	_, alien := selfSigned(t, "second")
	replace(t, filepath.Join(folder, "tls.key"), alien)
	fail("half of a renewal", good)
	// Refusals of the bridge itself are counted by it.
	before := k.failed
	replace(t, filepath.Join(folder, "tls.key"), key)
	k.during = func() error { return errors.New("no") }
	if r.reload("test", false); k.failed != before {
		t.Error("counted twice")
	}
}

// Descriptors that are wanting, or a disk, say nothing when they are back; a file that is bad, or not there, is watched.
func TestUnreadableFilesAreReadAgain(t *testing.T) {
	r, k := newReloading(t, t.TempDir(), someText("", "", "/a"))
	refuse := func(err error) time.Duration {
		k.during = func() error { return err }
		return r.reload("test", true)
	}
	cause := func(err error) error {
		return config.Errors{{Path: "upstreams.app.tls.ca", Message: err.Error(), Cause: &fs.PathError{Op: "open", Path: "ca", Err: err}}}
	}
	for _, seconds := range []float64{1, 2, 4, 8, 16, 32, 60, 60} {
		if got := refuse(cause(syscall.EMFILE)); got.Seconds() != seconds {
			t.Errorf("again after %v, want %v s", got, seconds)
		}
	}
	for _, err := range []error{cause(syscall.ENOENT), errors.New("no such route"), nil} {
		if got := refuse(err); got != 0 {
			t.Errorf("%v: again after %v", err, got)
		}
		if got := refuse(cause(syscall.EIO)); got != firstRetry {
			t.Errorf("again after %v", got)
		}
	}
}

// Where nothing tells of the second half of a renewal, it is looked for; more and more rarely, and without a word.
func TestHalfOfARenewalIsLookedAtAgain(t *testing.T) {
	folder := t.TempDir()
	cert, key := selfSigned(t, "first")
	replace(t, filepath.Join(folder, "tls.crt"), cert)
	replace(t, filepath.Join(folder, "tls.key"), key)
	r, k := newReloading(t, folder, someText("tls: {cert: tls.crt, key: tls.key}\n", "", "/a"))
	log := newOutput()
	r.params.logger = slog.New(slog.NewTextHandler(log, nil))
	r.watcher.close()
	r.watcher = &fileWatcher{} // as where the system watches nothing
	var err error
	if r.certificates, err = listen.NewCertificates(*r.current.TLS); err != nil {
		t.Fatal(err)
	}
	cert, key = selfSigned(t, "second")
	replace(t, filepath.Join(folder, "tls.crt"), cert)
	if got := r.reload("test", true); got != firstRetry {
		t.Errorf("again after %v", got)
	}
	told := log.String()
	for _, seconds := range []float64{2, 4, 8, 16, 32, 60, 60} {
		if got := r.tryAgain(); got.Seconds() != seconds {
			t.Errorf("again after %v, want %v s", got, seconds)
		}
	}
	if got := log.String(); got != told || strings.Count(got, "level=WARN") != 1 || k.taken != 1 || k.failed != 1 {
		t.Errorf("%d taken, %d failed, the log says %s", k.taken, k.failed, got)
	}
	replace(t, filepath.Join(folder, "tls.key"), key)
	if got := r.tryAgain(); got != 0 || !strings.Contains(log.String(), "the certificate is reloaded") || k.taken != 2 {
		t.Errorf("again after %v, %d taken, the log says %s", got, k.taken, log)
	}
	// The configuration's own failure is tried again as such.
	replace(t, filepath.Join(folder, "tls.key"), "")
	k.during = func() error { return &fs.PathError{Op: "open", Path: "ca", Err: syscall.EMFILE} }
	if r.reload("test", true); r.onlyPair {
		t.Error("the configuration would not be read again")
	}
}

// A file that a configuration newly names changes after the bridge has read it.
func TestFileThatChangesDuringAReload(t *testing.T) {
	folder := t.TempDir()
	set := filepath.Join(folder, "set.binpb")
	replace(t, set, "one")
	r, k := newReloading(t, folder, someText("", "", "/a"))
	changes, stop := r.watcher.start(t.Context())
	defer stop()
	replace(t, r.params.path, someText("", ", schema: {descriptor_set: set.binpb}", "/a"))
	<-changes
	k.during = func() error {
		replace(t, set, "two")
		return nil
	}
	r.reload("test", true)
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	select {
	case <-changes:
	case <-late.C:
		t.Error("no client is told")
	}
}

// The missing file comes; no signal asks for it.
func TestRefusedConfigurationIsTakenOverWhenItsCauseGoes(t *testing.T) {
	folder := t.TempDir()
	s := serveFile(t, filepath.Join(folder, "ssebridge.yaml"), func(s *served) { s.write(s.text("", "/clock")) })
	client := ssetest.Connect(t, "http://"+s.public+"/clock", ssetest.Options{})
	client.AwaitMessages(1)
	s.write(strings.Replace(s.text("", "/clock"), "upstreams: {app:", "upstreams: {other: {target: \"127.0.0.1:1\", tls: {ca: late/ca.crt}}, app:", 1) +
		"  - {path: /other, rpc: a.B/C, upstream: other}\n")
	s.stderr.await(t, "msg=\"the configuration is not reloaded; the one before stays\"", "upstreams.other.tls.ca: ")
	cert, _ := selfSigned(t, "late")
	if err := os.Mkdir(filepath.Join(folder, "late"), 0o700); err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(folder, "late", "ca.crt"), cert)
	s.stderr.await(t, "msg=\"the configuration is reloaded\"")
	goesOn(t, client)
}

// An expired certificate is presented, for want of another, and never without a word.
func TestExpiredCertificateIsLogged(t *testing.T) {
	folder := t.TempDir()
	files := config.ServerTLS{Cert: filepath.Join(folder, "tls.crt"), Key: filepath.Join(folder, "tls.key")}
	present := func(until time.Time) {
		t.Helper()
		cert, key := signedUntil(t, "x", until)
		replace(t, files.Cert, cert)
		replace(t, files.Key, key)
	}
	present(time.Now().Add(100 * day))
	log := newOutput()
	logger := slog.New(slog.NewTextHandler(log, nil))
	s := &starting{params: serveParams{logger: logger}, config: config.Config{TLS: &files}}
	if err := s.loadCertificates(); err != nil || log.String() != "" {
		t.Fatalf("got %v, %s", err, log)
	}
	present(time.Now().Add(-time.Hour))
	r := &reloading{params: s.params, bridge: &taker{}, current: s.config, certificates: s.certificates, expiry: s.expiry}
	if err := r.rotate(); err != nil {
		t.Fatal(err)
	}
	log.await(t, "level=ERROR", "the certificate has expired")
	if err := s.loadCertificates(); err != nil {
		t.Fatal(err)
	}
	log.awaitLines(t, 2, "level=ERROR", "the certificate has expired")
}
