#!/usr/bin/python3
"""predecessor: works like the Python service that these commands replace, with redis-py.

    predecessor.py publish SOCKET STREAM        sends an XADD for each line of stdin; prints the IDs
    predecessor.py buffer FILE                  appends each line of stdin to a file
    predecessor.py replay SOCKET DIR            sends an XADD for each line of DIR/*.jsonl; removes each file
    predecessor.py consume SOCKET STREAM N HOW  reads through a group: XREADGROUP, json.loads, XACK of each event or each batch
"""
import datetime
import glob
import json
import os
import sys
import uuid


def now():
    return datetime.datetime.utcnow().isoformat() + "Z"


def message(kind, payload):
    return {"event_type": kind, "payload": json.dumps(payload), "trace_id": "", "correlation_id": str(uuid.uuid4()),
            "timestamp": now(), "source": "eventbus"}


def connect(path):
    import redis
    return redis.Redis(unix_socket_path=path)


def publish(path, stream):
    r = connect(path)
    kind = stream.rsplit(":", 1)[1]
    for line in sys.stdin:
        print(r.xadd(stream, message(kind, json.loads(line)), maxlen=10000, approximate=True).decode())


def buffer(path):
    for line in sys.stdin:
        with open(path, "a") as f:
            f.write(json.dumps({"event_type": "t", "message": message("t", json.loads(line)), "buffered_at": now()}) + "\n")


def replay(path, folder):
    r = connect(path)
    for name in sorted(glob.glob(folder + "/*.jsonl")):
        with open(name) as f:
            events = sorted((json.loads(line) for line in f), key=lambda e: e["buffered_at"])
        for e in events:
            r.xadd("quantum:stream:" + e["event_type"], e["message"], maxlen=10000, approximate=True)
        os.remove(name)


def consume(path, stream, left, how):
    r = connect(path)
    left = int(left)
    while left > 0:
        for _, entries in r.xreadgroup("py", "c", {stream: ">"}, count=min(left, 500)):
            for i, fields in entries:
                json.loads(fields[b"payload"])
                print(i.decode())
                if how == "each":
                    r.xack(stream, "py", i)
            if how == "batch":
                r.xack(stream, "py", *[i for i, _ in entries])
            left -= len(entries)


globals()[sys.argv[1]](*sys.argv[2:])
