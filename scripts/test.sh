#!/usr/bin/env bash
# Runs all tests of all modules, the product first. A stage that fails stops no
# other; the summary at the end has their times, and the script fails if one has
# failed.
#
# TEST_FLAGS are those of the tests with the race detector, TEST_TIMEOUT is that of a
# package.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${TEST_TIMEOUT:=30m}" "${TEST_FLAGS:=-race -vet=off -timeout $TEST_TIMEOUT}"

# Most tests of the product wait for sockets and deadlines more than they compute.
at_once=-p=$((2 * $(nproc)))

# What is deployed is tested as a binary in processes of its own: without the race
# detector, and never from the cache, which does not know that these tests read files
# and build a binary of other modules.
deployed="deploy/test tools/image tools/embedded tools/notices"

summary=() failed=0
stage() {
  local name=$1 began=$SECONDS result=passed
  shift
  echo "== $name"
  "$@" || { result=FAILED failed=$((failed + 1)); }
  summary+=("$(printf '%-44s %4d s  %s' "$name" $((SECONDS - began)) $result)")
}

# shellcheck disable=SC2086 # the flags are several words
product() { CGO_ENABLED=1 go vet -race ./... && CGO_ENABLED=1 go test $at_once $TEST_FLAGS ./...; }
# The race detector leaves time for a part of the random schedules and messages; here are all of them,
# new ones in each run.
random() {
  go test -count=1 -vet=off -timeout "$TEST_TIMEOUT" \
    -run '^(TestBetweenGapsExactlyOnce|TestAFrameReachesEveryMemberWithRoomInOneRound|TestRandomMessages|TestRandomTaps)$' \
    ./bridge/internal/topic ./bridge/internal/delivery ./bridge/internal/transcode
}
# shellcheck disable=SC2086
tools() { CGO_ENABLED=1 EXCEPT=". $deployed" scripts/modules.sh sh -c 'go vet -race ./... && go test "$@" ./...' sh $TEST_FLAGS; }
deployment() {
  local module status=0
  for module in $deployed; do
    (cd "$module" && go vet ./... && go test -count=1 -vet=off -timeout "$TEST_TIMEOUT" ./...) || status=1
  done
  return $status
}

stage "the product, with the race detector" product
stage "random schedules and messages, all of them" random
stage "the other modules, with the race detector" tools
stage "what is deployed, as a binary" deployment

echo "== summary"
printf '%s\n' "${summary[@]}"
echo "stages: $((${#summary[@]} - failed)) passed, $failed failed"
exit $((failed > 0))
