#!/usr/bin/env python3
"""Instructions that the switch executes for a registration and for a call, counted by valgrind and held against `instructions.json`.

usage: instructions.py            fails when one of them grew by more than two in a hundred
       instructions.py --write    writes down what is now

Counts are the same for the same program and input, whatever else the machine does, so that a commit can be judged where times are noise.
They are those of the compiler that made them and of the processor that valgrind imitates: compare only with what the same machine wrote.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
WRITTEN = os.path.join(HERE, "instructions.json")
OPERATIONS = {"register": 2000, "call": 400}
TOLERANCE = 0.02


def build():
    command = [os.environ.get("CARGO", "cargo"), "bench", "--bench", "signalling", "--no-run", "--message-format", "json"]
    out = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    for line in out.splitlines():
        artifact = json.loads(line)
        if artifact.get("executable") and artifact["target"]["name"] == "signalling":
            return artifact["executable"]
    sys.exit("cargo made no bench")


def count(program, what, operations):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--toggle-collect=signalling::serve*", program, what]
        done = subprocess.run([*command, str(operations)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr[-2000:])
        with open(out) as file:
            return int(re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M).group(1))


def main():
    program = build()
    # twice, so that what happens once (the first registration of each phone) is taken away
    now = {
        what: round((count(program, what, 2 * operations) - count(program, what, operations)) / operations)
        for what, operations in OPERATIONS.items()
    }
    if "--write" in sys.argv[1:] or not os.path.exists(WRITTEN):
        with open(WRITTEN, "w") as file:
            json.dump(now, file, indent=2)
            file.write("\n")
    with open(WRITTEN) as file:
        written = json.load(file)
    grown = False
    for what, instructions in now.items():
        ratio = instructions / written[what]
        verdict = "grew" if ratio > 1 + TOLERANCE else "fell: write it down" if ratio < 1 - TOLERANCE else "as written"
        grown |= ratio > 1 + TOLERANCE
        print(f"{what:10} {instructions:9} instructions, written {written[what]:9}: {ratio:.3f}  {verdict}")
    sys.exit(grown)


if __name__ == "__main__":
    main()
