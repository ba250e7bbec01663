#!/usr/bin/env python3
"""Our signalling beside Kamailio: the same registrations and calls, rate, cores and minute, alternately; medians of CPU and memory.

usage: sip.py [--runs 5] [--users 20000] [--register-rate 2000] [--calls 3000] [--call-rate 300] [--nice -15] [--keep]
              [--phones 100000] [--held 2000]
       sip.py --quick                 two short runs each; the same as BENCH_QUICK=1
       sip.py --only memory           one part of it: speed, memory

A run starts a fresh server, registers a quarter of the phones to warm it, and then measures, each step with SIPp at its fixed rate:
the registration of the other phones, the registration of all phones once more (as phones do every hour:
the figure that counts), calls from INVITE to BYE without audio (after as many seconds of calls as a transaction lives, so that both have
the memory that they work in), and, where tcpdump is allowed, the latency that the server adds to
an INVITE until its 180 and 200: what the caller saw less what the callee took. A run in which more than one operation in a thousand
failed or was sent again does not count.

Memory is measured once, with a server of each for itself: half of the phones register, then the other half, and what the second half
added is divided by its number. Both times the transactions that UDP keeps for 32 s are waited for. The first half uses up what
reading a configuration of so many phones left behind in the allocator. Then, after as many calls as fill what is bounded (the last messages
for ladders, sockets that rest), calls are held, and what they added is divided likewise.
"""
import argparse
import csv
import glob
import os
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
STROWGER = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release", "strowger")
SERVER, CALLER, PHONES = "127.0.77.1", "127.0.77.2", "127.0.77.3"
# below the kernel's own ports, so that nothing else on the machine sits on them
RTP_PORTS = (10000, 32767)
PORT_REST_SECONDS = 10
# a UDP server keeps its answer this long for retransmissions (RFC 3261 §17.2.2)
TRANSACTION_SECONDS = 32
CALLEES = 1000
TALK_MS = 500
# calls per second that are set up to be held
HELD_RATE = 100
PEERS = ("strowger", "kamailio")


# ---- processes: everything that is started here ends here


class Processes:
    def __init__(self, nice):
        self.nice = nice
        self.running = []

    def start(self, command, **streams):
        def prepare():
            # a group of its own: where the scheduler groups by session, a nice value only counts within the session
            os.setsid()
            try:
                os.setpriority(os.PRIO_PROCESS, 0, self.nice)
                with open("/proc/self/autogroup", "w") as group:
                    group.write(str(self.nice))
            except OSError:
                pass  # not root, or a scheduler without groups

        process = subprocess.Popen(command, preexec_fn=prepare, stdin=subprocess.DEVNULL, **streams)
        self.running.append(process)
        return process

    def stop(self, process, with_signal=signal.SIGTERM):
        if process not in self.running:
            return
        self.running.remove(process)
        if process.poll() is None:
            process.send_signal(with_signal)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(process.pid, signal.SIGKILL)  # its children too: the process leads its session
        except ProcessLookupError:
            pass
        process.wait()

    def stop_all(self):
        for process in list(self.running):
            self.stop(process)


def family(pid):
    """The process and its descendants."""
    children = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as file:
                text = file.read()
        except OSError:
            continue
        parent = int(text.rsplit(")", 1)[1].split()[1])
        children.setdefault(parent, []).append(int(text.split(" ", 1)[0]))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_seconds(pids):
    nanoseconds = 0
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            try:
                with open(path) as file:
                    nanoseconds += int(file.read().split()[0])
            except OSError:
                pass
    return nanoseconds / 1e9


def memory_bytes(pids):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
        except OSError:
            pass
    return total


# ---- the servers


def user(number):
    return f"u{number:06d}"


def write_strowger(folder, users):
    def put(path, text):
        path = os.path.join(folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    put("strowger.toml", f"""[server]
domain         = "{SERVER}"
public-address = "{SERVER}"
rtp-ports      = "{RTP_PORTS[0]}-{RTP_PORTS[1]}"
drain-timeout  = "0s"

[http]
listen = "{SERVER}:8080"

[log]
level = "warn"
""")
    put("sip-profiles/phones.toml", f"""name     = "phones"
listen   = "udp:{SERVER}:5060"
dialplan = "calls"
auth     = "digest"

# Kamailio pings nobody either
[registration]
qualify = "off"
""")
    # Kamailio asks no caller who it is, so ours must not have to either: to us the callers are a carrier
    put("sip-profiles/carrier.toml", f"""name     = "carrier"
listen   = "udp:{SERVER}:5062"
dialplan = "calls"
auth     = "trunk"

[[trunk]]
name         = "callers"
from         = "{CALLER}"
proxy        = "sip:{CALLER}:5080"
options-ping = "off"
""")
    put("dialplans/calls.toml", """context = "calls"

[[rule]]
name   = "phones"
number = "u{ext:6}"
do     = [ { dial = "u{ext}", timeout = "30s" } ]
""")
    put("directory/users.toml", "".join(
        f'[[user]]\nextension = "{user(n)}"\nname = "User {n}"\npassword = "pw"\nmax-concurrent-calls = 100\n' for n in range(users)))


def start_strowger(processes, folder, users):
    config = os.path.join(folder, "strowger")
    if not os.path.isdir(config):
        write_strowger(config, users)
    shutil.rmtree(os.path.join(config, "var"), ignore_errors=True)
    began = time.monotonic()
    with open(os.path.join(folder, "strowger.log"), "ab") as log:
        process = processes.start([STROWGER, "run", "--config", config], stdout=subprocess.PIPE, stderr=log)
    for line in process.stdout:
        if line.startswith(b"ready"):
            return process, 5062, time.monotonic() - began
    raise RuntimeError(f"strowger did not start: {open(log.name).read()[-2000:]}")


def start_kamailio(processes, folder, _users):
    modules = glob.glob("/usr/lib/*/kamailio/modules") + glob.glob("/usr/lib*/kamailio/modules")
    began = time.monotonic()
    with open(os.path.join(folder, "kamailio.log"), "ab") as log:
        process = processes.start(
            ["kamailio", "-f", os.path.join(HERE, "kamailio.cfg"), "-A", "WORKERS=2", "-L", modules[0], "-m", "512", "-M", "16", "-DD", "-E",
             "-Y", folder, "-P", os.path.join(folder, "kamailio.pid")], stdout=log, stderr=log)
    while time.monotonic() - began < 20 and process.poll() is None:
        with open("/proc/net/udp") as file:
            if "014D007F:13C4" in file.read():  # 127.0.77.1:5060
                time.sleep(0.5)
                return process, 5060, time.monotonic() - began
        time.sleep(0.05)
    raise RuntimeError(f"kamailio did not start: {open(log.name).read()[-2000:]}")


START = {"strowger": start_strowger, "kamailio": start_kamailio}


# ---- SIPp


class Load:
    def __init__(self, processes, folder):
        self.processes = processes
        self.folder = folder

    def users(self, name, numbers):
        path = os.path.join(self.folder, f"{name}.csv")
        with open(path, "w") as file:
            file.write("SEQUENTIAL\n")
            file.writelines(f"{user(n)};[authentication username={user(n)} password=pw]\n" for n in numbers)
        return path

    def sipp(self, name, scenario, address, port, *arguments):
        statistics_file = os.path.join(self.folder, f"{name}.stat")
        if os.path.exists(statistics_file):
            os.unlink(statistics_file)
        command = ["sipp", *arguments, "-sf", os.path.join(HERE, scenario), "-i", address, "-p", str(port), "-nostdin", "-trace_stat", "-fd", "1",
                   "-stf", statistics_file, "-buff_size", "8388608", "-trace_err", "-error_file", os.path.join(self.folder, f"{name}.err")]
        with open(os.path.join(self.folder, f"{name}.out"), "wb") as out:
            return self.processes.start(command, cwd=self.folder, stdout=out, stderr=out), statistics_file

    def measure(self, pid, name, scenario, source, target, users, count, rate, *arguments):
        """One step: CPU of the server's family per operation, with what SIPp counted."""
        pids = family(pid)
        before = cpu_seconds(pids)
        process, path = self.sipp(
            name, scenario, *source, f"{SERVER}:{target}", "-inf", users, "-r", str(rate), "-m", str(count), "-l", "20000", "-timeout",
            f"{count // rate + 60}s", *arguments)
        process.wait()
        self.processes.stop(process)
        time.sleep(1)  # what the server does afterwards (database) is part of the operation
        cpu = cpu_seconds(pids) - before
        with open(path) as file:
            rows = list(csv.reader(file, delimiter=";"))
        counted = dict(zip(rows[0], rows[-1]))
        good = int(counted["SuccessfulCall(C)"])
        bad = count - good
        again = int(counted["Retransmissions(C)"])
        return {"us": cpu * 1e6 / max(good, 1), "good": good, "bad": bad, "again": again,
                "believed": bad + again <= max(count // 1000, 1)}


# ---- latency, from one capture of all packets


def packets(path):
    with open(path, "rb") as file:
        data = file.read()
    at = 24
    while at + 16 <= len(data):
        seconds, micros, length, _ = struct.unpack_from("<IIII", data, at)
        at += 16
        packet = data[at + 14:at + length]
        at += length
        if len(packet) < 28:
            continue
        header = (packet[0] & 15) * 4
        yield seconds + micros / 1e6, ".".join(map(str, packet[12:16])), ".".join(map(str, packet[16:20])), packet[header + 8:]


CALL_ID = re.compile(rb"\n(?:Call-ID|i)\s*:\s*([^\r\n]+)", re.I)
OF_INVITE = re.compile(rb"\nCSeq\s*:\s*\d+\s+INVITE", re.I)


def added_latency(path):
    """Milliseconds that the server added, by status: legs are matched by the called user, in order."""
    callers, latest, callees = {}, {}, {}
    added = {"180": [], "200": []}
    for at, source, target, text in packets(path):
        found = CALL_ID.search(text)
        if not found:
            continue
        call = found.group(1)
        if text.startswith(b"INVITE "):
            called = text[7:80].split(b"@", 1)[0].split(b":")[-1]
            if source == CALLER and call not in callers:
                callers[call] = (at, {})
                latest[called] = call
            elif target == PHONES and call not in callees and called in latest:
                callees[call] = (latest[called], at, {})
        elif text.startswith((b"SIP/2.0 180", b"SIP/2.0 200")) and OF_INVITE.search(text):
            status = text[8:11].decode()
            if source == PHONES and call in callees:
                callees[call][2].setdefault(status, at)
            elif target == CALLER and call in callers:
                callers[call][1].setdefault(status, at)
    for caller, began, answers in callees.values():
        start, seen = callers[caller]
        for status, at in answers.items():
            if status in seen:
                added[status].append(((seen[status] - start) - (at - began)) * 1e3)
    return added


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


# ---- a run


def one_run(peer, args, processes, load, files):
    """Gives every figure of one fresh server, or raises."""
    server, call_port, start = START[peer](processes, load.folder, args.users)
    figures = {"start": start}
    try:
        phones, callers = (PHONES, 5090), (CALLER, 5080)
        warm = args.users // 4
        steps = [load.measure(server.pid, "warm", "register.xml", phones, 5060, files["warm"], warm, args.register_rate)]
        steps.append(load.measure(server.pid, "first", "register.xml", phones, 5060, files["rest"], args.users - warm, args.register_rate))
        figures["first"] = steps[-1]["us"]
        steps.append(load.measure(server.pid, "again", "register.xml", phones, 5060, files["all"], args.users, args.register_rate))
        figures["again"] = steps[-1]["us"]
        callee, _ = load.sipp("callee", "callee.xml", *phones)
        try:
            time.sleep(0.5)
            talk = ("-d", str(TALK_MS))
            steps.append(load.measure(server.pid, "warm-calls", "caller.xml", callers, call_port, files["callees"], args.warm_calls, args.call_rate, *talk))
            steps.append(
                load.measure(server.pid, "calls", "caller.xml", callers, call_port, files["callees"], args.calls, args.call_rate, *talk))
            figures["call"] = steps[-1]["us"]
            if shutil.which("tcpdump"):
                capture = os.path.join(load.folder, "calls.pcap")
                with open(os.path.join(load.folder, "tcpdump.log"), "wb") as log:
                    dump = processes.start(
                        ["tcpdump", "-i", "lo", "-n", "-U", "-s", "900", "-B", "65536", "-w", capture, "udp and net 127.0.77.0/24"],
                        stdout=log, stderr=log)
                    time.sleep(0.7)
                if dump.poll() is None:
                    load.measure(server.pid, "latency", "caller.xml", callers, call_port, files["callees"], args.calls // 2, args.call_rate, *talk)
                    processes.stop(dump, signal.SIGINT)
                    for status, values in added_latency(capture).items():
                        if values:
                            figures[f"p50 {status}"] = percentile(values, 0.5)
                            figures[f"p99 {status}"] = percentile(values, 0.99)
                    os.unlink(capture)
                processes.stop(dump)
        finally:
            processes.stop(callee)
        figures["lost"] = sum(step["bad"] for step in steps)
        figures["again sent"] = sum(step["again"] for step in steps)
        figures["believed"] = all(step["believed"] for step in steps)
        return figures
    finally:
        processes.stop(server)


def memory_run(peer, args, processes, load):
    """Bytes for a registered phone and for a held call of one fresh server."""
    server, call_port, _ = START[peer](processes, load.folder, args.phones)
    half = args.phones // 2
    figures = {}
    try:
        sizes = []
        for name, numbers in (("half", range(half)), ("whole", range(half, args.phones))):
            users = load.users(name, numbers)
            step = load.measure(server.pid, name, "register.xml", (PHONES, 5090), 5060, users, len(numbers), 2 * args.register_rate)
            if not step["believed"]:
                return None
            time.sleep(TRANSACTION_SECONDS + 3)
            sizes.append(memory_bytes(family(server.pid)))
        figures["phone"] = (sizes[1] - sizes[0]) / (args.phones - half)
        callee, _ = load.sipp("callee", "callee.xml", PHONES, 5090)
        time.sleep(0.5)
        users = load.users("called", range(CALLEES))
        # what is bounded is filled first: the memory for the ladders of calls, sockets that rest
        load.measure(server.pid, "warm-calls", "caller.xml", (CALLER, 5080), call_port, users, args.warm_calls, args.call_rate, "-d", str(TALK_MS))
        time.sleep(TRANSACTION_SECONDS + 3)
        before = memory_bytes(family(server.pid))
        seconds = args.held // HELD_RATE
        talk = ("-d", str((TRANSACTION_SECONDS + 8 + seconds) * 1000))
        caller, _ = load.sipp("held", "caller.xml", CALLER, 5080, f"{SERVER}:{call_port}", "-inf", users, "-r", str(HELD_RATE), "-m", str(args.held),
                              "-l", "20000", *talk)
        # calls are set up, their transactions are forgotten, nobody has hung up yet
        time.sleep(seconds + TRANSACTION_SECONDS + 4)
        figures["held"] = (memory_bytes(family(server.pid)) - before) / args.held
        processes.stop(caller)
        processes.stop(callee)
        return figures
    finally:
        processes.stop(server)


def memory_report(args, results):
    print(f"\nmemory, {args.phones} phones, {args.held} held calls")
    print(f"{'':28} {'strowger':>10} {'kamailio':>10}")
    ours, theirs = (results[peer] for peer in PEERS)
    if not ours or not theirs:
        sys.exit("no verdict: operations were lost or sent again; lower the rates")
    for key, what, goal in (("phone", "memory per phone", 1000), ("held", "memory per held call", 25000)):
        verdict = "met" if ours[key] <= goal else "missed"
        print(f"{what:28} {ours[key]:10.0f} {theirs[key]:10.0f}  bytes; the goal is at most {goal}: {verdict}")


ROWS = (
    ("again", "CPU per registration", "us", 0.60),
    ("first", "CPU per first registration", "us", None),
    ("call", "CPU per call", "us", 1.00),
    ("p50 180", "added latency to 180, p50", "ms", None),
    ("p99 180", "added latency to 180, p99", "ms", 1.00),
    ("p50 200", "added latency to 200, p50", "ms", None),
    ("p99 200", "added latency to 200, p99", "ms", 1.00),
)


def report(args, results):
    runs = {peer: [run for run in results[peer] if run["believed"]] for peer in PEERS}
    counts = " and ".join(f"{len(runs[peer])} of {peer}" for peer in PEERS)
    print(f"\n{args.register_rate} registrations/s of {args.users} phones, {args.call_rate} calls/s; medians of {counts}, alternately")
    if not all(runs.values()):
        sys.exit("no verdict: in every run of one of them operations were lost or sent again; lower the rates")
    print(f"{'':28} {'strowger':>10} {'kamailio':>10}  ratio")
    sentences = []
    for key, what, unit, goal in ROWS:
        found = {peer: [run[key] for run in runs[peer] if key in run] for peer in PEERS}
        if not all(found.values()):
            continue
        ours, theirs = (statistics.median(found[peer]) for peer in PEERS)
        ratio = ours / theirs if theirs > 0 else float("nan")
        digits = 1 if unit == "us" else 2
        print(f"{what:28} {ours:10.{digits}f} {theirs:10.{digits}f}  {ratio:5.2f}  {unit}")
        if goal:
            sentences.append(f"{what}: {ratio:.2f} of Kamailio's; the goal is at most {goal:.2f}: {'met' if ratio <= goal else 'missed'}")
    start = statistics.median(run["start"] for run in runs["strowger"])
    sentences.append(f"strowger was ready {start:.1f} s after its start, with {args.users} users in one file")
    print("\n".join(sentences))


def main():
    quick = os.environ.get("BENCH_QUICK", "") not in ("", "0")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", default=quick)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--users", type=int)
    parser.add_argument("--register-rate", type=int, default=2000)
    parser.add_argument("--calls", type=int)
    parser.add_argument("--call-rate", type=int, default=300)
    parser.add_argument("--warm-calls", type=int, help="calls before those that are measured; 40 seconds' worth")
    parser.add_argument("--nice", type=int, default=-15, help="priority of servers and SIPp; below 0 needs root")
    parser.add_argument("--phones", type=int, default=100_000, help="registered when memory is measured")
    parser.add_argument("--held", type=int, default=2000, help="calls held when memory is measured")
    parser.add_argument("--only", choices=("speed", "memory"))
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and configuration")
    args = parser.parse_args()
    args.runs = args.runs or (2 if args.quick else 5)
    args.users = args.users or (6000 if args.quick else 20000)
    args.calls = args.calls or (1000 if args.quick else 3000)
    args.warm_calls = args.warm_calls or args.call_rate * (10 if args.quick else 40)
    for needed in ("sipp", "kamailio"):
        if not shutil.which(needed, path=os.environ.get("PATH", "") + ":/usr/sbin"):
            sys.exit(f"{needed} is not installed: scripts/test-deps.sh bench")
    os.environ["PATH"] += ":/usr/sbin"
    if not os.path.exists(STROWGER):
        sys.exit(f"{STROWGER} is not there: make build")
    pairs = (RTP_PORTS[1] - RTP_PORTS[0] + 1) // 2
    most = pairs / 2 / (PORT_REST_SECONDS + TALK_MS / 1000 + 0.1)
    if args.call_rate > most:
        sys.exit(f"{args.call_rate} calls/s use up the audio ports: each call takes two pairs, which rest {PORT_REST_SECONDS} s; at most {most:.0f}")

    folder = tempfile.mkdtemp(prefix="sip-side-by-side-")
    processes = Processes(args.nice)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = {peer: [] for peer in PEERS}
    try:
        load = Load(processes, folder)
        warm = args.users // 4
        files = {
            "warm": load.users("warm", range(warm)), "rest": load.users("rest", range(warm, args.users)),
            "all": load.users("all", range(args.users)), "callees": load.users("callees", range(min(CALLEES, args.users)))}
        for run in range(args.runs if args.only != "memory" else 0):
            for peer in PEERS if run % 2 == 0 else reversed(PEERS):
                result = one_run(peer, args, processes, load, files)
                results[peer].append(result)
                latency = f"180 after {result['p50 180']:.2f}/{result['p99 180']:.2f} ms" if "p50 180" in result else ""
                print(f"# run {run + 1} {peer:9} registration {result['again']:6.1f} us, first {result['first']:6.1f} us  "
                      f"call {result['call']:6.1f} us  {latency}  lost {result['lost']}, sent again "
                      f"{result['again sent']}{'' if result['believed'] else '  (does not count)'}", flush=True)
        if args.only != "memory":
            report(args, results)
        if args.only != "speed" and not (args.quick and args.only is None):
            shutil.rmtree(os.path.join(folder, "strowger"), ignore_errors=True)  # another number of users
            memory_report(args, {peer: memory_run(peer, args, processes, load) for peer in PEERS})
    finally:
        processes.stop_all()
        if args.keep:
            print(f"logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
