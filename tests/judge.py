#!/usr/bin/env python3
"""judge.py SOCKET LEDGER KEY...: what was accepted against what is in the streams.

The ledger has a line "P N" for each event that was accepted, "P N ?" for one whose
publisher died before it could say so. Payloads are {"p":P,"n":N}. Prints the counts;
fails when an event is lost, doubled, in a stream nobody gave it to, or when the
events of a publisher P are out of order (ascending N) within one stream.
"""
import json
import socket
import sys


class Redis:
    """As much of the protocol as is needed to read, over a unix socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(path)
        self.file = self.sock.makefile("rb")

    def call(self, *words):
        out = b"*%d\r\n" % len(words)
        for w in words:
            w = str(w).encode()
            out += b"$%d\r\n%s\r\n" % (len(w), w)
        self.sock.sendall(out)
        return self.reply()

    def reply(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]

    def stream(self, key):
        """(ID, {field: value}) of each entry, oldest first."""
        after = "-"
        while True:
            page = self.call("XRANGE", key, after, "+", "COUNT", 2000)
            for ident, kv in page:
                yield ident.decode(), dict(zip(kv[::2], kv[1::2]))
            if len(page) < 2000:
                return
            after = "(" + page[-1][0].decode()


def main():
    redis = Redis(sys.argv[1])
    sure, maybe = set(), set()
    with open(sys.argv[2], encoding="ascii") as ledger:
        for line in ledger:
            words = line.split()
            (sure if len(words) == 2 else maybe).add((words[0], int(words[1])))
    times, ids, disorder, strange = {}, {}, [], []
    total = 0
    for key in sys.argv[3:]:
        last = {}
        for ident, entry in redis.stream(key):
            try:
                body = json.loads(entry[b"payload"])
                event = (str(body["p"]), body["n"])
            except (KeyError, TypeError, ValueError):
                continue
            total += 1
            times[event] = times.get(event, 0) + 1
            ids[entry[b"event_id"]] = ids.get(entry[b"event_id"], 0) + 1
            if event[1] < last.get(event[0], event[1]):
                disorder.append((event, last[event[0]], ident))
            last[event[0]] = event[1]
            if event not in sure and event not in maybe:
                strange.append(event)
    lost = sorted(sure - set(times))
    doubled = [e for e, k in times.items() if k > 1]
    same_id = [i for i, k in ids.items() if k > 1 and len(doubled) == 0]
    print(f"accepted={len(sure)} perhaps={len(maybe)} entries={total} lost={len(lost)} "
          f"doubled={len(doubled)} disorder={len(disorder)} strange={len(strange)} same_id={len(same_id)}")
    for name, bad in (("lost", lost), ("doubled", doubled), ("disorder", disorder),
                      ("strange", strange), ("same_id", same_id)):
        if bad:
            print(name, bad[:10])
    sys.exit(bool(lost or doubled or disorder or strange or same_id))


if __name__ == "__main__":
    main()
