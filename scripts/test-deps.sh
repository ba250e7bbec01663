#!/usr/bin/env bash
# Installs the Debian packages that the tests need, and only those that are missing. As root or through sudo.
# Usage: scripts/test-deps.sh [test|bench|prompts]
set -euo pipefail

# a command that proves the package is there, and the package
test_needs=(
  cc:gcc               # links Rust, compiles SQLite
  c++:g++              # compiles libFuzzer
  sipp:sip-tester      # carriers and odd flows
  baresip:baresip-core # phones
  setpriv:util-linux   # a phone dies with its test
  ip:iproute2          # networks of a test's own
  nft:nftables         # NAT in them
  linphonec:linphone-cli # another phone
  tcpdump:tcpdump      # reads the capture files that the server writes
)
prompts_needs=(espeak-ng:espeak-ng sox:sox python3:python3)
bench_needs=("${test_needs[@]}" python3:python3 kamailio:kamailio rtpengine:rtpengine-daemon tcpdump:tcpdump)

case "${1:-test}" in
  test) needs=("${test_needs[@]}") ;;
  bench) needs=("${bench_needs[@]}") ;;
  prompts) needs=("${prompts_needs[@]}") ;;
  *) echo "usage: scripts/test-deps.sh [test|bench|prompts]" >&2; exit 2 ;;
esac

export PATH="$PATH:/usr/sbin:/sbin"
missing=()
for need in "${needs[@]}"; do
  command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "test-deps: please install what provides: ${missing[*]} (these are the Debian names; there is no apt-get here)" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "test-deps: run as root: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi

# A daemon that is installed for a test or a comparison is not started: the tests start their own, on loopback.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
echo "test-deps: installing ${missing[*]}"
install() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; }
"${as_root[@]}" apt-get update -q
install
