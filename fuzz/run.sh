#!/usr/bin/env bash
# Runs every fuzz target for some seconds each, on stable Rust: LLVM is asked for coverage by flags, libFuzzer comes with a crate.
# Usage: fuzz/run.sh [SECONDS_EACH, default 20] [TARGET…]
# Ends with 1 and the path of the input if a target crashes. Replay that input with: fuzz/target/HOST/release/TARGET PATH
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-20}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(sip_message sip_stream uri sdp digest)

RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
RUSTFLAGS+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
RUSTFLAGS+=" -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
export RUSTFLAGS
host=$(rustc -vV | sed -n 's/^host: //p')
# With --target the flags stay away from build scripts and procedural macros, which have no libFuzzer to link with.
"${CARGO:-cargo}" build --quiet --locked --release --target "$host" --target-dir target

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for target in "${targets[@]}"; do
  mkdir -p "$work/$target" "artifacts/$target"
  cp -- seeds/"$target"/* "$work/$target/"
  case $target in
    sdp) dictionary=dictionaries/sdp.dict ;;
    *) dictionary=dictionaries/sip.dict ;;
  esac
  echo "fuzz: $target, $seconds s"
  if ! "target/$host/release/$target" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=2048 -timeout=10 \
    -dict="$dictionary" -artifact_prefix="$PWD/artifacts/$target/" -print_final_stats=1 "$work/$target" >"$work/log" 2>&1; then
    failed=1
    tail -n 60 "$work/log"
    input=$(sed -n 's/.*Test unit written to //p' "$work/log" | tail -n 1)
    echo "fuzz: $target failed on ${input:-an input that was not written: see above}" >&2
  else
    grep -E '^stat::number_of_executed_units|^#[0-9]+.*DONE' "$work/log" || true
  fi
done
exit "$failed"
