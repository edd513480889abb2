package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a change may take to be told; it is told after settle.
const patience = time.Minute

// watching is a watcher at work.
type watching struct {
	*Watcher

	t    *testing.T
	told chan struct{} // has room for more than a test gives rise to
}

// start watches files until the test ends.
func start(t *testing.T, files ...string) *watching {
	t.Helper()
	watcher, err := New(files...)
	if err != nil {
		t.Fatal(err)
	}
	w := &watching{Watcher: watcher, t: t, told: make(chan struct{}, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := w.Run(ctx, func() { w.told <- struct{}{} }, func(err error) { t.Log(err) }); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		all.Wait()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// await waits until a change is told.
func (w *watching) await(what string) {
	w.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.told:
	case <-timer.C:
		w.t.Fatalf("not told: %s", what)
	}
}

// settle waits until the watcher has seen what there is.
func (w *watching) settle() {
	w.t.Helper()
	for {
		w.mu.Lock()
		seen := true
		for file, last := range w.files {
			seen = seen && last == takeFingerprint(file)
		}
		w.mu.Unlock()
		if seen {
			break
		}
		w.await("what there is")
	}
	for len(w.told) > 0 {
		<-w.told
	}
}

func do(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	do(t, os.WriteFile(name, []byte(text), 0o600))
}

// put replaces a file in one step, so that it is never seen half written.
func put(t *testing.T, name, text string) {
	t.Helper()
	write(t, name+".new", text)
	do(t, os.Rename(name+".new", name))
}

func TestWaysInWhichAFileIsReplaced(t *testing.T) {
	for name, replace := range map[string]func(t *testing.T, name, text string){
		"written over": write,
		"renamed over": put,
		"with a backup, as editors do": func(t *testing.T, name, text string) {
			do(t, os.Rename(name, name+"~"))
			write(t, name, text)
		},
		"removed and made again": func(t *testing.T, name, text string) {
			do(t, os.Remove(name))
			write(t, name, text)
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "ssebridge.yaml")
			write(t, file, "0")
			w := start(t, file)
			for i := range 3 { // the second is the one that a watch on the file would miss
				replace(t, file, strconv.Itoa(i+1))
				w.await(fmt.Sprintf("change %d", i+1))
			}
		})
	}
}

// mount makes a folder as the kubelet makes one of a ConfigMap.
func mount(t *testing.T, text string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	swap(t, folder, 0, text)
	do(t, os.Symlink(filepath.Join("..data", "ssebridge.yaml"), filepath.Join(folder, "ssebridge.yaml")))
	return folder
}

// swap puts other content behind the names of a ConfigMap's folder, all at once.
func swap(t *testing.T, folder string, generation int, text string) {
	t.Helper()
	data := filepath.Join(folder, fmt.Sprintf("..2026_%d", generation))
	do(t, os.Mkdir(data, 0o700))
	write(t, filepath.Join(data, "ssebridge.yaml"), text)
	before, _ := os.Readlink(filepath.Join(folder, "..data")) // none, the first time
	link := filepath.Join(folder, "..data_tmp")
	do(t, os.Symlink(filepath.Base(data), link), os.Rename(link, filepath.Join(folder, "..data")))
	if before != "" {
		do(t, os.RemoveAll(filepath.Join(folder, before)))
	}
}

func TestConfigMapIsSwappedTwiceInARow(t *testing.T) {
	folder := mount(t, "0")
	w := start(t, filepath.Join(folder, "ssebridge.yaml"))
	for i := range 4 {
		swap(t, folder, i+1, strconv.Itoa(i+1))
		w.await(fmt.Sprintf("swap %d", i+1))
	}
	// Twice at once: what is there in the end is what is told.
	swap(t, folder, 5, "5")
	swap(t, folder, 6, "6")
	w.await("swaps 5 and 6")
}

// As certbot renews: the link's own folder is another one than the file's.
func TestLinkToAnotherFolder(t *testing.T) {
	archive, live := t.TempDir(), t.TempDir()
	write(t, filepath.Join(archive, "cert1.pem"), "1")
	write(t, filepath.Join(archive, "cert2.pem"), "2")
	link := filepath.Join(live, "cert.pem")
	do(t, os.Symlink(filepath.Join(archive, "cert1.pem"), link))
	w := start(t, link)
	do(t, os.Symlink(filepath.Join(archive, "cert2.pem"), link+".new"), os.Rename(link+".new", link))
	w.await("another link")
	write(t, filepath.Join(archive, "cert2.pem"), "3")
	w.await("the file behind the link")
}

// As a release is put in place: the folder is what is replaced.
func TestFolderBehindALinkIsSwapped(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"one", "two"} {
		do(t, os.Mkdir(filepath.Join(root, name), 0o700))
		write(t, filepath.Join(root, name, "ssebridge.yaml"), name)
	}
	current := filepath.Join(root, "current")
	do(t, os.Symlink("one", current))
	w := start(t, filepath.Join(current, "ssebridge.yaml"))
	do(t, os.Symlink("two", current+".new"), os.Rename(current+".new", current))
	w.await("another folder")
	write(t, filepath.Join(root, "two", "ssebridge.yaml"), "three")
	w.await("the file in the other folder")
}

func TestFileThatVanishesAndComesBack(t *testing.T) {
	root := t.TempDir()
	folder := filepath.Join(root, "a", "b")
	file := filepath.Join(folder, "ssebridge.yaml")
	w := start(t, file) // is not there yet, nor is its folder
	do(t, os.MkdirAll(folder, 0o700))
	write(t, file, "1")
	w.await("it is there")
	do(t, os.Remove(file))
	w.await("it is gone")
	write(t, file, "1")
	w.await("it is back")
	do(t, os.RemoveAll(filepath.Join(root, "a")))
	w.await("its folders are gone")
	do(t, os.MkdirAll(folder, 0o700))
	write(t, file, "2")
	w.await("all are back")
}

// Events that leave the content as it is, and those of other files, are not
// reported.
func TestOnlyContentCounts(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "ssebridge.yaml")
	write(t, file, "0")
	w := start(t, file)
	for range 50 {
		write(t, filepath.Join(folder, "other"), "x")
		put(t, file, "0")
		do(t, os.Chtimes(file, time.Now(), time.Now()))
	}
	put(t, file, "1")
	w.await("the change")
	put(t, file, "2")
	w.await("the next one")
	if len(w.told) > 0 {
		t.Errorf("told %d times more", len(w.told))
	}
}

// A folder in which something happens all the time does not keep a change back.
func TestStormOfEvents(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "ssebridge.yaml")
	write(t, file, "0")
	w := start(t, file)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if err := os.WriteFile(filepath.Join(folder, "log"), []byte{byte(i)}, 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	put(t, file, "1")
	w.await("the change")
	cancel()
	all.Wait()
	if len(w.told) > 0 {
		t.Errorf("told %d times more", len(w.told))
	}
}

func TestSetWatchesOthers(t *testing.T) {
	folder, elsewhere := t.TempDir(), t.TempDir()
	one, two := filepath.Join(folder, "one"), filepath.Join(elsewhere, "two")
	write(t, one, "0")
	write(t, two, "0")
	w := start(t, one)
	put(t, two, "1")
	do(t, w.Set(two, two))
	put(t, one, "1")
	put(t, two, "2")
	w.await("the new file")
	do(t, w.Set(one, two))
	put(t, two, "3")
	w.await("the file that stayed")
	if len(w.told) > 0 {
		t.Errorf("told %d times more", len(w.told))
	}
	if got := len(w.system.WatchList()); got != 2 {
		t.Errorf("%d folders are watched: %v", got, w.system.WatchList())
	}
}

func TestFilesThatAreNotRead(t *testing.T) {
	folder := t.TempDir()
	large := filepath.Join(folder, "large")
	do(t, os.WriteFile(large, nil, 0o600), os.Truncate(large, 1<<40))
	if takeFingerprint(large) == (fingerprint{}) {
		t.Error("the beginning of a large file was not read")
	}
	if takeFingerprint(folder) != (fingerprint{}) || takeFingerprint(os.DevNull) != (fingerprint{}) {
		t.Error("something was read that is no file")
	}
}

func TestLinksInACircle(t *testing.T) {
	folder := t.TempDir()
	link := filepath.Join(folder, "circle")
	do(t, os.Symlink("circle", link))
	if got := folders(link); len(got) == 0 || len(got) > maxLinks+1 {
		t.Errorf("%d folders", len(got))
	}
	w := start(t, link)
	do(t, os.Remove(link))
	write(t, link, "1")
	w.await("a file in the circle's place")
}

func TestRunReportsTheEndOfWatching(t *testing.T) {
	w, err := New()
	do(t, err, w.Close())
	if err := w.Run(t.Context(), nil, nil); err == nil {
		t.Error("no error")
	}
}

// A descriptor set of some size is read to its end.
func TestTailOfALargeFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "set.binpb")
	text := strings.Repeat("x", 5<<20)
	write(t, file, text)
	w := start(t, file)
	put(t, file, text[1:]+"y")
	w.await("another last byte")
}

// A passing error of the system (EINVAL, of a folder that is gone before it is let go of) ends nothing, is reported
// once, and the files are read.
func TestPassingErrorsEndNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ssebridge.yaml")
	write(t, file, "1")
	w, err := New(file)
	if err != nil {
		t.Fatal(err)
	}
	passing := errors.New("passing")
	changed, failed := make(chan struct{}, 1), make(chan error, 10)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := w.Run(ctx, func() { changed <- struct{}{} }, func(err error) { failed <- err }); err != nil {
			t.Error(err)
		}
	})
	defer func() {
		cancel()
		all.Wait()
		do(t, w.Close())
	}()
	w.mu.Lock()
	w.files[file] = fingerprint{} // its change was not heard of
	w.mu.Unlock()
	for range 5 {
		w.system.Errors <- passing
	}
	<-changed
	if err := <-failed; !errors.Is(err, passing) || len(failed) > 0 {
		t.Errorf("told %v, and %d more", err, len(failed))
	}
	put(t, file, "2")
	<-changed
}

// As `mv` and `rm -r` in a loop; the kernel ends the watch of a folder while it is being let go of.
func TestFolderThatIsReplacedAgainAndAgain(t *testing.T) {
	top := t.TempDir()
	folder := filepath.Join(top, "folder")
	file := filepath.Join(folder, "ssebridge.yaml")
	do(t, os.Mkdir(folder, 0o700))
	write(t, file, "0")
	w := start(t, file)
	for i := range 300 {
		do(t, os.Rename(folder, filepath.Join(top, "old")), os.Mkdir(folder, 0o700), os.RemoveAll(filepath.Join(top, "old")))
		write(t, file, strconv.Itoa(i+1))
		if i%30 == 0 {
			w.await("a replaced folder")
		}
	}
	// What is told now and then may be of any of them; in the end there is silence, and then a change is told.
	w.settle()
	put(t, file, "last")
	w.await("a change after all that")
}
