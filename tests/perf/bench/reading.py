"""reading: measures ebsub that prints, ebsub that runs commands, and the latency from ebpub to ebsub."""
import os

import jobs
from run import Job
from server import TESTS
from table import Bar, Row, beside, wall


def subscribe(b):
    """ebsub, JSON lines and --payload, acknowledged"""
    jobs.fill_stream(b, b.events)
    return [row for way in b.server.ways() for row in subscribe_over(b, way)]


def subscribe_over(b, way):
    n = b.events
    count = b.best_window(lambda w: jobs.bare_read(b, n, way, w))
    run = {"JSON": lambda: jobs.subscribe(b, n, way), "--payload": lambda: jobs.subscribe(b, n, way, "--payload"),
           "bare": lambda: jobs.bare_read(b, n, way, count)}
    if way.name == "unix" and b.has(jobs.redis_py):
        run |= {"each": lambda: jobs.py_consume(b, b.few, "each"), "batch": lambda: jobs.py_consume(b, b.few, "batch")}
    s = b.rounds(run)
    peers = [("bare", f"bare hiredis, {count}", Bar(least=0.9)), ("each", "redis-py, XACK of each", Bar(least=20)),
             ("batch", "redis-py, XACK of 500", None)]
    return [beside("subscribe", f"ebsub, {k}, {way.name}", name, s[k], [s[peer]], bar=bar) for peer, name, bar in peers if peer in s
            for k in ("JSON", "--payload")]


def handle(b):
    """ebsub --worker and ebsub -- COMMAND"""
    n, few, way = b.events, max(b.events // 200, 50), b.server.ways()[0]
    jobs.fill_stream(b, n)
    worker = ["--", os.path.join(TESTS, "okworker")]
    run = {"--worker": lambda: jobs.subscribe(b, n, way, "--worker", handler=worker),
           "-- true": lambda: jobs.subscribe(b, few, way, end=["-n", few], handler=["--", "true"]),
           "print": lambda: jobs.subscribe(b, n, way)}
    if b.has(jobs.redis_py):
        run["redis-py"] = lambda: jobs.py_consume(b, b.few, "each")
    s = b.rounds(run)
    rows = [beside("handle", "ebsub --worker", "ebsub that prints", s["--worker"], [s["print"]], bar=Bar(least=0.5)),
            beside("handle", "ebsub -- true", "ebsub that prints", s["-- true"], [s["print"]])]
    if "redis-py" in s:
        rows.append(beside("handle", "ebsub --worker", "redis-py, XACK of each", s["--worker"], [s["redis-py"]]))
    return rows


def latency(b):
    """one event at a time, from the line at ebpub to the line from ebsub"""
    return [row for way in b.server.ways() for row in latency_over(b, way)]


def latency_over(b, way):
    n, out = max(min(2000, b.events // 100), 100), {"ours": [], "bare": []}
    pairs = {"ours": ([jobs.EBPUB, "t"], [jobs.EBSUB, "-q", "-g", "lat", "-n", str(n + 1), "t"]),
             "bare": ([jobs.BARE, "each", way.where, jobs.KEY], [jobs.BARE, "follow", way.where, jobs.KEY, "lat", str(n + 1)])}
    for r in range(b.o.rounds):
        for name in list(pairs)[::-1 if r % 2 else 1]:
            b.server.clear()
            jobs.new_group(b, "lat")
            publisher, reader = pairs[name]
            s = b.timed(Job([], n, free=True), ["latency", str(n), jobs.payload(0), *publisher, "--", *reader], b.env(way.url))
            s.wall *= n	# s.wall is the median of one event
            out[name].append(s)
    ours, bare = out.values()
    contender, peer = f"ebpub to ebsub, {way.name}: ", "bare XADD, blocked XREADGROUP"
    high = [a.high / c.high for a, c in zip(ours, bare)]
    return [beside("latency", contender + "median", peer, ours, [bare], wall, Bar(most=1.3)),
            Row("latency", contender + "99th percentile", peer, "high", high, ours, peers=bare)]
