"""jobs: the contenders, which are the commands and their peers. Each function prepares the data for one path and returns a Job."""
import functools
import glob
import itertools
import os
import shutil
import subprocess
import sys

from run import Job, expect
from server import BIN, STREAM, TESTS, TOP, Missing, program, resp

BARE = os.path.join(TESTS, "bare")
EBPUB, EBSUB, EBREPLAY, EBBUFFER, EBSTAT = (os.path.join(BIN, c) for c in ("ebpub", "ebsub", "ebreplay", "ebbuffer", "ebstat"))
PREDECESSOR = os.path.join(TOP, "tests", "perf", "bench", "predecessor.py")
KEY = STREAM + "t"
groups = itertools.count(1)

# The fields of an entry besides type and payload, with the lengths of ebpub's fields.
REST = ["trace_id", "", "correlation_id", "6f1c2b0e-9a51-4d0c-8a53-0f3f9d1f7a11", "timestamp", "2025-12-04T10:30:00.000000Z",
        "source", "eventbus", "event_id", "019ae8b1-2c00-7cc3-98c4-dc0c0c07398f"]


def payload(n):
    """Returns a payload of 200 bytes."""
    head = '{"n":%d,"symbol":"BTCUSDT","price":97123.50,"side":"buy","pad":"' % (10000000 + n)
    return head + "x" * (198 - len(head)) + '"}'


def payloads(b, n):
    """Returns the path of a file of n payloads, one a line."""
    return b.keep(f"payloads.{n}", lambda f: f.writelines(payload(i).encode() + b"\n" for i in range(n)))


def xadd(text):
    return ["XADD", KEY, "MAXLEN", "~", "10000", "*", "event_type", "t", "payload", text, *REST]


def commands(b, n):
    """Returns the path of a file of n XADDs for redis-cli --pipe."""
    return b.keep(f"commands.{n}", lambda f: f.writelines(resp([w.encode() for w in xadd(payload(i))]) for i in range(n)))


def cli():
    return program("redis-cli", "valkey-cli")


@functools.cache
def redis_py():
    """Returns a Python interpreter that has redis-py."""
    for python in ("/usr/bin/python3", sys.executable):
        if os.path.exists(python) and subprocess.run([python, "-c", "import redis"], capture_output=True).returncode == 0:
            return python
    raise Missing("no redis-py (Debian: python3-redis)")


# --- into a stream ------------------------------------------------------------------

def adds(b, n, command, **more):
    """Returns a job whose command adds n events to an empty server."""
    b.server.clear()
    return Job(command, n, check=lambda: expect(b.server.added("t"), n, f"added by {command[0]}"), **more)


def publish(b, n, way):
    return adds(b, n, [EBPUB, "t"], stdin=payloads(b, n), lines=n, url=way.url)


def bare_add(b, n, way, window):
    return adds(b, n, [BARE, "add", way.where, KEY, window], stdin=payloads(b, n), lines=n)


def benchmark(b, n, way):
    n -= n % 500	# redis-benchmark sends whole pipelines only
    return adds(b, n, [program("redis-benchmark", "valkey-benchmark"), *way.at, "-c", "1", "-P", "500", "-n", n, *xadd(payload(0))])


def cli_pipe(b, n, way):
    return adds(b, n, [cli(), *way.at, "--pipe"], stdin=commands(b, n))


def py_publish(b, n):
    return adds(b, n, [redis_py(), PREDECESSOR, "publish", b.server.sock, KEY], stdin=payloads(b, n), lines=n)


def one_by_one(b, command, url=None):
    return adds(b, b.processes, command, times=b.processes, lines=b.processes, url=url)


# --- into the buffer ----------------------------------------------------------------

def segments(folder):
    return sorted(glob.glob(folder + "/*.jsonl"))


def lines_in(paths):
    n = 0
    for p in paths:
        with open(p, "rb") as f:
            while chunk := f.read(1 << 20):
                n += chunk.count(b"\n")
    return n


def fill_buffer(b, n, *options, folder=None):
    """Returns a job of ebpub streaming into a buffer, which is removed afterwards unless `folder` names it."""
    at = folder or b.path("buffer")

    def check():
        expect(lines_in(segments(at)), n, "lines in the buffer")
        if not folder:
            shutil.rmtree(at)

    return Job([EBPUB, *options, "t"], n, stdin=payloads(b, n), lines=n, buffer=at, away=True, check=check)


def filled(b, n, *options):
    """Makes a buffer of n events; returns its path."""
    folder = b.path("buffer")
    b.take(fill_buffer(b, n, *options, folder=folder))
    return folder


def fill_buffer_each(b, jobs):
    """Returns a job of one ebpub process for each event, `jobs` of them at once."""
    job = fill_buffer(b, b.processes)
    job.command, job.stdin, job.times, job.jobs, job.free = [EBPUB, "t", payload(0)], None, b.processes, jobs, True
    return job


def writes(n, command, to, **more):
    """Returns a job that writes n lines to a file."""
    def check():
        expect(lines_in([to]), n, f"lines written by {command[0]}")
        os.remove(to)
    return Job(command, n, check=check, **more)


def starts(b, *command):
    """Returns a job that only starts processes."""
    return Job(list(command), b.processes, times=b.processes, free=True)


def append_each(b, line, jobs):
    to = b.path("bare")
    return writes(b.processes, [BARE, "append", to, line], to, times=b.processes, jobs=jobs, free=True)


def dd(b, n, whole):
    to = b.path("dd")
    return writes(n, ["dd", "if=" + whole, "of=" + to, "bs=1M", "conv=fdatasync", "status=none"], to)


def py_buffer(b, n):
    to = b.path("py")
    return writes(n, [redis_py(), PREDECESSOR, "buffer", to], to, stdin=payloads(b, n))


# --- out of the buffer --------------------------------------------------------------

def drains(b, n, command, folder, url=None):
    job = adds(b, n, command, buffer=folder, url=url)
    added = job.check

    def check():
        added()
        expect(segments(folder), [], "segments left")
        shutil.rmtree(folder)

    job.check = check
    return job


def drain(b, n, way, folder=None):
    folder = folder or filled(b, n)
    b.take(Job([EBBUFFER, "retarget"], n, url=way.url, buffer=folder))
    return drains(b, n, [EBREPLAY, "-q"], folder, way.url)


def py_replay(b, n):
    folder = b.path("py")
    os.mkdir(folder)
    with open(payloads(b, n), "rb") as f:
        subprocess.run([redis_py(), PREDECESSOR, "buffer", folder + "/buffer_2025-12-04_10-30-00.jsonl"], stdin=f, check=True)
    return drains(b, n, [redis_py(), PREDECESSOR, "replay", b.server.sock, folder], folder)


def stat(b, n, folder):
    def check(printed):
        if str(n) not in printed.split():
            expect(printed, f"{n} events", "ebstat")
    return Job([EBSTAT], n, buffer=folder, see=True, check=check)


# --- out of a stream ----------------------------------------------------------------

def fill_stream(b, n):
    """Fills the stream with exactly n events to read."""
    b.server.clear()
    b.take(Job([EBPUB, "-q", "--maxlen", "0", "t"], n, stdin=payloads(b, n), lines=0,
               check=lambda: expect(b.server.added("t"), n, "events to read")))


def reads(b, n, group, command, lines, url=None):
    """Returns a job that reads and acknowledges n events through a group, which is removed afterwards."""
    def check():
        for g in b.server.ask("XINFO", "GROUPS", KEY):
            g = dict(zip(g[::2], g[1::2]))
            if g["name"] == group:
                expect((g["entries-read"], g["pending"]), (n, 0), f"{command[0]}: read, pending")
        expect(b.server.ask("XGROUP", "DESTROY", KEY, group), 1, f"{command[0]}: its group")
    return Job(command, n, lines=lines, url=url, check=check)


def subscribe(b, n, way, *options, end=("-e",), handler=()):
    group = f"g{next(groups)}"
    return reads(b, n, group, [EBSUB, "-q", *end, "-g", group, *options, "t", *handler], 0 if handler else n, way.url)


def new_group(b, name):
    b.server.ask("XGROUP", "CREATE", KEY, name, "0", "MKSTREAM")
    return name


def bare_read(b, n, way, count):
    group = new_group(b, f"g{next(groups)}")
    return reads(b, n, group, [BARE, "read", way.where, KEY, group, count], n)


def py_consume(b, n, acknowledge):
    """Returns a job of redis-py. acknowledge: "each" sends an XACK for each event, "batch" one for each XREADGROUP."""
    return reads(b, n, new_group(b, "py"), [redis_py(), PREDECESSOR, "consume", b.server.sock, KEY, n, acknowledge], n)
