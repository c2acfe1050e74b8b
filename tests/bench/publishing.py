"""Publishing to Redis, streamed and one by one."""
from run import BARE, EBPUB, PREDECESSOR, best_window, expect, payload, redis_py, xadd
from server import STREAM, program
from table import Bar, Row, cpu, rate, wall


def bare_add(b, where, n, window):
    b.server.clear()
    s = b.run([BARE, "add", where, STREAM + "t", window], n, stdin=b.payloads(n), lines=n)
    expect(b.server.added("t"), n, "bare add")
    return s


def benchmark(b, at, n):
    b.server.clear()
    s = b.run([program("redis-benchmark", "valkey-benchmark"), *at, "-c", "1", "-P", "500", "-n", n, *xadd("t", payload(0))], n)
    return s._replace(events=max(b.server.added("t"), 1))


def cli_pipe(b, at, n):
    b.server.clear()
    s = b.run([b.server.cli, *at, "--pipe"], n, stdin=b.commands("t", n))
    expect(b.server.added("t"), n, "redis-cli --pipe")
    return s


def py_publish(b, n):
    b.server.clear()
    s = b.run([redis_py(), PREDECESSOR, "publish", b.server.sock, STREAM + "t"], n, stdin=b.payloads(n), lines=n)
    expect(b.server.added("t"), n, "redis-py")
    return s


def publish(b, url, n):
    b.server.clear()
    s = b.run([EBPUB, "t"], n, stdin=b.payloads(n), lines=n, url=url)
    expect(b.server.added("t"), n, "ebpub")
    return s


def stream_over(b, name, url, where, at):
    n, few = b.events, max(b.events // 20, 100)
    window, bare = best_window(b, "bare hiredis", lambda w: bare_add(b, where, n, w))
    run = {"ebpub": lambda: publish(b, url, n), bare: lambda: bare_add(b, where, n, window)}
    if b.has(program, "redis-benchmark", "valkey-benchmark"):
        run["redis-benchmark"] = lambda: benchmark(b, at, n)
    run["redis-cli --pipe"] = lambda: cli_pipe(b, at, n)
    if name == "unix" and b.has(redis_py):
        run["redis-py"] = lambda: py_publish(b, few)
    s = b.rounds(run)
    ours, best = f"ebpub, {name}", [k for k in run if k.startswith("redis-") and k != "redis-py"]
    rows = [Row("stream", ours, "better of " + ", ".join(best), s["ebpub"], [s[k] for k in best], rate, Bar(least=1.0)),
            Row("stream", ours, bare, s["ebpub"], [s[bare]], rate),
            Row("stream", ours, bare + ": its CPU", s["ebpub"], [s[bare]], cpu, Bar(most=0.7))]
    if "redis-py" in s:
        rows.append(Row("stream", ours, "redis-py", s["ebpub"], [s["redis-py"]], rate, Bar(least=40)))
    return rows


def stream(b):
    """ebpub streaming, IDs printed, over a unix socket and over TCP"""
    v = b.server
    return (stream_over(b, "unix", v.url, v.sock, ["-s", v.sock])
            + stream_over(b, "TCP", v.tcp, f"127.0.0.1:{v.port}", ["-h", "127.0.0.1", "-p", str(v.port)]))


def oneshot(b):
    """one event, whole processes"""
    v, n = b.server, b.processes

    def times(command):
        v.clear()
        s = b.run(command, n, times=n, lines=n)
        expect(v.added("t"), n, command[0])
        return s

    cli = "redis-cli XADD"
    s = b.rounds({"ebpub": lambda: times([EBPUB, "t", payload(0)]), cli: lambda: times([v.cli, "-s", v.sock, *xadd("t", payload(0))]),
                  "bare": lambda: times([BARE, "one", v.sock, STREAM + "t", payload(0)])})
    return [Row("oneshot", "ebpub, one event", cli, s["ebpub"], [s[cli]], wall, Bar(most=0.5)),
            Row("oneshot", "ebpub, one event", "bare connect-XADD-exit", s["ebpub"], [s["bare"]], wall, Bar(most=1.5))]
