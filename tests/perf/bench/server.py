"""server: a private server, pinned to a core of its own when there are two."""
import collections
import contextlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
BUILD = os.environ.get("EB_BUILD") or os.path.join(TOP, "build")
BIN = os.path.join(BUILD, "bin")
TESTS = os.path.join(BUILD, "tests")

CORES = sorted(os.sched_getaffinity(0))
PINNED = len(CORES) > 1
SERVER_CORE, CLIENT_CORE = ({CORES[0]}, {CORES[1]}) if PINNED else (set(CORES), set(CORES))

STREAM = "quantum:stream:"
Way = collections.namedtuple("Way", "name url where at")


class Missing(Exception):
    """A tool is missing; its row is left out, and the tool is reported."""


class Failed(Exception):
    """A contender failed, or did not do all of its work."""


def program(*names):
    for name in names:
        if shutil.which(name):
            return shutil.which(name)
    raise Missing("no " + " and no ".join(names))


class Server:
    """A server on a unix socket and on a free port of 127.0.0.1, without persistence."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="bench-")
        self.sock = os.path.join(self.dir, "sock")
        self.url = "unix://" + self.sock
        for _ in range(20):
            if self.start(random.randrange(10000, 30000)):
                return
        raise Failed("no server: see " + self.dir)

    def start(self, port):
        self.port = port
        self.tcp = f"redis://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [program("redis-server", "valkey-server"), "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", self.sock,
             "--dir", self.dir, "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, SERVER_CORE))
        while self.process.poll() is None:
            try:
                self.link = socket.socket(socket.AF_UNIX)
                self.link.connect(self.sock)
                self.lines = self.link.makefile("rb")
                return self.ask("PING") == "PONG"
            except OSError:
                time.sleep(0.02)
        return False

    def ask(self, *words):
        words = [str(w).encode() for w in words]
        self.link.sendall(resp(words))
        return self.answer()

    def answer(self):
        line = self.lines.readline().decode().rstrip("\r\n")
        kind, rest = line[:1], line[1:]
        if kind == "$":
            return None if rest == "-1" else self.lines.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == "*":
            return [self.answer() for _ in range(max(int(rest), 0))]
        if kind == "-":
            raise Failed("redis: " + rest)
        return int(rest) if kind == ":" else rest

    def info(self, section):
        return dict(l.split(":", 1) for l in self.ask("INFO", section).splitlines() if ":" in l)

    def cpu(self):
        """Returns the CPU seconds that the server has used."""
        i = self.info("cpu")
        return float(i["used_cpu_user"]) + float(i["used_cpu_sys"])

    def clear(self):
        self.ask("FLUSHALL", "SYNC")

    def added(self, kind):
        """Returns how many entries were ever added to a type's stream."""
        i = self.ask("XINFO", "STREAM", STREAM + kind)
        return i[i.index("entries-added") + 1]

    def ways(self):
        """Returns the ways to reach it: name, URL for the commands, address for bare, options for redis-cli."""
        return (Way("unix", self.url, self.sock, ["-s", self.sock]),
                Way("TCP", self.tcp, f"127.0.0.1:{self.port}", ["-h", "127.0.0.1", "-p", str(self.port)]))

    @contextlib.contextmanager
    def away(self):
        """Renames the socket away meanwhile, as if the server were down."""
        os.rename(self.sock, self.sock + ".away")
        try:
            yield
        finally:
            os.rename(self.sock + ".away", self.sock)

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def resp(words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
