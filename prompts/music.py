#!/usr/bin/env python3
"""Synthesises the default music on hold: a calm loop of four chords, 38.4 s, mono, 8 kHz, 16 bit. Usage: music.py OUT.wav

Soft plucked notes over a quiet pad. Notes that ring past the end are folded back to the beginning, so that the end runs
into the beginning without a seam. Nothing is random: the same script gives the same file.
"""
import math
import struct
import sys
import wave

RATE_HZ = 8000
BEAT_S = 0.6
BEATS_PER_CHORD = 8
CHORDS = [  # MIDI notes: pad (low), arpeggio (high)
    ((48, 55, 64), (72, 76, 79, 83, 79, 76, 74, 76)),  # C major seventh
    ((45, 52, 60), (69, 72, 76, 79, 76, 72, 71, 72)),  # A minor seventh
    ((41, 53, 57), (65, 69, 72, 76, 72, 69, 67, 69)),  # F major seventh
    ((43, 50, 59), (67, 71, 74, 77, 74, 71, 69, 71)),  # G seventh
    ((40, 52, 55), (67, 71, 76, 79, 76, 71, 74, 71)),  # E minor seventh
    ((45, 57, 60), (69, 72, 76, 81, 76, 72, 74, 72)),  # A minor
    ((50, 53, 57), (69, 74, 77, 81, 77, 74, 72, 74)),  # D minor
    ((43, 50, 59), (71, 74, 79, 77, 74, 71, 67, 71)),  # G seventh, home
]
TOTAL = int(len(CHORDS) * BEATS_PER_CHORD * BEAT_S * RATE_HZ)
track = [0.0] * TOTAL


def hertz(note):
    return 440.0 * 2 ** ((note - 69) / 12)


def add(start_s, length_s, note, loudness, envelope, partials):
    """Adds one note; what reaches past the end continues at the beginning."""
    first = int(start_s * RATE_HZ)
    for i in range(int(length_s * RATE_HZ)):
        t = i / RATE_HZ
        value = sum(weight * math.sin(2 * math.pi * hertz(note) * k * t) for k, weight in partials if hertz(note) * k < 3400)
        track[(first + i) % TOTAL] += loudness * envelope(t, length_s) * value


def pluck(t, _length):
    return min(1.0, t / 0.008) * math.exp(-2.6 * t)


def swell(t, length):
    return math.sin(math.pi * t / length) ** 1.2


for bar, (pad, arpeggio) in enumerate(CHORDS):
    begin = bar * BEATS_PER_CHORD * BEAT_S
    length = BEATS_PER_CHORD * BEAT_S
    for note in pad:  # overlaps its neighbours by a beat on each side
        add(begin - BEAT_S, length + 2 * BEAT_S, note, 0.16, swell, ((1, 1.0), (2, 0.35), (3, 0.12)))
    for beat, note in enumerate(arpeggio):
        accent = 0.30 if beat % 4 == 0 else 0.22
        add(begin + beat * BEAT_S, 1.9, note, accent, pluck, ((1, 1.0), (2, 0.28), (3, 0.10), (4, 0.04)))

peak = max(abs(v) for v in track)
with wave.open(sys.argv[1], "wb") as out:
    out.setnchannels(1)
    out.setsampwidth(2)
    out.setframerate(RATE_HZ)
    out.writeframes(b"".join(struct.pack("<h", int(v / peak * 29000)) for v in track))
