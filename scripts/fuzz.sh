#!/usr/bin/env bash
# Runs every fuzzer of some packages, one after another, for equal parts of a time. What is found is written to the package's
# testdata, to be committed with its cure.
#
#   scripts/fuzz.sh 20m ./bridge/internal/transcode ./bridge/internal/cors
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

total=$1
shift

case $total in
  *h) seconds=$((${total%h} * 3600)) ;;
  *m) seconds=$((${total%m} * 60)) ;;
  *s) seconds=${total%s} ;;
  *) echo "$total is not a time such as 90s, 20m or 1h" >&2; exit 2 ;;
esac

fuzzers=() # package and name
for package in "$@"; do
  mapfile -t -O ${#fuzzers[@]} fuzzers < <(go test -list '^Fuzz' "$package" | sed -n "s|^Fuzz|$package &|p")
done
each=$(((seconds + ${#fuzzers[@]} - 1) / ${#fuzzers[@]}))
# What is new is made smaller only a little: coverage differs from run to run (of the collector, of pools), and by default
# a minute goes into each try.
for one in "${fuzzers[@]}"; do
  read -r package fuzzer <<<"$one"
  echo "# $fuzzer of $package, $each s"
  go test -run '^$' -fuzz "^$fuzzer\$" -fuzztime "${each}s" -fuzzminimizetime 100x -timeout "$((each + 300))s" "$package"
done
