"""rig: runs the commands in a folder with a private server, injects faults, saves and restores states."""
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time
import zlib

from resp import Redis

LIMIT = 60		# seconds after which a command counts as hanging


class Hang(Exception):
    pass


def parse_shares(sample, names):
    """Parses --sample, such as 1/2 or 1/2,adopt=1/40, to the share of each name; EB_SAMPLE=N makes all of them N times as large."""
    first, *more = sample.split(",")
    part = {name: first for name in names} | dict(m.split("=") for m in more)
    times = float(os.environ.get("EB_SAMPLE") or 1)
    return {name: times * float(t.split("/")[0]) / float((t + "/1").split("/")[1]) for name, t in part.items()}


def move_home(folder):
    """Has the checkpoint of a copied buffer name the .replay of the copy, so that it is not known as a copy."""
    path = os.path.join(folder, ".progress")
    if not os.path.exists(path):
        return
    replay = os.stat(os.path.join(folder, ".replay"))
    home = b"home %d %d %d" % (replay.st_ino, replay.st_ctime_ns, replay.st_ctime_ns)
    with open(path, "r+b") as f:
        data = f.read()
        for at in (0, len(data) // 2):
            words = data[at:at + 80].split()
            if words[:2] != [b"eventbus-progress", b"1"]:
                continue
            text = re.sub(rb"(?m)^home .*$", home, data[at + 80:at + 80 + int(words[5])])
            facts = b" seq %s len %010d" % (words[3], len(text))
            head = b"eventbus-progress 1" + facts
            head += b" crc %08x" % zlib.crc32(head[20:45] + text)
            f.seek(at)
            f.write(head.ljust(79) + b"\n" + text)


class Fault:
    """A fault at the Nth call of a name: kill, term, fail (with an errno), stuck (it and all later ones fail); or nomem: the Nth
    allocation fails."""

    def __init__(self, kind, name, nth, error=None):
        self.kind, self.name, self.nth, self.error = kind, name, nth, error

    def __str__(self):
        return f"{self.kind} {self.name} {self.nth}" + (f" {self.error}" if self.error else "")

    def inject(self):
        what = {"kill": "signal=KILL", "term": "signal=TERM"}.get(self.kind, f"error={self.error}")
        plus = "+" if self.kind == "stuck" else ""
        return f"inject={self.name}:{what}:when={self.nth}{plus}"


class Run:
    def __init__(self, status, out, err, injected):
        self.status, self.out, self.err = status, out, err
        self.injected = injected	# strace's line of the injection; "" when the call did not happen


class Feed:
    """A command that gets its input line by line."""

    def __init__(self, argv, env):
        self.p = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, line):
        self.p.stdin.write(line)
        self.p.stdin.flush()
        return json.loads(self.p.stdout.readline())

    def kill(self):
        self.p.kill()
        self.p.communicate()


class State:
    """A saved buffer and database."""

    def __init__(self, folder, redis, settle=0):
        self.folder, self.redis, self.settle = folder, redis, settle
        self.settled_copies = []	# copies made `settle` seconds in advance, so that adopted files have settled


class Rig:
    def __init__(self, base, rank, programs, shim=None):
        self.base, self.shim = os.path.join(base, str(rank)), shim
        os.makedirs(os.path.join(self.base, "home"))
        self.buffer = os.path.join(self.base, "buffer")
        self.sock, self.link = os.path.join(self.base, "sock"), os.path.join(self.base, "r")
        self.log, self.counts = os.path.join(self.base, "trace"), os.path.join(self.base, "counts")
        self.watch = False	# count the descriptors of the command
        self.follow = ["-f"]	# strace traces the children too
        self.env = {"PATH": programs + ":" + os.environ["PATH"], "HOME": os.path.join(self.base, "home"), "LC_ALL": "C", "TZ": "UTC",
                    "EB_REDIS_URL": "unix://" + self.link, "EB_BUFFER_DIR": self.buffer, "EB_MAXLEN": "0"}
        self.whole_trace, self.traced = False, ""
        # --seccomp-bpf stops the command only at the traced calls, which halves the time, but cannot inject signals.
        self.fast = ["--seccomp-bpf"] if self.strace("--seccomp-bpf", "-f", "-e", "trace=read") else []
        self.server = None
        self.start()
        self.show()

    # --- the server ---------------------------------------------------------------

    def start(self):
        names = [os.environ.get("EB_SERVER"), "redis-server", "valkey-server"]
        program = next(s for s in names if s and shutil.which(s))
        self.server = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", self.sock, "--save", "", "--dir", self.base,
             "--enable-debug-command", "local", "--logfile", os.path.join(self.base, "redis.log")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + LIMIT
        while True:
            try:
                self.redis = Redis(self.sock)
                self.redis.call("PING")
                return
            except (OSError, RuntimeError):
                if time.monotonic() > end or self.server.poll() is not None:
                    raise
                time.sleep(0.02)

    def stop(self):
        if self.server:
            self.server.send_signal(signal.SIGCONT)
            self.server.kill()
            self.server.wait()
        self.server = None

    def hide(self):
        """Makes the server unreachable; it keeps running."""
        if os.path.lexists(self.link):
            os.unlink(self.link)

    def show(self):
        self.hide()
        os.symlink(self.sock, self.link)

    def pause(self):
        self.server.send_signal(signal.SIGSTOP)

    def resume(self):
        self.server.send_signal(signal.SIGCONT)

    @staticmethod
    def strace(*options):
        """Returns whether strace works here with these options."""
        return subprocess.run(["strace", *options, "-o", "/dev/null", "true"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode == 0 if shutil.which("strace") else False

    # --- the commands ---------------------------------------------------------------

    def with_strace(self, argv, fault):
        if fault is None or fault.kind == "nomem":
            return argv
        trace = "all" if self.whole_trace else fault.name
        fast = self.fast if fault.error and self.follow else []
        return ["strace", *self.follow, *fast, "-y", "-o", self.log, "-e", "trace=" + trace, "-e", fault.inject(), *argv]

    def environment(self, fault):
        env = dict(self.env)
        if fault and fault.kind == "nomem":
            env.update(LD_PRELOAD=self.shim, EB_NOMEM_AT=str(fault.nth), EB_NOMEM_LOG=self.log)
        elif self.watch:
            env.update(LD_PRELOAD=self.shim, EB_NOMEM_AT="0", EB_NOMEM_LOG=self.counts)
        return env

    def descriptors(self):
        """Returns how many descriptors were open at the end of the last run; 0 when it was killed or not watched."""
        if not os.path.exists(self.counts):
            return 0
        with open(self.counts, encoding="ascii") as f:
            return int((f.read().split() or [0])[-1])

    def run(self, argv, stdin=b"", fault=None, out=None):
        """Runs a command, with stdout appended to the file `out` if given. The status of a command that a signal ended is minus its
        number."""
        for path in (self.log, self.counts):
            if os.path.exists(path):
                os.unlink(path)
        with open(os.path.join(self.base, "in"), "wb") as f:
            f.write(stdin)
        with open(os.path.join(self.base, "in"), "rb") as stdin, \
                open(out or os.path.join(self.base, "out"), "ab" if out else "w+b") as stdout, \
                open(os.path.join(self.base, "err"), "w+b") as stderr:
            p = subprocess.Popen(self.with_strace(argv, fault), env=self.environment(fault), stdin=stdin, stdout=stdout, stderr=stderr,
                                 start_new_session=True)
            try:
                p.wait(LIMIT)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
                raise Hang(f"{argv} ran for {LIMIT} s") from None
            text = b""
            if not out:
                stdout.seek(0)
                text = stdout.read()
            stderr.seek(0)
            return Run(p.returncode, text.decode(), stderr.read().decode(errors="replace"), self.find_injected(fault, p.returncode))

    def find_injected(self, fault, status):
        if fault is None or not os.path.exists(self.log):
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            text = f.read()
        if self.whole_trace:
            lines = text.splitlines()
            at = next((i for i, line in enumerate(lines) if "INJECTED" in line or "--- SIGTERM" in line), len(lines))
            self.traced = "\n".join(line[:160] for line in lines[max(0, at - 12):at + 12])
        if fault.kind == "kill":
            return "killed" if status == -signal.SIGKILL else ""
        mark = {"term": "--- SIGTERM", "nomem": "failed"}.get(fault.kind, "(INJECTED)")
        return next((line for line in text.splitlines() if mark in line), "")

    def calls(self, argv, stdin=b"", out=None):
        """Returns the system calls of a run without faults, from the start of main: [(name, Nth of that name in the process)]; and
        the run."""
        run = self.run(["strace", *self.follow, "-o", self.log, *argv], stdin, out=out)
        calls, times, begun = [], {}, False
        with open(self.log, encoding="utf-8", errors="replace") as f:
            for line in f:
                match = re.match(r"(?:\d+ +)?([a-z_0-9]+)\(", line)
                if not match:
                    continue
                name = match[1]
                times[name] = times.get(name, 0) + 1
                begun |= "SIGPIPE" in line
                if begun:
                    calls.append((name, times[name]))
        return calls, run

    def allocations(self, argv, stdin=b"", out=None):
        run = self.run(argv, stdin, Fault("nomem", "malloc", 0), out)
        with open(self.log, encoding="ascii") as f:
            return int(f.read().split()[-2]), run

    def feed(self, argv):
        return Feed(argv, self.env)

    @staticmethod
    def wait(condition):
        end = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < end, f"condition still false after {LIMIT} s"
            time.sleep(0.01)

    # --- files ---------------------------------------------------------------------

    def file(self, name):
        return os.path.join(self.base, name)

    def empty(self, name):
        with open(self.file(name), "wb"):
            pass

    def age(self, names):
        for name in names:
            os.utime(os.path.join(self.buffer, name), (1, 1))

    @contextlib.contextmanager
    def holding(self, name):
        with open(os.path.join(self.buffer, name), "rb") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            yield

    def close_breaker(self):
        """Removes the circuit breaker's state, so that publishers try the server at once."""
        os.unlink(os.path.join(self.buffer, ".probe"))

    # --- states ----------------------------------------------------------------------

    def clear(self):
        shutil.rmtree(self.buffer, ignore_errors=True)
        self.redis.call("FLUSHALL")
        self.show()

    def save(self, name, settle=0):
        folder = os.path.join(self.base, "saved", name)
        if os.path.isdir(self.buffer):
            shutil.copytree(self.buffer, folder, symlinks=True)
        return State(folder, self.redis.save(), settle)

    def load(self, state):
        shutil.rmtree(self.buffer, ignore_errors=True)
        if os.path.isdir(state.folder):
            if state.settle:
                self.settle_copies(state)
                os.rename(state.settled_copies.pop(), self.buffer)
            else:
                self.copy(state.folder, self.buffer)
        self.redis.load(state.redis)

    def settle_copies(self, state):
        if state.settled_copies:
            return
        for i in range(100):
            self.copy(state.folder, f"{state.folder}.{i}")
            state.settled_copies.append(f"{state.folder}.{i}")
        time.sleep(state.settle)

    def copy(self, old, new):
        """Copies a buffer so that it is not known as a copy: the writers' hints in .lock name their segment's inode, the checkpoint
        inode and ctime of .replay; these become those of the copy."""
        shutil.copytree(old, new, symlinks=True)
        move_home(new)
        path = os.path.join(new, ".lock")
        if not os.path.exists(path):
            return
        with open(path, "r+", encoding="ascii") as f:
            text = f.read()
            inode, stem = re.search(r"inode (\d+)", text), re.search(r"segment (\S+)", text)
            if not inode or not stem or not int(inode[1]):
                return
            now = os.stat(os.path.join(new, stem[1] + ".jsonl")).st_ino
            f.seek(inode.start(1))
            f.write("%020d" % now)
