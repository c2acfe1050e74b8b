#!/usr/bin/env python3
"""handling.py [--events N] [--kills N] [--restarts N] [--readers N] [--jobs N] [--worker] [--seed N] [--keep DIR]

Runs events through ebsub -- COMMAND. The command (handling/command, handling/worker) fails, dies, hangs and asks for retries at
random; ebsub processes are killed with SIGKILL; Redis is killed and restarted. At each kill and at the end the ledger that the
commands write is compared with the group and the dead letters:

    Every event was handled or is a dead letter, not both. None is acknowledged without that. None is pending at the end.
    Each attempt that was started has a number of its own, unless it ended with a retry (75). A dead letter has the last number.
    There are no more attempt numbers without a started command than the kills explain.

Prints the seed and the result; status 0 when nothing was found. Else the folder is kept (--keep names its place).
"""
import argparse
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, HERE)
sys.dont_write_bytecode = True	# keeps the tree clean

from resp import Redis

STREAM, GROUP, DEAD = "quantum:stream:t", "quantum:group:eventbus:t", "quantum:dlq:t"
MAX = 5		# --max-deliveries
HANG = 120	# seconds without progress after which a run counts as hanging
CUT_OFF = b"ebsub ended during the attempt"


def arguments():
    p = argparse.ArgumentParser(description="commands and workers that fail, under readers that are killed")
    p.add_argument("--events", type=int, default=400)
    p.add_argument("--kills", type=int, default=20)
    p.add_argument("--restarts", type=int, default=0, help="of Redis")
    p.add_argument("--readers", type=int, default=1)
    p.add_argument("--jobs", type=int, default=1, help="-P")
    p.add_argument("--worker", action="store_true")
    p.add_argument("--seed", type=int, default=None)
    p.add_argument("--commands", default=os.environ.get("EB_BIN") or os.path.join(HERE, "../../build/bin"))
    p.add_argument("--keep", default=None, metavar="DIR")
    a = p.parse_args()
    a.commands = os.path.abspath(a.commands)
    a.seed = random.randrange(1000000) if a.seed is None else a.seed
    return a


class Server:
    """A server that is durable: appendfsync always."""

    def __init__(self, folder):
        self.folder, self.socket = folder, os.path.join(folder, "s")
        names = [os.environ.get("EB_SERVER"), "redis-server", "valkey-server"]
        self.program = next(s for s in names if s and shutil.which(s))
        self.popen = self.redis = None
        self.start()

    def start(self):
        self.popen = subprocess.Popen(
            [self.program, "--port", "0", "--unixsocket", self.socket, "--dir", self.folder, "--save", "", "--appendonly", "yes",
             "--appendfsync", "always", "--logfile", os.path.join(self.folder, "redis.log")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + HANG
        while True:
            try:
                self.redis = Redis(self.socket)
                if self.redis.call("PING") == b"PONG":
                    return
            except (OSError, RuntimeError):
                pass
            if self.popen.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the server does not start: see redis.log")
            time.sleep(0.02)

    def kill(self):
        self.popen.kill()
        self.popen.wait()


class Ledger:
    """The commands' ledger: for each event and attempt number, how each started command ended (None: unknown)."""

    def __init__(self, path):
        # An orphan is a command whose ebsub was killed and that handled the event after a later attempt had started.
        self.attempts = collections.defaultdict(lambda: collections.defaultdict(dict))
        self.handled, self.orphans, self.twice = set(), set(), 0
        if not os.path.exists(path):
            return
        with open(path, encoding="ascii") as f:
            for line in f:
                kind, event, number, pid, *what = line.split()
                end = int(what[0]) if kind == "end" else None
                if end == 0:
                    self.twice += event in self.handled
                    (self.orphans if max(self.attempts[event]) > int(number) else self.handled).add(event)
                self.attempts[event][int(number)][pid] = end

    def begun(self, event):
        """Returns the started attempts that count, which are those that did not ask for a retry."""
        return {n: [e for e in ends.values() if e != 75] for n, ends in self.attempts[event].items()}


class Run:
    def __init__(self, options, folder):
        self.o, self.folder = options, folder
        self.rng = random.Random(options.seed)
        self.findings, self.readers = [], []
        self.began = 0	# when the last reader was started
        self.kills = self.restarts = self.excused = 0
        os.mkdir(os.path.join(folder, "done"))
        self.server = Server(folder)
        self.ids = {}
        for n in range(1, options.events + 1):
            self.ids[f"ev{n}"] = self.call("XADD", STREAM, f"{n}-0", "event_type", "t", "payload", n, "event_id", f"ev{n}").decode()
        self.call("XGROUP", "CREATE", STREAM, GROUP, 0)

    def call(self, *words):
        return self.server.redis.call(*words)

    def found(self, text):
        self.findings.append(text)
        print("FOUND", text, flush=True)

    # --- readers

    def argv(self):
        command = "worker" if self.o.worker else "command"
        return [os.path.join(self.o.commands, "ebsub"), "-P", str(self.o.jobs), "--retry-base", "20ms", "--retry-max", "200ms",
                "--max-deliveries", str(MAX), "--claim-idle", "10s", "--cmd-timeout", "5s" if self.o.worker else "500ms",
                *(["--worker"] if self.o.worker else []), "t", "--", os.path.join(HERE, "handling", command), self.folder,
                str(self.o.seed)]

    def start_reader(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("EB_", "XDG_")) and k != "REDISCLI_AUTH"}
        env.update(LC_ALL="C", HOME=self.folder, EB_REDIS_URL="unix://" + self.server.socket)
        with open(os.path.join(self.folder, "ebsub.err"), "ab") as err:
            reader = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err, env=env)
        self.began = time.monotonic()
        return reader

    def kill_reader(self):
        i = self.rng.randrange(len(self.readers))
        if self.readers[i].poll() is not None:
            self.found(f"ebsub ended by itself: {self.readers[i].returncode}")
        self.readers[i].kill()
        self.readers[i].wait()
        self.kills += 1
        if len(self.readers) == 1:
            self.check_acknowledged()
        self.readers[i] = self.start_reader()

    def all_read(self):
        """Waits until each reader has read since the last one was started: a reader that loses the server before its first read
        ends with 69."""
        until = time.monotonic() + HANG
        while time.monotonic() < until:
            idle = [dict(zip(c[::2], c[1::2]))[b"idle"] for c in self.call("XINFO", "CONSUMERS", STREAM, GROUP)]
            if sum(i < (time.monotonic() - self.began) * 1000 for i in idle) >= len(self.readers):
                return
            time.sleep(0.01)
        self.found("an ebsub does not read")

    def restart_server(self):
        self.all_read()
        self.server.kill()
        time.sleep(self.rng.random() / 2)
        self.server.start()
        self.restarts += 1

    # --- checks

    def pending(self):
        return {e[0].decode() for e in self.call("XPENDING", STREAM, GROUP, "-", "+", self.o.events)}

    def delivered(self):
        info = self.call("XINFO", "GROUPS", STREAM)[0]
        last = dict(zip(info[::2], info[1::2]))[b"last-delivered-id"]
        return {i.decode() for i, _ in self.call("XRANGE", STREAM, "-", last)}

    def dead(self):
        """Returns {event: its dead letters}."""
        dead = collections.defaultdict(list)
        for _, fields in self.server.redis.stream(DEAD):
            dead[fields[b"event_id"].decode()].append(fields)
        return dead

    def check_acknowledged(self):
        """Checks that each acknowledged event was handled. Reads the acknowledgements before the ledger, so that a later one cannot
        be reported."""
        acknowledged = self.delivered() - self.pending()
        dead, ledger = self.dead(), Ledger(os.path.join(self.folder, "ledger"))
        wrong = [e for e, i in self.ids.items() if i in acknowledged and e not in ledger.handled | ledger.orphans and e not in dead]
        if wrong:
            self.found(f"acknowledged unhandled: {wrong[:10]}")

    def check_dead_letter(self, event, letters, ledger):
        begun = ledger.begun(event)
        letter = letters[0]
        attempts, status = int(letter[b"dead_attempts"]), letter[b"dead_status"]
        if len(letters) > 1:
            self.found(f"{event}: {len(letters)} dead letters")
        if letter[b"dead_id"].decode() != self.ids[event] or letter[b"payload"].decode() != event[2:]:
            self.found(f"{event}: its dead letter belongs to another entry: {letter}")
        if event in ledger.handled and event not in ledger.orphans:
            # Handled by its last attempt, whose ebsub was killed before it got the result.
            if status == CUT_OFF and 0 in begun.get(MAX, []):
                self.excused += 1
            else:
                self.found(f"{event}: handled and dead: {letter} {dict(ledger.attempts[event])}")
        if attempts < max(begun, default=0) or (attempts < MAX and 65 not in begun.get(attempts, [])):
            self.found(f"{event}: dead after {attempts} attempts ({status.decode()}), the ledger has {dict(ledger.attempts[event])}")

    def check_numbers(self, ledger, dead):
        """Checks that each started attempt has a number of its own; returns how many numbers have no started command."""
        unseen = 0
        for event in self.ids:
            begun = ledger.begun(event)
            twice = [n for n, ends in begun.items() if len(ends) > 1]
            if twice:
                self.found(f"{event}: two attempts started with one number: {twice}: {dict(ledger.attempts[event])}")
            if max(begun, default=0) > MAX:
                self.found(f"{event}: more than {MAX} attempts: {dict(ledger.attempts[event])}")
            last = int(dead[event][0][b"dead_attempts"]) if event in dead else max(begun, default=0)
            unseen += sum(not begun.get(n) for n in range(1, last + (event in dead)))
        # A worker's events in its pipe when it died have numbers without a start.
        if not self.o.worker and unseen > (self.kills + self.restarts) * self.o.jobs:
            self.found(f"{unseen} attempts were counted for which no command was started")
        return unseen

    def check_all(self):
        dead, ledger = self.dead(), Ledger(os.path.join(self.folder, "ledger"))
        missing = [e for e in self.ids if e not in ledger.handled | ledger.orphans and e not in dead]
        if missing:
            self.found(f"neither handled nor dead: {missing[:10]}")
        for event, letters in dead.items():
            self.check_dead_letter(event, letters, ledger)
        unseen = self.check_numbers(ledger, dead)
        pending = self.pending()
        if pending:
            self.found(f"pending at the end: {pending}")
        starts = sum(len(ends) for numbers in ledger.attempts.values() for ends in numbers.values())
        print(f"events={self.o.events} handled={len(ledger.handled)} dead={len(dead)} again={ledger.twice} starts={starts} "
              f"kills={self.kills} restarts={self.restarts} unseen={unseen} cut_off={self.excused} found={len(self.findings)}")

    # --- the run

    def count_unacknowledged(self):
        """Returns how many events are not acknowledged."""
        info = self.call("XINFO", "GROUPS", STREAM)[0]
        info = dict(zip(info[::2], info[1::2]))
        return info[b"pending"] + self.o.events - int(info[b"last-delivered-id"].split(b"-")[0])

    def disturb(self):
        """Kills and restarts, evenly spread over the events whatever the speed."""
        todo = ["kill"] * self.o.kills + ["restart"] * self.o.restarts
        self.rng.shuffle(todo)
        for i, what in enumerate(todo):
            until = self.o.events * (len(todo) - i) // (len(todo) + 1)
            self.wait_until(until)
            time.sleep(self.rng.random() * 0.1)
            (self.kill_reader if what == "kill" else self.restart_server)()

    def wait_until(self, left):
        last, end = None, 0
        while (now := self.count_unacknowledged()) > left:
            if now != last:
                last, end = now, time.monotonic() + HANG
            if time.monotonic() > end:
                raise RuntimeError(f"no progress for {HANG} s, {now} events left")
            time.sleep(0.02)

    def run_all(self):
        self.readers = [self.start_reader() for _ in range(self.o.readers)]
        self.disturb()
        self.wait_until(0)
        for r in self.readers:
            r.send_signal(signal.SIGTERM)
        for r in self.readers:
            status = r.wait(HANG)
            if status not in (0, 1, -signal.SIGTERM):	# -SIGTERM: it had just been started
                self.found(f"ebsub ended with {status}")
        self.check_acknowledged()
        self.check_all()

    def close(self):
        for r in self.readers:
            r.kill()
            r.wait()
        self.server.kill()


def remove(folder):
    """Removes the folder, repeatedly, because a worker whose ebsub was killed may still write a file."""
    for _ in range(50):
        try:
            return shutil.rmtree(folder)
        except OSError:
            time.sleep(0.1)
    return shutil.rmtree(folder)


def main():
    o = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="handling")
    print(f"seed {o.seed}", flush=True)
    run = Run(o, folder)
    try:
        run.run_all()
    except Exception:
        run.found(traceback.format_exc())
    finally:
        run.close()
        if run.findings:
            kept = o.keep or folder
            if kept != folder:
                shutil.copytree(folder, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("s"))
                remove(folder)
            print(f"kept in {kept}; repeat with --seed {o.seed}")
        else:
            remove(folder)
    sys.exit(bool(run.findings))


if __name__ == "__main__":
    main()
