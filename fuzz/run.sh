#!/usr/bin/env bash
# Runs every fuzz target for some seconds each, on stable Rust: LLVM is asked for coverage by flags, libFuzzer comes with a crate.
# Usage: fuzz/run.sh [SECONDS_EACH, default 20] [TARGET…]     without targets: those of the parsers; `all`: those of the core as well
# Each begins with what lies in seeds/TARGET and corpus/TARGET. KEEP=1 writes what was found back to corpus/TARGET, minimised: at most 100 inputs of 24 kB.
# Ends with 1 and the path of the input if a target crashes. Replay that input with: fuzz/target/HOST/release/TARGET PATH
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-20}
shift || true
parsers=(sip_message sip_stream uri sdp digest rtp stun proxy_header)
core=(dialplan identity switch_inputs)
# What is kept for each target at most.
corpus_bytes=24000
corpus_files=100
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=("${parsers[@]}")
[ "${targets[0]}" != all ] || targets=("${parsers[@]}" "${core[@]}")

RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
RUSTFLAGS+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
RUSTFLAGS+=" -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
export RUSTFLAGS
host=$(rustc -vV | sed -n 's/^host: //p')
wanted=()
for target in "${targets[@]}"; do
  wanted+=(--bin "$target")
  case " ${core[*]} " in *" $target "*) wanted+=(--features core) ;; esac
done
# With --target the flags stay away from build scripts and procedural macros, which have no libFuzzer to link with.
"${CARGO:-cargo}" build --quiet --locked --release --target "$host" --target-dir target "${wanted[@]}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for target in "${targets[@]}"; do
  mkdir -p "$work/$target" "artifacts/$target"
  cp -- seeds/"$target"/* "$work/$target/"
  if [ -d "corpus/$target" ]; then cp -- corpus/"$target"/* "$work/$target/"; fi
  case $target in
    sdp) dictionary=(-dict=dictionaries/sdp.dict) ;;
    rtp | stun | proxy_header) dictionary=() ;;
    *) dictionary=(-dict=dictionaries/sip.dict) ;;
  esac
  binary="target/$host/release/$target"
  echo "fuzz: $target, $seconds s"
  if ! "$binary" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=2048 -timeout=10 \
    "${dictionary[@]}" -artifact_prefix="$PWD/artifacts/$target/" -print_final_stats=1 "$work/$target" >"$work/log" 2>&1; then
    failed=1
    tail -n 60 "$work/log"
    input=$(sed -n 's/.*Test unit written to //p' "$work/log" | tail -n 1)
    echo "fuzz: $target failed on ${input:-an input that was not written: see above}" >&2
  else
    grep -E '^stat::number_of_executed_units|^#[0-9]+.*DONE' "$work/log" || true
    if [ -n "${KEEP:-}" ]; then
      mkdir -p "$work/small/$target"
      # few inputs that reach what all of them reach together; of these some of every size, as many as the repository wants to carry
      "$binary" -set_cover_merge=1 -max_len=1024 "$work/small/$target" "$work/$target" >"$work/log" 2>&1
      rm -rf "corpus/$target"
      mkdir -p "corpus/$target"
      find "$work/small/$target" -type f -printf '%s %p\n' | sort -n |
        awk -v bytes="$corpus_bytes" -v files="$corpus_files" '
          { size[NR] = $1; path[NR] = $2 }
          END {
            step = NR > files ? NR / files : 1
            for (at = 1; at <= NR; at += step) if ((sum += size[int(at)]) <= bytes) print path[int(at)]
          }' | xargs -r cp -t "corpus/$target" --
      echo "fuzz: $target keeps $(find "corpus/$target" -type f | wc -l) inputs, $(du -sk --apparent-size "corpus/$target" | cut -f1) kB"
    fi
  fi
done
exit "$failed"
