#!/usr/bin/env python3
"""peer.py LISTEN SERVER MODE [WORD]: a misbehaving server on the unix socket LISTEN.

These modes do not speak the Redis protocol:

  silent    reads everything, sends nothing
  dribble   sends one byte each half second of a reply without end
  garbage   sends bytes that are not RESP
  http      sends an HTTP error response
  bulk      announces a string of 999999999 bytes
  multi     announces an array of 999999999 replies
  close     closes the connection at once

These relay to the Redis at SERVER:

  extra       sends an extra reply after each of its replies
  extra-to    sends an extra reply after the reply to a request that contains WORD
  cut         closes the connection at the first request that contains WORD, before it is executed
  unanswered  closes the connection after such a request has been executed, before its reply
  other       replaces the reply to each request that contains WORD by +OK
  same        replies the first ID to each request that contains WORD
  lower       replies IDs that count down
  endless-line  executes no request that contains WORD: replies a status without an end
  endless-bulk  the same with a string of 1 GiB
  mixed       executes no request that contains WORD: replies a long string that is no ID, then IDs for the
              requests that arrived with it, and closes; the client reads all this at once
  refuse      does not execute commands that contain WORD, replies -TEXT (peer.py ... refuse WORD TEXT)
  refuse-once   does that for the first such command only
  refuse-first  does that for all such commands of the first connection
"""
import os
import re
import select
import signal
import socket
import struct
import sys
import threading
import time

listen, server, mode = sys.argv[1:4]
word = (sys.argv[4] if len(sys.argv) > 4 else "").encode()
REPLIES = {
    "garbage": b"\x00\xff\xfe?\r\n%%%\r\n" * 50,
    "http": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "bulk": b"$999999999\r\n" + b"x" * 5000,
    "multi": b"*999999999\r\n" + b":1\r\n" * 1000,
}


def send_nonsense(client):
    """Serves a mode that does not speak the Redis protocol."""
    client.recv(65536)
    if mode in REPLIES:
        client.sendall(REPLIES[mode])
    for i in range(40):
        if mode == "dribble":
            client.sendall(b"$9999\r\n"[i:i + 1] or b"x")
        time.sleep(0.5)


def send_mixed(client, n):
    """Sends n replies, as many bytes as the client reads at once, and closes before the client sees them."""
    ids = b"".join(b"$15\r\n1700000000000-%d\r\n" % (i % 10) for i in range(1, n))
    text = 65536 - len(ids) - len(b"$00000\r\n\r\n")
    time.sleep(0.2)		# until the client waits
    pid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    os.kill(pid, signal.SIGSTOP)
    while open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)
    client.sendall(b"$%05d\r\n%s\r\n%s" % (text, b"x" * text, ids))
    client.close()
    os.kill(pid, signal.SIGCONT)


def send_endless(client):
    """Sends up to 1 GiB, until the client closes."""
    chunk = b"x" * (1 << 20)
    client.sendall(b"+" if mode == "endless-line" else b"$1073741824\r\n")
    for _ in range(1024):
        client.sendall(chunk)


def replace_ids(data):
    """Replaces each ID in the replies."""
    def replace(match):
        last[:] = last or [int(match[1]), int(match[2])]
        if mode == "lower":
            last[0] -= 1
        ident = b"%d-%d" % tuple(last)
        return b"$%d\r\n%s\r\n" % (len(ident), ident)
    return re.sub(rb"\$\d+\r\n(\d+)-(\d+)\r\n", replace, data)


last = []		# the ID of the reply before


def relay(client):
    upstream = socket.socket(socket.AF_UNIX)
    upstream.connect(server)
    marked = mode == "extra"
    while True:
        for s in select.select([client, upstream], [], [])[0]:
            data = s.recv(1 << 20)
            if not data:
                return
            if s is client:
                marked = mode == "extra" or word in data
                if mode == "cut" and marked:
                    return
                if mode == "mixed" and marked:
                    return send_mixed(client, data.count(word))
                if mode.startswith("endless") and marked:
                    return send_endless(client)
                upstream.sendall(data)
            elif mode == "unanswered" and marked:
                return
            else:
                if mode == "other" and marked:
                    data = b"+OK\r\n"
                if mode in ("same", "lower") and marked:
                    data = replace_ids(data)
                client.sendall(data + (b"+EXTRA\r\n" if marked and mode.startswith("extra") else b""))


def read_command(stream):
    """Returns the bytes of one command, which clients send as an array of strings."""
    head = stream.readline()
    words = int(head[1:]) if head else 0
    for _ in range(words):
        size = stream.readline()
        head += size + stream.read(int(size[1:]) + 2)
    return head


def read_reply(stream):
    line = stream.readline()
    if line[:1] == b"$" and int(line[1:]) >= 0:
        return line + stream.read(int(line[1:]) + 2)
    if line[:1] == b"*":
        return line + b"".join(read_reply(stream) for _ in range(int(line[1:])))
    return line


once = threading.Lock()		# acquired once, never released


def refuse(client, text):
    """Relays command by command, so that each reply is matched to its command."""
    upstream = socket.socket(socket.AF_UNIX)
    upstream.connect(server)
    requests, replies = client.makefile("rb"), upstream.makefile("rb")
    first = mode == "refuse-first" and once.acquire(blocking=False)
    while True:
        request = read_command(requests)
        if not request:
            return
        if word in request and (mode == "refuse" or first or mode == "refuse-once" and once.acquire(blocking=False)):
            client.sendall(b"-" + text.encode() + b"\r\n")
            continue
        upstream.sendall(request)
        client.sendall(read_reply(replies))


def serve(client):
    try:
        if mode in ("extra", "extra-to", "cut", "unanswered", "other", "same", "lower", "endless-line", "endless-bulk", "mixed"):
            relay(client)
        elif mode.startswith("refuse"):
            refuse(client, sys.argv[5])
        elif mode != "close":
            send_nonsense(client)
    except OSError:
        pass
    client.close()


def main():
    s = socket.socket(socket.AF_UNIX)
    s.bind(listen + ".new")
    s.listen(64)
    os.rename(listen + ".new", listen)
    while True:
        threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    main()
