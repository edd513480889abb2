#!/usr/bin/env bash
# Prints the linker's flags of a release: stripped, and with its version.
#
#   go build -ldflags "$(scripts/ldflags.sh 1.2.3)" ./cmd/ssebridge
set -euo pipefail
echo "-s -w -X github.com/ssebridge/ssebridge/internal/release.version=$1"
