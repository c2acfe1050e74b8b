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


def serve(client):
    try:
        if mode in ("extra", "extra-to", "cut", "unanswered", "other"):
            relay(client)
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
