#!/usr/bin/env python3
"""cuts.py: cuts the connection of a command at every byte, in both directions and in each mode of proxy.py, and checks the result.

The exchanges:

  one     ebpub publishes one event
  batch   ebreplay replays three events
  doubt   ebreplay replays three events in doubt that are in the stream
  read    ebsub reads three events
  feed    ebpub publishes 60 events from standard input
  dead    ebreplay re-drives three dead letters by a script
  watch   ebreplay re-drives three dead letters by WATCH

The command whose connection is cut must end within its deadline and report the truth. After a second run, uncut, each event must
be in its stream once and in order. A buffered event must be in doubt exactly when its whole request was sent.

Whether --sample selects a cut depends only on the seed and the cut.
"""
import argparse
import collections
import os
import queue
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import zlib

sys.dont_write_bytecode = True	# keeps the tree clean

from buffer import Buffer
from ledger import Ledger, compare_ledger
from proxy import Cut, Proxy
from resp import Redis
from rig import Hang, Rig, move_home, parse_shares
from scenes import dead_letter, entries, one, records

KINDS = [("request", m) for m in ("fin", "rst", "hang", "late")] + [("reply", m) for m in ("fin", "rst", "hang")]


class Exchange:
    """One command with a proxy, a prefix and a folder of its own."""
    argv, events = [], [one(1, "cut"), one(2, "cut"), one(3, "cut")]
    recovery = ["ebreplay", "-t", "10"]
    statuses = {0, 75}

    def __init__(self, rig, number, wait):
        self.rig, self.redis, self.proxy = rig, Redis(rig.sock), Proxy(rig.sock)
        self.prefix, self.base = f"w{number}", os.path.join(rig.base, f"w{number}")
        os.makedirs(self.base)
        self.buffer, self.state = os.path.join(self.base, "buffer"), os.path.join(self.base, "state")
        self.key, self.dead = f"{self.prefix}:stream:cut", f"{self.prefix}:dlq:cut"
        self.argv = [self.argv[0], "-t", wait, *self.argv[1:]]
        self.env = dict(rig.env, EB_REDIS_URL=f"redis://127.0.0.1:{self.proxy.port}", EB_BUFFER_DIR=self.buffer, EB_PREFIX=self.prefix)
        self.stdin = b""
        self.prepare()
        if os.path.isdir(self.buffer):
            os.rename(self.buffer, self.state)
        self.stream = [(k, self.redis.call("DUMP", k)) for k in (self.key, self.dead) if self.redis.call("EXISTS", k)]

    def prepare(self):
        """Prepares the buffer and the stream."""

    def run(self, argv, cut=None, late=(), stdin=b""):
        return self.proxy.run(argv, self.env, stdin, cut, late)

    def clear(self):
        shutil.rmtree(self.buffer, ignore_errors=True)
        self.redis.call("DEL", self.key, self.dead)
        if os.path.isdir(self.state):
            shutil.copytree(self.state, self.buffer)
            move_home(self.buffer)
        for key, blob in self.stream:
            self.redis.call("RESTORE", key, 0, blob)

    def length(self, direction):
        """Returns how many bytes an uncut connection carries in this direction."""
        self.clear()
        connections = self.run(self.argv, stdin=self.stdin)[3]
        return len(getattr(connections[0], direction))

    def ledger(self):
        ledger = Ledger()
        for event in entries(self.events):
            ledger.add(*event)
        return ledger

    def check(self, when, ledger, final):
        verdict = compare_ledger(ledger, {self.key: list(self.redis.stream(self.key))}, Buffer(self.buffer), final)
        return [] if verdict else [f"{when}: {verdict}"]

    def check_answers(self, run, wrong):
        """Checks the command's output against the buffer and the stream; adds errors to `wrong`."""

    def trial(self, cut):
        """Returns whether the connection was cut, and a list of errors."""
        self.clear()
        run = self.run(self.argv, cut, stdin=self.stdin)
        wrong = [] if run[0] in self.statuses else [f"status {run[0]}"]
        self.check_answers(run, wrong)
        ledger = self.ledger()
        wrong += self.check("before the replay", ledger, False)
        again = self.run(self.recovery, late=run[3])
        if again[0]:
            wrong.append(f"the replay: status {again[0]}: {again[2]}")
        wrong += self.check("after it", ledger, True)
        if wrong:
            wrong.append(f"it had ended with {run[0]}: {run[1]}{run[2]}")
        return any(c.done for c in run[3]), wrong


class One(Exchange):
    argv = ["ebpub", "cut", '{"p":1,"n":1}', "--event-id", "cut-1-1"]
    events = [one(1, "cut")]
    statuses = {0}

    def check_answers(self, run, wrong):
        lines = Buffer(self.buffer).lines
        if (run[1] == "buffered\n") != (len(lines) == 1):
            wrong.append(f"printed {run[1]!r}, but the buffer has {len(lines)} lines")
        if not lines or not run[3]:
            return
        c = run[3][0]
        sent = re.search(rb"\*17\r\n\$4\r\nXADD\r\n.*\r\ncut-1-1\r\n$", c.request, re.DOTALL) is not None
        # After a reset the proxy cannot see what the client still sent.
        unseen = not sent and c.done and c.cut.mode == "rst" and b"executable:" in c.reply
        if lines[0].doubt != sent and not unseen:
            wrong.append(f"in doubt: {lines[0].doubt}, but the whole request was sent: {sent}")


class Batch(Exchange):
    argv = ["ebreplay"]

    def prepare(self):
        """Buffers the events: the connection ends before the handshake."""
        run = self.run(["ebpub", "-q", "-J"], Cut("request", "fin", 1), stdin=records(self.events))
        assert run[0] == 0 and len(Buffer(self.buffer).lines) == 3, run


class Doubt(Exchange):
    argv = ["ebreplay"]

    def prepare(self):
        """Buffers the events in doubt: the replies stop within the first ID."""
        at = self.run(["ebpub", "--no-buffer", "other", "1"])[3][0].reply.rindex(b"$") + 10
        run = self.run(["ebpub", "-q", "-t", "0.5", "-J"], Cut("reply", "hang", at), stdin=records(self.events))
        assert run[0] == 0 and [line.doubt for line in Buffer(self.buffer).lines] == [True] * 3, run
        self.rig.wait(lambda: self.redis.call("XLEN", self.key) == 3)
        os.unlink(os.path.join(self.buffer, ".probe"))


class Read(Exchange):
    argv = ["ebsub", "-s", "svc", "-C", "c1", "-e", "-f", "%e", "cut"]
    recovery = argv
    statuses = {0, 1, 69, 75, 124}

    def prepare(self):
        assert self.run(["ebpub", "-q", "-J"], stdin=records(self.events))[0] == 0

    def trial(self, cut):
        self.clear()
        run = self.run(self.argv, cut)
        wrong = [] if run[0] in self.statuses else [f"status {run[0]}: {run[2]}"]
        groups = [dict(zip(g[::2], g[1::2])) for g in self.redis.call("XINFO", "GROUPS", self.key)]
        given = self.redis.call("XRANGE", self.key, "-", groups[0][b"last-delivered-id"]) if groups else []
        pending = {e[0] for e in self.redis.call("XPENDING", self.key, groups[0][b"name"], "-", "+", 9)} if groups else set()
        done = [kv[-1].decode() for i, kv in given if i not in pending]
        again = self.run(self.recovery)
        printed = run[1].split() + again[1].split()
        if set(done) - set(run[1].split()):
            wrong.append(f"acknowledged and not printed: {done} {run[1]!r}")
        if set(printed) != {e["event_id"] for e in self.events} or again[0] not in (0, 124):
            wrong.append(f"printed: {printed}; status {again[0]} {again[2]}")
        if set(again[1].split()) & set(done):
            wrong.append(f"acknowledged and delivered again: {again[1]!r}")
        return any(c.done for c in run[3]), wrong


class Feed(Exchange):
    argv = ["ebpub", "-J"]
    events = [one(i, "cut") for i in range(1, 61)]
    statuses = {0}

    def prepare(self):
        self.stdin = records(self.events)

    def check_answers(self, run, wrong):
        answers = run[1].splitlines()
        if len(answers) != 60 or any(not re.fullmatch(r"\d+-\d+|buffered", a) for a in answers):
            wrong.append(f"answers: {answers}")


class Dead(Exchange):
    argv = ["ebdead", "redrive", "cut"]
    recovery = ["ebdead", "redrive", "-t", "10", "cut"]
    statuses = {0, 69, 75}

    def prepare(self):
        for event in self.events:
            dead_letter(self.redis, self.dead, event)

    def check(self, when, ledger, final):
        """Checks the stream followed by the remaining dead letters, as one sequence."""
        verdict = compare_ledger(ledger, {self.key: self.redis.both(self.key, self.dead)}, Buffer(self.buffer), final)
        left = self.redis.call("XLEN", self.dead)
        return [f"{when}: {verdict}, {left} left"] if not verdict or final and left else []


class Watch(Dead):
    def prepare(self):
        self.redis.call("ACL", "SETUSER", "less", "reset", "on", ">x", "~*", "+@all", "-@scripting")
        self.env["EB_REDIS_URL"] = f"redis://less:x@127.0.0.1:{self.proxy.port}"
        super().prepare()


EXCHANGES = {"one": One, "batch": Batch, "doubt": Doubt, "read": Read, "feed": Feed, "dead": Dead, "watch": Watch}


def is_chosen(o, name, cut):
    return zlib.crc32(f"{o.seed} {name} {cut}".encode()) / 2**32 < o.share[name]


class Tally:
    def __init__(self):
        self.lock, self.cuts, self.whole, self.wrong = threading.Lock(), collections.Counter(), 0, []

    def add_result(self, name, cut, done, wrong):
        with self.lock:
            self.cuts[cut.direction, cut.mode] += done
            self.whole += not done
            if wrong:
                self.wrong.append(f"{name}: {cut}: " + " | ".join(wrong))


def worker(o, exchange, name, cuts, tally):
    while True:
        try:
            cut = cuts.get_nowait()
        except queue.Empty:
            return
        try:
            tally.add_result(name, cut, *exchange.trial(cut))
        except (Hang, AssertionError):
            tally.add_result(name, cut, True, [traceback.format_exc()])


def loop(o, rig, name):
    """Tries all cuts of one exchange, o.jobs at a time: most of them wait for a time-out."""
    begin, tally, cuts = time.monotonic(), Tally(), queue.Queue()
    exchanges = [EXCHANGES[name](rig, f"{name}{i}", o.wait) for i in range(o.jobs)]
    # 8 bytes more, because addresses and numbers differ in length between runs.
    length = {direction: exchanges[0].length(direction) + 8 for direction in ("request", "reply")}
    every = [Cut(direction, mode, at) for direction, mode in KINDS for at in range(length[direction])]
    for cut in every:
        if str(cut) == o.only or not o.only and is_chosen(o, name, cut):
            cuts.put(cut)
    threads = [threading.Thread(target=worker, args=(o, e, name, cuts, tally)) for e in exchanges]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    each = ", ".join(f"{direction} {mode} {n}" for (direction, mode), n in sorted(tally.cuts.items()))
    print(f"{name}: {sum(tally.cuts.values())} cuts ({each}) of {len(every)} in {time.monotonic() - begin:.1f} s, "
          f"{len(tally.wrong)} wrong", flush=True)
    if tally.whole > sum(tally.cuts.values()) // 5 + 8:
        tally.wrong.append(f"{name}: {tally.whole} connections were not cut")
    for line in tally.wrong[:o.show]:
        print("WRONG", " ".join(line.split())[:1000])
    return len(tally.wrong)


def options():
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=os.environ.get("EB_BIN", os.path.join(os.environ.get("EB_BUILD", os.path.join(top, "build")), "bin")))
    p.add_argument("--base", default="/dev/shm" if os.access("/dev/shm", os.W_OK) else None, help="parent of the work folders")
    p.add_argument("--sample", default="1", help="the share to try, such as 1/2; with other shares for exchanges, such as 1/2,batch=1/40")
    p.add_argument("--seed", default=str(int(time.time())))
    p.add_argument("--exchanges", default=",".join(EXCHANGES))
    p.add_argument("--only", help="one cut, as it is printed")
    p.add_argument("--wait", default="0.2", help="-t of the command that is cut")
    p.add_argument("--jobs", type=int, default=8)
    p.add_argument("--show", type=int, default=20)
    return p.parse_args()


def main():
    o = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    o.share = parse_shares(o.sample, EXCHANGES)
    base = tempfile.mkdtemp(dir=o.base, prefix="cuts")
    rig = Rig(base, 0, o.bin)
    try:
        wrong = sum(loop(o, rig, name) for name in o.exchanges.split(","))
        print(f"seed {o.seed}: {wrong} wrong")
        sys.exit(wrong != 0)
    finally:
        rig.stop()
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
