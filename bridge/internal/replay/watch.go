package replay

import "slices"

// watcher is one registration of Watch. Its address identifies it.
type watcher struct{ wake func() }

// Grown returns a channel that is closed when there is something to read after position: a frame, the
// end of the log, or ErrEvicted. Notify closes it too.
func (l *Log) Grown(position uint64) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if position < l.frames.head() || l.closed {
		return always
	}
	if l.grown == nil {
		l.grown = make(chan struct{})
	}
	return l.grown
}

// always is a closed channel, for readers that need not wait.
//
//nolint:gochecknoglobals // a closed channel never changes.
var always = func() <-chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// wakeReaders closes the channel that Grown has returned.
func (l *Log) wakeReaders() {
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// Watch calls wake after each Append, Close, Discard and Notify until stop is called. The calls are
// made on the goroutine of the caller of these methods, without the log's lock. wake must be quick,
// since the writer waits for it. It may be called concurrently, and once more while stop returns. It
// is not called for changes made before Watch returns.
func (l *Log) Watch(wake func()) (stop func()) {
	added := &watcher{wake: wake}
	l.watch(func(all []*watcher) []*watcher { return append(all, added) })
	return func() {
		l.watch(func(all []*watcher) []*watcher {
			return slices.DeleteFunc(all, func(w *watcher) bool { return w == added })
		})
	}
}

// watch replaces the watchers by a changed copy.
func (l *Log) watch(change func([]*watcher) []*watcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*watcher
	if old := l.watchers.Load(); old != nil {
		all = slices.Clone(*old)
	}
	all = change(all)
	l.watchers.Store(&all)
}

// notifyWatchers calls all watchers.
func (l *Log) notifyWatchers() {
	if all := l.watchers.Load(); all != nil {
		for _, w := range *all {
			w.wake()
		}
	}
}

// Notify wakes the readers that wait for Grown, and all watchers, for a change that is not a frame.
func (l *Log) Notify() {
	l.notices.Add(1)
	l.mu.Lock()
	l.wakeReaders()
	l.mu.Unlock()
	l.notifyWatchers()
}

// Notices counts the calls of Notify, Close and Discard. A call is counted before it wakes anyone.
// Notices takes no lock.
func (l *Log) Notices() uint64 { return l.notices.Load() }
