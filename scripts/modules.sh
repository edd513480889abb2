#!/usr/bin/env bash
# Runs a command in the folder of every Go module that holds Go files: nested
# modules first, the root last, so that its output closes the log. Modules that
# only pin tools hold none and are passed over.
#
#   scripts/modules.sh go test -race ./...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The Go files of the module in $1, without those of modules nested in it.
has_go_files() {
  local nested
  nested=$(find "$1" -mindepth 2 -name go.mod -not -path '*/node_modules/*' -printf '%h/*\n')
  find "$1" -name '*.go' -not -path '*/testdata/*' -not -path '*/node_modules/*' -print |
    while IFS= read -r file; do
      while IFS= read -r pattern; do
        # shellcheck disable=SC2053 # the right side is a pattern on purpose
        [[ -n $pattern && $file == $pattern ]] && continue 2
      done <<<"$nested"
      echo "$file"
      break
    done | grep -q .
}

modules=$(find . -mindepth 2 -name go.mod -not -path '*/node_modules/*' -not -path '*/testdata/*' -printf '%h\n' | sort)
for module in $modules .; do
  has_go_files "$module" || continue
  [[ $module == . ]] || echo "# module $module"
  (cd "$module" && "$@")
done
