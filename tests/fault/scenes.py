"""scenes: the runs in which every.py injects faults. A scene is a command line, the state in which it runs, and its allowed results.

A trial injects one fault, checks the events, runs the recovery commands without faults, and checks again.
"""
import contextlib
import json
import os
import re
import signal

from buffer import Buffer
from rig import Fault
from ledger import NEVER, PERHAPS, SURE, UNSAFE, Ledger, compare_ledger

KILLED, TERMED = -signal.SIGKILL, -signal.SIGTERM
BY_TERM = 128 + signal.SIGTERM


class Trial:
    """One run with a fault, its verdicts and its errors."""

    def __init__(self, run):
        self.run, self.wrong, self.verdicts = run, [], []


class Scene:
    argv, stdin, redis_up, settle = [], b"", True, 0
    bad = 0			# lines of the state that are not events
    kept = 0			# events that must be in quarantine at the end
    recovery = (["ebreplay"],)	# commands that deliver the remaining events
    allowed = {0}		# allowed statuses, besides those that the fault allows
    fault_statuses = {74, 78}		# allowed when a call failed
    watch = False		# check that no descriptor stays open
    descriptors = 0		# open at the end of a run without faults
    skipped_kinds = ()		# kinds of fault that are not injected
    retried_calls = ()		# calls that the command repeats until they succeed

    def prepare(self, rig):
        """Prepares the state; returns the ledger's entries."""
        return []

    def setup(self, rig):
        rig.follow = ["-f"]
        rig.clear()
        self.given = self.prepare(rig)
        rig.show()
        self.state = rig.save(type(self).__name__, self.settle)

    def load_state(self, rig):
        rig.load(self.state)
        (rig.show if self.redis_up else rig.hide)()

    def background(self, rig):
        """Returns a context manager for what happens while the command runs."""
        return contextlib.nullcontext()

    def command(self, rig, fault=None):
        rig.watch = self.watch
        with self.background(rig):
            run = rig.run(self.argv, self.stdin, fault)
        rig.watch = False
        return run

    def calls(self, rig):
        self.load_state(rig)
        rig.watch = self.watch
        with self.background(rig):
            calls = rig.calls(self.argv, self.stdin)[0]
        rig.watch, self.descriptors = False, rig.descriptors()
        return calls

    def allocations(self, rig):
        self.load_state(rig)
        with self.background(rig):
            return rig.allocations(self.argv, self.stdin)[0]

    def heal(self, rig):
        """Removes the cause that held events back."""
        rig.show()

    def ledger(self):
        ledger = Ledger()
        for event in self.given:
            ledger.add(*event)
        return ledger

    def statuses(self, fault):
        if fault.kind == "kill":
            return self.allowed | {KILLED}
        if fault.kind == "term":
            return self.allowed | {TERMED, BY_TERM}
        return self.allowed | self.fault_statuses

    def add_answers(self, trial, ledger, rig):
        """Adds the run's answers to the ledger."""

    def streams(self, rig):
        return {key: list(rig.redis.stream(key)) for key in rig.redis.streams() if rig.redis.call("TYPE", key) == b"stream"}

    def drop_expected(self, run, rig, verdict):
        """Removes the errors from the verdict that this scene allows."""

    def check_events(self, trial, when, rig, ledger, final, torn):
        verdict = compare_ledger(ledger, self.streams(rig), Buffer(rig.buffer), final, self.bad + torn, self.kept)
        self.drop_expected(trial.run, rig, verdict)
        trial.verdicts.append(verdict)
        if not verdict:
            trial.wrong.append(f"{when}: {verdict}")

    def trial(self, rig, fault):
        self.load_state(rig)
        trial = Trial(self.command(rig, fault))
        run = trial.run
        if run.status not in self.statuses(fault):
            trial.wrong.append(f"status {run.status}: {run.out} {run.err}")
        if rig.descriptors() > self.descriptors and fault.name != "close" and run.status in (0, 1, 75):
            trial.wrong.append(f"{rig.descriptors()} descriptors open at the end, {self.descriptors} without the fault")
        self.heal(rig)
        ledger = self.ledger()
        self.add_answers(trial, ledger, rig)
        torn = 1 if run.status == KILLED else 0
        self.check_events(trial, "before the replay", rig, ledger, False, torn)
        rig.age(Buffer(rig.buffer).leaks)	# the replay removes only old temporary files
        for argv in self.recovery:
            again = rig.run(argv)
            if again.status not in (0, 1):
                trial.wrong.append(f"{' '.join(argv)} afterwards: status {again.status}: {again.err}")
        self.check_events(trial, "after the replay", rig, ledger, True, torn)
        if trial.wrong:
            trial.wrong.append(f"the run with the fault: status {run.status}: {run.out}{run.err}")
        return trial


# --- ebpub -------------------------------------------------------------------------


def drop_disorder_unopened(run, rig, verdict):
    """Allows disorder when ebpub could not open the buffer: it publishes all the same, without knowing what the buffer holds."""
    # newfstatat(4<DIR>, "", ...), or since glibc 2.41 fstat(4<DIR>, ...)
    if f'"{rig.buffer}"' in run.injected or f'{rig.buffer}>, ""' in run.injected or re.search(rf"\bfstat\(\d+<{rig.buffer}>", run.injected):
        verdict.found["disorder"].clear()


def one(n, kind="one", p=1, pad=0):
    return {"event_type": kind, "payload": {"p": p, "n": n, **({"pad": "x" * pad} if pad else {})}, "event_id": f"{kind}-{p}-{n}"}


def records(events):
    return "".join(json.dumps(e) + "\n" for e in events).encode()


def entries(events, state=SURE):
    return [(e["payload"]["p"], e["payload"]["n"], state, e["event_id"]) for e in events]


def buffered(rig, events, *options):
    """Puts events into the buffer; Redis stays unreachable. Returns the ledger's entries."""
    rig.hide()
    run = rig.run(["ebpub", "-q", "-J", *options], records(events))
    assert run.status == 0, run.err
    return entries(events)


class Publish(Scene):
    """A publisher; its answers tell which events are safe."""
    events = [one(9)]
    allowed = {0, 1}		# 1: the answers could not be written

    @property
    def argv(self):
        e = self.events[0]
        return ["ebpub", "-j", "--event-id", e["event_id"], *self.options, e["event_type"], json.dumps(e["payload"])]

    options = []

    def add_answers(self, trial, ledger, rig):
        run = trial.run
        replies = [json.loads(line) for line in run.out.splitlines() if line.endswith("}")]
        results = [t["result"] for t in replies] + [None] * (len(self.events) - len(replies))
        if run.status == 0 and set(results) - {"added", "buffered"}:
            trial.wrong.append(f"status 0, and the results are {results}")
        if "unsafe" in results and run.status != 74:
            trial.wrong.append(f"status {run.status}, and the results are {results}")
        for (p, n, _, ident), result in zip(entries(self.events), results):
            sure = result in ("added", "buffered") or run.status in (0, 1, 75, 77)
            state = {"refused": NEVER, "unsafe": UNSAFE}.get(result, SURE if sure else NEVER if run.status == 78 else PERHAPS)
            ledger.add(p, n, state, ident)
        self.check_ids(trial, replies, rig)

    def check_ids(self, trial, replies, rig):
        """Checks that each added event is in its stream under the ID of its answer."""
        for event, t in zip(self.events, replies):
            if t["result"] != "added":
                continue
            key = "quantum:stream:" + event["event_type"]
            found = rig.redis.call("XRANGE", key, t["id"], t["id"])
            if not found or event["event_id"].encode() not in found[0][1]:
                trial.wrong.append(f"{t} is not in {key}")


class Direct(Publish):
    """ebpub of one event, to Redis."""


class Fresh(Publish):
    """ebpub of one event that creates the buffer."""
    redis_up = False


class Filled(Publish):
    """ebpub of one event into a buffer that holds others."""
    redis_up = False

    def prepare(self, rig):
        return buffered(rig, [one(1), one(2)])


class Segment(Filled):
    """ebpub of one event that begins a segment."""
    options = ["--segment-size", "1"]


class Drain(Filled):
    """ebpub of one event that drains the buffer and then publishes directly."""
    redis_up = True

    def drop_expected(self, run, rig, verdict):
        drop_disorder_unopened(run, rig, verdict)


class Own(Filled):
    """ebpub of one event that cannot get the writers' lock and writes a segment of its own."""
    options = ["-t", "0.1"]

    def background(self, rig):
        return rig.holding(".lock")


class Limits(Filled):
    """ebpub of one event into a buffer that holds others, with --buffer-max and --min-free."""
    options = ["--buffer-max", "1M", "--min-free", "1"]


class Stream(Publish):
    """ebpub of 20 events of two types from standard input, to Redis."""
    events = [one(i, f"s{i % 2}", i % 2) for i in range(1, 21)]
    argv = ["ebpub", "-j", "-J"]
    stdin = records(events)
    watch = True


class Away(Stream):
    """Stream, into the buffer."""
    redis_up = False


# --- ebreplay -----------------------------------------------------------------------

PLAIN = ('{"event_type":"one","message":{"event_type":"one","payload":"{\\"p\\":7,\\"n\\":%d}","trace_id":null,'
         '"timestamp":"2025-12-04T10:30:00Z","source":"s"},"buffered_at":"2025-12-04T10:30:0%d"}\n')


def plain_file(rig, name="buffer_2025-12-04_10-30-00.jsonl"):
    """Writes a plain writer's file; returns the ledger's entries."""
    with open(f"{rig.buffer}/{name}", "w", encoding="ascii") as f:
        f.writelines(PLAIN % (n, n) for n in range(1, 4))
    return [(7, n) for n in range(1, 4)]


class Three(Scene):
    """A replay of three segments with two types in three batches: a large event is a batch of its own."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}
    watch = True

    def prepare(self, rig):
        given = buffered(rig, [one(1), one(1, "two", 2), one(2)])
        given += buffered(rig, [one(3), one(4, pad=40000), one(5)], "--segment-size", "1")
        return given + buffered(rig, [one(2, "two", 2), one(6)], "--segment-size", "1")


class Flow(Scene):
    """A replay of two segments in three full batches of two types, each recorded while the previous one is in flight."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}

    def prepare(self, rig):
        events = [one(n // 2 + 1, "two", 2, 3000) if n % 2 else one(n // 2 + 1, pad=3000) for n in range(720)]
        return buffered(rig, events[:300]) + buffered(rig, events[300:], "--segment-size", "1")


class Large(Scene):
    """A replay of two segments of more than a MiB, whose blocks a thread frees."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}

    def prepare(self, rig):
        return [e for n in (1, 3, 5) for e in buffered(rig, [one(n, pad=600000), one(n + 1, pad=600000)], "--segment-size", "1")]


class Sure(Scene):
    """A replay of large events in batches of their own, followed by an event in doubt that was executed."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}

    def prepare(self, rig):
        given = Mixed.in_doubt(self, rig)
        given += buffered(rig, [one(1, "two", 2), one(2, "two", 2, 40000), one(3, "two", 2), one(4, "two", 2, 40000)])
        (segment,) = Buffer(rig.buffer).segments
        with open(f"{rig.buffer}/{segment}", "r+b") as f:
            doubt, *others = f.readlines()
            f.seek(0)
            f.writelines([*others, doubt])
        return given


class Resume(Three):
    """Three, after a replay that was killed before it stored the replies to its last batch."""

    def prepare(self, rig):
        given = super().prepare(rig)
        rig.show()
        whole = rig.save("whole")
        calls = rig.calls(self.argv)[0]
        last = max(i for i, (name, _) in enumerate(calls) if name == "sendto")
        nth = next(nth for name, nth in calls[last:] if name == "pwrite64")
        rig.load(whole)
        rig.run(self.argv, fault=Fault("kill", "pwrite64", nth))
        assert Buffer(rig.buffer).segments and rig.redis.call("XLEN", "quantum:stream:one") == 6
        return given


class Behind(Segment):
    """ebpub of one event that begins a segment after others that were delivered in part."""

    def prepare(self, rig):
        given = Three.prepare(self, rig)
        rig.show()
        assert rig.run(["ebreplay", "--limit", "2"]).status == 75
        return given


class Mixed(Scene):
    """A replay of a compressed segment, a suspect one, a publisher's own segment, an adopted file, a bad line, and an event in
    doubt that was executed."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}
    bad, settle = 1, 1.2

    def prepare(self, rig):
        given = self.in_doubt(rig)
        given += buffered(rig, [one(3), one(1, "two", 2)], "--segment-size", "1")
        given += buffered(rig, [one(4)], "--segment-size", "1")
        assert rig.run(["ebbuffer", "compress"]).status == 0
        given += self.suspect(rig)
        with open(f"{rig.buffer}/{Buffer(rig.buffer).segments[-1]}", "ab") as f:
            f.write(b"no event\n")
        given += self.own(rig)
        given += plain_file(rig)
        rig.show()
        run = rig.run(["strace", "-f", "-o", rig.log, "-e", "inject=clock_nanosleep:signal=KILL:when=1", "ebreplay"])
        assert run.status == KILLED and "claimed" in str(Buffer(rig.buffer).segments), run.err
        return given

    def in_doubt(self, rig):
        """Adds events 1 and 2 to the stream, and event 2, whose reply did not come in time, to the buffer too."""
        feed = rig.feed(["ebpub", "-J", "-j", "-t", "0.2"])
        assert feed.ask(records([one(1)]))["result"] == "added"
        rig.pause()
        assert feed.ask(records([one(2)]))["result"] == "buffered"
        feed.kill()
        rig.resume()
        rig.wait(lambda: rig.redis.call("XLEN", "quantum:stream:one") == 2)
        assert [line.doubt for line in Buffer(rig.buffer).lines] == [True]
        rig.close_breaker()
        return entries([one(1), one(2)])

    def suspect(self, rig):
        rig.hide()
        events = records([one(5), one(2, "two", 2)])
        run = rig.run(["strace", "-f", "-o", rig.log, "-e", "inject=fdatasync:error=EIO:when=1", "ebpub", "-q", "-J"], events)
        assert run.status == 0 and ".suspect." in str(Buffer(rig.buffer).segments), run.err
        return entries([one(5), one(2, "two", 2)])

    def own(self, rig):
        with rig.holding(".lock"):
            given = buffered(rig, [one(6)], "-t", "0.1")
        assert ".own-" in str(Buffer(rig.buffer).segments)
        return given


class Adopt(Scene):
    """A replay of a segment and a plain writer's file, which is adopted and settles for a second."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}

    def prepare(self, rig):
        return buffered(rig, [one(1), one(2)]) + plain_file(rig)


class Unsorted(Scene):
    """A replay of a plain writer's unsorted file that was delivered in part, and of two segments."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}
    settle = 1.2

    def prepare(self, rig):
        given = buffered(rig, [one(1), one(2)]) + buffered(rig, [one(3)], "--segment-size", "1")
        with open(f"{rig.buffer}/buffer_plain.jsonl", "w", encoding="ascii") as f:
            f.writelines(PLAIN % (n, n) for n in (3, 1, 5, 2, 4))
        rig.show()
        run = rig.run(["ebreplay", "--limit", "2"])
        assert run.status == 75 and rig.redis.call("XLEN", "quantum:stream:one") == 2, run.err
        return given + [(7, n) for n in range(1, 6)]

    def drop_expected(self, run, rig, verdict):
        # The file's lines were written out of order.
        verdict.found["disorder"] = [d for d in verdict.found["disorder"] if "buffer_plain.claimed" not in d[3]]


class Held(Three):
    """Three, with one type held because its key is not a stream."""

    def prepare(self, rig):
        given = super().prepare(rig)
        rig.redis.call("SET", "quantum:stream:two", "x")
        rig.show()
        assert rig.run(["ebreplay", "--limit", "3"]).status == 75
        return given

    def heal(self, rig):
        super().heal(rig)
        if rig.redis.call("TYPE", "quantum:stream:two") == b"string":
            rig.redis.call("DEL", "quantum:stream:two")


class Freed(Held):
    """Held, after the key was deleted."""

    def load_state(self, rig):
        super().load_state(rig)
        rig.redis.call("DEL", "quantum:stream:two")


class Pass(Publish):
    """ebpub of one event while another type is held."""

    def prepare(self, rig):
        return Held().prepare(rig)

    def heal(self, rig):
        Held().heal(rig)

    def drop_expected(self, run, rig, verdict):
        drop_disorder_unopened(run, rig, verdict)


class Full(Scene):
    """A replay into a stream that is full of entries that its group has read: only those may be trimmed."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}

    def prepare(self, rig):
        for i in range(150):
            rig.redis.call("XADD", "quantum:stream:one", "*", "filler", i)
        rig.redis.call("XGROUP", "CREATE", "quantum:stream:one", "group", "$")
        given = buffered(rig, [one(1), one(2)], "--maxlen", "10")
        return given + buffered(rig, [one(3), one(4)], "--maxlen", "20", "--segment-size", "1")


class Kept(Full):
    """Full, with trim = acked, and a second group that still needs a part of the entries."""
    policy = "[one]\ntrim = acked\nmaxlen = 10\nmaxlen-hard = 400\n"

    def prepare(self, rig):
        given = super().prepare(rig)
        rig.redis.call("XGROUP", "CREATE", "quantum:stream:one", "slow", "0")
        for _ in range(20):
            rig.redis.call("XREADGROUP", "GROUP", "slow", "c", "COUNT", "4", "NOACK", "STREAMS", "quantum:stream:one", ">")
        return given

    @contextlib.contextmanager
    def background(self, rig):
        folder = os.path.join(rig.base, "home", ".config", "eventbus")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "config"), "w", encoding="ascii") as f:
            f.write(self.policy)
        yield
        os.unlink(os.path.join(folder, "config"))

    def heal(self, rig):
        super().heal(rig)
        rig.redis.call("XGROUP", "SETID", "quantum:stream:one", "slow", "$")


class Keep(Publish):
    """ebpub of one event into the stream of Kept."""
    events = [one(9, "one", 3)]

    def prepare(self, rig):
        Kept.prepare(Kept(), rig)
        given = entries([one(n) for n in range(1, 5)])
        rig.show()
        with self.background(rig):
            run = rig.run(["ebreplay"])
        assert run.status == 0, run.err
        return given

    def background(self, rig):
        return Kept().background(rig)

    def heal(self, rig):
        Kept().heal(rig)


class Bad(Three):
    """Three, with bad lines and a torn line at the end."""
    bad = 4

    def prepare(self, rig):
        given = super().prepare(rig)
        names = Buffer(rig.buffer).segments
        for name, text in zip(names, (b"no event\n\xff\n", b"no event\n", b"a pie")):
            with open(f"{rig.buffer}/{name}", "ab") as f:
                f.write(text)
        return given


class Whole(Bad):
    """Bad, where quarantine/ cannot have a file named like the first segment."""

    def prepare(self, rig):
        given = super().prepare(rig)
        os.symlink("/nowhere/at/all", f"{rig.buffer}/quarantine/{Buffer(rig.buffer).segments[0]}")
        return given

    def drop_expected(self, run, rig, verdict):
        # The number in the file's name counts a line again for each interrupted run.
        verdict.found["unknown"] = [s for s in verdict.found["unknown"] if s[0] != "quarantine"]


class Retry(Scene):
    """ebbuffer quarantine retry of four events, and of two more that an interrupted run has put back, without removing their file."""
    argv = ["ebbuffer", "quarantine", "retry"]
    recovery = (argv, ["ebreplay"])
    allowed = {0, 75}

    def prepare(self, rig):
        given = buffered(rig, [one(1), one(2), one(3), one(4)])
        self.put_aside(rig)
        # Events are the same only when all their fields are.
        fixed = [{**one(n, "two", 2), "correlation_id": "c", "timestamp": "2025-12-04T10:30:00.000000Z"} for n in (1, 2)]
        given += buffered(rig, fixed)
        last = self.put_aside(rig)[-1]
        with open(last, "rb") as f:
            data = f.read()
        run = rig.run([*Retry.argv, os.path.basename(last)])
        assert run.status == 0, run.err
        own = [name for name in os.listdir(rig.buffer) if ".own-" in name and name.endswith(".jsonl")]
        number = re.search(r"own-(\d+)\.jsonl$", own[0])[1]
        with open(f"{last}.{number}.retrying", "wb") as f:
            f.write(data)
        return given

    @staticmethod
    def put_aside(rig):
        run = rig.run(["ebbuffer", "discard", "--yes"])
        assert run.status == 0, run.err
        folder = f"{rig.buffer}/quarantine"
        return [f"{folder}/{name}" for name in sorted(os.listdir(folder))]


class Aside(Retry):
    argv = ["ebbuffer", "quarantine", "list"]
    recovery = Retry.recovery


class List(Mixed):
    argv = ["ebbuffer", "list", "-j"]


class Check(Mixed):
    argv = ["ebbuffer", "check"]
    allowed = {0, 1}


class Stat(Mixed):
    argv = ["ebstat", "-j"]


class Compress(Three):
    argv = ["ebbuffer", "compress"]
    allowed = {0, 75}


class Discard(Three):
    argv = ["ebbuffer", "discard", "--yes"]
    recovery = (argv, ["ebreplay"])
    kept = 8


class SetAside(Three):
    """ebbuffer set-aside of two events. A replay follows at once, and what is in quarantine comes back after it."""
    argv = ["ebbuffer", "set-aside", "--reason", "poison", "one-1-2", "two-2-1"]
    recovery = (["ebreplay"], ["ebbuffer", "quarantine", "retry"], ["ebreplay"])

    def drop_expected(self, run, rig, verdict):
        verdict.found["disorder"].clear()


class Retarget(Three):
    """ebbuffer retarget of a buffer that belongs to another Redis."""
    argv = ["ebbuffer", "retarget"]
    recovery = (argv, ["ebreplay"])

    def prepare(self, rig):
        given = super().prepare(rig)
        with open(f"{rig.buffer}/.target", "w", encoding="ascii") as f:
            f.write("127.0.0.1:1/0 quantum\n")
        return given


def dead_letter(redis, key, event):
    """Adds a dead letter with provenance."""
    own = ["event_type", event["event_type"], "payload", json.dumps(event["payload"]), "event_id", event["event_id"]]
    names = ("dead_id", "dead_stream", "dead_group", "dead_consumer", "dead_attempts", "dead_status", "dead_stderr", "dead_time")
    redis.call("XADD", key, "*", *own, *(w for name in names for w in (name, "1")))


class Redrive(Scene):
    """A re-drive of dead letters of two types."""
    argv = ["ebdead", "redrive", "one", "two"]
    recovery = (argv,)
    allowed = {0, 69, 75}
    events = [one(1), one(1, "two", 2), one(2), one(2, "two", 2), one(3), one(4)]
    right = "+eval"

    def prepare(self, rig):
        rig.redis.call("ACL", "SETUSER", "default", self.right)
        for event in self.events:
            dead_letter(rig.redis, "quantum:dlq:" + event["event_type"], event)
        return entries(self.events)

    def streams(self, rig):
        """Returns each stream followed by its remaining dead letters, as one sequence."""
        return {kind: rig.redis.both(f"quantum:stream:{kind}", f"quantum:dlq:{kind}") for kind in ("one", "two")}

    def check_events(self, trial, when, rig, ledger, final, torn):
        super().check_events(trial, when, rig, ledger, final, torn)
        for kind in ("one", "two"):
            if final and rig.redis.call("XLEN", f"quantum:dlq:{kind}"):
                trial.wrong.append(f"{when}: not all dead letters were moved")
            if any(b"dead_id" in fields for _, fields in rig.redis.stream(f"quantum:stream:{kind}")):
                trial.wrong.append(f"{when}: an entry with provenance is in the stream")


class Watched(Redrive):
    """Redrive by WATCH, without the right to EVAL."""
    right = "-eval"


# --- ebsub ---------------------------------------------------------------------------


class Subscribe(Scene):
    """ebsub of six events of two types into a file; every acknowledged event must be in the file."""
    argv = ["ebsub", "-s", "svc", "-C", "c1", "-e", "one", "two"]
    allowed = {0, 69, 75}
    fault_statuses = {1, 74, 78}		# 1: a pipe could not be created
    events = [one(1), one(2), one(1, "two", 2), one(3), one(2, "two", 2), one(4)]

    def prepare(self, rig):
        run = rig.run(["ebpub", "-q", "-J"], records(self.events))
        assert run.status == 0, run.err
        return entries(self.events)

    def load_state(self, rig):
        super().load_state(rig)
        rig.empty("got")

    def command(self, rig, fault=None):
        return rig.run(self.argv, fault=fault, out=rig.file("got"))

    def calls(self, rig):
        self.load_state(rig)
        return rig.calls(self.argv, out=rig.file("got"))[0]

    def allocations(self, rig):
        self.load_state(rig)
        return rig.allocations(self.argv, out=rig.file("got"))[0]

    def acknowledged(self, rig):
        done = []
        for kind in ("one", "two"):
            key, group = f"quantum:stream:{kind}", f"quantum:group:svc:{kind}"
            infos = [dict(zip(i[::2], i[1::2])) for i in rig.redis.call("XINFO", "GROUPS", key)]
            if not infos:
                continue
            pending = {e[0] for e in rig.redis.call("XPENDING", key, group, "-", "+", 100)}
            given = rig.redis.call("XRANGE", key, "-", infos[0][b"last-delivered-id"])
            done += [dict(zip(kv[::2], kv[1::2]))[b"event_id"].decode() for i, kv in given if i not in pending]
        return done

    @staticmethod
    def whole(rig):
        """Returns the event_ids of the complete records in the file."""
        with open(rig.file("got"), "rb") as f:
            return [json.loads(line)["event_id"] for line in f.read().split(b"\n")[:-1]]

    def trial(self, rig, fault):
        self.load_state(rig)
        trial = Trial(self.command(rig, fault))
        if trial.run.status not in self.statuses(fault):
            trial.wrong.append(f"status {trial.run.status}: {trial.run.err}")
        first, done = self.whole(rig), self.acknowledged(rig)
        if set(done) - set(first):
            trial.wrong.append(f"acknowledged and not written: {set(done) - set(first)}")
        rig.empty("got")
        again = self.command(rig)
        if again.status not in (0, 124):
            trial.wrong.append(f"the next run: status {again.status}: {again.err}")
        second = self.whole(rig)
        if set(second) & set(done):
            trial.wrong.append(f"acknowledged and delivered again: {set(second) & set(done)}")
        missing = {e["event_id"] for e in self.events} - set(first) - set(second)
        if missing:
            trial.wrong.append(f"never delivered: {missing}")
        if len(self.acknowledged(rig)) != len(self.events):
            trial.wrong.append("an event is not acknowledged at the end")
        return trial


class Handle(Subscribe):
    """ebsub that runs a command for each of three events; the command appends the event_id to the file. Faults are injected into
    ebsub only."""
    argv = ["ebsub", "-s", "svc", "-C", "eb-c1", "-e", "--claim-idle", "3s", "--retry-base", "20ms", "one", "two", "--",
            "sh", "-c", """printf '{"event_id":"%s"}\\n' "$EB_EVENT_ID" """]
    events = [one(1), one(1, "two", 2), one(2)]
    skipped_kinds = {"nomem"}	# the preloaded library would be in the command too
    retried_calls = {"clone3", "clone", "vfork", "memfd_create", "pipe2", "mmap"}

    def setup(self, rig):
        super().setup(rig)
        rig.follow = []


SCENES = {c.__name__.lower(): c for c in (
    Direct, Fresh, Filled, Segment, Behind, Drain, Own, Limits, Pass, Stream, Away, Three, Flow, Large, Sure, Resume, Mixed,
    Adopt, Unsorted, Held, Freed, Full, Kept, Keep, Bad, Whole, Compress, Discard, SetAside, Retarget, Redrive, Watched, Retry,
    Aside, List, Check, Stat, Subscribe, Handle)}
