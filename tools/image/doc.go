// Command image writes the container image of ssebridge as an OCI image layout, without a
// container engine, a registry or a network:
//
//	image -out bin/image -version 1.2.3 -binary linux/amd64=bin/image/linux-amd64/ssebridge
//
// The image is what deploy/docker/Dockerfile builds: nothing but the static binary, its
// licences, the certificates that TLS upstreams are verified by, and the folder that a
// configuration is mounted at; run by a user without a name. It is reproducible: no time, owner or order
// of the machine's goes into it, so the same binaries and certificates give the same digest.
//
// It compiles nothing. `make image` does, and calls this.
package main
