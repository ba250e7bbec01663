#!/usr/bin/env bash
# The gates of reliability against the real binary, in the long form whose figures count, and a table of what was measured.
# Usage: scripts/gates.sh [NAME…]     only gates whose names contain one of these, e.g. `flood::gate_`
# Ends with 1 if a gate does not hold. The table is kept in target/gates.txt.
set -uo pipefail
cd "$(dirname "$0")/.."
mkdir -p target
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
export GATES_TABLE=$rows
began=$SECONDS
[ $# -gt 0 ] || set -- gate_
"${CARGO:-cargo}" test --release --test gates -- --include-ignored --test-threads 1 --nocapture "$@"
result=$?
{
  echo "gates of reliability, $(date -u +%Y-%m-%d), $(git rev-parse --short HEAD 2>/dev/null || echo 'no git'), $(nproc) cores, $((SECONDS - began)) s, $([ $result = 0 ] && echo 'all hold' || echo 'NOT ALL HOLD')"
  printf '%-11s  %-30s  %s\n' gate limit measured
  sort -s -t $'\t' -k1,1V "$rows" | awk -F'\t' '{ printf "%-11s  %-30s  %s: %s\n", $1, $4, $2, $3 }'
} >target/gates.txt
cat target/gates.txt
exit "$result"
