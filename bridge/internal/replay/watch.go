package replay

import "slices"

// watcher is one call of Watch. It is a pointer that stop finds it by.
type watcher struct{ wake func() }

// Grown returns a channel that is closed once there is something after the
// position: a frame, the end, or its eviction. Notify closes it too.
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

// always is a closed channel: there is something to do at once.
//
//nolint:gochecknoglobals // a closed channel never changes.
var always = func() <-chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// wake wakes the readers that wait for Grown.
func (l *Log) wake() {
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// Watch has wake called after each Append, Close, Discard and Notify, by the
// goroutine that calls these, until stop is called. The log is not locked
// meanwhile, so wake may call it; it should be quick, for the writer waits. It may
// be called by several goroutines at once, and a last time while stop returns.
// Changes from before Watch returned are not reported.
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

// tell calls the watchers.
func (l *Log) tell() {
	if all := l.watchers.Load(); all != nil {
		for _, w := range *all {
			w.wake()
		}
	}
}

// Notify wakes the readers that wait for Grown and the watchers, for something that
// is not a frame.
func (l *Log) Notify() {
	l.notices.Add(1)
	l.mu.Lock()
	l.wake()
	l.mu.Unlock()
	l.tell()
}

// Notices counts what is not a frame: Notify, Close and Discard, each before it
// is told. It takes no lock.
func (l *Log) Notices() uint64 { return l.notices.Load() }
