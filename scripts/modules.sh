#!/usr/bin/env bash
# Runs a command in the folder of every Go module that holds Go files: nested
# modules first, the root last, so that its output closes the log. Modules that
# only pin tools hold none and are passed over.
#
#   scripts/modules.sh go test -race ./...
#
# With EXCEPT="deploy/test tools/image" those are passed over too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# first_go_file prints a Go file of the module in $1, if it has one of its own
# and not only in modules nested in it.
first_go_file() {
  find "$1" -mindepth 1 \
    -type d \( -name node_modules -o -name testdata -o -exec test -e '{}/go.mod' \; \) -prune \
    -o -name '*.go' -print -quit
}

modules=$(find . -mindepth 2 -name go.mod -not -path '*/node_modules/*' -not -path '*/testdata/*' -printf '%h\n' | sort)
for module in $modules .; do
  [[ " ${EXCEPT:-} " != *" ${module#./} "* ]] || continue
  file=$(first_go_file "$module")
  [[ -n $file ]] || continue
  [[ $module == . ]] || echo "# module $module"
  (cd "$module" && "$@")
done
