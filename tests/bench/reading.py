"""Reading through a group: printed, and handed to commands."""
import itertools
import os

from run import BARE, EBPUB, EBSUB, PREDECESSOR, best_window, expect, payload, redis_py
from server import STREAM, TESTS
from table import Bar, Row, rate, wall

KEY = STREAM + "t"
groups = itertools.count(1)


def fill(b, n):
    b.server.clear()
    b.run([EBPUB, "-q", "--maxlen", "0", "t"], n, stdin=b.payloads(n), lines=0)
    expect(b.server.added("t"), n, "events to read")


def done(b, group, n, what):
    """Everything was read and acknowledged; the group is taken away."""
    for g in b.server.ask("XINFO", "GROUPS", KEY):
        g = dict(zip(g[::2], g[1::2]))
        if g["name"] == group:
            expect((g["entries-read"], g["pending"]), (n, 0), f"{what}: read and pending")
    expect(b.server.ask("XGROUP", "DESTROY", KEY, group), 1, f"{what}: its group")


def subscribed(b, n, *options, command=()):
    """ebsub over so many events: all of them, when that is how many there are."""
    group = f"g{next(groups)}"
    s = b.run([EBSUB, "-q", *(["-e"] if n == b.events else ["-n", n]), "-g", group, *options, "t", *command], n,
              lines=0 if command else n)
    done(b, group, n, "ebsub")
    return s


def bare_read(b, n, count):
    group = f"g{next(groups)}"
    b.server.ask("XGROUP", "CREATE", KEY, group, "0")
    s = b.run([BARE, "read", b.server.sock, KEY, group, count], n, lines=n)
    done(b, group, n, "bare read")
    return s


def py_consume(b, n):
    b.server.ask("XGROUP", "CREATE", KEY, "py", "0")
    s = b.run([redis_py(), PREDECESSOR, "consume", b.server.sock, KEY, n], n, lines=n)
    done(b, "py", n, "redis-py")
    return s


def subscribe(b):
    """ebsub, JSON lines and --payload, acknowledged"""
    n = b.events
    fill(b, n)
    count, bare = best_window(b, "bare hiredis", lambda w: bare_read(b, n, w))
    run = {"JSON": lambda: subscribed(b, n), "--payload": lambda: subscribed(b, n, "--payload"), bare: lambda: bare_read(b, n, count)}
    if b.has(redis_py):
        run["redis-py"] = lambda: py_consume(b, max(n // 10, 100))
    s = b.rounds(run)
    rows = [Row("subscribe", f"ebsub, {k}", bare, s[k], [s[bare]], rate, Bar(least=0.9)) for k in ("JSON", "--payload")]
    if "redis-py" in s:
        rows += [Row("subscribe", f"ebsub, {k}", "redis-py", s[k], [s["redis-py"]], rate, Bar(least=20)) for k in ("JSON", "--payload")]
    return rows


def handle(b):
    """ebsub --worker and ebsub -- COMMAND"""
    n, few = b.events, max(b.events // 200, 50)
    fill(b, n)
    run = {"ebsub --worker": lambda: subscribed(b, n, "--worker", command=["--", os.path.join(TESTS, "okworker")]),
           "ebsub -- true": lambda: subscribed(b, few, command=["--", "true"]),
           "print": lambda: subscribed(b, n)}
    if b.has(redis_py):
        run["redis-py"] = lambda: py_consume(b, max(n // 10, 100))
    s = b.rounds(run)
    rows = [Row("handle", "ebsub --worker", "ebsub that prints", s["ebsub --worker"], [s["print"]], rate, Bar(least=0.5)),
            Row("handle", "ebsub -- true", "ebsub that prints", s["ebsub -- true"], [s["print"]])]
    if "redis-py" in s:
        rows.append(Row("handle", "ebsub --worker", "redis-py", s["ebsub --worker"], [s["redis-py"]]))
    return rows
