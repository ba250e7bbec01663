#!/usr/bin/env python3
"""Our relay beside rtpengine: the same sessions, rate, cores and minute, alternately; medians of CPU per packet and of latency.

usage: rtp.py [--sessions 500] [--runs 5] [--secs 4] [--relay-cpu 1] [--gen-cpu 0] [--nice -15] [--realtime]

Needs rtpengine 10.5 (`apt-get install rtpengine-daemon`); it is started here, on a loopback address of its own, in user space, without
the kernel module. The packet rate is 100 times the sessions. CPU is the time of all threads of the relay by the scheduler's count, per
packet that arrived; latency is the kernel's receive stamp less the send time. A run through no relay at all ("direct") tells how far the
machine can be believed: no verdict when its p99 is over 50 microseconds.
"""
import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
PHONE_PORTS = (4000, 4001)
OURS_IP, PEER_IP = "127.0.51.1", "127.0.50.1"
GENERATOR = os.path.join(HERE, "target", "release", "rtpload")
RELAY = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release", "examples", "relay_sessions")


def phone(side, session):
    number = session + 1
    return f"127.{10 if side == 0 else 20}.{number >> 8}.{number & 255}"


# ---- rtpengine's control protocol: a cookie and a bencoded dictionary per datagram


def encode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(encode, value)) + b"e"
    return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"


def decode(data, at=0):
    kind = data[at:at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if kind in b"ld":
        at += 1
        items = []
        while data[at:at + 1] != b"e":
            item, at = decode(data, at)
            items.append(item)
        if kind == b"l":
            return items, at + 1
        return {items[i].decode(): items[i + 1] for i in range(0, len(items), 2)}, at + 1
    colon = data.index(b":", at)
    length = int(data[at:colon])
    return data[colon + 1:colon + 1 + length], colon + 1 + length


class Control:
    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((PEER_IP, port))
        self.socket.settimeout(1)

    def command(self, **fields):
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        cookie = b"%x" % random.getrandbits(64)
        for _ in range(50):
            try:
                self.socket.send(cookie + b" " + encode(fields))
                while True:
                    answer = self.socket.recv(65536)
                    if answer.startswith(cookie + b" "):
                        return decode(answer[len(cookie) + 1:])[0]
            except (socket.timeout, ConnectionRefusedError):
                time.sleep(0.1)
        raise RuntimeError("rtpengine does not answer")


def description(ip, port):
    return (f"v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n"
            "a=rtpmap:8 PCMA/8000\r\na=sendrecv\r\na=ptime:20\r\n")


def address(answer):
    if answer.get("result") != b"ok":
        raise RuntimeError(f"rtpengine: {answer}")
    text = answer["sdp"].decode()
    return re.search(r"c=IN IP4 (\S+)", text).group(1), re.search(r"m=audio (\d+)", text).group(1)


# ---- the relays; each gives (pid, function that stops it) once its sessions are in the file


def launch(args, cpu, command, **streams):
    """Starts a process on one core and before everything else that the machine does: relays and generator alike."""

    def prepare():
        # where the scheduler groups by session, a nice value only counts within the session: the group has one of its own
        os.setsid()
        try:
            os.setpriority(os.PRIO_PROCESS, 0, args.nice)
            with open("/proc/self/autogroup", "w") as group:
                group.write(str(args.nice))
        except OSError:
            pass  # not root, or a scheduler without groups: the figures of the direct run tell whether that matters
        if args.realtime:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        if cpu != "":
            os.sched_setaffinity(0, {int(cpu)})

    return subprocess.Popen(command, preexec_fn=prepare, **streams)


def start_ours(args, sessions, log):
    command = [RELAY, str(args.sessions), sessions, "--ip", OURS_IP, "--base", "20000"]
    process = launch(args, args.relay_cpu, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    if not process.stdout.readline().startswith(b"ready"):
        raise RuntimeError("our relay did not start; see the log")

    def stop():
        process.stdin.close()
        process.wait(30)

    return process.pid, stop


def start_rtpengine(args, sessions, log):
    port = 22000 + random.randrange(1000)
    command = [
        "rtpengine", "--config-file=none", "-f", "-E", "-L", "3", "-t", "-1", f"--interface={PEER_IP}",
        f"--listen-ng={PEER_IP}:{port}", "-m", "20000", "-M", "31999", "--delete-delay=0", "--timeout=3600"]
    process = launch(args, args.relay_cpu, command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop():
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    try:
        control = Control(port)
        if control.command(command="ping").get("result") != b"pong":
            raise RuntimeError("rtpengine did not start; see the log")
        lines = []
        for session in range(args.sessions):
            call = {"call_id": f"call-{session}", "from_tag": "a", "ICE": "remove"}
            a, b = phone(0, session), phone(1, session)
            relay_b = address(control.command(command="offer", sdp=description(a, PHONE_PORTS[0]), **call))
            relay_a = address(control.command(command="answer", to_tag="b", sdp=description(b, PHONE_PORTS[1]), **call))
            lines.append(" ".join((a, str(PHONE_PORTS[0]), *relay_a, b, str(PHONE_PORTS[1]), *relay_b)))
        with open(sessions, "w") as file:
            file.write("\n".join(lines) + "\n")
    except BaseException:
        stop()
        raise
    return process.pid, stop


def start_direct(args, sessions, _log):
    with open(sessions, "w") as file:
        for session in range(args.sessions):
            a, b = phone(0, session), phone(1, session)
            file.write(f"{a} {PHONE_PORTS[0]} {b} {PHONE_PORTS[1]} {b} {PHONE_PORTS[1]} {a} {PHONE_PORTS[0]}\n")
    return None, lambda: None


RELAYS = {"direct": start_direct, "strowger": start_ours, "rtpengine": start_rtpengine}


def measure(name, args, folder):
    sessions = os.path.join(folder, f"{name}.sessions")
    with open(os.path.join(folder, f"{name}.log"), "ab") as log:
        pid, stop = RELAYS[name](args, sessions, log)
        try:
            command = [
                GENERATOR, "--sessions", sessions, "--secs", str(args.secs), "--warm", "1", "--pt-a", "8", "--pt-b", "8"]
            if pid:
                command += ["--pid", str(pid)]
            output, _ = launch(args, args.gen_cpu, command, stdout=subprocess.PIPE).communicate()
            return json.loads(output)
        finally:
            stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--secs", type=float, default=4)
    parser.add_argument("--relay-cpu", default="1", help="core of the relay; empty: any")
    parser.add_argument("--gen-cpu", default="0", help="core of the generator; empty: any")
    parser.add_argument("--nice", type=int, default=-15, help="priority of relays and generator; below 0 needs root")
    parser.add_argument("--realtime", action="store_true",
                        help="real-time class for relays and generator; on a machine that others use, p99 is theirs without it")
    args = parser.parse_args()
    if not shutil.which("rtpengine"):
        sys.exit("rtpengine is not installed: apt-get install rtpengine-daemon")
    target = ["cargo", "build", "--release", "--quiet"]
    subprocess.run([*target, "--manifest-path", os.path.join(HERE, "Cargo.toml"), "--target-dir", os.path.join(HERE, "target")], check=True)
    subprocess.run([*target, "--manifest-path", os.path.join(ROOT, "Cargo.toml"), "--example", "relay_sessions"], check=True)

    results = {name: [] for name in RELAYS}
    with tempfile.TemporaryDirectory(prefix="rtp-side-by-side-") as folder:
        for run in range(args.runs):
            names = ["direct", "strowger", "rtpengine"]
            if run % 2:
                names[1:] = reversed(names[1:])
            for name in names:
                result = measure(name, args, folder)
                results[name].append(result)
                print(f"# run {run + 1} {name:9} {result['pps']:8.0f} packets/s  {result['relay_us_pkt']:6.2f} us CPU/packet  "
                      f"p50 {result['p50']} p99 {result['p99']} us  loss {result['loss_pct']:.4f} %", flush=True)

    def median(name, key):
        return statistics.median(result[key] for result in results[name])

    rate = median("strowger", "pps")
    print(f"\n{args.sessions} sessions, {rate:.0f} packets/s, {args.runs} runs each, alternately")
    print(f"{'relay':10} {'CPU us/packet':>14} {'p50 us':>8} {'p99 us':>8} {'best p99':>9} {'loss %':>8}")
    for name in results:
        cpu = f"{median(name, 'relay_us_pkt'):14.2f}" if name != "direct" else f"{'-':>14}"
        best = min(result["p99"] for result in results[name])
        print(f"{name:10} {cpu} {median(name, 'p50'):8.0f} {median(name, 'p99'):8.0f} {best:9.0f} {median(name, 'loss_pct'):8.4f}")
    ratio = statistics.median(
        ours["relay_us_pkt"] / peer["relay_us_pkt"] for ours, peer in zip(results["strowger"], results["rtpengine"]))
    tail = statistics.median(
        ours["p99"] / max(peer["p99"], 1) for ours, peer in zip(results["strowger"], results["rtpengine"]))
    print(f"ours / rtpengine: CPU {ratio:.2f} (goal at most 0.60 at 1,000 sessions), p99 {tail:.2f} (goal at most 0.50)")
    if median("direct", "p99") > 50:
        print("the machine is too noisy for a verdict: p99 without any relay is over 50 us")


if __name__ == "__main__":
    main()
