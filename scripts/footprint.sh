#!/usr/bin/env bash
# Prints what the bridge takes as a sidecar: the time from exec to readiness,
# resident memory when idle and of a topic, and the stripped binary's size. Fails where one is
# more than it may be. The first wants a machine that does nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../deploy/test"

result=0
output=$(go test -v -vet=off -count=1 -timeout 5m ./footprint -starts "${STARTS:-21}" 2>&1) || result=$?
if ((result)); then
  echo "$output"
  exit "$result"
fi
sed -n 's/.*_test\.go:[0-9]*: \(.*at most.*\)/\1/p' <<<"$output"
