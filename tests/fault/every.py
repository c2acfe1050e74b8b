#!/usr/bin/env python3
"""every.py: harms the commands at every call they make, one call a run, and checks what came of it.

Each scene (scenes.py) runs once to count its system calls and allocations from the start of main on.
Then, for the Nth of each:

  kill    SIGKILL before it
  term    SIGTERM before it
  fail    it fails with each errno that may come of such a call
  stuck   it and all of its name behind it fail
  nomem   the Nth allocation fails

After each harm: the status is one that eventbus(7) allows and does not lie, nothing hangs, nothing is lost,
doubled, out of order, torn or left behind; checked before and after an unharmed replay.

Whatever the share of --sample, a case is in or out by itself, so that any number of workers agree.
"""
import argparse
import collections
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zlib

sys.dont_write_bytecode = True	# the tree stays as it was

from rig import Hang, Harm, Rig
from scenes import SCENES

FILES = ("EIO", "EACCES")
ROOM = ("ENOSPC", "EDQUOT", "EROFS")
# What may come of a call on a machine in trouble. Names that are not here cannot fail, or nobody looks.
ERRNOS = {
    "openat": FILES + ROOM + ("EMFILE", "ENFILE", "ENOMEM", "EINTR"),
    "mkdir": FILES + ROOM, "rename": FILES + ROOM, "renameat": FILES + ROOM, "renameat2": FILES + ROOM + ("ENOENT", "EEXIST"),
    "linkat": FILES + ROOM,
    "unlink": FILES + ("EROFS",), "unlinkat": FILES + ("EROFS",),
    "fsync": ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR"), "fdatasync": ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR"),
    "write": ("EIO", "ENOSPC", "EDQUOT", "EFBIG", "EINTR", "EPIPE", "EAGAIN"), "writev": ("EIO", "ENOSPC", "EPIPE"),
    "pwrite64": ("EIO", "ENOSPC", "EDQUOT", "EFBIG", "EINTR"), "ftruncate": ("EIO", "EINTR"),
    "fallocate": ("EIO", "ENOSPC", "EINTR", "EOPNOTSUPP"),
    "read": ("EIO", "EINTR", "EAGAIN"), "pread64": ("EIO", "EINTR"),
    "getdents64": ("EIO", "ENOMEM"), "newfstatat": FILES + ("ENOMEM",), "fstat": ("EIO", "ENOMEM"), "statx": FILES,
    "faccessat": FILES, "faccessat2": FILES, "fstatfs": ("EIO",), "flock": ("EINTR", "ENOLCK", "EAGAIN"),
    "close": ("EIO", "ENOSPC", "EDQUOT", "EINTR"), "fcntl": ("EMFILE", "EINTR"), "fchmod": ("EIO", "EROFS"),
    "socket": ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EACCES"),
    "connect": ("ECONNREFUSED", "ETIMEDOUT", "EAGAIN", "EACCES", "ECONNRESET", "ENETUNREACH", "EINTR"),
    "sendto": ("EPIPE", "ECONNRESET", "ETIMEDOUT", "EAGAIN", "ENOBUFS", "EINTR"),
    "recvfrom": ("ECONNRESET", "ETIMEDOUT", "EAGAIN", "EINTR", "ENOMEM"), "poll": ("EINTR", "ENOMEM"), "ppoll": ("EINTR", "ENOMEM"),
    "setsockopt": ("ENOBUFS",), "getsockname": ("ENOBUFS",), "getpeername": ("ENOTCONN", "ENOBUFS"),
    "clone3": ("EAGAIN", "ENOMEM"), "clone": ("EAGAIN", "ENOMEM"), "vfork": ("EAGAIN", "ENOMEM"),
    "memfd_create": ("EMFILE", "ENFILE", "ENOMEM"), "pipe2": ("EMFILE", "ENFILE"), "lseek": ("EIO",),
    "getrandom": ("EINTR", "ENOSYS"), "mmap": ("ENOMEM",), "clock_nanosleep": ("EINTR",),
}
KINDS = ("kill", "term", "fail", "stuck", "nomem")


def harms(scene, rig, kinds):
    kinds = set(kinds) - set(scene.unharmed)
    calls = scene.calls(rig) if kinds - {"nomem"} else []
    for name, nth in calls:
        for kind in ("kill", "term"):
            if kind in kinds and name != "exit_group":
                yield Harm(kind, name, nth)
        errors = ERRNOS.get(name, ())
        if "fail" in kinds:
            for error in errors:
                yield Harm("fail", name, nth, error)
        if "stuck" in kinds and errors and errors[0] != "EINTR" and name not in scene.patient:
            yield Harm("stuck", name, nth, errors[0])
    if "nomem" in kinds:
        for nth in range(1, scene.allocations(rig) + 1):
            yield Harm("nomem", "malloc", nth)


class Tally:
    def __init__(self):
        self.cases = self.looks = 0
        self.tried, self.harmed, self.found = collections.Counter(), collections.Counter(), collections.Counter()
        self.wrong = []

    def take(self, scene, harm, trial):
        self.looks += len(trial.verdicts)
        if trial.run.harmed:
            self.harmed[harm.kind] += 1
        for verdict in trial.verdicts:
            self.found.update({k: len(v) for k, v in verdict.found.items()})
        if trial.wrong:
            self.wrong.append(f"{scene}: {harm}: " + " | ".join(trial.wrong))

    def add(self, other):
        self.cases += other.cases
        self.looks += other.looks
        self.tried.update(other.tried)
        self.harmed.update(other.harmed)
        self.found.update(other.found)
        self.wrong += other.wrong


def chosen(o, rank, scene, harm):
    word = f"{o.seed} {scene} {harm}".encode()
    part = zlib.crc32(word) / 2**32
    return part < o.share[scene] and zlib.crc32(b"rank " + word) % o.jobs == rank


def trials(scene, rig, harm):
    """How many calls a run makes hangs on the clock too: where the one to be harmed did not come, again, and then one that comes earlier."""
    for part in (1, 1, 0.8, 0.5, 0.2):
        now = Harm(harm.kind, harm.name, max(1, int(harm.nth * part)), harm.error)
        trial = scene.trial(rig, now)
        yield now, trial
        if trial.run.harmed:
            return


def work(o, rank, base, results):
    """One worker, with a server of its own: its part of each scene."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rig = Rig(base, rank, o.bin, o.nomem)
    rig.whole_trace = o.trace
    try:
        for name in o.scenes:
            begin = time.monotonic()
            scene, tally = SCENES[name](), Tally()
            scene.setup(rig)
            for harm in harms(scene, rig, o.kinds):
                tally.cases += 1
                if not chosen(o, rank, name, harm) or o.only and str(harm) != o.only:
                    continue
                tally.tried[harm.kind] += 1
                try:
                    for now, trial in trials(scene, rig, harm):
                        tally.take(name, now, trial)
                        if o.trace:
                            print(rig.traced)
                except Hang as e:
                    tally.wrong.append(f"{name}: {harm}: {e}")
            results.put((name, tally, time.monotonic() - begin))
    except Exception:
        results.put((None, traceback.format_exc(), 0))
    finally:
        rig.stop()


def report(o, results):
    """Prints a line for each scene and all; returns how many were wrong."""
    parts, total = collections.defaultdict(list), Tally()
    for _ in range(len(o.scenes) * o.jobs):
        name, tally, took = results.get()
        if name is None:
            sys.exit(tally)
        parts[name].append((tally, took))
        if len(parts[name]) < o.jobs:
            continue
        both = Tally()
        for tally, _ in parts[name]:
            both.add(tally)
        both.cases = max(t.cases for t, _ in parts[name])
        print(f"{name}: {count(both)} of {both.cases} cases, {max(t for _, t in parts[name]):.1f} s", flush=True)
        for line in both.wrong[:o.show]:
            print("WRONG", " ".join(line.split())[:1000], flush=True)
        total.add(both)
    print(f"seed {o.seed}: {count(total)} of {total.cases} cases, {total.looks} checks: "
          f"{' '.join(f'{total.found[k]} {k}' for k in ('lost', 'doubled', 'disorder', 'strange', 'torn', 'leaked'))}, "
          f"{len(total.wrong)} wrong")
    # A loop that harms nobody proves nothing.
    idle = [f"{kind}: only {total.harmed[kind]} of {n} calls came" for kind, n in total.tried.items()
            if total.harmed[kind] * 10 < n * 7]
    for line in idle:
        print("WRONG", line)
    return len(total.wrong) + len(idle)


def count(tally):
    words = {"kill": "killed", "term": "terminated", "fail": "calls failed", "stuck": "failed for good", "nomem": "allocations failed"}
    return ", ".join(f"{tally.harmed[k]} {words[k]}" for k in KINDS if tally.harmed[k]) or "nothing harmed"


def share_of(o):
    """How much of each scene: --sample 1/2 or 1/2,claim=1/40."""
    first, *more = o.sample.split(",")
    part = {name: first for name in SCENES} | dict(m.split("=") for m in more)
    return {name: float(t.split("/")[0]) / float((t + "/1").split("/")[1]) for name, t in part.items()}


def options():
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    build = os.environ.get("EB_BUILD", os.path.join(top, "build"))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=os.environ.get("EB_BIN", os.path.join(build, "bin")))
    p.add_argument("--nomem", default=os.path.join(build, "tests", "nomem.so"))
    p.add_argument("--base", default="/dev/shm" if os.access("/dev/shm", os.W_OK) else None, help="where the folders are made")
    p.add_argument("--sample", default="1", help="a share, as 1/2; other shares of some scenes behind it, as 1/2,claim=1/40")
    p.add_argument("--seed", default=str(int(time.time())))
    p.add_argument("--scenes", default=",".join(SCENES))
    p.add_argument("--kinds", default=",".join(KINDS))
    p.add_argument("--only", help="one harm, as it is printed")
    p.add_argument("--trace", action="store_true", help="print the system calls around the harm")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--show", type=int, default=20)
    o = p.parse_args()
    o.scenes, o.kinds, o.share = o.scenes.split(","), o.kinds.split(","), share_of(o)
    return o


def main():
    o = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    base = tempfile.mkdtemp(dir=o.base, prefix="faults")
    results = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=work, args=(o, rank, base, results), daemon=True) for rank in range(o.jobs)]
    try:
        for w in workers:
            w.start()
        wrong = report(o, results)
        for w in workers:
            w.join()
        sys.exit(wrong != 0)
    finally:
        for w in workers:
            w.terminate()
            w.join()
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
