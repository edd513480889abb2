// Package watch tells when one of a few small files has another content: the
// configuration, certificates, schemas. It knows how such files are replaced in practice: written
// over, renamed over by an editor, or behind a symbolic link that is renamed over, as
// Kubernetes does with a ConfigMap and certbot with a certificate.
//
// It watches folders, not files, for what a name stands for changes without the file
// changing; and it reads the files to see whether anything has changed, for a folder
// tells of much else. It is no watcher of trees or of large files.
package watch
