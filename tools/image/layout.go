package main

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// write writes an index as a layout in a folder, and the same as one archive. Earlier
// content of the two is gone. The name and the tag are those that engines call the
// image by when they load it.
func write(index v1.ImageIndex, folder, archive, name, tag string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	// containerd and Docker read the first name, which stands for the whole; others the second.
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name": name + ":" + tag,
		label + "ref.name":         tag,
	})); err != nil {
		return err
	}
	return pack(folder, archive)
}

// pack archives a folder's files, in the order of their names.
func pack(folder, archive string) (err error) {
	to, err := os.Create(archive) //nolint:gosec // the command line's own
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	tape := tar.NewWriter(to)
	root := os.DirFS(folder)
	if err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return packFile(tape, root, name)
	}); err != nil {
		return err
	}
	return tape.Close()
}

// packFile adds one file, without what the machine knows about it.
func packFile(tape *tar.Writer, root fs.FS, name string) (err error) {
	from, err := root.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if err := tape.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Mode: 0o444, Size: info.Size(), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
	}); err != nil {
		return err
	}
	_, err = io.Copy(tape, from)
	return err
}
