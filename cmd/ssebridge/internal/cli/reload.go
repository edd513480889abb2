package cli

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/listen"
	"github.com/ssebridge/ssebridge/internal/regular"
)

const (
	// steady is for how long a file in which routes are missing must not change before it
	// is taken over. It may be half written, and clients of a route that is gone are told
	// an end for good.
	steady = 3 * time.Second
	// firstRetry is after which time files that could not be read are read again, and
	// longestRetry what it doubles to.
	firstRetry, longestRetry = time.Second, time.Minute
)

// fileChanged is why a configuration is read again without being asked for.
const fileChanged = "a file has changed"

// reloader takes over another configuration, whole or not at all.
type reloader interface {
	Reload(cfg config.Config) error
	// ReloadFailed records any other failure of a reload.
	ReloadFailed(err error)
}

// reloading reads the configuration again when it is asked to.
type reloading struct {
	params  serveParams
	bridge  reloader
	watcher *fileWatcher
	// started is the configuration that the listeners were opened by, current the one in force;
	// both with defaults.
	started, current config.Config

	certificates *listen.Certificates // nil without tls
	expiry       *expiry              // the same
	public       *listen.Proxied

	doubted *config.File  // is taken over if it is the same after steady; nil: there is none
	retry   time.Duration // after the next failure to read a file

	wrong    string // the fault of the certificates that has been logged; "": none
	onlyPair bool   // and nothing else is
}

// run reloads until ctx is done: on each signal, when a file has changed, and when a file
// that could not be read may be readable.
func (r *reloading) run(ctx context.Context) {
	changes, stop := r.watcher.start(ctx)
	defer stop()
	later := time.NewTimer(0)
	defer later.Stop()
	later.Stop()
	for {
		var again time.Duration
		select {
		case <-ctx.Done():
			return
		case <-r.params.hangups:
			r.wrong = "" // a signal has the error logged again
			again = r.reload("SIGHUP", false)
		case <-changes:
			r.doubted, r.retry = nil, 0
			again = r.reload(fileChanged, true)
		case <-later.C:
			again = r.tryAgain()
		}
		if again > 0 {
			later.Reset(again)
		} else {
			later.Stop()
		}
	}
}

// tryAgain does the reload that was put off. While nothing is wrong but the certificates, and they are
// no better yet, nothing else is read, and nothing is told.
func (r *reloading) tryAgain() time.Duration {
	if r.doubted != nil {
		return r.reload(fileChanged, true)
	}
	if r.onlyPair {
		if _, err := listen.NewCertificates(*r.current.TLS); err != nil {
			return r.backOff()
		}
	}
	return r.reload("trying again", true)
}

// reload reads the configuration, and then the certificates: these are renewed also while
// the configuration's file is a bad one. Where it is to be called again by itself it
// returns after which time. careful is not to believe at once that routes are gone.
func (r *reloading) reload(why string, careful bool) (again time.Duration) {
	manager := listen.Notifier{Logger: r.params.logger}
	manager.Reloading()
	status := statusServing
	defer func() { manager.Ready(status) }()
	began := time.Now()
	cfg, file, err := r.read()
	switch {
	case err != nil:
		r.bridge.ReloadFailed(err)
	case careful && r.doubts(file):
		_ = r.rotate() // which has told what is wrong, and is done again with the rest
		return steady
	default:
		err = r.apply(cfg, file)
	}
	r.doubted = nil
	if err != nil {
		status = statusRefused
		r.params.logger.Error("the configuration is not reloaded; the one before stays", "why", why, "error", err.Error())
	} else {
		r.params.logger.Info("the configuration is reloaded", "why", why, "took", time.Since(began))
	}

	unfit := r.rotate()
	r.onlyPair = err == nil && unfit != nil
	if unfit != nil || isPassing(err) {
		return r.backOff()
	}
	r.retry = 0
	return 0
}

// doubts reports whether a file lacks routes that there are, and has not been read like
// that before. Then it is kept, to be compared with.
func (r *reloading) doubts(file *config.File) bool {
	gone := lost(r.current, file.Config)
	if len(gone) == 0 || r.doubted != nil && r.doubted.SameText(file) {
		return false
	}
	r.doubted = file
	r.params.logger.Info("routes are gone from the configuration's file; it is taken over when it stays as it is",
		"for", steady, "routes", len(gone), "first", gone[0])
	return true
}

// lost are the paths of routes that are not there any more.
func lost(from, to config.Config) []string {
	left := map[string]bool{}
	for _, route := range to.Routes {
		left[route.Path] = true
	}
	var gone []string
	for _, route := range from.Routes {
		if !left[route.Path] {
			gone = append(gone, route.Path)
		}
	}
	return gone
}

// isPassing reports whether a reload that has failed is to be tried again though nothing
// tells that it would go better: descriptors, memory or a disk were wanting. A file that is
// not there is watched for.
func isPassing(err error) bool {
	_, io := errors.AsType[*fs.PathError](err)
	return io && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, regular.ErrSpecial) && !errors.As(err, new(*regular.TooLargeError))
}

// backOff is after which time to try again, longer each time.
func (r *reloading) backOff() time.Duration {
	r.retry = min(max(2*r.retry, firstRetry), longestRetry)
	return r.retry
}

// read reads the configuration, as far as what it says can be told without the bridge.
// Files that it names are watched from then on, also if it is refused: one that is missing
// may come.
func (r *reloading) read() (config.Config, *config.File, error) {
	file, err := load(r.params.path)
	if err != nil {
		return config.Config{}, nil, err
	}
	cfg, err := fit(file, r.params.logger)
	if err != nil {
		return config.Config{}, nil, err
	}
	full := cfg.WithDefaults()
	r.watcher.set(append(filesOf(r.params.path, r.current), filesOf(r.params.path, full)...))
	if err := needRestart(r.started, full); err != nil {
		return config.Config{}, nil, file.Locate(err)
	}
	if full.TLS != nil && *full.TLS != *r.current.TLS {
		if _, err := listen.NewCertificates(*full.TLS); err != nil {
			return config.Config{}, nil, invalid(file.Locate(err))
		}
	}
	return cfg, file, nil
}

// apply takes over a file's configuration.
func (r *reloading) apply(cfg config.Config, file *config.File) error {
	if err := r.bridge.Reload(cfg); err != nil {
		if _, ok := errors.AsType[*config.Error](err); ok {
			err = invalid(file.Locate(err))
		}
		return err // or, when the command ends, that it is too late
	}
	full := cfg.WithDefaults()
	r.public.Trust(full.TrustedProxies)
	r.public.Bound(listen.Ceiling(full))
	r.public.LimitWaiting(waitLimits(full, cfg.Limits))
	r.public.LimitPace(paceLimits(full, cfg.Limits))
	r.current = full
	r.watcher.set(filesOf(r.params.path, full))
	return nil
}

// needRestart refuses changes that cannot be made while the listeners are open.
func needRestart(started, wanted config.Config) error {
	var errs config.Errors
	for _, key := range []struct {
		path     string
		from, to any
	}{
		{"listen", started.Listen, wanted.Listen},
		{"admin", *started.Admin, *wanted.Admin},
		{"tls", started.TLS != nil, wanted.TLS != nil},
	} {
		if key.from != key.to {
			errs = append(errs, config.Errorf(key.path, "needs a restart to change; nothing of the file is taken over"))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs
}

// rotate takes over what the files of tls hold by now. It tells what is wrong, once: one of
// the two files is often replaced a moment before the other.
func (r *reloading) rotate() error {
	if r.certificates == nil {
		return nil
	}
	changed, err := r.certificates.Load(*r.current.TLS)
	if err != nil {
		r.bridge.ReloadFailed(err)
		if text := err.Error(); text != r.wrong {
			r.wrong = text
			r.params.logger.Warn("the certificate is not reloaded; the one before stays until the files are whole and fit",
				"until", r.certificates.Expires(), "error", text)
		}
		return err
	}
	r.wrong = ""
	if changed {
		r.params.logger.Info("the certificate is reloaded", "until", r.certificates.Expires())
		r.expiry.look()
	}
	return nil
}

// filesOf are the files by which a configuration is what it is: its own, those that it
// names, and what .proto sources among them import.
func filesOf(path string, cfg config.Config) []string {
	files := []string{path}
	add := func(names ...string) {
		for _, name := range names {
			if name != "" {
				files = append(files, name)
			}
		}
	}
	if t := cfg.TLS; t != nil {
		add(t.Cert, t.Key, t.ClientCA)
	}
	for _, u := range cfg.Upstreams {
		if u.TLS != nil {
			add(u.TLS.CA, u.TLS.Cert, u.TLS.Key)
		}
		add(u.Schema.DescriptorSet)
		if u.Schema.Proto != nil {
			add(protoFiles(*u.Schema.Proto)...)
		}
	}
	return files
}
