#!/usr/bin/env python3
"""every.py: injects a fault at every system call and allocation of the commands, one fault a run, and checks the result.

Each scene (scenes.py) first runs once to count its system calls and allocations from the start of main. The faults at the Nth call:

  kill    SIGKILL before the call
  term    SIGTERM before the call
  fail    the call fails, with each errno that such a call can return
  stuck   the call and all later calls of its name fail
  nomem   the Nth allocation fails

After each fault the status must be one that eventbus(7) allows and must be true, and no process may hang. Before and after a replay
without faults, no event may be lost, doubled, out of order or torn, and no file or lock may be left behind.

Whether --sample selects a case depends only on the seed and the case, so any number of workers select the same cases.
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

sys.dont_write_bytecode = True	# keeps the tree clean

from rig import Fault, Hang, Rig, parse_shares
from scenes import SCENES

FILES = ("EIO", "EACCES")
ROOM = ("ENOSPC", "EDQUOT", "EROFS")
# The errors that each call can return. Calls that are not listed cannot fail, or their result is not checked.
ERRNOS = {
    "openat": FILES + ROOM + ("EMFILE", "ENFILE", "ENOMEM", "EINTR"),
    "mkdir": FILES + ROOM, "rename": FILES + ROOM, "renameat": FILES + ROOM, "renameat2": FILES + ROOM + ("ENOENT", "EEXIST", "ENOSYS", "EINVAL"),
    "linkat": FILES + ROOM,
    "unlink": FILES + ("EROFS",), "unlinkat": FILES + ("EROFS",),
    "fsync": ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR", "EINVAL"), "syncfs": ("EIO", "ENOSPC"), "fdatasync": ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR"),
    "write": ("EIO", "ENOSPC", "EDQUOT", "EFBIG", "EINTR", "EPIPE", "EAGAIN"), "writev": ("EIO", "ENOSPC", "EPIPE"),
    "pwrite64": ("EIO", "ENOSPC", "EDQUOT", "EFBIG", "EINTR"), "ftruncate": ("EIO", "EINTR"),
    "fallocate": ("EIO", "ENOSPC", "EINTR", "EOPNOTSUPP"),
    "read": ("EIO", "EINTR", "EAGAIN"), "pread64": ("EIO", "EINTR"),
    "getdents64": ("EIO", "ENOMEM"), "newfstatat": FILES + ("ENOMEM",), "fstat": ("EIO", "ENOMEM"), "statx": FILES,
    "faccessat": FILES, "faccessat2": FILES, "fstatfs": ("EIO",), "flock": ("EINTR", "ENOLCK", "EAGAIN", "ENOSYS", "EIO"),
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


def list_faults(scene, rig, kinds):
    kinds = set(kinds) - set(scene.skipped_kinds)
    calls = scene.calls(rig) if kinds - {"nomem"} else []
    for name, nth in calls:
        for kind in ("kill", "term"):
            if kind in kinds and name != "exit_group":
                yield Fault(kind, name, nth)
        errors = ERRNOS.get(name, ())
        if "fail" in kinds:
            for error in errors:
                yield Fault("fail", name, nth, error)
        if "stuck" in kinds and errors and errors[0] != "EINTR" and name not in scene.retried_calls:
            yield Fault("stuck", name, nth, errors[0])
    if "nomem" in kinds:
        for nth in range(1, scene.allocations(rig) + 1):
            yield Fault("nomem", "malloc", nth)


class Tally:
    def __init__(self):
        self.cases = self.checks = 0
        self.tried, self.injected, self.found = collections.Counter(), collections.Counter(), collections.Counter()
        self.wrong = []

    def add_result(self, scene, fault, trial):
        self.checks += len(trial.verdicts)
        if trial.run.injected:
            self.injected[fault.kind] += 1
        for verdict in trial.verdicts:
            self.found.update({k: len(v) for k, v in verdict.found.items()})
        if trial.wrong:
            self.wrong.append(f"{scene}: {fault}: " + " | ".join(trial.wrong))

    def add(self, other):
        self.cases += other.cases
        self.checks += other.checks
        self.tried.update(other.tried)
        self.injected.update(other.injected)
        self.found.update(other.found)
        self.wrong += other.wrong


def is_chosen(o, rank, scene, fault):
    word = f"{o.seed} {scene} {fault}".encode()
    part = zlib.crc32(word) / 2**32
    return part < o.share[scene] and zlib.crc32(b"rank " + word) % o.jobs == rank


def try_fault(scene, rig, fault):
    """Runs a fault. The number of calls of a run depends on timing: where the Nth call did not happen, tries again, then earlier calls."""
    for part in (1, 1, 0.8, 0.5, 0.2):
        now = Fault(fault.kind, fault.name, max(1, int(fault.nth * part)), fault.error)
        trial = scene.trial(rig, now)
        yield now, trial
        if trial.run.injected:
            return


def run_worker(o, rank, base, results):
    """Runs one worker, with a server of its own, on its share of each scene."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rig = Rig(base, rank, o.bin, o.nomem)
    rig.whole_trace = o.trace
    try:
        for name in o.scenes:
            begin = time.monotonic()
            scene, tally = SCENES[name](), Tally()
            scene.setup(rig)
            for fault in list_faults(scene, rig, o.kinds):
                tally.cases += 1
                if not is_chosen(o, rank, name, fault) or o.only and str(fault) != o.only:
                    continue
                tally.tried[fault.kind] += 1
                try:
                    for now, trial in try_fault(scene, rig, fault):
                        tally.add_result(name, now, trial)
                        if o.trace:
                            print(rig.traced)
                except Hang as e:
                    tally.wrong.append(f"{name}: {fault}: {e}")
            results.put((name, tally, time.monotonic() - begin))
    except Exception:
        results.put((None, traceback.format_exc(), 0))
    finally:
        rig.stop()


def report(o, results):
    """Prints a line for each scene and a total; returns the number of errors."""
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
        print(f"{name}: {format_counts(both)} of {both.cases} cases, {max(t for _, t in parts[name]):.1f} s", flush=True)
        for line in both.wrong[:o.show]:
            print("WRONG", " ".join(line.split())[:1000], flush=True)
        total.add(both)
    print(f"seed {o.seed}: {format_counts(total)} of {total.cases} cases, {total.checks} checks: "
          f"{' '.join(f'{total.found[k]} {k}' for k in ('lost', 'doubled', 'disorder', 'unknown', 'torn', 'leaked'))}, "
          f"{len(total.wrong)} wrong")
    # A loop that injects too few faults proves nothing.
    missed = [f"{kind}: only {total.injected[kind]} of {n} faults were injected" for kind, n in total.tried.items()
              if total.injected[kind] * 10 < n * 7]
    for line in missed:
        print("WRONG", line)
    return len(total.wrong) + len(missed)


def format_counts(tally):
    words = {"kill": "killed", "term": "terminated", "fail": "calls failed", "stuck": "failed from then on", "nomem": "allocations failed"}
    return ", ".join(f"{tally.injected[k]} {words[k]}" for k in KINDS if tally.injected[k]) or "no fault injected"


def options():
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    build = os.environ.get("EB_BUILD", os.path.join(top, "build"))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=os.environ.get("EB_BIN", os.path.join(build, "bin")))
    p.add_argument("--nomem", default=os.path.join(build, "tests", "nomem.so"))
    p.add_argument("--base", default="/dev/shm" if os.access("/dev/shm", os.W_OK) else None, help="parent of the work folders")
    p.add_argument("--sample", default="1", help="the share to try, such as 1/2; with other shares for scenes, such as 1/2,adopt=1/40")
    p.add_argument("--seed", default=str(int(time.time())))
    p.add_argument("--scenes", default=",".join(SCENES))
    p.add_argument("--kinds", default=",".join(KINDS))
    p.add_argument("--only", help="one fault, as it is printed")
    p.add_argument("--trace", action="store_true", help="print the system calls around the fault")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--show", type=int, default=20)
    o = p.parse_args()
    o.scenes, o.kinds, o.share = o.scenes.split(","), o.kinds.split(","), parse_shares(o.sample, SCENES)
    return o


def main():
    o = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    base = tempfile.mkdtemp(dir=o.base, prefix="faults")
    results = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=run_worker, args=(o, rank, base, results), daemon=True) for rank in range(o.jobs)]
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
