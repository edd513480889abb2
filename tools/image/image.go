package main

import (
	"archive/tar"
	"bytes"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// user runs the image: not root, and by number, since a kubelet that is told
	// runAsNonRoot cannot look a name up.
	user = "65532:65532"
	// configFolder is where a configuration is mounted.
	configFolder = "etc/ssebridge/"
	// label is the prefix of the labels that OCI has defined.
	label = "org.opencontainers.image."
)

// labels describe the image, by the keys of OCI's image specification.
func labels(version, revision string) map[string]string {
	l := map[string]string{
		label + "title":       "ssebridge",
		label + "description": "Lets browsers listen to gRPC server streams",
		label + "licenses":    "Apache-2.0",
		label + "version":     version,
	}
	if revision != "" {
		l[label+"revision"] = revision
	}
	return l
}

// newIndex makes one image for each binary, and the index that a platform is chosen by.
func newIndex(c contents, labels map[string]string) (v1.ImageIndex, error) {
	var adds []mutate.IndexAddendum
	for _, b := range c.binaries {
		image, err := newImage(b, c, labels)
		if err != nil {
			return nil, err
		}
		adds = append(adds, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &b.platform}})
	}
	return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), adds...), nil
}

// newImage makes the image of one platform: two layers, so that a new version brings
// only the binary's.
func newImage(b binary, c contents, labels map[string]string) (v1.Image, error) {
	base, err := newLayer([]file{
		{name: "etc/"},
		{name: configFolder},
		{name: "etc/ssl/"},
		{name: "etc/ssl/certs/"},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o444, content: c.certificates},
	})
	if err != nil {
		return nil, err
	}
	// The licences belong to what is linked.
	program, err := newLayer([]file{
		{name: "ssebridge", mode: 0o555, content: b.content},
		{name: "LICENSE", mode: 0o444, content: c.licence},
		{name: "THIRD_PARTY_NOTICES", mode: 0o444, content: c.notices},
	})
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(
		mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), base, program)
	if err != nil {
		return nil, err
	}

	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy() // with the list of the layers
	config.OS, config.Architecture, config.Variant = b.platform.OS, b.platform.Architecture, b.platform.Variant
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{
		User:         user,
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "9901/tcp": {}},
		Entrypoint:   []string{"/ssebridge"},
		Cmd:          []string{"serve", "--config", "/" + configFolder + "ssebridge.yaml"},
		WorkingDir:   "/",
		Labels:       labels,
		StopSignal:   "SIGTERM",
	}
	return mutate.ConfigFile(image, config)
}

// file is an entry of a layer; a folder's name ends with a slash.
type file struct {
	name    string
	mode    int64
	content []byte
}

// newLayer packs files without an owner or a time.
func newLayer(files []file) (v1.Layer, error) {
	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	for _, f := range files {
		head := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if f.content == nil {
			head.Typeflag, head.Mode = tar.TypeDir, 0o555
		}
		if err := archive.WriteHeader(head); err != nil {
			return nil, err
		}
		if _, err := archive.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}
