package watch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long nothing more must happen before the files are read: writing a
	// file is several events, and swapping a ConfigMap's link is a dozen.
	settle = 200 * time.Millisecond
	// longest is the time after which they are read though events go on, as in a folder
	// that a log is written to.
	longest = 2 * time.Second
	// tellAgain is how often the system's errors are told: a folder that is replaced again
	// and again gives rise to thousands.
	tellAgain = time.Minute
)

// Watcher watches files. Its methods may be called from any goroutine.
type Watcher struct {
	system *fsnotify.Watcher

	mu    sync.Mutex
	files map[string]fingerprint // by name, as they were seen last
}

// New begins to watch files: what changes from now on is told by Run. A file need not be
// there. Close it.
func New(files ...string) (*Watcher, error) {
	system, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching files: %w", err)
	}
	w := &Watcher{system: system}
	if err := w.Set(files...); err != nil {
		return nil, errors.Join(err, system.Close())
	}
	return w, nil
}

// Set watches these files in place of the ones before. Of a file that is new to it the
// content of now is what later ones differ from. An error says that some folder cannot be
// watched; changes there may be missed, the other files are watched all the same.
func (w *Watcher) Set(files ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := make(map[string]fingerprint, len(files))
	var fresh []string
	for _, file := range files {
		last, known := w.files[file]
		if !known {
			fresh = append(fresh, file)
		}
		seen[file] = last
	}
	w.files = seen
	_, err := w.follow() // before reading, so that nothing happens in between unseen
	for _, file := range fresh {
		w.files[file] = takeFingerprint(file)
	}
	return err
}

// Run calls changed each time that a file has another content, is gone or is there again,
// until ctx ends. It returns nil then, or an error when the system watches no longer. Any
// other error of the system may have hidden a change: failed is called with it, once a
// minute at most, and the files are read.
func (w *Watcher) Run(ctx context.Context, changed func(), failed func(error)) error {
	var told time.Time  // when failed was, last
	var first time.Time // event since the files were last read
	quiet := time.NewTimer(settle)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-w.system.Events:
			if !open {
				return errors.New("watching files: the system has ended it")
			}
		case err, open := <-w.system.Errors:
			if !open {
				return errors.New("watching files: the system has ended it")
			}
			// An overflow is nothing wrong: so many events that some are lost.
			if !errors.Is(err, fsnotify.ErrEventOverflow) && time.Since(told) >= tellAgain {
				told = time.Now()
				failed(fmt.Errorf("watching files: %w", err))
			}
		case <-quiet.C:
			first = time.Time{}
			different, again := w.look()
			if different {
				changed()
			}
			if !again {
				continue
			}
		}
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		quiet.Reset(min(settle, max(0, first.Add(longest).Sub(now))))
	}
}

// look reads the files, and reports whether any is different. It is to be done again where
// other folders are watched now: something may have happened there before.
func (w *Watcher) look() (different, again bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	again, _ = w.follow() // a folder that cannot be watched was told of by Set, or is gone
	for file, before := range w.files {
		if now := takeFingerprint(file); now != before {
			w.files[file] = now
			different = true
		}
	}
	return different, again
}

// follow watches the folders that the files' names go through by now, and reports whether
// it watches one that it did not watch before. The caller holds mu.
func (w *Watcher) follow() (more bool, err error) {
	wanted := map[string]bool{}
	for file := range w.files {
		for _, folder := range folders(file) {
			wanted[folder] = true
		}
	}
	// The system forgets a folder that is removed, also when there is another of its name.
	watched := map[string]bool{}
	for _, folder := range w.system.WatchList() {
		watched[folder] = true
		if !wanted[folder] {
			_ = w.system.Remove(folder) // it may be gone by itself
		}
	}
	var wrong []error
	for folder := range wanted {
		if watched[folder] {
			continue
		}
		if failed := w.system.Add(folder); failed != nil {
			wrong = append(wrong, fmt.Errorf("watching %s: %w", folder, failed))
			continue
		}
		more = true
	}
	return more, errors.Join(wrong...)
}

// Close ends the watching.
func (w *Watcher) Close() error { return w.system.Close() }
