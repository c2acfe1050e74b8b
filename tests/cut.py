#!/usr/bin/env python3
"""cut.py DIR SOCKET: a proxy on a port of 127.0.0.1 before the server on the unix
socket SOCKET, that cuts the next exchange of an XADD at a byte.

Writes its port to DIR/port. Before each connection it reads DIR/plan, if there is one, and
removes it: WAY MODE BYTE.

  WAY   request   BYTE bytes of the request, counted from the first XADD's first, reach the server
        reply     so many bytes of what the server answers to it reach the client
  MODE  fin       then the client sees the end of the connection
        rst       then a reset
        hang      then nothing more
        late      (request) nothing more; the rest arrives at the server when the next
                  connection has been made, as from a slow network

What happened goes to DIR/log: a line "cut" or "whole" (the exchange had no such byte).
Without a plan everything passes.
"""
import itertools
import os
import select
import socket
import struct
import sys
import threading

folder, upstream = sys.argv[1:]
XADD = b"\r\n$4\r\nXADD\r\n"
late = []			# (socket, bytes) for the next connection
turns = itertools.cycle(range(3))	# how long they wait then


def log(word):
    with open(os.path.join(folder, "log"), "a", encoding="ascii") as f:
        f.write(word + "\n")


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


class Exchange(threading.Thread):
    def __init__(self, client, plan):
        super().__init__(daemon=True)
        self.client, self.plan = client, plan
        self.server = socket.socket(socket.AF_UNIX)
        self.seen = b""		# of the request, until the XADD has begun
        self.begun = False
        self.left = int(plan[2]) if plan else 0

    def cut(self, rest):
        mode = self.plan[1]
        log("cut")
        if mode == "fin":
            self.client.shutdown(socket.SHUT_WR)
            self.drain()
            self.client.close()
        elif mode == "rst":
            reset(self.client)
        elif mode == "hang":
            self.drain()
            self.client.close()
        elif mode == "late":
            late.append((self.server, rest + self.drain()))
            self.client.close()
            return
        self.server.close()

    def drain(self):
        """What the client still sends, until it goes."""
        got = b""
        try:
            while True:
                data = self.client.recv(65536)
                if not data:
                    return got
                got += data
        except OSError:
            return got

    def request(self, data):
        """False when this was the end."""
        if not self.plan or self.begun and self.plan[0] == "reply":
            self.server.sendall(data)
            return True
        if not self.begun:
            self.seen += data
            at = self.seen.find(XADD)
            if at == -1:
                self.server.sendall(data)
                return True
            self.begun = True
            start = self.seen.rfind(b"*", 0, at) - (len(self.seen) - len(data))
            if self.plan[0] == "reply":
                self.server.sendall(data)
                return True
            self.server.sendall(data[:start])
            data = data[start:]
        if len(data) < self.left:
            self.server.sendall(data)
            self.left -= len(data)
            return True
        self.server.sendall(data[:self.left])
        self.cut(data[self.left:])
        return False

    def reply(self, data):
        if not self.plan or not self.begun or self.plan[0] == "request":
            self.client.sendall(data)
            return True
        if len(data) < self.left:
            self.client.sendall(data)
            self.left -= len(data)
            return True
        self.client.sendall(data[:self.left])
        self.cut(b"")
        return False

    def run(self):
        try:
            self.server.connect(upstream)
            while True:
                ready = select.select([self.client, self.server], [], [])[0]
                for s in ready:
                    data = s.recv(65536)
                    if not data:
                        if self.plan:
                            log("whole")
                        self.server.close()
                        self.client.close()
                        return
                    if not (self.request if s is self.client else self.reply)(data):
                        return
        except OSError:
            if self.plan:
                log("whole")
            self.client.close()


def deliver():
    """What was late arrives now."""
    while late:
        server, rest = late.pop()
        try:
            server.sendall(rest)
        except OSError:
            pass
        server.close()


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    with open(os.path.join(folder, "port.new"), "w", encoding="ascii") as f:
        f.write(str(listener.getsockname()[1]))
    os.rename(os.path.join(folder, "port.new"), os.path.join(folder, "port"))
    path = os.path.join(folder, "plan")
    while True:
        client = listener.accept()[0]
        plan = None
        if os.path.exists(path):
            with open(path, encoding="ascii") as f:
                plan = f.read().split()
            os.unlink(path)
        elif late:
            threading.Timer(0.002 * next(turns), deliver).start()
        Exchange(client, plan).start()


if __name__ == "__main__":
    main()
