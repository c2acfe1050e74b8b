#!/usr/bin/env python3
"""power.py FOLDER SOCKET FS CUTS SEED: simulates power cuts while events are buffered and drained.

Mounts an image of the file system FS (ext4, xfs), held in a tmpfs, below FOLDER; the buffer is on it. SOCKET belongs to a server
that is not affected. In each round one-event publishers, streaming publishers and a replay run, Redis becomes reachable and
unreachable, and at a random moment everything that was not synced is dropped: `xfs_io -x -c shutdown`. The file system is mounted
again (its journal recovers). Then every accepted event must be in the buffer or in its stream, and after a replay in its stream,
once and in order for each publisher.

Half of the cuts kill the processes first; the others leave them running on a dead disk. In half of the rounds the boot id in the
writers' hints becomes another one, as after a boot. In a third of the rounds the clock is wrong (faketime). Sometimes a process holds
the writers' lock, so that publishers write segments of their own. Prints the counts; fails at the first event that is missing,
doubled or out of order.
"""
import contextlib
import fcntl
import glob
import json
import os
import random
import re
import subprocess
import sys
import threading
import time

from resp import Redis

FOLDER, SOCKET, FS, CUTS, SEED = sys.argv[1:]
DISK, BUFFER, LINK = (os.path.join(FOLDER, x) for x in ("disk", "disk/buffer", "r"))
IMAGE = os.path.join(FOLDER, "images", FS)
MAKE = {"ext4": ("64M", ["mkfs.ext4", "-q", "-F"]), "xfs": ("300M", ["mkfs.xfs", "-q", "-f"])}
TYPES = ("even", "odd")
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)
rng = random.Random(SEED + FS)


def tool(*argv):
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


def unmount():
    """Unmounts the disk; retries while exiting processes still use it."""
    for _ in range(100):
        if subprocess.run(["umount", DISK], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return
        time.sleep(0.1)
    tool("umount", DISK)


def up():
    if not os.path.islink(LINK):
        os.symlink(SOCKET, LINK)


def down():
    if os.path.islink(LINK):
        os.unlink(LINK)


class Round:
    """The processes that run until the cut, and the events that they accepted."""

    def __init__(self, number):
        self.number, self.lock, self.over, self.dying = number, threading.Lock(), False, False
        self.procs, self.threads = set(), []
        self.sure, self.replays = set(), 0
        self.env = dict(os.environ)
        if number % 3 == 2 and FAKETIME:
            self.env.update(LD_PRELOAD=FAKETIME, FAKETIME=rng.choice(("-1h", "-1d", "+1h")), FAKETIME_DONT_FAKE_MONOTONIC="1")
        self.options = ["-t", "0.15", "--maxlen", "0", "--segment-size", rng.choice(["1K", "4K", "8M"])]

    def start(self, *argv):
        """Starts a command; returns None after the cut."""
        with self.lock:
            if self.over:
                return None
            p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.env)
            self.procs.add(p)
            return p

    def end(self, p, who=0, n=0):
        """Reads a publisher's answers to the events n, n + 1, ... Answers on a dying disk do not count as accepted."""
        for line in p.stdout:
            if re.fullmatch(rb"(buffered|\d+-\d+)\n", line) and not self.dying:
                self.sure.add((who, n))
            n += 1
        p.wait()
        for left in ("sem.faketime_sem_%d", "faketime_shm_%d") if "FAKETIME" in self.env else ():
            with contextlib.suppress(OSError):
                os.unlink("/dev/shm/" + left % p.pid)
        p.stdout.close()
        with self.lock:
            self.procs.discard(p)

    def one_shots(self, who):
        for n in range(1, 1000):
            p = self.start("ebpub", *self.options, TYPES[who % 2], '{"p":%d,"n":%d}' % (who, n))
            if not p:
                return
            p.stdin.close()
            self.end(p, who, n)

    def stream(self, who):
        p = self.start("ebpub", *self.options, TYPES[who % 2])
        if not p:
            return
        dice, n = random.Random(who), 0
        reader = threading.Thread(target=self.end, args=(p, who, 1))
        reader.start()
        with contextlib.suppress(OSError):
            while not self.over:
                many = dice.choice((1, 3, 60))
                text = "".join('{"p":%d,"n":%d}\n' % (who, n + i + 1) for i in range(many))
                n += many
                os.write(p.stdin.fileno(), text.encode())
                time.sleep(dice.choice((0, 0.002, 0.02)))
        p.stdin.close()
        reader.join()

    def replay(self):
        while not self.over:
            if os.path.islink(LINK):
                p = self.start("ebreplay", "-t", "1")
                if p:
                    p.stdin.close()
                    self.end(p)
                    self.replays += 1
            time.sleep(0.005)

    def hold(self):
        """Holds the writers' lock, as a hanging writer does."""
        time.sleep(0.05)
        with contextlib.suppress(OSError), open(os.path.join(BUFFER, ".lock"), "rb") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            while not self.over:
                time.sleep(0.01)

    def flush(self):
        """Syncs the disk at random times, in place of the kernel's own write-back, which takes half a minute."""
        dice = random.Random(self.number)
        while not self.over:
            time.sleep(dice.uniform(0.02, 0.2))
            subprocess.run(["sync", "-f", DISK], stderr=subprocess.DEVNULL, check=False)

    def run(self):
        base = 10 * self.number
        jobs = [(self.one_shots, base + 1), (self.one_shots, base + 2), (self.one_shots, base + 3), (self.stream, base + 4),
                (self.stream, base + 5), (self.replay,)]
        if self.number % 4 == 1:
            jobs.append((self.hold,))
        if self.number % 5 in (1, 3):
            jobs.append((self.flush,))
        for job in jobs:
            self.threads.append(threading.Thread(target=job[0], args=job[1:]))
            self.threads[-1].start()
        time.sleep(rng.uniform(0.03, 0.25))
        for _ in range(rng.randrange(4)):
            up() if not os.path.islink(LINK) else down()
            time.sleep(rng.uniform(0.01, 0.15))
        self.cut(rng.random() < 0.5)

    def cut(self, dead_first):
        if dead_first:
            self.kill()
        down()
        # On ext4 an fdatasync during the shutdown may report success although nothing was written.
        self.dying = not dead_first
        tool("xfs_io", "-x", "-c", "shutdown", DISK)
        if not dead_first:
            time.sleep(rng.uniform(0, 0.05))
            self.kill()
        for t in self.threads:
            t.join()
        unmount()

    def kill(self):
        with self.lock:
            self.over = True
            for p in self.procs:
                p.kill()


class Checker:
    """Compares the accepted events of all rounds with the buffer and the streams."""

    def __init__(self):
        self.redis = Redis(SOCKET)
        self.sure, self.times, self.last = set(), {}, {}
        self.after = {t: "-" for t in TYPES}
        self.doubled, self.disorder, self.missing, self.quarantined, self.words = [], [], [], 0, []

    def read_streams(self):
        for t in TYPES:
            while True:
                page = self.redis.call("XRANGE", "quantum:stream:" + t, self.after[t], "+", "COUNT", 2000)
                for _, kv in page:
                    self.entry(t, json.loads(dict(zip(kv[::2], kv[1::2]))[b"payload"]))
                if page:
                    self.after[t] = "(" + page[-1][0].decode()
                if len(page) < 2000:
                    break

    def entry(self, t, body):
        event = (body["p"], body["n"])
        self.times[event] = self.times.get(event, 0) + 1
        if self.times[event] > 1:
            self.doubled.append(event)
        elif event[1] < self.last.get((t, event[0]), 0):
            self.disorder.append(event)
        self.last[t, event[0]] = event[1]

    def buffer(self):
        have = set()
        for name in glob.glob(BUFFER + "/*.jsonl"):
            with open(name, "rb") as f:
                for line in f:
                    try:
                        body = json.loads(json.loads(line)["message"]["payload"])
                        have.add((body["p"], body["n"]))
                    except (ValueError, KeyError, TypeError):
                        pass
        return have

    def command(self, *argv, ok=(0,), env=None):
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False, env=env)
        if p.returncode not in ok:
            self.words.append("%s: %d %s %s" % (" ".join(argv), p.returncode, p.stdout.decode()[-500:], p.stderr.decode()[-500:]))
        return p.stdout.decode()

    def check(self, r):
        self.sure |= r.sure
        self.read_streams()
        self.missing = sorted(self.sure - set(self.times) - self.buffer())
        # With the same boot id, a segment that lost what was not synced is shorter than the hints say, which is an alarm.
        stat = json.loads(self.command("ebstat", "-j", ok=(0, 74)))
        health = json.loads(self.command("ebhealth", "-j", "-t", "0.5", ok=(0, 1, 2)))
        if any(x["what"] in ("vanished", "suspect", "buffer", "odd") for x in health["problems"]):
            self.words.append("ebhealth: %s" % health["problems"])
        # The next event must be complete, even after a torn end of the last segment.
        who = 10 * r.number + 9
        for n in (1, 2):
            if self.command("ebpub", TYPES[who % 2], '{"p":%d,"n":%d}' % (who, n), env=r.env) == "buffered\n":
                self.sure.add((who, n))
        up()
        self.command("ebreplay", "--wait", "20", ok=(0, 1, 74))
        self.command("ebreplay", ok=(0, 74))
        self.read_streams()
        self.missing += sorted(self.sure - set(self.times))
        left = glob.glob(BUFFER + "/*.jsonl*")
        if left:
            self.words.append("left: %s" % left)
        stat = json.loads(self.command("ebstat", "-j", ok=(0, 74)))["buffer"]
        self.quarantined = stat["quarantined"]
        if stat["total_events"] != 0 or stat["held"]:
            self.words.append("ebstat: %s" % stat)
        elif stat["shrunk"]:
            self.command("ebbuffer", "discard", "--yes")
        down()

    def bad(self):
        return self.missing or self.doubled or self.disorder or self.words


def boot():
    """Changes the boot id in the writers' hints, if there are any."""
    path = os.path.join(BUFFER, ".lock")
    if os.path.exists(path):
        with open(path, "r+b") as f:
            text = re.sub(rb"(?<=\nboot )[0-9a-f-]{36}", b"00000000-0000-4000-8000-000000000000", f.read())
            f.seek(0)
            f.write(text)


def main():
    os.makedirs(DISK)
    os.makedirs(os.path.dirname(IMAGE))
    tool("mount", "-t", "tmpfs", "none", os.path.dirname(IMAGE))
    size, make = MAKE[FS]
    tool("truncate", "-s", size, IMAGE)
    tool(*make, IMAGE)
    os.environ.update(EB_BUFFER_DIR=BUFFER, EB_REDIS_URL="unix://" + LINK)
    checker, replays, begin = Checker(), 0, time.monotonic()
    tool("mount", "-o", "loop", IMAGE, DISK)
    os.chmod(DISK, 0o700)
    tool("sync", "-f", DISK)
    for number in range(int(CUTS)):
        r = Round(number)
        r.run()
        tool("mount", "-o", "loop", IMAGE, DISK)
        if number % 2:
            boot()
        checker.check(r)
        replays += r.replays
        if checker.bad():
            break
    print("%s, seed %s: %d cuts in %d s, %d replays, accepted=%d missing=%d doubled=%d "
          "disorder=%d torn=%d" % (FS, SEED, number + 1, time.monotonic() - begin, replays, len(checker.sure),
                                   len(checker.missing), len(checker.doubled), len(checker.disorder), checker.quarantined))
    for word in ("missing", "doubled", "disorder", "words"):
        if getattr(checker, word):
            print("round %d: %s: %s" % (number, word, getattr(checker, word)[:10]))
    sys.exit(bool(checker.bad()))


if __name__ == "__main__":
    main()
