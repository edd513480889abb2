#!/usr/bin/env bash
# Builds the bridge for each platform and writes the image of all of them to
# bin/image: layout/, an OCI image layout, and ssebridge.tar, the same in one
# file (docker load, podman load, ctr images import, skopeo copy oci-archive:…).
#
#   scripts/image.sh 1.2.3 linux/amd64 linux/arm64
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$1
shift
out=$PWD/bin/image

binaries=()
for platform in "$@"; do
  file=$out/${platform/\//-}/ssebridge
  CGO_ENABLED=0 GOOS=${platform%/*} GOARCH=${platform#*/} go build -trimpath -ldflags "$(scripts/ldflags.sh "$version")" -o "$file" ./cmd/ssebridge
  binaries+=(-binary "$platform=$file")
done

revision=$(git rev-parse HEAD 2>/dev/null || true)
cd tools/image
exec go run . -out "$out" -version "$version" -revision "$revision" "${binaries[@]}"
