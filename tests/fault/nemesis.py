#!/usr/bin/env python3
"""nemesis.py [--seconds S] [--seed N] [--commands DIR] [--keep DIR]

Runs publishers, ebreplay as from cron, and subscribers of two groups, and injects faults (chaos/faults.py) on a schedule drawn from
the seed. At the end it removes all faults, drains the buffer and checks: every accepted event must be in its stream once and in
order (unless a command reported disorder, after the server stopped refusing in the middle of a batch), and every group must have
got every entry.

Prints the seed, the number of each fault, and the result; status 0 when nothing was found. Else the folder of the run is kept
(--keep names its parent), and a command that repeats the schedule is printed.
"""
import argparse
import collections
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, HERE)
sys.dont_write_bytecode = True	# keeps the tree clean

from chaos.actors import Cron, Onlooker, Operator, Shooter, Streamer, Subscriber
from chaos.faults import Faults, schedule
from chaos.world import PREFIX, World

TYPES = ["t0", "t1", "t2", "t3"]


def arguments():
    p = argparse.ArgumentParser(description="publishers, replays and subscribers under random faults")
    p.add_argument("--seconds", type=float, default=20)
    p.add_argument("--seed", type=int, default=None)
    p.add_argument("--commands", default=os.environ.get("EB_BIN") or os.path.join(HERE, "../../build/bin"))
    p.add_argument("--keep", default=None, metavar="DIR")
    a = p.parse_args()
    a.commands = os.path.abspath(a.commands)
    a.seed = random.randrange(1000000) if a.seed is None else a.seed
    return a


def make_actors(world):
    """Makes the actors: some publishers share a type, some have several types."""
    publishers = [Shooter(world, n, [TYPES[n % 2]]) for n in range(3)]
    publishers += [Shooter(world, 3, TYPES)]
    publishers += [Streamer(world, 4, [TYPES[0]]), Streamer(world, 5, [TYPES[2]]), Streamer(world, 6, TYPES)]
    subscribers = [Subscriber(world, "shared", "c1", TYPES, True), Subscriber(world, "shared", "c2", TYPES, False),
                   Subscriber(world, "alone", "c1", TYPES, False)]
    others = [Cron(world, "cron1"), Cron(world, "cron2"), Onlooker(world, "onlooker"), Operator(world, "operator")]
    return publishers, subscribers, others


# --- the end ---------------------------------------------------------------------------------------


def run_last(world, argv, allowed):
    p = world.spawn("last", argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    out = p.popen.stdout.read().decode()
    p.popen.stdout.close()
    return world.finish(p, allowed), out


def drain(world, subscribers):
    """Drains the buffer and all groups, with all faults removed; this must succeed."""
    if world.faketime:
        world.set_clock(0)
    status, out = run_last(world, ["ebreplay", "-j", "--wait", "60", "-t", "5"], {0, 1})
    world.log(f"drained: {status} {out.strip()}")
    if world.hands:	# what lies in quarantine comes back
        run_last(world, ["ebbuffer", "quarantine", "retry", "-t", "5"], {0, 1})
        run_last(world, ["ebreplay", "-j", "--wait", "60", "-t", "5"], {0, 1})
    status, out = run_last(world, ["ebreplay", "-v", "-t", "5"], {0, 1})
    if status != 0:
        world.found(f"a second ebreplay: {status} {out}")
    for s in subscribers:
        s.drain()
        s.read_file()


def check_streams(world, publishers):
    """Compares the publishers' ledgers with the streams (ledger.py). Events that an operator moved come later than others."""
    path = os.path.join(world.folder, "ledger")
    with open(path, "w", encoding="ascii") as f:
        for p in publishers:
            for n, sure in p.ledger.items():
                f.write(f"{p.number} {n}{'' if sure else ' ?'}\n")
    r = subprocess.run([sys.executable, os.path.join(HERE, "ledger.py"), world.socket, path, *(PREFIX + t for t in TYPES)],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    reported, perhaps = world.count_disorder_reports(), world.possible_duplicates
    print(r.stdout + (f"disorder reported: {reported}\n" if reported else ""), end="")
    counts = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", r.stdout)}
    bad = [k for k in ("lost", "unknown", "same_id") if counts.get(k, 1)]
    if bad or counts["doubled"] > perhaps or (r.returncode != 0 and not reported + perhaps + world.hands):
        world.found("the streams: " + r.stdout.replace("\n", "; "))


def check_group(world, group, members):
    """Checks that the group got every entry, with its event_id, and acknowledged it."""
    seen = collections.defaultdict(dict)
    for s in members:
        for kind, ident, event_id in s.seen:
            seen[kind].setdefault(ident, event_id)
    missing, wrong, printed, order = [], [], 0, []
    for t in TYPES:
        entries = {ident: kv.get(b"event_id", b"").decode() for ident, kv in world.stream(PREFIX + t)}
        printed += len(seen[t])
        missing += [(t, i) for i in entries if i not in seen[t]]
        wrong += [(t, i) for i, e in seen[t].items() if entries.get(i) != e]
        if len(members) == 1:
            first = [tuple(map(int, i.split("-"))) for i in seen[t]]
            order += [(t, b) for a, b in zip(first, first[1:]) if b < a]
        pending = world.ask("XPENDING", PREFIX + t, group)
        if not isinstance(pending, list) or pending[0] != 0:
            world.found(f"group {group}, {t}: pending {pending}")
    total = sum(len(s.seen) for s in members)
    print(f"group {group}: delivered={printed} again={total - printed} missing={len(missing)} wrong={len(wrong)} disorder={len(order)}")
    for name, bad in (("missing", missing), ("wrong", wrong), ("disorder", order)):
        if bad:
            world.found(f"group {group}: {name}: {bad[:10]}")


def check_buffer(world):
    """Checks that the buffer is empty and no type is held. A line in doubt counts as a possible duplicate when a permission is
    restored between its failed search and its XADD; without such faults there must be none."""
    out = run_last(world, ["ebstat", "-j"], {0, 1})[1]
    b = json.loads(out)["buffer"]
    print(f"buffer: left={b['total_events']} held={len(b['held'])} quarantined={b['quarantined']} "
          f"possible_duplicates={b['possible_duplicates']} suspect={b['suspect_segments']} vanished={len(b['vanished'])}")
    world.possible_duplicates = b["possible_duplicates"] if world.holds else 0
    for name in ("total_events", "held", "possible_duplicates", "suspect_segments", "vanished", "odd_files"):
        if b[name] and not (name == "possible_duplicates" and world.holds):
            world.found(f"the buffer: {name}: {b[name]}")
    # Temporary files of killed processes are removed after an hour.
    left = [n for n in os.listdir(world.buffer) if ".jsonl" in n or n.startswith("filler")]
    if left:
        world.found(f"left in the buffer: {left}")


# --- the run -----------------------------------------------------------------------------------------


def stop(world, publishers, subscribers, others):
    world.over.set()
    for p in publishers:
        p.join()
    world.ended.set()
    for s in subscribers:
        while s.is_alive():
            for p in list(world.procs):
                if p.kind == "sub" and not p.hit:
                    p.send(15)
            s.join(0.1)
    for a in others:
        a.join()


def run(world, seconds):
    world.server_start()
    publishers, subscribers, others = make_actors(world)
    for a in publishers + subscribers + others:
        a.start()
    faults = Faults(world, TYPES, publishers)
    faults.run(schedule(world.seed, seconds))
    time.sleep(max(0, world.began + seconds - time.monotonic()))
    stop(world, publishers, subscribers, others)
    drain(world, subscribers)
    print("injected: " + ", ".join(f"{k} {v}" for k, v in sorted(world.injected.items())))
    print("statuses: " + ", ".join(f"{k}: {v}" for k, v in sorted(world.statuses.items())))
    check_buffer(world)
    check_streams(world, publishers)
    check_group(world, "shared", subscribers[:2])
    check_group(world, "alone", subscribers[2:])


def main():
    a = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="nemesis-", dir=a.keep)
    if len(folder) > 80:	# the path of a unix socket must be short
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="nemesis-", dir="/tmp")
    world = World(folder, a.commands, a.seed)
    print(f"seed {a.seed}, {a.seconds:g} s, {world.settings()}", flush=True)
    try:
        run(world, a.seconds)
    except (RuntimeError, OSError, KeyError, ValueError) as e:
        world.found(f"{type(e).__name__}: {e}")
    finally:
        world.close()
    if not world.findings:
        shutil.rmtree(folder)
        print(f"seed {a.seed}: {sum(world.injected.values())} faults, nothing found")
        return 0
    for text in world.findings[:30]:
        print("FOUND " + text[:2000])
    print(f"seed {a.seed}: {len(world.findings)} findings; kept {folder}; repeat with tests/fault/nemesis.py --seconds {a.seconds:g} --seed {a.seed}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
