"""scenes: what is harmed. Each is a command line, the state in which it runs, and what may come of it.

A trial harms one run, asks the checker, runs unharmed what brings the rest home, and asks again.
"""
import contextlib
import json
import os
import re
import signal

from buffer import Buffer
from rig import Harm
from ledger import NEVER, PERHAPS, SURE, UNSAFE, Ledger, judge

KILLED, TERMED = -signal.SIGKILL, -signal.SIGTERM
BY_TERM = 128 + signal.SIGTERM


class Trial:
    """What a run did and what is wrong about it."""

    def __init__(self, run):
        self.run, self.wrong, self.verdicts = run, [], []


class Scene:
    argv, stdin, up, rest = [], b"", True, 0
    bad = 0			# lines of the state that are no events
    kept = 0			# events that belong into quarantine at the end
    home = (["ebreplay"],)	# brings the rest home
    allowed = {0}		# beside what harm allows
    harmed = {74, 78}		# of a call that failed
    watch = False		# look for descriptors that stay open
    descriptors = 0		# that an unharmed run had open at its end
    unharmed = ()		# kinds of harm that are not for it
    patient = ()		# calls that it makes again and again until they do not fail

    def prepare(self, rig):
        """Brings the state about; returns the ledger's entries."""
        return []

    def setup(self, rig):
        rig.follow = ["-f"]
        rig.clear()
        self.given = self.prepare(rig)
        rig.show()
        self.state = rig.save(type(self).__name__, self.rest)

    def ready(self, rig):
        rig.load(self.state)
        (rig.show if self.up else rig.hide)()

    def beside(self, rig):
        """What goes on while the command runs."""
        return contextlib.nullcontext()

    def command(self, rig, harm=None):
        rig.watch = self.watch
        with self.beside(rig):
            run = rig.run(self.argv, self.stdin, harm)
        rig.watch = False
        return run

    def calls(self, rig):
        self.ready(rig)
        rig.watch = self.watch
        with self.beside(rig):
            calls = rig.calls(self.argv, self.stdin)[0]
        rig.watch, self.descriptors = False, rig.descriptors()
        return calls

    def allocations(self, rig):
        self.ready(rig)
        with self.beside(rig):
            return rig.allocations(self.argv, self.stdin)[0]

    def heal(self, rig):
        """Nothing is in the way of the rest any more."""
        rig.show()

    def ledger(self):
        ledger = Ledger()
        for event in self.given:
            ledger.add(*event)
        return ledger

    def statuses(self, harm):
        if harm.kind == "kill":
            return self.allowed | {KILLED}
        if harm.kind == "term":
            return self.allowed | {TERMED, BY_TERM}
        return self.allowed | self.harmed

    def answers(self, trial, ledger, rig):
        """Takes into the ledger what the run said."""

    def streams(self, rig):
        return {key: list(rig.redis.stream(key)) for key in rig.redis.streams() if rig.redis.call("TYPE", key) == b"stream"}

    def excuse(self, run, rig, verdict):
        """What has to be borne."""

    def judged(self, trial, when, rig, ledger, final, torn):
        verdict = judge(ledger, self.streams(rig), Buffer(rig.buffer), final, self.bad + torn, self.kept)
        self.excuse(trial.run, rig, verdict)
        trial.verdicts.append(verdict)
        if not verdict:
            trial.wrong.append(f"{when}: {verdict}")

    def trial(self, rig, harm):
        self.ready(rig)
        trial = Trial(self.command(rig, harm))
        run = trial.run
        if run.status not in self.statuses(harm):
            trial.wrong.append(f"status {run.status}: {run.out} {run.err}")
        if rig.descriptors() > self.descriptors and harm.name != "close" and run.status in (0, 1, 75):
            trial.wrong.append(f"{rig.descriptors()} descriptors open at the end, {self.descriptors} without harm")
        self.heal(rig)
        ledger = self.ledger()
        self.answers(trial, ledger, rig)
        torn = 1 if run.status == KILLED else 0
        self.judged(trial, "before the replay", rig, ledger, False, torn)
        rig.age(Buffer(rig.buffer).leaks)	# temporary files: the replay takes away old ones
        for argv in self.home:
            again = rig.run(argv)
            if again.status not in (0, 1):
                trial.wrong.append(f"{' '.join(argv)} after it: status {again.status}: {again.err}")
        self.judged(trial, "after it", rig, ledger, True, torn)
        if trial.wrong:
            trial.wrong.append(f"it had ended with {run.status}: {run.out}{run.err}")
        return trial


# --- ebpub -------------------------------------------------------------------------


def not_opened(run, rig, verdict):
    """ebpub publishes beside a buffer that it cannot open, and then does not know what the buffer holds."""
    # newfstatat(4<DIR>, "", ...), or since glibc 2.41 fstat(4<DIR>, ...)
    if f'"{rig.buffer}"' in run.harmed or f'{rig.buffer}>, ""' in run.harmed or re.search(rf"\bfstat\(\d+<{rig.buffer}>", run.harmed):
        verdict.found["disorder"].clear()


def one(n, kind="one", p=1, pad=0):
    return {"event_type": kind, "payload": {"p": p, "n": n, **({"pad": "x" * pad} if pad else {})}, "event_id": f"{kind}-{p}-{n}"}


def records(events):
    return "".join(json.dumps(e) + "\n" for e in events).encode()


def entries(events, state=SURE):
    return [(e["payload"]["p"], e["payload"]["n"], state, e["event_id"]) for e in events]


def buffered(rig, events, *options):
    """These stand in the buffer; Redis stays away."""
    rig.hide()
    run = rig.run(["ebpub", "-q", "-J", *options], records(events))
    assert run.status == 0, run.err
    return entries(events)


class Publish(Scene):
    """Of the events it is to publish, the answers say which are safe."""
    events = [one(9)]
    allowed = {0, 1}		# 1: the answers could not be written

    @property
    def argv(self):
        e = self.events[0]
        return ["ebpub", "-j", "--event-id", e["event_id"], *self.options, e["event_type"], json.dumps(e["payload"])]

    options = []

    def answers(self, trial, ledger, rig):
        run = trial.run
        told = [json.loads(line) for line in run.out.splitlines() if line.endswith("}")]
        results = [t["result"] for t in told] + [None] * (len(self.events) - len(told))
        if run.status == 0 and set(results) - {"added", "buffered"}:
            trial.wrong.append(f"status 0, and the answers are {results}")
        if "unsafe" in results and run.status != 74:
            trial.wrong.append(f"status {run.status}, and the answers are {results}")
        for (p, n, _, ident), result in zip(entries(self.events), results):
            sure = result in ("added", "buffered") or run.status in (0, 1, 75, 77)
            state = {"refused": NEVER, "unsafe": UNSAFE}.get(result, SURE if sure else NEVER if run.status == 78 else PERHAPS)
            ledger.add(p, n, state, ident)
        self.places(trial, told, rig)

    def places(self, trial, told, rig):
        """What was added is in its stream under the ID that was told."""
        for event, t in zip(self.events, told):
            if t["result"] != "added":
                continue
            key = "quantum:stream:" + event["event_type"]
            found = rig.redis.call("XRANGE", key, t["id"], t["id"])
            if not found or event["event_id"].encode() not in found[0][1]:
                trial.wrong.append(f"{t} is not in {key}")


class Direct(Publish):
    """A one-shot to Redis."""


class Fresh(Publish):
    """A one-shot that makes the buffer."""
    up = False


class Filled(Publish):
    """A one-shot behind others in the buffer."""
    up = False

    def prepare(self, rig):
        return buffered(rig, [one(1), one(2)])


class Segment(Filled):
    """A one-shot that begins a segment."""
    options = ["--segment-size", "1"]


class Drain(Filled):
    """A one-shot that drains the buffer and goes on directly."""
    up = True

    def excuse(self, run, rig, verdict):
        not_opened(run, rig, verdict)


class Own(Filled):
    """A one-shot that cannot have the lock: a segment of its own."""
    options = ["-t", "0.1"]

    def beside(self, rig):
        return rig.holding(".lock")


class Limits(Filled):
    """A one-shot behind others, the buffer's size and the disk's room being limited."""
    options = ["--buffer-max", "1M", "--min-free", "1"]


class Stream(Publish):
    """20 events of two types from standard input, to Redis."""
    events = [one(i, f"s{i % 2}", i % 2) for i in range(1, 21)]
    argv = ["ebpub", "-j", "-J"]
    stdin = records(events)
    watch = True


class Away(Stream):
    """The same into the buffer."""
    up = False


# --- ebreplay -----------------------------------------------------------------------

PLAIN = ('{"event_type":"one","message":{"event_type":"one","payload":"{\\"p\\":7,\\"n\\":%d}","trace_id":null,'
         '"timestamp":"2025-12-04T10:30:00Z","source":"s"},"buffered_at":"2025-12-04T10:30:0%d"}\n')


def plain_file(rig, name="buffer_2025-12-04_10-30-00.jsonl"):
    """A plain writer's."""
    with open(f"{rig.buffer}/{name}", "w", encoding="ascii") as f:
        f.writelines(PLAIN % (n, n) for n in range(1, 4))
    return [(7, n) for n in range(1, 4)]


class Three(Scene):
    """Three segments with two types, in three batches: a large event goes alone."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}
    watch = True

    def prepare(self, rig):
        given = buffered(rig, [one(1), one(1, "two", 2), one(2)])
        given += buffered(rig, [one(3), one(4, pad=40000), one(5)], "--segment-size", "1")
        return given + buffered(rig, [one(2, "two", 2), one(6)], "--segment-size", "1")


class Flow(Scene):
    """Three batches of two types, as many bytes as fit into each, recorded while the one before is under way; in two segments."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}

    def prepare(self, rig):
        events = [one(n // 2 + 1, "two", 2, 3000) if n % 2 else one(n // 2 + 1, pad=3000) for n in range(720)]
        return buffered(rig, events[:300]) + buffered(rig, events[300:], "--segment-size", "1")


class Large(Scene):
    """Two segments of more than a MiB: a thread gives their blocks back."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}

    def prepare(self, rig):
        return [e for n in (1, 3, 5) for e in buffered(rig, [one(n, pad=600000), one(n + 1, pad=600000)], "--segment-size", "1")]


class Sure(Scene):
    """Large events go alone; behind them waits one that is in doubt itself, and was executed."""
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
    """The same after a replay that was killed before it noted the answers to its last batch."""

    def prepare(self, rig):
        given = super().prepare(rig)
        rig.show()
        whole = rig.save("whole")
        calls = rig.calls(self.argv)[0]
        last = max(i for i, (name, _) in enumerate(calls) if name == "sendto")
        nth = next(nth for name, nth in calls[last:] if name == "pwrite64")
        rig.load(whole)
        rig.run(self.argv, harm=Harm("kill", "pwrite64", nth))
        assert Buffer(rig.buffer).segments and rig.redis.call("XLEN", "quantum:stream:one") == 6
        return given


class Behind(Segment):
    """A one-shot that begins a segment behind others, of which a part was delivered."""

    def prepare(self, rig):
        given = Three.prepare(self, rig)
        rig.show()
        assert rig.run(["ebreplay", "--limit", "2"]).status == 75
        return given


class Mixed(Scene):
    """A compressed segment, a suspect one, one of a publisher of its own, a claimed file, a bad line, an event
    in doubt that was executed."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}
    bad, rest = 1, 1.2

    def prepare(self, rig):
        given = self.in_doubt(rig)
        given += buffered(rig, [one(3), one(1, "two", 2)], "--segment-size", "1")
        given += buffered(rig, [one(4)], "--segment-size", "1")
        assert rig.run(["ebreplay", "--compress"]).status == 0
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
        """Event 1 is in the stream; event 2 too, and in the buffer: its answer did not come in time."""
        feed = rig.feed(["ebpub", "-J", "-j", "-t", "0.2"])
        assert feed.ask(records([one(1)]))["result"] == "added"
        rig.pause()
        assert feed.ask(records([one(2)]))["result"] == "buffered"
        feed.kill()
        rig.resume()
        rig.wait(lambda: rig.redis.call("XLEN", "quantum:stream:one") == 2)
        assert [line.doubt for line in Buffer(rig.buffer).lines] == [True]
        rig.forget_silence()
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


class Claim(Scene):
    """A plain writer's file beside a segment, which has to be claimed, and rests for a second."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}

    def prepare(self, rig):
        return buffered(rig, [one(1), one(2)]) + plain_file(rig)


class Unsorted(Scene):
    """A plain writer's file out of order, of which a part was delivered, and two segments."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}
    rest = 1.2

    def prepare(self, rig):
        given = buffered(rig, [one(1), one(2)]) + buffered(rig, [one(3)], "--segment-size", "1")
        with open(f"{rig.buffer}/plain.jsonl", "w", encoding="ascii") as f:
            f.writelines(PLAIN % (n, n) for n in (3, 1, 5, 2, 4))
        rig.show()
        run = rig.run(["ebreplay", "--limit", "2"])
        assert run.status == 75 and rig.redis.call("XLEN", "quantum:stream:one") == 2, run.err
        return given + [(7, n) for n in range(1, 6)]

    def excuse(self, run, rig, verdict):
        # The file itself is out of order, as it was written.
        verdict.found["disorder"] = [d for d in verdict.found["disorder"] if "plain.claimed" not in d[3]]


class Held(Three):
    """Three segments with a type whose key is no stream: the others go on."""

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
    """The same, and the key has gone."""

    def ready(self, rig):
        super().ready(rig)
        rig.redis.call("DEL", "quantum:stream:two")


class Pass(Publish):
    """A one-shot beside a held type."""

    def prepare(self, rig):
        return Held().prepare(rig)

    def heal(self, rig):
        Held().heal(rig)

    def excuse(self, run, rig, verdict):
        not_opened(run, rig, verdict)


class Full(Scene):
    """A stream that is full of what its group has read: room is made, nothing else is pushed out."""
    argv = ["ebreplay"]
    allowed = {0, 1, 75}

    def prepare(self, rig):
        for i in range(150):
            rig.redis.call("XADD", "quantum:stream:one", "*", "filler", i)
        rig.redis.call("XGROUP", "CREATE", "quantum:stream:one", "group", "$")
        given = buffered(rig, [one(1), one(2)], "--maxlen", "10")
        return given + buffered(rig, [one(3), one(4)], "--maxlen", "20", "--segment-size", "1")


class Kept(Full):
    """The same where the policy keeps what a group needs, and a second group needs a part."""
    policy = "[one]\ntrim = acked\nmaxlen = 10\nmaxlen-hard = 400\n"

    def prepare(self, rig):
        given = super().prepare(rig)
        rig.redis.call("XGROUP", "CREATE", "quantum:stream:one", "slow", "0")
        for _ in range(20):
            rig.redis.call("XREADGROUP", "GROUP", "slow", "c", "COUNT", "4", "NOACK", "STREAMS", "quantum:stream:one", ">")
        return given

    @contextlib.contextmanager
    def beside(self, rig):
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
    """A one-shot into that stream."""
    events = [one(9, "one", 3)]

    def prepare(self, rig):
        Kept.prepare(Kept(), rig)
        given = entries([one(n) for n in range(1, 5)])
        rig.show()
        with self.beside(rig):
            run = rig.run(["ebreplay"])
        assert run.status == 0, run.err
        return given

    def beside(self, rig):
        return Kept().beside(rig)

    def heal(self, rig):
        Kept().heal(rig)


class Bad(Three):
    """Bad lines among the others, and a piece of one at the end."""
    bad = 4

    def prepare(self, rig):
        given = super().prepare(rig)
        names = Buffer(rig.buffer).segments
        for name, text in zip(names, (b"no event\n\xff\n", b"no event\n", b"a pie")):
            with open(f"{rig.buffer}/{name}", "ab") as f:
                f.write(text)
        return given


class Whole(Bad):
    """The same, and quarantine/ cannot have a file of the first segment's name."""

    def prepare(self, rig):
        given = super().prepare(rig)
        os.symlink("/nowhere/at/all", f"{rig.buffer}/quarantine/{Buffer(rig.buffer).segments[0]}")
        return given

    def excuse(self, run, rig, verdict):
        # The number in the file's name counts a line again for each run that was cut off.
        verdict.found["strange"] = [s for s in verdict.found["strange"] if s[0] != "quarantine"]


class Retry(Scene):
    """Events in quarantine/ on their way back; an earlier run was cut off when one of two was back."""
    argv = ["ebreplay", "--quarantine", "retry"]
    home = (argv, ["ebreplay"])
    allowed = {0, 75}

    def prepare(self, rig):
        given = buffered(rig, [one(1), one(2), one(3), one(4)])
        self.put_aside(rig)
        # The same event is one of which every field is the same.
        fixed = [{**one(n, "two", 2), "correlation_id": "c", "timestamp": "2025-12-04T10:30:00.000000Z"} for n in (1, 2)]
        given += buffered(rig, fixed)
        last = self.put_aside(rig)[-1]
        os.rename(last, last + ".retrying")
        buffered(rig, fixed[:1])
        return given

    @staticmethod
    def put_aside(rig):
        run = rig.run(["ebreplay", "--discard", "--yes"])
        assert run.status == 0, run.err
        folder = f"{rig.buffer}/quarantine"
        return [f"{folder}/{name}" for name in sorted(os.listdir(folder))]


class Aside(Retry):
    argv = ["ebreplay", "--quarantine", "list"]
    home = Retry.home


class List(Mixed):
    argv = ["ebreplay", "--list", "-j"]


class Check(Mixed):
    argv = ["ebreplay", "--check"]
    allowed = {0, 1}


class Stat(Mixed):
    argv = ["ebstat", "-j"]


class Compress(Three):
    argv = ["ebreplay", "--compress"]
    allowed = {0, 75}


class Discard(Three):
    argv = ["ebreplay", "--discard", "--yes"]
    home = (argv, ["ebreplay"])
    kept = 8


class Retarget(Three):
    """The buffer is handed over to this Redis from another."""
    argv = ["ebreplay", "--retarget"]
    home = (argv, ["ebreplay"])

    def prepare(self, rig):
        given = super().prepare(rig)
        with open(f"{rig.buffer}/.target", "w", encoding="ascii") as f:
            f.write("127.0.0.1:1/0 quantum\n")
        return given


def dead_letter(redis, key, event):
    """As one that was set aside."""
    own = ["event_type", event["event_type"], "payload", json.dumps(event["payload"]), "event_id", event["event_id"]]
    names = ("dead_id", "dead_stream", "dead_group", "dead_consumer", "dead_attempts", "dead_status", "dead_stderr", "dead_time")
    redis.call("XADD", key, "*", *own, *(w for name in names for w in (name, "1")))


class Redrive(Scene):
    """Dead letters of two types."""
    argv = ["ebreplay", "--dead", "one", "two"]
    home = (argv,)
    allowed = {0, 69, 75}
    events = [one(1), one(1, "two", 2), one(2), one(2, "two", 2), one(3), one(4)]
    right = "+eval"

    def prepare(self, rig):
        rig.redis.call("ACL", "SETUSER", "default", self.right)
        for event in self.events:
            dead_letter(rig.redis, "quantum:dlq:" + event["event_type"], event)
        return entries(self.events)

    def streams(self, rig):
        """What is not moved stands behind what was, as if it were one stream."""
        return {kind: rig.redis.both(f"quantum:stream:{kind}", f"quantum:dlq:{kind}") for kind in ("one", "two")}

    def judged(self, trial, when, rig, ledger, final, torn):
        super().judged(trial, when, rig, ledger, final, torn)
        for kind in ("one", "two"):
            if final and rig.redis.call("XLEN", f"quantum:dlq:{kind}"):
                trial.wrong.append(f"{when}: not all were moved")
            if any(b"dead_id" in fields for _, fields in rig.redis.stream(f"quantum:stream:{kind}")):
                trial.wrong.append(f"{when}: a provenance in the stream")


class Watched(Redrive):
    """The same where scripts are not permitted, by WATCH."""
    right = "-eval"


# --- ebsub ---------------------------------------------------------------------------


class Subscribe(Scene):
    """Six events of two types go into a file; what is acknowledged stands in it."""
    argv = ["ebsub", "-s", "svc", "-C", "c1", "-e", "one", "two"]
    allowed = {0, 69, 75}
    harmed = {1, 74, 78}		# 1: no pipe
    events = [one(1), one(2), one(1, "two", 2), one(3), one(2, "two", 2), one(4)]

    def prepare(self, rig):
        run = rig.run(["ebpub", "-q", "-J"], records(self.events))
        assert run.status == 0, run.err
        return entries(self.events)

    def ready(self, rig):
        super().ready(rig)
        rig.empty("got")

    def command(self, rig, harm=None):
        return rig.run(self.argv, harm=harm, out=rig.file("got"))

    def calls(self, rig):
        self.ready(rig)
        return rig.calls(self.argv, out=rig.file("got"))[0]

    def allocations(self, rig):
        self.ready(rig)
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
        """The records in the file; what is behind the last newline is none."""
        with open(rig.file("got"), "rb") as f:
            return [json.loads(line)["event_id"] for line in f.read().split(b"\n")[:-1]]

    def trial(self, rig, harm):
        self.ready(rig)
        trial = Trial(self.command(rig, harm))
        if trial.run.status not in self.statuses(harm):
            trial.wrong.append(f"status {trial.run.status}: {trial.run.err}")
        first, done = self.whole(rig), self.acknowledged(rig)
        if set(done) - set(first):
            trial.wrong.append(f"acknowledged and not written: {set(done) - set(first)}")
        rig.empty("got")
        again = self.command(rig)
        if again.status not in (0, 124):
            trial.wrong.append(f"the run after it: status {again.status}: {again.err}")
        second = self.whole(rig)
        if set(second) & set(done):
            trial.wrong.append(f"acknowledged and given out again: {set(second) & set(done)}")
        missing = {e["event_id"] for e in self.events} - set(first) - set(second)
        if missing:
            trial.wrong.append(f"never given out: {missing}")
        if len(self.acknowledged(rig)) != len(self.events):
            trial.wrong.append("not all is acknowledged in the end")
        return trial


class Handle(Subscribe):
    """A command for each of three events, which writes what it handled into the file. It is not harmed itself."""
    argv = ["ebsub", "-s", "svc", "-C", "eb-c1", "-e", "--claim-idle", "3s", "--retry-base", "20ms", "one", "two", "--",
            "sh", "-c", """printf '{"event_id":"%s"}\\n' "$EB_EVENT_ID" """]
    events = [one(1), one(1, "two", 2), one(2)]
    unharmed = {"nomem"}	# what is preloaded would be in the command too
    patient = {"clone3", "clone", "vfork", "memfd_create", "pipe2", "mmap"}

    def setup(self, rig):
        super().setup(rig)
        rig.follow = []


SCENES = {c.__name__.lower(): c for c in (
    Direct, Fresh, Filled, Segment, Behind, Drain, Own, Limits, Pass, Stream, Away, Three, Flow, Large, Sure, Resume, Mixed, Claim,
    Unsorted, Held, Freed, Full, Kept, Keep, Bad, Whole, Compress, Discard, Retarget, Redrive, Watched, Retry, Aside, List, Check, Stat,
    Subscribe, Handle)}
