"""buffering: measures appending to the buffer, draining it and counting it."""
import os
import shutil

import jobs
from run import Job
from table import Bar, Row, beside, wall


def a_line(b):
    """Returns the buffer line of one event."""
    folder = jobs.filled(b, 1)
    with open(jobs.segments(folder)[0]) as f:
        line = f.read()
    shutil.rmtree(folder)
    return line


def joined(b, folder):
    """Joins the segments of a buffer in one file and removes the buffer; returns the file's path."""
    whole = b.path("whole")
    with open(whole, "wb") as f:
        for p in jobs.segments(folder):
            with open(p, "rb") as part:
                shutil.copyfileobj(part, f)
    shutil.rmtree(folder)
    return whole


def buffer(b):
    """ebpub into the buffer, Redis down: streamed, and one event a process"""
    n, line = b.events, a_line(b)
    whole = joined(b, jobs.filled(b, n))
    run = {"ebpub": lambda: jobs.fill_buffer(b, n), "dd": lambda: jobs.dd(b, n, whole)}
    if b.has(jobs.redis_py):
        run["redis-py"] = lambda: jobs.py_buffer(b, b.few)
    s = b.rounds(run)
    os.remove(whole)
    rows = [beside("buffer", "ebpub, Redis away", "dd conv=fdatasync", s["ebpub"], [s["dd"]], bar=Bar(least=0.6, rate=500000))]
    if "redis-py" in s:
        rows.append(beside("buffer", "ebpub, Redis away", "Python, not durable", s["ebpub"], [s["redis-py"]]))
    return rows + buffer_one(b, line)


def buffer_one(b, line):
    """Compares one event a process with a bare process, and with the best possible: the bare work plus the start of ebpub."""
    s = b.rounds({"ebpub": lambda: jobs.fill_buffer_each(b, 1), "bare": lambda: jobs.append_each(b, line, 1),
                  "start": lambda: jobs.starts(b, jobs.EBPUB, "-V"), "nothing": lambda: jobs.starts(b, jobs.BARE, "nothing")})
    best = [wall(x) + wall(y) - wall(z) for x, y, z in zip(s["start"], s["bare"], s["nothing"])]
    return [beside("buffer", "ebpub, one event", "bare open, write, fdatasync, exit", s["ebpub"], [s["bare"]], wall, Bar(most=1.3)),
            Row("buffer", "ebpub, one event", "ebpub -V, and the bare write", "wall", [wall(x) / y for x, y in zip(s["ebpub"], best)], s["ebpub"])]


def crowd(b):
    """16 ebpub at once, each buffering one event: the gain over one at a time"""
    line = a_line(b)
    s = b.rounds({(name, jobs_): lambda run=run, jobs_=jobs_: run(jobs_) for jobs_ in (1, 16) for name, run in (
        ("ebpub", lambda k: jobs.fill_buffer_each(b, k)), ("bare", lambda k: jobs.append_each(b, line, k)))})
    ours, theirs = ([one.wall / many.wall for one, many in zip(s[name, 1], s[name, 16])] for name in ("ebpub", "bare"))
    return [Row("crowd", "ebpub, 16 at once: gain", "bare open, write, fdatasync, exit: gain", "gain",
                [a / c for a, c in zip(ours, theirs)], s["ebpub", 16], Bar(least=0.85), s["bare", 16])]


def replay(b):
    """ebreplay"""
    return [row for way in b.server.ways() for row in replay_over(b, way)]


def replay_over(b, way):
    n, ours = b.events, f"ebreplay, {way.name}"
    window = b.best_window(lambda w: jobs.bare_add(b, n, way, w))
    run = {"ebreplay": lambda: jobs.drain(b, n, way), "bare": lambda: jobs.bare_add(b, n, way, window)}
    if way.name == "unix" and b.has(jobs.redis_py):
        run["redis-py"] = lambda: jobs.py_replay(b, b.few)
    s = b.rounds(run)
    rows = [beside("replay", ours, f"bare hiredis, {window}", s["ebreplay"], [s["bare"]], bar=Bar(least=0.9))]
    if "redis-py" in s:
        rows.append(beside("replay", ours, "redis-py", s["ebreplay"], [s["redis-py"]]))
    return rows


def stat(b):
    """ebstat on a buffer with five times the events"""
    n = 5 * b.events
    folder = jobs.filled(b, n)
    s = {"ebstat": [], "wc": []}

    def counted():
        s["ebstat"].append(b.take(jobs.stat(b, n, folder)))

    def wc():
        s["wc"].append(b.take(Job(["wc", "-l", *jobs.segments(folder)], n)))

    for r in range(b.o.rounds):
        for one in (counted, wc)[::-1 if r % 2 else 1]:
            one()
    shutil.rmtree(folder)
    return [beside("stat", "ebstat", "wc -l", s["ebstat"], [s["wc"]], wall, Bar(most=2))]
