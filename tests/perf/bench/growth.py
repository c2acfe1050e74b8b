"""growth: counts system calls, fdatasyncs and instructions per event, and how they grow with the number of events."""
import functools
import itertools
import os
import re
import shutil
import subprocess

import jobs
from server import Failed, Missing, program
from table import Bar, Cost, Row, beside, wall


def paths(b):
    """Returns the hot paths: {name: function that returns a job for n events}."""
    unix = b.server.ways()[0]

    def reading(job):
        def prepare(n):
            jobs.fill_stream(b, n)
            return job(n)
        return prepare

    return {"ebpub, stream": lambda n: jobs.publish(b, n, unix),
            "ebpub, Redis away": lambda n: jobs.fill_buffer(b, n),
            "ebreplay": lambda n: jobs.drain(b, n, unix),
            "ebsub, JSON": reading(lambda n: jobs.subscribe(b, n, unix)),
            "ebsub, --payload": reading(lambda n: jobs.subscribe(b, n, unix, "--payload")),
            "ebstat": lambda n: jobs.stat(b, n, jobs.filled(b, n))}


def floors(b):
    """Returns bare loops to compare the paths with, in the same form."""
    unix = b.server.ways()[0]

    def read(n):
        jobs.fill_stream(b, n)
        return jobs.bare_read(b, n, unix, 500)

    return {"bare XADD, 500": lambda n: jobs.bare_add(b, n, unix, 500), "bare XREADGROUP, XACK, 500": read}


# --- counters -----------------------------------------------------------------------

def output(b, job, tool, name):
    """Runs a job under a tool and returns the tool's output; %s in its arguments stands for the output file."""
    to = b.path(name)
    b.take(job, [w.replace("%s", to) for w in tool])
    with open(to) as f:
        text = f.read()
    os.remove(to)
    return text


def system_calls(b, job):
    """Returns the number of system calls, and of fdatasyncs among them."""
    calls = {}
    for line in output(b, job, [program("strace"), "-f", "-c", "-o", "%s"], "strace").splitlines():
        w = line.split()
        if len(w) >= 5 and re.fullmatch(r"[\d.]+", w[0]) and w[3].isdigit():
            calls[w[-1]] = int(w[3])
    calls.pop("total", None)
    return sum(calls.values()), calls.get("fdatasync", 0)


@functools.cache
def counts_itself():
    """Returns whether perf can count instructions here."""
    if not shutil.which("perf"):
        return False
    p = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True)
    return p.returncode == 0 and re.match(r"\d+,", p.stderr) is not None


def counter():
    return "perf" if counts_itself() else program("valgrind") and "callgrind"


def instructions(b, job):
    if counter() == "perf":
        text = output(b, job, ["perf", "stat", "-x,", "-e", "instructions:u", "-o", "%s", "--"], "perf")
        found = re.search(r"^(\d+),", text, re.M)
    else:
        text = output(b, job, [program("valgrind"), "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file=%s"], "callgrind")
        found = re.search(r"Collected\s*:\s*(\d+)", text)
    if not found:
        raise Failed(f"no instructions in: {text[-200:]}")
    return int(found[1])


# --- parts --------------------------------------------------------------------------

def fewest(b, job):
    """Returns the smallest counts of three runs: a process that waits for the other core makes more calls."""
    return min(system_calls(b, job()) for _ in range(3))


def counted(b):
    """Returns the number of events to count with; it and twice as many are counted. More than a batch of a replay."""
    return max(min(10000, b.events // 10), 2000)


def cost(b):
    """system calls, fdatasyncs and instructions of one event"""
    n, out = counted(b), []
    calls, count = b.has(program, "strace"), b.has(counter)
    for name, path in (paths(b) | floors(b)).items():
        (c1, s1), (c2, s2) = (fewest(b, lambda k=k: path(k)) if calls else (0, 0) for k in (n, 2 * n))
        i1, i2 = (instructions(b, path(k)) if count else 0 for k in (n, 2 * n))
        out.append(Cost(name, (c2 - c1) / n if calls else None, (s2 - s1) / n if calls else None, (i2 - i1) / n if count else None))
    for name, job in whole(b).items():
        c, s = fewest(b, job) if calls else (None, None)
        out.append(Cost(name, c, s, instructions(b, job()) if count else None))
    return out


def whole(b):
    """Returns jobs of a single event, to be counted from start to exit."""
    unix, text = b.server.ways()[0], jobs.payload(0)

    def away():
        job = jobs.fill_buffer(b, 1)
        job.command, job.stdin = [jobs.EBPUB, "t", text], None
        return job

    return {"ebpub, one event, whole": lambda: jobs.adds(b, 1, [jobs.EBPUB, "t", text]),
            "bare connect, XADD, exit": lambda: jobs.adds(b, 1, [jobs.BARE, "one", unix.where, jobs.KEY, text]),
            "ebpub, one event, Redis away, whole": away,
            "ebpub -V": lambda: jobs.Job([jobs.EBPUB, "-V"], 1)}


def growth(b):
    """ten times the events: instructions, memory; 10 000 segments beside 100"""
    small, much, rows = max(b.events // 100, 200), b.events // 4, []
    count = b.has(counter)
    for name, path in paths(b).items():
        if count:
            few, many = (instructions(b, path(k)) for k in (small, 10 * small))
            rows.append(Row("growth", name + f", {10 * small}", f"{small} events: {counter()}", "instructions", [many / few],
                            [b.take(path(10 * small))], Bar(most=10.5)))
        few, many = b.take(path(much)), b.take(path(10 * much))
        rows.append(Row("growth", name + f", {10 * much}", f"{much} events: memory", "peak memory", [many.rss / few.rss], [many],
                        Bar(most=1.1, mib=16)))
    return rows + segments(b)


LINES = 25


def cut(b, whole, count):
    """Makes a buffer of `count` full segments of 25 events each, as a small --segment-size would."""
    folder, names = b.path("buffer"), [f"buffer_2025-12-04_10-30-00_{i + 1:06}" for i in range(count)]
    os.mkdir(folder, 0o700)
    for name in (".target", ".progress"):
        shutil.copy(os.path.join(os.path.dirname(whole), name), folder)
    with open(whole, "rb") as f:
        for name in names:
            write(f"{folder}/{name}.jsonl", b"".join(itertools.islice(f, LINES)))
    write(folder + "/.roster", "".join(f"+{name} .\n" for name in names).encode())
    return folder


def write(path, data):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
        f.write(data)


def segments(b):
    """Compares the time per event in many full segments with that in a hundredth of them."""
    many = 10000 if b.events >= 200000 else max(b.events // 2000, 1) * 100
    source, rows = jobs.filled(b, many * LINES, "--segment-size", "16G"), []
    whole, = jobs.segments(source)
    for name, run in (("ebreplay", lambda n, folder: jobs.drain(b, n, b.server.ways()[0], folder)), ("ebstat", lambda n, folder: jobs.stat(b, n, folder))):
        s = {many: [], many // 100: []}
        for r in range(min(b.o.rounds, 3)):
            for count in list(s)[::-1 if r % 2 else 1]:
                folder = cut(b, whole, count)
                s[count].append(b.take(run(count * LINES, folder)))
                shutil.rmtree(folder, ignore_errors=True)
        rows.append(beside("growth", f"{name}, {many} segments", f"{many // 100} segments", s[many], [s[many // 100]], wall, Bar(most=1.2, mib=16)))
    shutil.rmtree(source)
    return rows
