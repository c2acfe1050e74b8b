"""publishing: measures publishing to Redis, streamed and one event a process, and the start of a process."""
import jobs
from server import STREAM, program
from table import Bar, beside, cpu, wall


def stream(b):
    """ebpub streaming, IDs printed"""
    return [row for way in b.server.ways() for row in stream_over(b, way)]


def stream_over(b, way):
    n = b.events
    window = b.best_window(lambda w: jobs.bare_add(b, n, way, w))
    run = {"ebpub": lambda: jobs.publish(b, n, way), "bare": lambda: jobs.bare_add(b, n, way, window)}
    if b.has(program, "redis-benchmark", "valkey-benchmark"):
        run["redis-benchmark"] = lambda: jobs.benchmark(b, n, way)
    if b.has(jobs.cli):
        run["redis-cli --pipe"] = lambda: jobs.cli_pipe(b, n, way)
    peers = list(run)[2:]
    if way.name == "unix" and b.has(jobs.redis_py):
        run["redis-py"] = lambda: jobs.py_publish(b, b.few)
    s = b.rounds(run)
    ours, bare = f"ebpub, {way.name}", f"bare hiredis, {window}"
    rows = [beside("stream", ours, "the better of " + ", ".join(peers), s["ebpub"], [s[k] for k in peers], bar=Bar(least=1.0))] if peers else []
    rows += [beside("stream", ours, k, s["ebpub"], [s[k]]) for k in peers]
    rows += [beside("stream", ours, bare, s["ebpub"], [s["bare"]]),
             beside("stream", ours, bare + ": CPU", s["ebpub"], [s["bare"]], cpu, Bar(most=0.7))]
    if "redis-py" in s:
        rows.append(beside("stream", ours, "redis-py", s["ebpub"], [s["redis-py"]], bar=Bar(least=40)))
    return rows


def oneshot(b):
    """ebpub, one event a process"""
    return [row for way in b.server.ways() for row in oneshot_over(b, way)]


def oneshot_over(b, way):
    text = jobs.payload(0)
    run = {"ebpub": lambda: jobs.one_by_one(b, [jobs.EBPUB, "t", text], way.url),
           "bare": lambda: jobs.one_by_one(b, [jobs.BARE, "one", way.where, STREAM + "t", text])}
    if b.has(jobs.cli):
        run["redis-cli"] = lambda: jobs.one_by_one(b, [jobs.cli(), *way.at, *jobs.xadd(text)])
    s = b.rounds(run)
    ours = f"ebpub, one event, {way.name}"
    rows = [beside("oneshot", ours, "redis-cli XADD", s["ebpub"], [s["redis-cli"]], wall, Bar(most=0.5))] if "redis-cli" in s else []
    return rows + [beside("oneshot", ours, "bare connect, XADD, exit", s["ebpub"], [s["bare"]], wall, Bar(most=1.5))]


def startup(b):
    """ebpub -V"""
    n = 5 * b.processes
    s = b.rounds({"ebpub": lambda: jobs.Job([jobs.EBPUB, "-V"], n, times=n, lines=n),
                  "true": lambda: jobs.Job([program("true")], n, times=n)})
    return [beside("startup", "ebpub -V", "true", s["ebpub"], [s["true"]], wall, Bar(most=1.5))]
