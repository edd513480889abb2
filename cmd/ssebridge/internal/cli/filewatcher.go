package cli

import (
	"context"
	"log/slog"
	"sync"

	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/watch"
)

// fileWatcher watches files where the system lets it; where it does not, that is told
// once, and SIGHUP is what is left.
type fileWatcher struct {
	watcher *watch.Watcher // nil: nothing is watched
	logger  *slog.Logger
}

// watchFile begins to watch a file.
func watchFile(path string, logger *slog.Logger) *fileWatcher {
	watcher, err := watch.New(path)
	if err != nil {
		logger.Warn("files are not watched; changes are taken over on SIGHUP", "error", err)
	}
	return &fileWatcher{watcher: watcher, logger: logger}
}

// set watches these files in place of the ones before.
func (w *fileWatcher) set(files []string) {
	if w.watcher == nil {
		return
	}
	if err := w.watcher.Set(files...); err != nil {
		w.logger.Warn("not all files can be watched; their changes are taken over on SIGHUP", "error", err)
	}
}

// start tells of changes until stop is called, or ctx is done.
func (w *fileWatcher) start(ctx context.Context) (changes <-chan struct{}, stop func()) {
	if w.watcher == nil {
		return nil, func() {}
	}
	told := make(chan struct{}, 1) // one stands for all that were before it
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() {
		err := w.watcher.Run(ctx, func() {
			select {
			case told <- struct{}{}:
			default:
			}
		}, func(err error) {
			w.logger.Warn("files are watched on, though the system has found something wrong", "error", err)
		})
		if err != nil {
			w.logger.Warn("files are watched no longer; changes are taken over on SIGHUP", "error", err)
		}
	})
	return told, func() {
		cancel()
		all.Wait()
	}
}

func (w *fileWatcher) close() {
	if w.watcher != nil {
		_ = w.watcher.Close() // nothing is lost with it
	}
}
