package cli

import (
	"context"
	"errors"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/listen"
)

// reloader is what takes another configuration over, whole or not at all.
type reloader interface {
	Reload(cfg config.Config) error
	// ReloadFailed is told of one that could not be tried.
	ReloadFailed(err error)
}

// reloading reads the configuration again when it is asked to.
type reloading struct {
	params  serveParams
	bridge  reloader
	watcher *fileWatcher
	// started is what the listeners were opened by, current what holds; both with defaults.
	started, current config.Config

	certificates *listen.Certificates // nil without tls
	public       *listen.Proxied
}

// run reloads until ctx is done: on each signal, and when a file has changed.
func (r *reloading) run(ctx context.Context) {
	changes, stop := r.watcher.start(ctx)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.params.hangups:
			r.reload("SIGHUP")
		case <-changes:
			r.reload("a file has changed")
		}
	}
}

// reload reads the configuration, and then the certificates: these are renewed also while
// the configuration's file is a bad one.
func (r *reloading) reload(why string) {
	manager := listen.Notifier{Logger: r.params.logger}
	manager.Reloading()
	defer manager.Ready()
	began := time.Now()
	cfg, file, err := r.read()
	if err != nil {
		r.bridge.ReloadFailed(err)
	} else {
		err = r.apply(cfg, file)
	}
	if err != nil {
		r.params.logger.Error("the configuration is not reloaded; the one before stays", "why", why, "error", err.Error())
	} else {
		r.params.logger.Info("the configuration is reloaded", "why", why, "took", time.Since(began))
	}
	r.rotate()
}

// read reads the file, as far as what it says can be told without the bridge.
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

// apply takes over what a file says.
func (r *reloading) apply(cfg config.Config, file *config.File) error {
	if err := r.bridge.Reload(cfg); err != nil {
		if _, ok := errors.AsType[*config.Error](err); ok {
			err = invalid(file.Locate(err))
		}

		return err // or, when the command ends, that it is too late
	}
	full := cfg.WithDefaults()
	r.public.Trust(full.TrustedProxies)
	r.current = full
	r.watcher.set(filesOf(r.params.path, full))

	return nil
}

// needRestart refuses what cannot change while the listeners are open.
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

// rotate takes over what the files of tls hold by now.
func (r *reloading) rotate() {
	if r.certificates == nil {
		return
	}
	changed, err := r.certificates.Load(*r.current.TLS)
	switch {
	case err != nil:
		r.params.logger.Error("the certificate is not reloaded; the one before stays", "until", r.certificates.Expires(), "error", err.Error())
	case changed:
		r.params.logger.Info("the certificate is reloaded", "until", r.certificates.Expires())
	}
}

// filesOf are the files by which a configuration is what it is: its own, and those that it
// names. Sources of .proto schemas are not among them: they import others.
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
	}

	return files
}
