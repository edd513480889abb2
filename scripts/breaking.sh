#!/usr/bin/env bash
# Compares the protos of this tree with those of the commit that the work began
# at: where main's remote branch is behind or beside HEAD, the commit they share,
# else HEAD's parent. BREAKING_BASE names another commit.
#
# The base is unpacked with git archive rather than cloned by buf: that works in
# worktrees, and in clones that hold no branch but the one checked out.
#
#   scripts/breaking.sh path/to/buf
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pass() {
  echo "buf breaking: $1, nothing to compare with"
  exit 0
}

[[ -e .git ]] || pass "not a git checkout"

base=${BREAKING_BASE:-}
if [[ -z $base ]]; then
  base=$(git merge-base HEAD refs/remotes/origin/main 2>/dev/null || true)
  if [[ -z $base || $base == "$(git rev-parse HEAD)" ]]; then
    base=$(git rev-parse --verify --quiet 'HEAD^' || true)
  fi
  [[ -n $base ]] || pass "HEAD has no parent here"
fi
git cat-file -e "$base:proto" 2>/dev/null || pass "$base has no proto folder"

old=$(mktemp -d)
trap 'rm -rf "$old"' EXIT
git archive "$base" proto buf.yaml | tar -x -C "$old"

echo "buf breaking: against $(git log -1 --format='%h %s' "$base")"
"$1" breaking --against "$old"
