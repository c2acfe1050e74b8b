#!/usr/bin/env python3
"""ledger.py SOCKET LEDGER KEY...: what was accepted against what is in the streams.

The ledger stands outside of the buffer. It has a line "P N" for each event that was
accepted, "P N ?" for one whose publisher died before it could say so, "P N !" for one
that was refused, "P N ~" for one of which it was said that it is not safe, which may
stand anywhere, once: publisher P's event number N, whose payload is {"p":P,"n":N}. An
event's identity may follow: "P N = ID" (or ? ID). Prints the counts; fails when an event is lost,
doubled, in a stream though nobody gave it, or when the events of a publisher are out
of order (ascending N) within one stream.

As a module it also looks into the buffer; see judge().
"""
import collections
import sys

sys.dont_write_bytecode = True	# the tree stays as it was

from buffer import event_of
from resp import Redis

SURE, PERHAPS, UNSAFE, NEVER = "=", "?", "~", "!"


class Ledger:
    def __init__(self):
        self.state, self.ident = {}, {}

    def add(self, p, n, state=SURE, ident=None):
        event = (str(p), n)
        # Sure once is sure: an event may stand in the ledger a second time.
        if self.state.get(event) != SURE:
            self.state[event] = state
        if ident:
            self.ident[event] = ident

    def read(self, path):
        with open(path, encoding="ascii") as f:
            for line in f:
                p, n, *more = line.split()
                self.add(p, int(n), *more)
        return self

    def those(self, state):
        return {e for e, s in self.state.items() if s == state}


class Verdict:
    """What was found, a list under each of NAMES; true when that is nothing."""
    NAMES = ("lost", "doubled", "disorder", "strange", "same_id", "torn", "leaked")

    def __init__(self):
        self.found = {name: [] for name in self.NAMES}
        self.entries = 0

    def __bool__(self):
        return not any(self.found.values())

    def __str__(self):
        return "; ".join(f"{k} {v[:10]}" for k, v in self.found.items() if v) or "good"

    def counts(self):
        return " ".join(f"{k}={len(v)}" for k, v in self.found.items())


def look_at_order(ledger, verdict, where, events):
    """Those of each publisher ascend, and all were given by somebody."""
    last = {}
    for event, place in events:
        if ledger.state.get(event) == UNSAFE:
            continue
        if event[1] < last.get(event[0], event[1]):
            verdict.found["disorder"].append((where, event, last[event[0]], place))
        last[event[0]] = event[1]
        if ledger.state.get(event, NEVER) == NEVER:
            verdict.found["strange"].append((where, event, place))


def look_at_streams(ledger, verdict, streams):
    """streams: {key: [(ID, fields)]}. How often each event stands in them."""
    times, ids = collections.Counter(), collections.Counter()
    for key, entries in streams.items():
        seen = [(event_of(f.get(b"payload")), i, f.get(b"event_id", b"").decode()) for i, f in entries]
        seen = [s for s in seen if s[0]]
        look_at_order(ledger, verdict, key, [s[:2] for s in seen])
        times.update(event for event, _, _ in seen)
        ids.update(ident for _, _, ident in seen)
        verdict.entries += len(seen)
        verdict.found["strange"] += [(key, event, ident) for event, _, ident in seen
                                     if ledger.ident.get(event, ident) != ident]
    verdict.found["doubled"] += sorted(e for e, k in times.items() if k > 1)
    if not verdict.found["doubled"]:
        verdict.found["same_id"] += [i for i, k in ids.items() if k > 1]
    return times


def look_at_buffer(ledger, verdict, buffer, bad):
    """bad: so many lines that are no events may stand there."""
    chains = collections.defaultdict(list)
    for line in buffer.lines:
        if line.event and not line.bad and ".suspect." not in line.name:
            own = ".own-" in line.name or ".claimed-" in line.name
            chains[(line.type, line.name if own else "chain")].append((line.event, line.name))
    for (kind, _), events in chains.items():
        look_at_order(ledger, verdict, kind, events)
        again = collections.Counter(event for event, _ in events)
        verdict.found["doubled"] += [("buffer", e) for e, k in again.items() if k > 1]
    torn = buffer.torn()
    if len(torn) > bad:
        verdict.found["torn"] += [(line.name, line.raw[-60:]) for line in torn]
    verdict.found["leaked"] += [("lock", name) for name in buffer.locked()]


def judge(ledger, streams, buffer=None, final=True, bad=0, kept=0):
    """Before the last replay (final false) an event may stand in the buffer or in quarantine too, and
    up to `bad` lines there are no events. After it every event is in its stream once, or in
    quarantine when that is where `kept` events belong, and nothing is left of the files."""
    verdict = Verdict()
    times = look_at_streams(ledger, verdict, streams)
    have = set(times)
    if buffer:
        aside = collections.Counter(line.event for line in buffer.quarantined if line.event and not line.bad)
        verdict.found["doubled"] += [("quarantine", e) for e, k in aside.items() if k > 1 or e in have]
        verdict.found["strange"] += [("quarantine", e) for e in aside if e not in ledger.state]
        if not final or kept:
            have |= set(aside)
        if not final:
            look_at_buffer(ledger, verdict, buffer, bad)
            have |= {line.event for line in buffer.lines if not line.bad}
        else:
            verdict.found["leaked"] += buffer.segments + buffer.leaks
            if len(buffer.quarantined) + buffer.whole > bad + kept:
                verdict.found["strange"] += [("quarantine", line.raw[:80]) for line in buffer.quarantined]
    verdict.found["lost"] += sorted(ledger.those(SURE) - have)
    return verdict


def main():
    redis = Redis(sys.argv[1])
    ledger = Ledger().read(sys.argv[2])
    verdict = judge(ledger, {key: list(redis.stream(key)) for key in sys.argv[3:]})
    print(f"accepted={len(ledger.those(SURE))} perhaps={len(ledger.those(PERHAPS))} "
          f"entries={verdict.entries} {verdict.counts()}")
    if not verdict:
        print(verdict)
    sys.exit(not verdict)


if __name__ == "__main__":
    main()
