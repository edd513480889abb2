#!/usr/bin/env bash
# Runs a command in the folder of every Go module that holds Go files: the root
# first, since it is the product, then the nested modules. Modules that only pin
# tools hold none and are left out. A failure stops no other module; the script
# fails at the end.
#
#   scripts/modules.sh go test -race ./...
#
# With EXCEPT="deploy/test tools/image" those are left out too.
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
failed=()
for module in . $modules; do
  [[ " ${EXCEPT:-} " != *" ${module#./} "* ]] || continue
  file=$(first_go_file "$module")
  [[ -n $file ]] || continue
  [[ $module == . ]] || echo "# module $module"
  (cd "$module" && "$@") || failed+=("$module")
done
((${#failed[@]} == 0)) || { echo "failed in: ${failed[*]}"; exit 1; }
