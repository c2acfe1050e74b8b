"""faults: the faults that nemesis injects. A schedule is drawn from the seed. Each fault starts at its time, in a thread of its own,
and ends by itself.
"""
import fcntl
import os
import random
import re
import signal
import threading
import time

from chaos.actors import PlainWriter
from chaos.world import PREFIX

# The weight of each fault, and its longest duration in seconds.
KINDS = {
    "kill pub": (8, 0), "kill replay": (6, 0), "kill sub": (6, 0),
    "term pub": (2, 0), "term replay": (2, 0), "term sub": (2, 0),
    "stop pub": (5, 1.5), "stop replay": (4, 1.5), "stop sub": (3, 1.0),
    "stop server": (6, 1.2), "kill server": (5, 0.5), "stop and kill server": (4, 0.8),
    "hide server": (3, 1.0), "client pause": (3, 0.8), "client kill": (4, 0),
    "oom": (2, 0.6), "noreplicas": (2, 0.6), "readonly": (2, 0.6), "busy": (2, 0.5),
    "revoke": (4, 1.5), "wrong type": (3, 1.0),
    "disk full": (4, 1.2), "no inodes": (2, 1.0), "clock": (4, 2.0),
    "hold lock": (3, 0.8), "hold replay lock": (2, 1.0),
    "plain file": (3, 0), "torn": (4, 0), "lost state": (2, 0), "other config": (2, 0),
}
EVERY = 0.3	# average seconds between two faults
SERVER = ("stop server", "kill server", "stop and kill server", "hide server", "client pause", "busy")


def schedule(seed, seconds):
    """Returns a list of (time, kind, duration), with a second or two without new faults in every ten."""
    rng = random.Random(f"{seed}/schedule")
    kinds, weights = list(KINDS), [w for w, _ in KINDS.values()]
    out, at = [], 0.5
    while at < seconds - 1:
        kind = rng.choices(kinds, weights)[0]
        out.append((at, kind, KINDS[kind][1] * rng.random()))
        at += rng.expovariate(1 / EVERY)
        if at % 10 > 8.5:
            at += 1.5
    return out


class Faults:
    def __init__(self, world, types, publishers):
        self.world, self.types, self.publishers = world, types, publishers
        self.rng = random.Random(f"{world.seed}/faults")
        self.server_busy, self.disk_busy, self.key_busy = (threading.Lock() for _ in range(3))
        self.threads = []

    def run(self, plan):
        for at, kind, long in plan:
            wait = self.world.began + at - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            t = threading.Thread(target=self.one, args=(kind, long, random.Random(f"{self.world.seed}/{at}")), daemon=True)
            t.start()
            self.threads.append(t)
        for t in self.threads:
            t.join()

    def one(self, kind, long, rng):
        """Injects one fault. A fault that is impossible now (no process to kill, the server already down) is skipped."""
        verb, _, whom = kind.partition(" ")
        try:
            if kind in ("revoke", "wrong type") and not self.world.holds:
                return
            if whom in ("pub", "replay", "sub"):
                done = self.signal(verb, whom, long, rng)
            else:
                busy = self.server_busy if kind in SERVER else threading.Lock()
                if not busy.acquire(blocking=False):
                    return
                try:
                    self.world.log(f"{kind} {long:.2f}")
                    done = getattr(self, kind.replace(" ", "_"))(long, rng)
                finally:
                    busy.release()
            if done is not False:
                self.world.injected[kind] += 1
        except Exception as e:		# pylint: disable=broad-except
            self.world.found(f"fault '{kind}': {type(e).__name__}: {e}")

    def signal(self, verb, whom, long, rng):
        end = time.monotonic() + 0.3
        while not (p := self.world.pick(rng, whom)):
            if time.monotonic() > end:
                return False
            time.sleep(0.003)
        if verb != "stop":		# at a random moment of a short process
            time.sleep(rng.random() * 0.01)
        self.world.log(f"{verb} {p.kind} {p.popen.pid}")
        p.send({"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}[verb])
        if verb == "stop":
            time.sleep(long)
            p.send(signal.SIGCONT)
        return True

    # --- the server

    def stop_server(self, long, _):
        self.world.server.send_signal(signal.SIGSTOP)
        time.sleep(long)
        self.world.server.send_signal(signal.SIGCONT)

    def kill_server(self, long, _):
        self.world.server_kill()
        time.sleep(long)
        self.world.server_start()

    def stop_and_kill_server(self, long, rng):
        """Kills the server with requests in its sockets; half of the time it may execute some of them first."""
        with self.world.server_lock:
            self.world.server.send_signal(signal.SIGSTOP)
            time.sleep(long)
            if rng.random() < 0.5:
                self.world.server.send_signal(signal.SIGCONT)
                time.sleep(rng.random() * 0.05)
            self.kill_server(0.1, rng)

    def hide_server(self, long, _):
        if self.world.port:
            return False
        os.unlink(self.world.link)
        time.sleep(long)
        self.world.show()
        return True

    def client_pause(self, long, rng):
        self.world.ask("CLIENT", "PAUSE", int(long * 1000), rng.choice(["ALL", "WRITE"]))
        time.sleep(long)

    def client_kill(self, _, rng):
        for _ in range(rng.randrange(1, 4)):
            self.world.ask("CLIENT", "KILL", "USER", "default")	# the user of the commands, not of nemesis
            time.sleep(rng.random() * 0.02)

    def setting(self, name, value, back, long):
        self.world.ask("CONFIG", "SET", name, value)
        time.sleep(long)
        self.until_done("CONFIG", "SET", name, back)

    def until_done(self, *words):
        while not isinstance(reply := self.world.ask(*words), bytes) and not str(reply).startswith("NOTBUSY"):
            time.sleep(0.05)

    def oom(self, long, _):
        self.setting("maxmemory", 1, 0, long)

    def noreplicas(self, long, _):
        self.setting("min-replicas-to-write", 1, 0, long)

    def readonly(self, long, _):
        self.world.ask("REPLICAOF", "127.0.0.1", 1)
        time.sleep(long)
        self.until_done("REPLICAOF", "NO", "ONE")

    def busy(self, long, _):
        threading.Thread(target=self.world.ask, args=("EVAL", "while true do end", 0), daemon=True).start()
        time.sleep(0.1 + long)
        self.until_done("SCRIPT", "KILL")

    # --- held types

    def allow(self, but=None):
        keys = ["~*"] if not but else [f"~{PREFIX}system.*", *(f"~{PREFIX}{t}" for t in self.types if t != but)]
        return self.world.ask("ACL", "SETUSER", "default", "resetkeys", *keys) == b"OK"

    def revoke(self, long, rng):
        with self.key_busy:
            self.allow(but=rng.choice(self.types))
            time.sleep(long)
            while not self.allow():
                time.sleep(0.05)

    def wrong_type(self, long, rng):
        """Renames the stream away and puts a string in its place. Removes the commands' right to the key meanwhile, in place of a
        transaction or a script: a killed Redis 7.0 can lose more of those than a torn end of its file."""
        kind = rng.choice(self.types)
        key = PREFIX + kind
        with self.key_busy:
            if not self.aside(kind, key):
                return False
            time.sleep(long)
            while not self.back(kind, key):
                time.sleep(0.05)
        return True

    def exists(self, key):
        while (n := self.world.ask("EXISTS", key)) not in (0, 1):
            time.sleep(0.05)
        return n

    def aside(self, kind, key):
        ask = self.world.ask
        with self.world.server_lock:
            if not self.allow(but=kind):
                return False
            done = not self.exists(key) or ask("RENAME", key, key + ".away") == b"OK"
            if done and ask("SET", key, "x") != b"OK":
                done = False
                if self.exists(key + ".away"):
                    self.until_done("RENAME", key + ".away", key)
            while not self.allow():
                time.sleep(0.05)
        return done

    def back(self, kind, key):
        """Renames the stream back. Returns False when the server is down or refuses; then try again."""
        ask = self.world.ask
        with self.world.server_lock:
            if not self.allow(but=kind):
                return False
            done = ask("TYPE", key) in (b"none", b"stream") or ask("DEL", key) == 1
            if done and self.exists(key + ".away"):
                done = ask("RENAME", key + ".away", key) == b"OK"
            while not self.allow():
                time.sleep(0.05)
        return done

    # --- disk, clock, locks

    def disk_full(self, long, rng):
        if not self.world.disk or not self.disk_busy.acquire(blocking=False):
            return False
        path = os.path.join(self.world.buffer, "filler")
        try:
            with open(path, "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(b"\0" * rng.choice([4096, 65536]))
                except OSError:
                    pass
                time.sleep(long)
            os.unlink(path)
        except OSError:
            return False	# full already
        finally:
            self.disk_busy.release()
        return True

    def no_inodes(self, long, _):
        if not self.world.disk or not self.disk_busy.acquire(blocking=False):
            return False
        names = []
        try:
            try:
                for i in range(10000):
                    names.append(os.path.join(self.world.buffer, f"filler{i}"))
                    os.close(os.open(names[-1], os.O_CREAT | os.O_WRONLY))
            except OSError:
                names.pop()
            time.sleep(long)
        finally:
            for name in names:
                os.unlink(name)
            self.disk_busy.release()
        return True

    def clock(self, long, rng):
        if not self.world.faketime:
            return False
        self.world.set_clock(rng.choice([-86400, -3600, -60, -1, 1, 60, 3600, 90000]))
        time.sleep(long)
        if rng.random() < 0.5:
            self.world.set_clock(0)
        return True

    def locked(self, name, rng):
        """Returns a descriptor that holds the lock, as a stopped process would; or -1."""
        fd = os.open(os.path.join(self.world.buffer, name), os.O_RDWR | os.O_CREAT, 0o600)
        for _ in range(200):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            except OSError:
                time.sleep(rng.random() * 0.01)
        os.close(fd)
        return -1

    def hold(self, name, long, rng):
        try:
            fd = self.locked(name, rng)
        except OSError:
            return False	# the disk is full
        if fd == -1:
            return False
        time.sleep(long)
        os.close(fd)
        return True

    def hold_lock(self, long, rng):
        return self.hold(".lock", long, rng)

    def hold_replay_lock(self, long, rng):
        return self.hold(".replay", long, rng)

    # --- foreign data in the buffer

    def plain_file(self, _, rng):
        writer = PlainWriter(self.world, 1000 + len(self.publishers), rng.choice(self.types))
        self.publishers.append(writer)
        writer.start()

    def torn(self, _, rng):
        """Appends a torn line, as a writer that died would: under the lock, to the segment that the writers' hints name."""
        try:
            fd = self.locked(".lock", rng)
        except OSError:
            return False
        if fd == -1:
            return False
        try:
            note = os.pread(fd, 512, 0).decode()
            name = re.search(r"^segment (\S+)$", note, re.M)
            inode = re.search(r"^inode 0*([1-9]\d*)$", note, re.M)
            if not name or not inode:
                return False
            to = os.open(os.path.join(self.world.buffer, name[1] + ".jsonl"), os.O_WRONLY | os.O_APPEND)
            try:
                if os.fstat(to).st_ino != int(inode[1]):
                    return False
                line = '{"event_type":"torn","message":{"event_type":"torn","payload":"{}"},"crc":"0"}'
                os.write(to, line[:rng.randrange(1, len(line) - 1)].encode())
            finally:
                os.close(to)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True

    # --- what an operator does

    def lost_state(self, _, rng):
        """Removes a state file beside running commands. Without the manifest, .roster, a segment that went is not noticed."""
        name = rng.choice([".progress", ".progress", ".roster", ".counters", ".probe", ".outage", ".target"])
        try:
            os.unlink(os.path.join(self.world.buffer, name))
        except FileNotFoundError:
            return False
        return True

    def other_config(self, _, rng):
        folder = os.path.join(self.world.folder, "home/.config/eventbus")
        os.makedirs(folder, exist_ok=True)
        with open(folder + "/new", "w", encoding="ascii") as f:
            f.write(rng.choice(["", "timeout = 0.5\n", "service = other\n", "[t0]\nmaxlen = 0\n"]))
        os.rename(folder + "/new", folder + "/config")
