#!/usr/bin/env bash
# Runs every fuzz target of fuzz/Cargo.toml for some seconds each, on stable Rust: the coverage pass is asked of LLVM by flags.
# Usage: scripts/fuzz.sh SECONDS_EACH [TARGET…]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?usage: scripts/fuzz.sh SECONDS_EACH [TARGET…]}
shift
[ -f fuzz/Cargo.toml ] || { echo "fuzz.sh: there is no fuzz/Cargo.toml" >&2; exit 1; }
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  mapfile -t targets < <(awk '/^\[\[bin\]\]/ {bin=1; next} /^\[/ {bin=0} bin && $1=="name" {gsub(/"/,"",$3); print $3}' fuzz/Cargo.toml)
fi
[ ${#targets[@]} -gt 0 ] || { echo "fuzz.sh: fuzz/Cargo.toml names no target" >&2; exit 1; }
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1 --cfg fuzzing"
host=$(rustc -vV | sed -n 's/^host: //p')
# With --target the flags stay away from build scripts and procedural macros.
(cd fuzz && cargo build --release --target "$host")
for target in "${targets[@]}"; do
  echo "== $target, $seconds s"
  mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
  "fuzz/target/$host/release/$target" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="fuzz/artifacts/$target/" "fuzz/corpus/$target"
done
