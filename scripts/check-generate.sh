#!/usr/bin/env bash
# Generates into a folder of its own and compares: a changed, a missing and a
# left-over file in gen/ are all differences. The tree is not touched.
#
#   scripts/check-generate.sh path/to/buf
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

"$1" generate --output "$fresh"
if ! diff --recursive --brief "$fresh/gen" gen; then
  echo "gen/ is not what proto/ generates: run make generate and commit gen/" >&2
  exit 1
fi
