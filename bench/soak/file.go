package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// file is a configuration that is replaced atomically: by renaming a new file over it, or
// as the kubelet replaces a mounted ConfigMap, whose folder is behind a link that is
// replaced.
type file struct {
	path       string // for its reader
	mounted    bool
	generation int // of the folder behind the link
}

// newFile returns a file in a folder of its own, which put makes.
func newFile(folder string, mounted bool) file {
	return file{path: filepath.Join(folder, "ssebridge.yaml"), mounted: mounted}
}

// put puts a text in place of the one before.
func (f *file) put(text string) error {
	folder, name := filepath.Split(f.path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if !f.mounted {
		next := f.path + ".next"
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			return err
		}
		return os.Rename(next, f.path)
	}
	return f.swap(folder, name, text)
}

// swap replaces the link's folder in the kubelet's order.
func (f *file) swap(folder, name, text string) error {
	before := filepath.Join(folder, ".."+strconv.Itoa(f.generation))
	f.generation++
	data := ".." + strconv.Itoa(f.generation)
	if err := os.Mkdir(filepath.Join(folder, data), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, data, name), []byte(text), 0o600); err != nil {
		return err
	}
	next := filepath.Join(folder, "..data_tmp")
	if err := os.Symlink(data, next); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(folder, "..data")); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join("..data", name), f.path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.RemoveAll(before)
}
