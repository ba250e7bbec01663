#!/usr/bin/env bash
# Makes the default prompts, tones and music: prompts/en/NAME.flac from prompts/lines.tsv, prompts/tones/NAME.flac from sines,
# prompts/music/default.flac from music.py.
# Needs espeak-ng, sox and python3. Every file is mono, 8 kHz, 16 bit, trimmed of silence, its peak at -3 dB.
# Usage: prompts/build.sh [NAME…]      only those prompts; `tones` stands for the tones, `music` for the music
set -euo pipefail
cd "$(dirname "$0")"
for tool in espeak-ng sox python3; do
  command -v "$tool" >/dev/null || { echo "prompts/build.sh: $tool is missing (apt-get install espeak-ng sox python3)" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wanted() { # is NAME among the arguments, or were none given?
  local name=$1 one
  shift
  [ $# -eq 0 ] && return 0
  for one in "$@"; do [ "$one" = "$name" ] && return 0; done
  return 1
}

count=0
while IFS=$'\t' read -r name words; do
  case "$name" in ''|'#'*) continue ;; esac
  wanted "$name" "$@" || continue
  mkdir -p "en/$(dirname "$name")"
  espeak-ng -v en-gb -s 150 -p 45 -w "$work/raw.wav" "$words"
  # Trim both ends (the reverse pair trims the tail), keep 60 ms of air in front and 120 ms behind, fade against clicks. `-R`: dither is the same each time.
  sox -R "$work/raw.wav" -r 8000 -c 1 -b 16 "$work/flat.wav" \
    gain -n -6 highpass 120 rate -h 8000 silence 1 0.02 0.4% fade q 0.005 reverse silence 1 0.02 0.4% fade q 0.01 reverse gain -n -3 pad 0.06 0.12
  sox -R "$work/flat.wav" -C 8 "en/$name.flac"
  count=$((count + 1))
done <lines.tsv

if wanted tones "$@"; then
  mkdir -p tones
  # What a caller hears while a phone rings: 400 Hz and 450 Hz at -16 dB each, 0.4 s on, 0.2 s off, 0.4 s on, 2.0 s off. One period,
  # which loops without a seam. The bursts hold whole periods of both (160 and 180), so that they begin and end at zero.
  sox -R -n -r 8000 -c 1 -b 16 "$work/burst.wav" synth 0.4 sine 400 sine 450 remix 1,2 gain -n -10
  sox -R "$work/burst.wav" "$work/first.wav" pad 0 0.2
  sox -R "$work/burst.wav" "$work/second.wav" pad 0 2.0
  sox -R "$work/first.wav" "$work/second.wav" -C 8 tones/ringback.flac
  count=$((count + 1))
fi

if wanted music "$@"; then
  mkdir -p music
  python3 music.py "$work/music.wav"
  sox -R "$work/music.wav" -C 8 music/default.flac gain -n -9
  count=$((count + 1))
fi
echo "made $count files"
