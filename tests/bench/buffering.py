"""The buffer: filled, drained and counted."""
import glob
import os
import shutil
import subprocess

from publishing import bare_add
from run import BARE, EBPUB, EBREPLAY, EBSTAT, PREDECESSOR, best_window, expect, payload, redis_py
from server import STREAM
from table import Bar, Row, rate, wall


def segments(folder):
    return sorted(glob.glob(folder + "/*.jsonl"))


def lines_in(paths):
    n = 0
    for p in paths:
        with open(p, "rb") as f:
            while chunk := f.read(1 << 20):
                n += chunk.count(b"\n")
    return n


def fill(b, n, *options):
    """A new buffer of n events, for the server as it is reached by its socket; how long it took."""
    folder = b.path("buffer")
    with b.server.away():
        s = b.run([EBPUB, *options, "t"], n, stdin=b.payloads(n), lines=n, buffer=folder)
    expect(lines_in(segments(folder)), n, "lines in the buffer")
    return folder, s


def buffer(b):
    """ebpub streaming into the buffer, Redis away; one event, whole processes"""
    n, whole = b.events, b.path("whole")
    folder, _ = fill(b, n)
    with open(whole, "wb") as f:
        for p in segments(folder):
            with open(p, "rb") as part:
                shutil.copyfileobj(part, f)
    with open(whole) as f:
        line = f.readline()
    shutil.rmtree(folder)

    def spill():
        folder, s = fill(b, n)
        shutil.rmtree(folder)
        return s

    def dd():
        to = b.path("dd")
        s = b.run(["dd", "if=" + whole, "of=" + to, "bs=1M", "conv=fdatasync", "status=none"], n)
        expect(os.path.getsize(to), os.path.getsize(whole), "dd")
        os.remove(to)
        return s

    s = b.rounds({"ebpub": spill, "dd": dd})
    rows = [Row("buffer", "ebpub, Redis away", "dd conv=fdatasync, same bytes", s["ebpub"], [s["dd"]], rate, Bar(least=0.6, rate=500000))]
    os.remove(whole)
    if b.has(redis_py):
        few = max(n // 20, 100)
        s = b.rounds({"ebpub": spill, "redis-py": lambda: py_buffer(b, few)})
        rows.append(Row("buffer", "ebpub, Redis away", "redis-py's, not durable", s["ebpub"], [s["redis-py"]]))
    s = b.rounds({"ebpub": lambda: spill_each(b, 1), "bare": lambda: append_each(b, line, 1)})
    rows.append(Row("buffer", "ebpub, one event", "bare open-write-fdatasync-exit", s["ebpub"], [s["bare"]], wall, Bar(most=1.3)))
    return rows


def py_buffer(b, n):
    to = b.path("py")
    s = b.run([redis_py(), PREDECESSOR, "buffer", to], n, stdin=b.payloads(n))
    expect(lines_in([to]), n, "redis-py")
    return s


def spill_each(b, jobs):
    n, folder = b.processes, b.path("buffer")
    with b.server.away():
        s = b.run([EBPUB, "t", payload(0)], n, times=n, lines=n, jobs=jobs, buffer=folder, free=jobs > 1)
    expect(lines_in(segments(folder)), n, "lines in the buffer")
    shutil.rmtree(folder)
    return s


def append_each(b, line, jobs):
    n, to = b.processes, b.path("bare")
    s = b.run([BARE, "append", to, line], n, times=n, jobs=jobs, free=jobs > 1)
    expect(lines_in([to]), n, "bare append")
    return s


def crowd(b):
    """16 processes at once that buffer one event each: the gain over one at a time"""
    folder, _ = fill(b, 1)
    with open(segments(folder)[0]) as f:
        line = f.readline()
    s = b.rounds({f"{name}{jobs}": lambda run=run, jobs=jobs: run(jobs) for jobs in (1, 16) for name, run in (
        ("ebpub", lambda jobs: spill_each(b, jobs)), ("bare", lambda jobs: append_each(b, line, jobs)))})
    gains = [[one.wall / many.wall for one, many in zip(s[name + "1"], s[name + "16"])] for name in ("ebpub", "bare")]
    row = Row("crowd", "ebpub, 16 at once: gain", "gain of bare open-write-fdatasync-exit", s["ebpub16"], [s["bare16"]], wall, Bar(least=0.85))
    row.of(gain, [ours / theirs for ours, theirs in zip(*gains)])
    return [row]


def gain(_):
    """What a crowd does more than one at a time; names the measure."""


def replay(b):
    """ebreplay beside a bare XADD loop over the same payloads"""
    n, v = b.events, b.server

    def drain():
        folder, _ = fill(b, n)
        v.clear()
        s = b.run([EBREPLAY, "-q"], n, buffer=folder)
        expect(v.added("t"), n, "ebreplay")
        expect(segments(folder), [], "segments left")
        shutil.rmtree(folder)
        return s

    window, bare = best_window(b, "bare hiredis", lambda w: bare_add(b, v.sock, n, w))
    s = b.rounds({"ebreplay": drain, bare: lambda: bare_add(b, v.sock, n, window)})
    rows = [Row("replay", "ebreplay", bare, s["ebreplay"], [s[bare]], rate, Bar(least=0.9))]
    if b.has(redis_py):
        few = max(n // 20, 100)
        s = b.rounds({"ebreplay": drain, "redis-py": lambda: py_replay(b, few)})
        rows.append(Row("replay", "ebreplay", "redis-py", s["ebreplay"], [s["redis-py"]]))
    return rows


def py_replay(b, n):
    folder = b.path("py")
    os.mkdir(folder)
    b.run([redis_py(), PREDECESSOR, "buffer", folder + "/buffer_2025-12-04_10-30-00.jsonl"], n, stdin=b.payloads(n))
    b.server.clear()
    s = b.run([redis_py(), PREDECESSOR, "replay", b.server.sock, folder], n)
    expect(b.server.added("t"), n, "redis-py")
    return s
