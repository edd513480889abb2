#!/usr/bin/env bash
# Sees to it that the tests find what they need beyond Go, make and npm: a C
# compiler and its headers for the race detector, and Chromium for the page's
# tests. As root it installs what is absent by apt, else it says what to install.
set -euo pipefail

# compiles reports whether a C program can be compiled and linked, which is what
# cgo will do: a compiler without headers does not count.
compiles() {
  command -v gcc >/dev/null || return 1
  echo 'int main(void) { return 0; }' | gcc -include stdlib.h -x c -o /dev/null - 2>/dev/null
}

# browses reports whether there is a browser under one of the names that chromedp looks for.
browses() {
  local name
  for name in headless-shell chromium chromium-browser google-chrome google-chrome-stable; do
    ! command -v "$name" >/dev/null || return 0
  done
  return 1
}

missing=()
compiles || missing+=(gcc libc6-dev)
browses || missing+=(chromium)
((${#missing[@]})) || exit 0

if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
  cat >&2 <<EOF
The tests need what is not installed here: ${missing[*]}
On Debian and its relatives:  sudo apt-get install --yes --no-install-recommends ${missing[*]}
EOF
  exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get --yes --quiet -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
install() {
  "${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null
}

echo "installing ${missing[*]}"
# Without package lists, or with old ones, the first try fails.
if ! install; then
  "${apt[@]}" update </dev/null
  install
fi
if ! compiles || ! browses; then
  echo "apt installed ${missing[*]}, and still a C program cannot be compiled or no Chromium is on the PATH" >&2
  exit 1
fi
