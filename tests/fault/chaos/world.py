"""world: the folder of one run of nemesis, its server, its processes, and the findings.

One folder holds everything: redis/ (its data, durable), buffer/ (a small tmpfs where that can be mounted), home/, sub/ (the output
of subscribers), events (a log of the faults). World.spawn starts processes and World.finish waits for them: exit statuses are
counted, and a process that neither ends nor was stopped counts as hanging.
"""
import collections
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

from resp import Redis

PREFIX = "quantum:stream:"
HANG = 60	# seconds after which a process that should end counts as hanging
APART = ["unshare", "--pid", "--fork", "--kill-child"]	# a process ID of its own, often the same as another's


class Proc:
    """A started process, and the signals sent to it."""

    def __init__(self, popen, kind):
        self.popen, self.kind = popen, kind
        self.hit = None			# the signal that ended it
        self.stopped = False
        self.moved = time.monotonic()	# when it was started or continued

    def send(self, sig):
        if sig in (signal.SIGKILL, signal.SIGTERM):
            self.hit = sig if sig == signal.SIGKILL else self.hit or sig
        self.stopped = sig == signal.SIGSTOP
        self.moved = time.monotonic()
        self.popen.send_signal(sig)


class World:
    def __init__(self, folder, commands, seed):
        self.folder, self.commands, self.seed = folder, commands, seed
        self.rng = random.Random(f"{seed}/world")
        self.over = threading.Event()		# publishers start no more processes
        self.ended = threading.Event()		# no actor starts another process
        self.procs, self.procs_lock = [], threading.Lock()
        self.statuses = collections.Counter()
        self.injected = collections.Counter()
        self.findings = []
        self.possible_duplicates = 0
        self.server, self.server_lock = None, threading.RLock()
        self.redis = os.path.join(folder, "redis")
        self.socket = os.path.join(self.redis, "s")
        self.link = os.path.join(folder, "r")	# the clients' path to it; removed to hide the server
        self.buffer = os.path.join(folder, "buffer")
        self.port = free_port() if self.rng.random() < 0.4 else 0
        self.url = f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.link}"
        self.holds = self.rng.random() < 0.6	# faults hold types
        self.rights = self.rng.choice(["", "", "-client|kill", "-client -info"])
        self.hands = self.rng.random() < 0.4	# an operator moves events: their order is not checked
        self.namespaces = subprocess.call([*APART, "true"], stderr=subprocess.DEVNULL) == 0
        for name in ("redis", "home", "sub"):
            os.mkdir(os.path.join(folder, name))
        os.mkdir(self.buffer, 0o700)
        self.disk = os.geteuid() == 0 and subprocess.call(
            ["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=300,mode=700", "none", self.buffer],
            stderr=subprocess.DEVNULL) == 0
        self.clock = os.path.join(folder, "clock")
        self.faketime = self.find_faketime()
        self.events = open(os.path.join(folder, "events"), "w", buffering=1, encoding="utf-8")
        self.began = time.monotonic()

    def log(self, text):
        self.events.write(f"{time.monotonic() - self.began:8.3f} {text}\n")

    def found(self, text):
        self.log("FOUND " + text)
        self.findings.append(text)

    def settings(self):
        return ", ".join((
            "over TCP" if self.port else "over a unix socket",
            f"without {self.rights}" if self.rights else "all rights",
            "types are held" if self.holds else "no type is ever held",
            "an operator moves events" if self.hands else "nobody moves events",
            "some process IDs are equal" if self.namespaces else "no equal process IDs (needs root)",
            "clocks jump" if self.faketime else "no clock jumps",
            "the buffer on a disk of its own" if self.disk else "no disk of its own (needs root)"))

    # --- the environment of the commands

    def find_faketime(self):
        """Returns the library of faketime(1), for half of the seeds only, because it changes more than the clock."""
        if self.rng.random() < 0.5 or os.environ.get("EB_SANITIZE") or not shutil.which("faketime"):
            return None
        env = subprocess.run(["faketime", "--exclude-monotonic", "-f", "+0", "env"], stdout=subprocess.PIPE,
                             check=False, text=True).stdout
        self.set_clock(0)
        for line in env.splitlines():
            if line.startswith("LD_PRELOAD="):
                return line.split("=", 1)[1]
        return None

    def set_clock(self, seconds):
        with open(self.clock + ".new", "w", encoding="ascii") as f:
            f.write(f"{seconds:+d}\n")
        os.rename(self.clock + ".new", self.clock)

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("EB_", "XDG_")) and k != "REDISCLI_AUTH"}
        env.update(LC_ALL="C", TZ="UTC", HOME=os.path.join(self.folder, "home"), EB_REDIS_URL=self.url,
                   EB_BUFFER_DIR=self.buffer, EB_MAXLEN="0")
        if self.faketime:
            env.update(LD_PRELOAD=self.faketime, FAKETIME_TIMESTAMP_FILE=self.clock, FAKETIME_CACHE_DURATION="1",
                       FAKETIME_DONT_FAKE_MONOTONIC="1", DONT_FAKE_MONOTONIC="1")
        return env

    # --- processes

    def spawn(self, kind, argv, apart=False, **how):
        argv = [*(APART if apart and self.namespaces else []), os.path.join(self.commands, argv[0]), *argv[1:]]
        with open(os.path.join(self.folder, kind + ".err"), "ab") as err:
            p = Proc(subprocess.Popen(argv, stderr=err, env=self.environment(), **how), kind)
        with self.procs_lock:
            self.procs.append(p)
        return p

    def pick(self, rng, kind, stopped=False):
        """Returns a random running process of this kind, or None."""
        with self.procs_lock:
            some = [p for p in self.procs if p.kind.startswith(kind) and p.stopped == stopped and not p.hit]
        return rng.choice(some) if some else None

    def finish(self, p, allowed):
        """Waits for its end; a status that neither `allowed` nor a signal explains is a finding."""
        while True:
            try:
                status = p.popen.wait(timeout=1)
                break
            except subprocess.TimeoutExpired:
                if not p.stopped and time.monotonic() - p.moved > HANG:
                    self.found(f"{p.kind} hangs: {' '.join(p.popen.args)[:200]}")
                    p.send(signal.SIGKILL)
        with self.procs_lock:
            self.procs.remove(p)
        self.statuses[f"{p.kind} {status}"] += 1
        expected = {signal.SIGKILL: {-9, -15, 143, 0}, signal.SIGTERM: {-15, 143, 0}}.get(p.hit, set()) | allowed
        if status not in expected:
            self.found(f"{p.kind} ended with {status}: {' '.join(p.popen.args)[:200]}")
        return status

    def count_disorder_reports(self):
        """Returns how often a command reported events out of order, after a refusal that ended in the middle of a batch."""
        reported = 0
        for name in os.listdir(self.folder):
            if name.endswith(".err"):
                with open(os.path.join(self.folder, name), "rb") as f:
                    reported += f.read().count(b"out of order")
        return reported

    # --- the server

    def server_start(self):
        with self.server_lock:
            options = {"port": self.port, "bind": "127.0.0.1", "unixsocket": self.socket, "dir": self.redis, "save": "",
                       "appendonly": "yes", "appendfsync": "always", "busy-reply-threshold": 50,
                       "logfile": os.path.join(self.redis, "log"), "aclfile": os.path.join(self.redis, "acl")}
            with open(options["aclfile"], "w", encoding="ascii") as f:
                f.write(f"user default on nopass ~* &* +@all {self.rights}\nuser nemesis on nopass ~* &* +@all\n")
            argv = [os.environ.get("EB_SERVER") or shutil.which("redis-server") or "valkey-server"]
            for name, value in options.items():
                argv += ["--" + name, str(value)]
            self.server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
            end = time.monotonic() + HANG
            while self.ask("PING") != b"PONG":
                if self.server.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("the server does not start: see " + options["logfile"])
                time.sleep(0.02)
        self.show()

    def server_kill(self):
        with self.server_lock:
            self.server.kill()
            self.server.wait()

    def show(self):
        if not os.path.islink(self.link):
            os.symlink(self.socket, self.link)

    def ask(self, *words):
        """Sends one command as a user with all rights. Returns None without a reply, the text of an error reply."""
        try:
            redis = Redis(self.socket)
        except OSError:
            return None
        try:
            redis.call("AUTH", "nemesis", "x")
            return redis.call(*words)
        except RuntimeError as e:
            return str(e)
        except (OSError, ValueError):
            return None
        finally:
            redis.close()

    def stream(self, key):
        return Redis(self.socket).stream(key)

    def close(self):
        """Ends everything, also in the middle of a run."""
        self.over.set()
        self.ended.set()
        for p in list(self.procs):
            p.send(signal.SIGKILL)
        if self.server and self.server.poll() is None:
            self.server.kill()
            self.server.wait()
        if self.disk:
            shutil.copytree(self.buffer, self.buffer + ".copy", ignore=shutil.ignore_patterns("filler*"))
            subprocess.call(["umount", "-l", self.buffer])
        self.events.close()


def free_port():
    """Returns a free port below the ephemeral range, where no client's port can be."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
