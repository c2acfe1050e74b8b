"""What a contender took: each is run, timed and checked in here, whoever's program it is."""
import contextlib
import dataclasses
import os
import shutil
import subprocess
import tempfile

from server import BUILD, CLIENT_CORE, CORES, TESTS, Failed, Missing, Server

REPEAT = os.path.join(TESTS, "repeat")


@dataclasses.dataclass
class Sample:
    """One run: events that were done, seconds from spawn to exit, processor seconds of the tool and of the server, peak KiB."""
    events: int
    wall: float
    cpu: float
    server: float
    rss: int
    high: float = 0	# latency: seconds of the 99th percentile


@dataclasses.dataclass
class Job:
    """A contender's command, and how to see that it did its work."""
    command: list
    events: int
    stdin: str = None
    lines: int = None	# that it has to print
    url: str = None
    buffer: str = None
    times: int = 1	# processes, each for one event when there are more
    jobs: int = 1	# of these at once, on all cores when there are more
    free: bool = False	# on all cores
    away: bool = False	# the server cannot be reached
    check: object = None	# called after it, with what it printed when see is set
    see: bool = False


class Bench:
    """What all parts share: options, one server, a folder on the disk of the build."""

    def __init__(self, options):
        self.o = options
        self.events = options.events
        self.few = max(options.events // 20, 100)	# for what takes its time
        self.processes = max(min(200, options.events // 100), 10)
        self.missing = {}
        self.made = 0
        if not os.access(REPEAT, os.X_OK):
            raise Failed(f"no '{REPEAT}': make probes")
        self.server = Server()
        self.dir = tempfile.mkdtemp(prefix="bench.", dir=BUILD)

    def close(self):
        self.server.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def has(self, means, *names):
        """Whether a means is here; what is not is said at the end."""
        try:
            means(*names)
        except Missing as e:
            self.missing[str(e)] = True
            return False
        return True

    def path(self, name):
        """A new name in the folder."""
        self.made += 1
        return os.path.join(self.dir, f"{name}{self.made}")

    def keep(self, name, write):
        """A file of that name, written once."""
        path = os.path.join(self.dir, name)
        if not os.path.exists(path):
            with open(path, "wb") as f:
                write(f)
        return path

    def env(self, url=None, buffer=None):
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("EB_", "XDG_", "REDISCLI"))}
        return keep | {"EB_REDIS_URL": url or self.server.url, "EB_BUFFER_DIR": buffer or self.dir + "/none",
                       "XDG_STATE_HOME": self.dir + "/state", "XDG_CONFIG_HOME": self.dir + "/config", "XDG_CACHE_HOME": self.dir + "/cache",
                       "HOME": self.dir, "LC_ALL": "C"}

    def take(self, job, under=()):
        """A Sample of a job, run under a tool such as strace when that is given."""
        env = self.env(job.url, job.buffer) | ({"EB_TIMEOUT": "120"} if under else {})
        words = ["run", str(job.jobs), str(job.times), *under, *map(str, job.command)]
        with self.server.away() if job.away else contextlib.nullcontext():
            return self.timed(job, words, env)

    def timed(self, job, words, env):
        took = os.path.join(self.dir, "took")
        cores = set(CORES) if job.free or job.jobs > 1 else CLIENT_CORE
        drain = subprocess.Popen(["cat"] if job.see else ["wc", "-l"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 preexec_fn=lambda: os.sched_setaffinity(0, cores))
        before = self.server.cpu()
        with open(job.stdin or os.devnull, "rb") as source:
            tool = subprocess.Popen([REPEAT, took, *words], stdin=source, stdout=drain.stdin, stderr=subprocess.PIPE, env=env,
                                    preexec_fn=lambda: os.sched_setaffinity(0, cores))
        drain.stdin.close()
        said = tool.stderr.read().decode(errors="replace")[-300:]
        status = tool.wait()
        server = self.server.cpu() - before
        printed = drain.stdout.read().decode()
        drain.wait()
        if status != 0:
            raise Failed(f"status {status}: {' '.join(words)[:200]}: {said}")
        if job.lines is not None:
            expect(int(printed), job.lines, f"lines printed: {' '.join(words)[:200]}: {said}")
        if job.check:
            job.check(printed) if job.see else job.check()
        with open(took) as f:
            ns, user, system, rss, high = map(int, f.read().split())
        return Sample(job.events, ns / 1e9, (user + system) / 1e6, server, rss, high / 1e9)

    def rounds(self, contenders, rounds=None):
        """Samples by name, one a round, each round in the other order than the last. A contender is a function that gives a Job."""
        out = {name: [] for name in contenders}
        for r in range(rounds or self.o.rounds):
            for name in list(contenders)[::-1 if r % 2 else 1]:
                out[name].append(self.take(contenders[name]()))
        return out

    def best_window(self, job):
        """The window that a bare loop is fastest with, of three tries each."""
        def wall(w):
            tries = sorted(self.take(job(w)).wall for _ in range(min(3, self.o.rounds)))
            return tries[len(tries) // 2]
        return min((200, 500, 1000), key=wall)


def expect(there, wanted, what):
    if there != wanted:
        raise Failed(f"{what}: {there}, not {wanted}")
