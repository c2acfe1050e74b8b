"""run: runs, times and checks the contenders."""
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
    """The result of one run: events, seconds from start to exit, CPU seconds of the tool and of the server, peak KiB."""
    events: int
    wall: float
    cpu: float
    server: float
    rss: int
    high: float = 0	# latency: seconds of the 99th percentile


@dataclasses.dataclass
class Job:
    """A contender's command, and how to check that it did its work."""
    command: list
    events: int
    stdin: str = None
    lines: int = None	# that it must print
    url: str = None
    buffer: str = None
    times: int = 1	# processes; if more than 1, each handles one event
    jobs: int = 1	# processes at once; if more than 1, on all cores
    free: bool = False	# on all cores
    away: bool = False	# the server is unreachable
    check: object = None	# called after it, with its output when see is set
    see: bool = False


class Bench:
    """The state that all parts share: options, a server, a folder on the disk of the build."""

    def __init__(self, options):
        self.o = options
        self.events = options.events
        self.few = max(options.events // 20, 100)	# for slow contenders
        self.processes = max(min(200, options.events // 100), 10)
        self.missing = {}
        self.made = 0
        if not os.access(REPEAT, os.X_OK):
            raise Failed(f"'{REPEAT}' not found; run make probes")
        self.server = Server()
        self.dir = tempfile.mkdtemp(prefix="bench.", dir=BUILD)

    def close(self):
        self.server.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def has(self, means, *names):
        """Returns whether means(*names) finds its tool; a missing one is reported at the end."""
        try:
            means(*names)
        except Missing as e:
            self.missing[str(e)] = True
            return False
        return True

    def path(self, name):
        """Returns a new path in the folder."""
        self.made += 1
        return os.path.join(self.dir, f"{name}{self.made}")

    def keep(self, name, write):
        """Returns the path of a file of this name, written on first use."""
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
        """Runs a job, under a tool such as strace if given; returns its Sample."""
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
        errors = tool.stderr.read().decode(errors="replace")[-300:]
        status = tool.wait()
        server = self.server.cpu() - before
        printed = drain.stdout.read().decode()
        drain.wait()
        if status != 0:
            raise Failed(f"status {status}: {' '.join(words)[:200]}: {errors}")
        if job.lines is not None:
            expect(int(printed), job.lines, f"lines printed: {' '.join(words)[:200]}: {errors}")
        if job.check:
            job.check(printed) if job.see else job.check()
        with open(took) as f:
            ns, user, system, rss, high = map(int, f.read().split())
        return Sample(job.events, ns / 1e9, (user + system) / 1e6, server, rss, high / 1e9)

    def rounds(self, contenders, rounds=None):
        """Returns {name: samples}, one sample a round; the order of the contenders alternates. A contender is a function that
        returns a Job."""
        out = {name: [] for name in contenders}
        for r in range(rounds or self.o.rounds):
            for name in list(contenders)[::-1 if r % 2 else 1]:
                out[name].append(self.take(contenders[name]()))
        return out

    def best_window(self, job):
        """Returns the window with which a bare loop is fastest, by the median of three runs."""
        def wall(w):
            tries = sorted(self.take(job(w)).wall for _ in range(min(3, self.o.rounds)))
            return tries[len(tries) // 2]
        return min((200, 500, 1000), key=wall)


def expect(there, wanted, what):
    if there != wanted:
        raise Failed(f"{what}: {there}, not {wanted}")
