"""actors: the users of the event bus in a run of nemesis: publishers, replays, subscribers, monitors.

A publisher's ledger maps event number N to True (accepted) or False (perhaps: its ebpub was killed, or Redis refused an event that
may have been added). Each actor has a random sequence of its own.
"""
import json
import os
import random
import re
import subprocess
import threading
import time

PUB = {0, 1, 74, 77}		# 1: a type is held, 74: an event is reported as not safe
REPLAY = {0, 1, 75, 77}
SUB = {0, 1, 69, 75, 77, 124}
PACE = 0.03			# average seconds between two events of one publisher


class Actor(threading.Thread):
    def __init__(self, world, name):
        super().__init__(name=name, daemon=True)
        self.world, self.rng = world, random.Random(f"{world.seed}/{name}")

    def run(self):
        try:
            self.work()
        except Exception as e:		# pylint: disable=broad-except
            self.world.found(f"{self.name}: {type(e).__name__}: {e}")
            raise


class Publisher(Actor):
    def __init__(self, world, number, types):
        super().__init__(world, f"pub{number}")
        self.number, self.types = number, types
        self.ledger, self.n = {}, 0

    def payload(self):
        """Returns the next payload; some are large, so that a write spans several pages."""
        self.n += 1
        self.ledger[self.n] = False
        pad = "x" * self.rng.choice([0, 0, 0, 10, 100, 9000])
        return f'{{"p":{self.number},"n":{self.n},"pad":"{pad}"}}'

    def nap(self, most):
        self.world.over.wait(self.rng.random() * most)

    def answered(self, n, line):
        if line == "buffered" or line.partition("-")[0].isdigit():
            self.ledger[n] = True
        elif line not in ("refused", "unsafe"):
            self.world.found(f"{self.name}, event {n}: answer '{line}'")


class Shooter(Publisher):
    """One process for each event."""

    def work(self):
        while not self.world.over.is_set():
            argv = ["ebpub", "-t", "0.3"]
            if self.rng.random() < 0.3:
                argv += ["--segment-size", "20K"]
            argv += self.rng.choice([[], [], ["-v"], ["-s", "other"], ["--trace-id", "x"], ["--min-free", "1"], ["--buffer-max", "100M"], ["--max-payload", "20K"]])
            argv += [self.rng.choice(self.types), self.payload()]
            p = self.world.spawn("pub.shot", argv, apart=self.rng.random() < 0.3, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            out = p.popen.stdout.read().decode()
            p.popen.stdout.close()
            status = self.world.finish(p, PUB)
            for line in out.splitlines():
                self.answered(self.n, line)
            if status == 0 and not self.ledger[self.n]:
                self.world.found(f"{self.name}, event {self.n}: status 0 and '{out}'")
            self.nap(2 * PACE)


class Streamer(Publisher):
    """One process for many events, of one type or of several."""

    def line(self):
        payload = self.payload()
        if len(self.types) == 1:
            return payload + "\n"
        return f'{{"event_type":"{self.rng.choice(self.types)}","payload":{payload}}}\n'

    def work(self):
        while not self.world.over.is_set():
            argv = ["ebpub", "-t", "0.3", "--segment-size", self.rng.choice(["30K", "200K"])]
            argv += ["-J"] if len(self.types) > 1 else self.types
            p = self.world.spawn("pub.stream", argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            first = self.n
            reader = threading.Thread(target=self.read, args=(p, first), daemon=True)
            reader.start()
            self.feed(p, self.rng.randrange(1, 40))
            status = self.world.finish(p, PUB)
            reader.join()
            if status in (0, 77) and not p.hit and not all(self.ledger[n] for n in range(first + 1, self.n + 1)):
                self.world.found(f"{self.name}: status {status}, and not every event accepted")

    def feed(self, p, bursts):
        try:
            for _ in range(bursts):
                if self.world.over.is_set() or p.popen.poll() is not None:
                    break
                lines = "".join(self.line() for _ in range(self.rng.randrange(1, 12)))
                p.popen.stdin.write(lines.encode())
                p.popen.stdin.flush()
                self.nap(8 * PACE)
        except BrokenPipeError:
            pass
        try:
            p.popen.stdin.close()
        except BrokenPipeError:
            pass

    def read(self, p, n):
        for raw in p.popen.stdout:
            if raw.endswith(b"\n"):
                n += 1
                self.answered(n, raw.decode().rstrip("\n"))
        p.popen.stdout.close()


class Cron(Actor):
    """Drains repeatedly, and sometimes compresses. Two of them run, so two replays may run at once."""

    def work(self):
        while not self.world.ended.is_set():
            argv = ["ebreplay", "-j", "-t", "0.5"]
            if self.rng.random() < 0.2:
                argv = ["ebbuffer", "compress"]
            elif self.rng.random() < 0.3:
                argv += ["--limit", str(self.rng.randrange(1, 60))]
            p = self.world.spawn("replay", argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            p.popen.stdout.read()
            p.popen.stdout.close()
            # 74: compress needs free space.
            self.world.finish(p, REPLAY | ({74} if "compress" in argv else set()))
            self.world.ended.wait(self.rng.random() * 0.8)


class Operator(Actor):
    """Works on the buffer by hand beside publishers and replays. What it moves to quarantine it puts back."""

    def choose(self):
        words = self.rng.choice(["retarget", "discard --yes", "quarantine retry", "quarantine retry", "set-aside", "list", "check"])
        if words == "set-aside":
            return ["ebbuffer", words, *self.some_events()]
        return ["ebbuffer", *words.split()]

    def some_events(self):
        """Returns IDs of events that wait; they may have been delivered since."""
        out = self.once(["ebbuffer", "list", "-j", "--limit", "40"])[1]
        ids = re.findall(rb'"event_id":"([^"]+)"', out)
        return [i.decode() for i in self.rng.sample(ids, min(len(ids), 3))] or ["none"]

    def once(self, argv):
        p = self.world.spawn("hand", [argv[0], "-t", "0.5", *argv[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        out = p.popen.stdout.read()
        p.popen.stdout.close()
        # 1: nothing to do, bad lines; 74: a full disk; 75: a lock
        return self.world.finish(p, {0, 1, 74, 75}), out

    def work(self):
        while not self.world.ended.is_set():
            if self.world.hands:
                self.once(self.choose())
            self.world.ended.wait(0.2 + self.rng.random())


class Onlooker(Actor):
    """Checks that ebstat -j and ebhealth -j always print JSON without negative numbers."""

    def work(self):
        while not self.world.ended.is_set():
            for name, allowed in (("ebstat", {0, 1, 75, 77}), ("ebhealth", {0, 1, 2, 3})):
                p = self.world.spawn("look." + name, [name, "-j", "-t", "0.3"], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE)
                out = p.popen.stdout.read().decode()
                p.popen.stdout.close()
                self.world.finish(p, allowed)
                try:
                    json.loads(out)
                except ValueError:
                    self.world.found(f"{name} -j printed '{out}'")
                if '":-' in out:
                    self.world.found(f"{name}: a number below 0: {out}")
            self.world.ended.wait(0.3 + self.rng.random())


class Subscriber(Actor):
    """One consumer of a group. Its processes append to a file or write to a pipe."""

    def __init__(self, world, group, consumer, types, to_file):
        super().__init__(world, f"{group}.{consumer}")
        self.group, self.consumer, self.types, self.to_file = group, consumer, types, to_file
        self.path = os.path.join(world.folder, "sub", self.name)
        self.seen = []		# (type, ID, event_id) as printed

    def argv(self, *more):
        return ["ebsub", "-g", self.group, "-C", self.consumer, "-t", "0.3", *more, *self.types]

    def work(self):
        while not self.world.ended.is_set():
            self.once(*(["-n", str(self.rng.randrange(1, 60))] if self.rng.random() < 0.2 else []))
            self.world.ended.wait(self.rng.random() * 0.3)

    def once(self, *more, kind="sub"):
        with open(self.path, "ab") as f:
            p = self.world.spawn(kind, self.argv(*more), stdin=subprocess.DEVNULL,
                                 stdout=f if self.to_file else subprocess.PIPE)
            if not self.to_file:
                self.take(p.popen.stdout.read(), True)
                p.popen.stdout.close()
            return self.world.finish(p, SUB)

    def take(self, data, torn_end):
        """Collects the printed events. A torn line was not acknowledged, else check_group reports a missing entry."""
        for line in data.split(b"\n")[:-1 if torn_end else None]:
            try:
                e = json.loads(line)
                self.seen.append((e["event_type"], e["id"], e.get("event_id", "")))
            except (ValueError, KeyError):
                pass

    def read_file(self):
        if self.to_file:
            with open(self.path, "rb") as f:
                self.take(f.read(), False)

    def drain(self):
        """Reads all remaining entries of this consumer."""
        for _ in range(20):
            if self.once("-e", kind="last.sub") == 0:
                return
            time.sleep(0.1)
        self.world.found(f"{self.name}: the remaining entries cannot be read")


class PlainWriter(Actor):
    """A plain writer: opens its file, whose name has no counter, for each event; one in three keeps it open. Ends when the disk is full."""

    def __init__(self, world, number, kind):
        super().__init__(world, f"plain{number}")
        self.number, self.kind, self.ledger = number, kind, {}
        self.path = os.path.join(world.buffer, time.strftime("buffer_%Y-%m-%d_%H-%M-%S.jsonl", time.gmtime()))

    def work(self):
        fd, keeps = -1, self.rng.random() < 0.3
        for n in range(1, self.rng.randrange(5, 60)):
            self.ledger[n] = False
            now = time.time()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}"
            payload = json.dumps({"p": self.number, "n": n})
            line = json.dumps({"event_type": self.kind, "buffered_at": stamp, "message": {
                "event_type": self.kind, "payload": payload, "trace_id": None, "timestamp": stamp, "source": "plain"}})
            try:
                if fd == -1:
                    fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                self.ledger[n] = os.write(fd, line.encode() + b"\n") == len(line) + 1
            except OSError:
                break
            if not self.ledger[n]:
                break
            if not keeps:
                os.close(fd)
                fd = -1
            self.world.over.wait(self.rng.random() * 0.1)
        if fd != -1:
            os.close(fd)
