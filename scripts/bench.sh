#!/usr/bin/env bash
# Runs the benchmarks of fanning out and writes their section of
# docs/benchmarks.md. nginx with nchan, which the bridge is compared with, is
# installed where it is absent. Arguments are passed on, for instance
#
#   scripts/bench.sh -case fanout-1k-30 -repetitions 1
#
# in which case nothing is written unless -markdown says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

module=/usr/lib/nginx/modules/ngx_nchan_module.so
packages=(nginx libnginx-mod-nchan iproute2)

# complete reports whether everything is there that is compared with or measured by.
complete() {
  command -v nginx >/dev/null && command -v ss >/dev/null && [[ -e $module ]]
}

if ! complete; then
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "The benchmarks need what is not installed here; on Debian:" >&2
    echo "  sudo apt-get install --yes --no-install-recommends ${packages[*]}" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt=(apt-get --yes --quiet -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  # Installing nginx starts its service where there is systemd, and takes port 80: it is stopped again if it did not run before.
  ran=$(pgrep -x nginx | head -n 1 || true)
  if ! "${apt[@]}" install --no-install-recommends "${packages[@]}" </dev/null; then
    "${apt[@]}" update </dev/null
    "${apt[@]}" install --no-install-recommends "${packages[@]}" </dev/null
  fi
  if [[ -z $ran ]] && command -v systemctl >/dev/null && systemctl is-active --quiet nginx; then
    systemctl disable --now nginx
  fi
  complete || { echo "apt installed ${packages[*]}, and still nginx, nchan or ss is not there" >&2; exit 1; }
fi

# A client is a descriptor at each end, and the processes are apart: 20,000 do.
want=20000
if [[ $(ulimit -n) != unlimited ]] && (($(ulimit -n) < want)); then
  ulimit -n "$want" || { echo "10,000 clients need $want descriptors (ulimit -n)" >&2; exit 1; }
fi

(($#)) || set -- -markdown "$PWD/docs/benchmarks.md"
mkdir -p bin
go -C bench build -o "$PWD/bin/fanout" ./fanout
cd bench
exec ../bin/fanout -strict "$@" # a bar that is missed ends it with an error, when the page is written
