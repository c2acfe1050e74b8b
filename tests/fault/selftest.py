#!/usr/bin/env python3
"""selftest.py: checks that ledger.py finds each kind of error in streams and buffers."""
import os
import sys
import tempfile
import zlib

sys.dont_write_bytecode = True	# keeps the tree clean

from buffer import Buffer
from ledger import PERHAPS, Ledger, compare_ledger

NAME = "buffer_2025-12-04_10-30-00_000001"


def entry(n, at, p=1, ident=None):
    return f"{at}-0", {b"payload": b'{"p":%d,"n":%d}' % (p, n), b"event_id": (ident or f"{p}-{n}").encode()}


def line(n, p=1):
    head = b'{"event_type":"t","message":{"payload":"{\\"p\\":%d,\\"n\\":%d}","event_id":"%d-%d"}' % (p, n, p, n)
    return head + b',"crc":"%08x"}\n' % zlib.crc32(head)


def verdict(given, stream, files=None, final=True, **more):
    """Returns the names of the errors that were found."""
    ledger = Ledger()
    for event in given:
        ledger.add(*event)
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (files or {}).items():
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)
        found = compare_ledger(ledger, {"s": stream}, Buffer(folder), final, **more).found
    return {name for name, what in found.items() if what}


def expect(words, *args, **more):
    got = verdict(*args, **more)
    if got != set(words.split()):
        sys.exit(f"expected {words!r}, found {sorted(got)}: {args} {more}")


def main():
    two = [(1, 1), (1, 2)]
    both = [entry(1, 1), entry(2, 2)]
    segment = f"{NAME}.jsonl"
    expect("", two, both)
    expect("lost", two, both[:1])
    expect("", [(1, 1), (1, 2, PERHAPS)], both[:1])
    expect("doubled", two, both + [entry(2, 3)])
    expect("disorder", two, [entry(2, 1), entry(1, 2)])
    expect("", [(1, 1, "~"), (1, 2)], [entry(2, 1), entry(1, 2)])
    expect("", two + [(2, 1)], [entry(1, 1), entry(1, 2, 2), entry(2, 3)])
    expect("unknown", two, both + [entry(3, 3)])
    expect("unknown", [(1, 1, "!"), (1, 2)], both)
    expect("same_id", two, [entry(1, 1, ident="x"), entry(2, 2, ident="x")])
    expect("unknown", [(1, 1, "=", "mine")], [entry(1, 1, ident="other")])
    expect("leaked", two, both, {segment: line(2)})
    expect("leaked", two, both, {".target.4711": b"x"})
    expect("lost leaked", two, both[:1], {segment: line(2)})
    expect("", two, both[:1], {segment: line(2)}, final=False)
    expect("lost torn", two, both[:1], {segment: line(2)[:-9]}, final=False)
    expect("lost torn", two, both[:1], {segment: line(2).replace(b'"1-2"', b'"1-3"')}, final=False)
    expect("lost", two, both[:1], {segment: line(2)[:-9]}, final=False, bad=1)
    expect("doubled", two, [], {segment: line(1) + line(2) + line(2)}, final=False)
    expect("disorder", two, [], {segment: line(2) + line(1)}, final=False)
    expect("", two, [], {f"{NAME}.suspect.jsonl": line(1), segment.replace("1.", "2."): line(1) + line(2)}, final=False)
    print("good")


if __name__ == "__main__":
    main()
