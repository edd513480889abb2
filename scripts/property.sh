#!/usr/bin/env bash
# Plays random schedules of faults against bridge/internal/topic, with new seeds
# each time, until the duration in $1 (30m, 90s) has passed or one fails. The
# failing schedule's seed is printed, with how to play it again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go test -c -o "$dir/topic.test" ./bridge/internal/topic

# round plays so many schedules; its output names the first seed.
round() {
  "$1/topic.test" -test.v -test.timeout 0 -test.run '^TestBetweenGapsExactlyOnce$' -schedules 5000 >"$1/log" 2>&1 ||
    { cat "$1/log"; return 1; }
  grep 'schedules from seed' "$1/log"
}
export -f round

status=0
timeout "$1" bash -euc 'while round "$0"; do :; done; exit 1' "$dir" || status=$?
if ((status != 124)); then # 124: the time was up, and nothing had failed
  echo "FAIL"
  exit 1
fi
echo "PASS"
