#!/usr/bin/env python3
"""crowd.py read SOCKET KEY GROUP LEDGER [SECONDS]: runs six consumers that come and go until every entry was delivered.
crowd.py check SOCKET KEY GROUP LEDGER: checks that every delivered entry is either pending or acknowledged, not both.

Each consumer reads a few entries, acknowledges most of them, leaves the others pending, stops, and starts again under another
name. One in ten of its reads claims entries of other consumers. The ledger lists the IDs whose XACK Redis answered with 1.
"""
import os
import random
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from resp import Redis

what, sock, key, group, ledger = sys.argv[1:6]
limit = float(sys.argv[6]) if len(sys.argv) > 6 else 60
acked, lock, failed = [], threading.Lock(), []


def ids_of(entries):
    return [e[0] for e in entries or [] if e and e[0]]


def take_entries(redis, name, rnd):
    """Reads or claims entries; returns their IDs, and whether no undelivered entry was left."""
    if rnd.random() < 0.1:
        return ids_of(redis.call("XAUTOCLAIM", key, group, name, 0, "-", "COUNT", 5)[1]), False
    got = redis.call("XREADGROUP", "GROUP", group, name, "COUNT", rnd.randint(1, 8), "STREAMS", key, ">")
    return ids_of(got[0][1] if got else []), not got


def consumer(rank):
    redis, rnd, end, life = Redis(sock), random.Random(rank), time.monotonic() + limit, 0
    try:
        over = False
        while not over and time.monotonic() < end:
            name = f"{'eb-' if rank % 3 == 0 else ''}w{rank}-{life % 7}"
            life += 1
            for _ in range(rnd.randint(1, 12)):
                ids, over = take_entries(redis, name, rnd)
                if over:
                    break
                for ident in ids:
                    if rnd.random() < 0.7 and redis.call("XACK", key, group, ident) == 1:
                        with lock:
                            acked.append(ident.decode())
    except Exception as e:		# pylint: disable=broad-except
        failed.append(repr(e))


def read():
    some = [threading.Thread(target=consumer, args=(i,)) for i in range(6)]
    for t in some:
        t.start()
    for t in some:
        t.join()
    with open(ledger, "w", encoding="ascii") as f:
        f.writelines(i + "\n" for i in acked)
    print(f"{len(acked)} acknowledged" + "".join("\nfailed: " + w for w in failed))
    return 1 if failed else 0


def pending(redis):
    some, at = set(), "-"
    while True:
        page = redis.call("XPENDING", key, group, at, "+", 5000)
        some.update(p[0].decode() for p in page)
        if len(page) < 5000:
            return some
        at = "(" + page[-1][0].decode()


def number(ident):
    return tuple(int(n) for n in ident.split("-"))


def check():
    redis = Redis(sock)
    groups = [dict(zip(g[::2], g[1::2])) for g in redis.call("XINFO", "GROUPS", key)]
    last = number(next(g[b"last-delivered-id"].decode() for g in groups if g[b"name"].decode() == group))
    given = {i for i, _ in redis.stream(key) if number(i) <= last}
    with open(ledger, encoding="ascii") as f:
        done = f.read().split()
    held, wrong = pending(redis), []
    wrong += [f"{i} acknowledged twice" for i in set(done) if len(done) != len(set(done)) and done.count(i) > 1]
    wrong += [f"{i} vanished" for i in given - held - set(done)]
    wrong += [f"{i} acknowledged and pending" for i in held & set(done)]
    print(f"{len(given)} delivered, {len(done)} acknowledged, {len(held)} pending, {len(wrong)} wrong")
    print("\n".join(wrong[:10]))
    return 1 if wrong or not given else 0


sys.exit({"read": read, "check": check}[what]())
