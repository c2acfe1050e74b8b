#!/usr/bin/env python3
"""ledger.py SOCKET LEDGER KEY...: compares the accepted events with the streams.

The file LEDGER has a line for each event N of publisher P, whose payload is {"p":P,"n":N}:

  P N      accepted
  P N ?    perhaps: the publisher died before it answered
  P N !    refused
  P N ~    reported as not safe: it may be anywhere, at most once

An event_id may follow: "P N = ID" (accepted) or "P N ? ID". Prints the counts. Fails when an event is lost, is doubled, is in a
stream without being in the ledger, or when the events of a publisher are out of order (N must ascend) within one stream.

As a module it also checks the buffer; see compare_ledger().
"""
import collections
import sys

sys.dont_write_bytecode = True	# keeps the tree clean

from buffer import event_of
from resp import Redis

SURE, PERHAPS, UNSAFE, NEVER = "=", "?", "~", "!"


class Ledger:
    def __init__(self):
        self.state, self.ident = {}, {}

    def add(self, p, n, state=SURE, ident=None):
        event = (str(p), n)
        # An event may be in the ledger twice; once accepted it stays accepted.
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

    def events_in(self, state):
        return {e for e, s in self.state.items() if s == state}


class Verdict:
    """The errors found: a list for each of NAMES. True when all lists are empty."""
    NAMES = ("lost", "doubled", "disorder", "unknown", "same_id", "torn", "leaked")

    def __init__(self):
        self.found = {name: [] for name in self.NAMES}
        self.entries = 0

    def __bool__(self):
        return not any(self.found.values())

    def __str__(self):
        return "; ".join(f"{k} {v[:10]}" for k, v in self.found.items() if v) or "good"

    def counts(self):
        return " ".join(f"{k}={len(v)}" for k, v in self.found.items())


def check_order(ledger, verdict, where, events):
    """Checks that each publisher's events ascend and that the ledger has all of them."""
    last = {}
    for event, place in events:
        if ledger.state.get(event) == UNSAFE:
            continue
        if event[1] < last.get(event[0], event[1]):
            verdict.found["disorder"].append((where, event, last[event[0]], place))
        last[event[0]] = event[1]
        if ledger.state.get(event, NEVER) == NEVER:
            verdict.found["unknown"].append((where, event, place))


def check_streams(ledger, verdict, streams):
    """Checks the streams, {key: [(ID, fields)]}. Returns how often each event is in them."""
    times, ids = collections.Counter(), collections.Counter()
    for key, entries in streams.items():
        seen = [(event_of(f.get(b"payload")), i, f.get(b"event_id", b"").decode()) for i, f in entries]
        seen = [s for s in seen if s[0]]
        check_order(ledger, verdict, key, [s[:2] for s in seen])
        times.update(event for event, _, _ in seen)
        ids.update(ident for _, _, ident in seen)
        verdict.entries += len(seen)
        verdict.found["unknown"] += [(key, event, ident) for event, _, ident in seen
                                     if ledger.ident.get(event, ident) != ident]
    verdict.found["doubled"] += sorted(e for e, k in times.items() if k > 1)
    if not verdict.found["doubled"]:
        verdict.found["same_id"] += [i for i, k in ids.items() if k > 1]
    return times


def check_buffer(ledger, verdict, buffer, bad):
    """Checks the buffer, which may have up to `bad` lines that are not events."""
    chains = collections.defaultdict(list)
    for line in buffer.lines:
        if line.event and not line.bad and ".suspect." not in line.name:
            own = ".own-" in line.name or ".claimed-" in line.name
            chains[(line.type, line.name if own else "chain")].append((line.event, line.name))
    for (kind, _), events in chains.items():
        check_order(ledger, verdict, kind, events)
        again = collections.Counter(event for event, _ in events)
        verdict.found["doubled"] += [("buffer", e) for e, k in again.items() if k > 1]
    torn = buffer.torn()
    if len(torn) > bad:
        verdict.found["torn"] += [(line.name, line.raw[-60:]) for line in torn]
    verdict.found["leaked"] += [("lock", name) for name in buffer.locked()]


def compare_ledger(ledger, streams, buffer=None, final=True, bad=0, kept=0):
    """Compares the ledger with the streams and the buffer; returns a Verdict.

    Before the last replay (final is false) an event may also be in the buffer or in quarantine, and up to `bad` lines there may not
    be events. After it every event must be in its stream once, or be one of `kept` events in quarantine, and no segment may be left.
    """
    verdict = Verdict()
    times = check_streams(ledger, verdict, streams)
    have = set(times)
    if buffer:
        aside = collections.Counter(line.event for line in buffer.quarantined if line.event and not line.bad)
        verdict.found["doubled"] += [("quarantine", e) for e, k in aside.items() if k > 1 or e in have]
        verdict.found["unknown"] += [("quarantine", e) for e in aside if e not in ledger.state]
        if not final or kept:
            have |= set(aside)
        if not final:
            check_buffer(ledger, verdict, buffer, bad)
            have |= {line.event for line in buffer.lines if not line.bad}
        else:
            verdict.found["leaked"] += buffer.segments + buffer.leaks
            if len(buffer.quarantined) + buffer.whole > bad + kept:
                verdict.found["unknown"] += [("quarantine", line.raw[:80]) for line in buffer.quarantined]
    verdict.found["lost"] += sorted(ledger.events_in(SURE) - have)
    return verdict


def main():
    redis = Redis(sys.argv[1])
    ledger = Ledger().read(sys.argv[2])
    verdict = compare_ledger(ledger, {key: list(redis.stream(key)) for key in sys.argv[3:]})
    print(f"accepted={len(ledger.events_in(SURE))} perhaps={len(ledger.events_in(PERHAPS))} "
          f"entries={verdict.entries} {verdict.counts()}")
    if not verdict:
        print(verdict)
    sys.exit(not verdict)


if __name__ == "__main__":
    main()
