"""head: prints the machine and the versions that a run was made with."""
import datetime
import json
import os
import platform
import subprocess

import growth
import jobs
from server import CORES, PINNED, Missing


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def processor():
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith(("model name", "Model", "cpu model")):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def file_system(path):
    """Returns the type and the device of the file system that a path is on."""
    path, found = os.path.realpath(path), ("", "unknown")
    with open("/proc/self/mounts") as f:
        for device, at, kind, *_ in map(str.split, f):
            if (path + "/").startswith(at.rstrip("/") + "/") and len(at) >= len(found[0]):
                found = at, f"{kind} on {device}"
    return found[1]


def redis_py():
    try:
        return output_of(jobs.redis_py(), "-c", "import redis\ntry:\n import hiredis; h=' with its hiredis'\nexcept ImportError: h=''\n"
                    "print(redis.__version__ + h)")
    except Missing:
        return "none"


def counter():
    try:
        return growth.counter()
    except Missing:
        return "nothing"


def facts(b):
    server = b.server.info("server")
    disk = file_system(b.dir)
    return {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "ebpub": output_of(jobs.EBPUB, "-V").removeprefix("ebpub "),
            "redis": server.get("valkey_version") or server.get("redis_version", "unknown"),
            "hiredis": output_of("pkg-config", "--modversion", "hiredis"), "redis_py": redis_py(),
            "kernel": platform.release(), "cpu": f"{len(CORES)} x {processor()}",
            "pinned": "server and clients on a core each" if PINNED else "no: a single core",
            "buffer": disk + (": nothing is durable there" if disk.startswith(("tmpfs", "ramfs")) else ""),
            "instructions": f"counted by {counter()}", "events": b.events, "rounds": b.o.rounds}


def text(b):
    return "\n".join(f"{k.replace('_', '-'):<13} {v}" for k, v in facts(b).items())


def line(b):
    return json.dumps({"head": facts(b)})
