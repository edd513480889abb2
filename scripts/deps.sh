#!/usr/bin/env bash
# Sees to it that the tests find what they need beyond Go, make and npm: a C
# compiler and its headers for the race detector, Chromium for the tests with a browser,
# curl for those of the listeners, and for those of deploy/ the proxies that run in
# front, systemd's own reader of units, Prometheus, and the certificates that go into the image.
# As root it installs what is absent by apt, else it says what to install.
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

# transfers reports whether there is a curl that speaks HTTP/2.
transfers() {
  command -v curl >/dev/null && grep -qw HTTP2 <<<"$(curl --version)"
}

# look lists the packages of which something is absent. Users' paths leave out /usr/sbin, where nginx, HAProxy and Apache are.
look() {
  local PATH=$PATH:/usr/sbin:/sbin
  missing=()
  compiles || missing+=(gcc libc6-dev)
  browses || missing+=(chromium)
  transfers || missing+=(curl)
  command -v nginx >/dev/null || missing+=(nginx-light)
  command -v caddy >/dev/null || missing+=(caddy)
  command -v haproxy >/dev/null || missing+=(haproxy)
  command -v apache2 >/dev/null || missing+=(apache2)
  command -v prometheus >/dev/null && command -v promtool >/dev/null || missing+=(prometheus)
  command -v systemd-analyze >/dev/null || missing+=(systemd)
  [[ -s /etc/ssl/certs/ca-certificates.crt ]] || missing+=(ca-certificates)
}

look
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

# Installing a proxy or Prometheus starts its service where there is systemd. A service that did not run before is
# stopped again: a proxy would take port 80.
running() {
  command -v systemctl >/dev/null && systemctl is-active --quiet "$1"
}
strangers=()
for service in nginx caddy haproxy apache2 prometheus; do
  running "$service" || strangers+=("$service")
done

echo "installing ${missing[*]}"
# Without package lists, or with old ones, the first try fails.
if ! install; then
  "${apt[@]}" update </dev/null
  install
fi
for service in "${strangers[@]}"; do
  ! running "$service" || systemctl disable --now "$service"
done
installed=("${missing[@]}")
look
if ((${#missing[@]})); then
  echo "apt installed ${installed[*]}, and still there is no ${missing[*]} that can be used" >&2
  exit 1
fi
