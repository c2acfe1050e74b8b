"""Reading through a group: printed, handed to commands, and how long one event takes from end to end."""
import os

import jobs
from server import TESTS
from table import Bar, Row, beside, wall


def subscribe(b):
    """ebsub, JSON lines and --payload, acknowledged"""
    n, way = b.events, b.server.ways()[0]
    jobs.fill_stream(b, n)
    count = b.best_window(lambda w: jobs.bare_read(b, n, way, w))
    run = {"JSON": lambda: jobs.subscribe(b, n), "--payload": lambda: jobs.subscribe(b, n, "--payload"),
           "bare": lambda: jobs.bare_read(b, n, way, count)}
    if b.has(jobs.redis_py):
        run |= {"redis-py": lambda: jobs.py_consume(b, b.few, "each"), "redis-py, XACK of 500": lambda: jobs.py_consume(b, b.few, "batch")}
    s = b.rounds(run)
    peers = [("bare", f"bare hiredis, {count}", Bar(least=0.9)), ("redis-py", "redis-py, XACK of each", Bar(least=20)),
             ("redis-py, XACK of 500", "redis-py, XACK of 500", None)]
    return [beside("subscribe", f"ebsub, {k}", name, s[k], [s[peer]], bar=bar) for peer, name, bar in peers if peer in s
            for k in ("JSON", "--payload")]


def handle(b):
    """ebsub --worker and ebsub -- COMMAND"""
    n, few = b.events, max(b.events // 200, 50)
    jobs.fill_stream(b, n)
    worker = ["--", os.path.join(TESTS, "okworker")]
    run = {"--worker": lambda: jobs.subscribe(b, n, "--worker", handler=worker),
           "-- true": lambda: jobs.subscribe(b, few, end=["-n", few], handler=["--", "true"]),
           "print": lambda: jobs.subscribe(b, n)}
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
    n = max(min(2000, b.events // 100), 100)

    def pair(publisher, reader):
        job = jobs.Job([], n, free=True)
        return b.timed(job, ["latency", str(n), jobs.payload(0), *publisher, "--", *reader], b.env())

    def ours():
        b.server.clear()
        jobs.new_group(b, "lat")
        return pair([jobs.EBPUB, "t"], [jobs.EBSUB, "-q", "-g", "lat", "-n", str(n + 1), "t"])

    def bare():
        b.server.clear()
        jobs.new_group(b, "lat")
        return pair([jobs.BARE, "each", b.server.sock, jobs.KEY], [jobs.BARE, "follow", b.server.sock, jobs.KEY, "lat", str(n + 1)])

    samples = {ours: [], bare: []}
    for r in range(b.o.rounds):
        for one in (ours, bare)[::-1 if r % 2 else 1]:
            s = one()
            s.wall *= n	# it is the median of one event
            samples[one].append(s)
    high = [a.high / c.high for a, c in zip(samples[ours], samples[bare])]
    peer = "bare XADD, blocked XREADGROUP"
    return [beside("latency", "ebpub to ebsub: median", peer, samples[ours], [samples[bare]], wall, Bar(most=1.3)),
            Row("latency", "ebpub to ebsub: 99th percentile", peer, "high", high, samples[ours])]
