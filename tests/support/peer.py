#!/usr/bin/env python3
"""peer.py LISTEN SERVER MODE [WORD]: what may stand where Redis should, on the unix socket LISTEN.

  silent    takes everything, says nothing
  dribble   a byte each half second of a reply without end
  garbage   bytes that are no protocol
  http      what a web server says to a bad request
  bulk      announces a string of 999999999 bytes
  multi     announces 999999999 replies
  close     closes at once
  extra     Redis at SERVER, and one reply more behind each of its answers
  extra-to  the same only behind the answer to the request with WORD in it
  cut       Redis at SERVER, but the connection ends at the first request with WORD in it
  unanswered  the same, when it has been executed
  other     Redis at SERVER, but requests with WORD in them are answered with +OK, each time
  refuse    Redis at SERVER, but each command with WORD in it is not executed: the answer is -TEXT (peer.py ... refuse WORD TEXT)
  refuse-once   the same for the first such command only
  refuse-first  the same for all such commands of the first connection
"""
import os
import select
import socket
import sys
import threading
import time

listen, server, mode = sys.argv[1:4]
word = (sys.argv[4] if len(sys.argv) > 4 else "").encode()
WORDS = {
    "garbage": b"\x00\xff\xfe?\r\n%%%\r\n" * 50,
    "http": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "bulk": b"$999999999\r\n" + b"x" * 5000,
    "multi": b"*999999999\r\n" + b":1\r\n" * 1000,
}


def say(client):
    """One of those that are no Redis."""
    client.recv(65536)
    if mode in WORDS:
        client.sendall(WORDS[mode])
    for i in range(40):
        if mode == "dribble":
            client.sendall(b"$9999\r\n"[i:i + 1] or b"x")
        time.sleep(0.5)


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
                upstream.sendall(data)
            elif mode == "unanswered" and marked:
                return
            else:
                if mode == "other" and marked:
                    data = b"+OK\r\n"
                client.sendall(data + (b"+EXTRA\r\n" if marked and mode.startswith("extra") else b""))


def command(stream):
    """The bytes of one command, as clients send it: an array of strings."""
    head = stream.readline()
    words = int(head[1:]) if head else 0
    for _ in range(words):
        size = stream.readline()
        head += size + stream.read(int(size[1:]) + 2)
    return head


def answer(stream):
    line = stream.readline()
    if line[:1] == b"$" and int(line[1:]) >= 0:
        return line + stream.read(int(line[1:]) + 2)
    if line[:1] == b"*":
        return line + b"".join(answer(stream) for _ in range(int(line[1:])))
    return line


once = threading.Lock()		# taken for good by the first


def refuse(client, text):
    """Command by command, so that it is known which answer belongs to which."""
    upstream = socket.socket(socket.AF_UNIX)
    upstream.connect(server)
    asked, told = client.makefile("rb"), upstream.makefile("rb")
    first = mode == "refuse-first" and once.acquire(blocking=False)
    while True:
        request = command(asked)
        if not request:
            return
        if word in request and (mode == "refuse" or first or mode == "refuse-once" and once.acquire(blocking=False)):
            client.sendall(b"-" + text.encode() + b"\r\n")
            continue
        upstream.sendall(request)
        client.sendall(answer(told))


def serve(client):
    try:
        if mode in ("extra", "extra-to", "cut", "unanswered", "other"):
            relay(client)
        elif mode.startswith("refuse"):
            refuse(client, sys.argv[5])
        elif mode != "close":
            say(client)
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
