"""What a contender took: each is run, timed and checked in here, whoever's program it is."""
import collections
import functools
import os
import shutil
import subprocess
import sys
import tempfile

from server import BIN, BUILD, CLIENT_CORE, CORES, STREAM, TESTS, TOP, Failed, Missing, Server, program, resp
from table import rate

REPEAT = os.path.join(TESTS, "repeat")
BARE = os.path.join(TESTS, "bare")
EBPUB, EBSUB, EBREPLAY, EBSTAT = (os.path.join(BIN, c) for c in ("ebpub", "ebsub", "ebreplay", "ebstat"))
PREDECESSOR = os.path.join(TOP, "tests", "bench", "predecessor.py")

# Of one run: events that were done, seconds from spawn to exit, processor seconds of the tool and of the server, KiB at the peak.
Sample = collections.namedtuple("Sample", "events wall cpu server rss more", defaults=[0])

# The fields of an entry besides type and payload, as long as ebpub's.
REST = ["trace_id", "", "correlation_id", "6f1c2b0e-9a51-4d0c-8a53-0f3f9d1f7a11", "timestamp", "2025-12-04T10:30:00.000000Z",
        "source", "eventbus", "event_id", "019ae8b1-2c00-7cc3-98c4-dc0c0c07398f"]


def payload(n):
    """A payload of 200 bytes."""
    head = '{"n":%08d,"symbol":"BTCUSDT","price":97123.50,"side":"buy","pad":"' % (10000000 + n)
    return head + "x" * (198 - len(head)) + '"}'


def xadd(kind, text):
    return ["XADD", STREAM + kind, "MAXLEN", "~", "10000", "*", "event_type", kind, "payload", text, *REST]


class Bench:
    """What all parts share: options, one server, a folder on a real disk, the payloads."""

    def __init__(self, options):
        self.o = options
        self.events = options.events
        self.processes = max(min(200, options.events // 100), 10)
        self.missing = {}
        os.makedirs(BUILD, exist_ok=True)
        self.dir = tempfile.mkdtemp(prefix="bench.", dir=BUILD)
        self.made = 0
        self.server = Server()

    def close(self):
        self.server.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        """A new name in the folder."""
        self.made += 1
        return os.path.join(self.dir, f"{name}{self.made}")

    def payloads(self, n):
        """A file of n payloads, a line each."""
        return self.keep(f"payloads.{n}", lambda f: f.writelines(payload(i).encode() + b"\n" for i in range(n)))

    def commands(self, kind, n):
        """A file of n XADDs, as redis-cli --pipe takes them."""
        return self.keep(f"commands.{kind}.{n}", lambda f: f.writelines(
            resp([w.encode() for w in xadd(kind, payload(i))]) for i in range(n)))

    def keep(self, name, write):
        path = os.path.join(self.dir, name)
        if not os.path.exists(path):
            with open(path, "wb") as f:
                write(f)
        return path

    def env(self, url=None, buffer=None):
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("EB_", "XDG_", "REDISCLI"))}
        return keep | {"EB_REDIS_URL": url or self.server.url, "EB_BUFFER_DIR": buffer or self.dir + "/none",
                       "XDG_STATE_HOME": self.dir + "/state", "XDG_CONFIG_HOME": self.dir + "/config",
                       "HOME": self.dir, "LC_ALL": "C"}

    def run(self, command, events, stdin=None, lines=None, url=None, buffer=None, jobs=1, times=1, free=False):
        """A Sample of a command that has to exit with 0, and to print so many lines when lines says it."""
        return self.timed(["run", str(jobs), str(times), *map(str, command)], events, stdin, lines, self.env(url, buffer), free)

    def timed(self, words, events, stdin, lines, env, free):
        result = os.path.join(self.dir, "took")
        drain = subprocess.Popen(["wc", "-l"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        before = self.server.cpu()
        with open(stdin or os.devnull, "rb") as source:
            tool = subprocess.Popen([REPEAT, result, *words], stdin=source, stdout=drain.stdin, stderr=subprocess.PIPE, env=env,
                                    preexec_fn=lambda: os.sched_setaffinity(0, set(CORES) if free else CLIENT_CORE))
        drain.stdin.close()
        said = tool.stderr.read().decode(errors="replace")[-300:]
        status = tool.wait()
        after = self.server.cpu()
        printed = int(drain.stdout.read())
        drain.wait()
        if status != 0:
            raise Failed(f"status {status}: {' '.join(words)[:200]}: {said}")
        if lines is not None:
            expect(printed, lines, f"lines printed: {' '.join(words)[:200]}: {said}")
        with open(result) as f:
            ns, user, system, rss, more = map(int, f.read().split())
        return Sample(events, ns / 1e9, (user + system) / 1e6, after - before, rss, more)

    def has(self, means, *names):
        """Whether a means is here; what is not is said at the end."""
        try:
            means(*names)
        except Missing as e:
            self.missing[str(e)] = True
            return False
        return True

    def rounds(self, contenders, rounds=None):
        """Samples by name, one a round, each round in the other order than the last."""
        out = {name: [] for name in contenders}
        for r in range(rounds or self.o.rounds):
            for name in sorted(contenders, key=list(contenders).index, reverse=r % 2 == 1):
                out[name].append(contenders[name]())
        return out


def expect(is_there, wanted, what):
    if is_there != wanted:
        raise Failed(f"{what}: {is_there}, not {wanted}")


@functools.cache
def redis_py():
    """A Python that has redis-py."""
    for python in ("/usr/bin/python3", sys.executable):
        if subprocess.run([python, "-c", "import redis"], capture_output=True).returncode == 0:
            return python
    raise Missing("no redis-py (Debian: python3-redis)")


def best_window(b, name, once):
    """The window that bare is fastest with, of three tries each, and its name."""
    tries = {w: [rate(once(w)) for _ in range(min(3, b.o.rounds))] for w in (200, 500, 1000)}
    best = max(tries, key=lambda w: sorted(tries[w])[len(tries[w]) // 2])
    return best, f"{name}, window {best}"
