"""proxy: relays from a port of 127.0.0.1 to a server on a unix socket, and cuts a connection after N bytes.

  direction  request   the server gets the first N bytes that the client sends
             reply     the client gets the first N bytes that the server sends
  mode       fin       then the client gets an end of file
             rst       then the client gets a reset
             hang      then the client gets nothing more
             late      (request) then the client gets nothing more; the server gets the remaining bytes after the next connection
                       was opened, as from a slow network
"""
import os
import select
import socket
import struct
import subprocess
import time

from rig import LIMIT, Hang


class Cut:
    def __init__(self, direction, mode, at):
        self.direction, self.mode, self.at = direction, mode, at

    def __str__(self):
        return f"{self.direction} {self.mode} {self.at}"


class Connection:
    """A client's connection and its counterpart to the server; request and reply are the bytes received from each side."""

    def __init__(self, client, upstream, cut):
        self.client, self.cut = client, cut
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(upstream)
        self.request = self.reply = self.rest = b""
        self.done = self.open = False	# done: it was cut
        self.open = True

    def sockets(self):
        """Returns the sockets to read from. After the cut the client's bytes are recorded but not forwarded."""
        return [self.client] if self.done else [self.client, self.server]

    def readable(self, sock):
        try:
            data = sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        direction = "request" if sock is self.client else "reply"
        before = len(getattr(self, direction))
        setattr(self, direction, getattr(self, direction) + data)
        if self.done:
            self.rest += data
            return
        other = self.server if sock is self.client else self.client
        if not self.cut or self.cut.direction != direction or before + len(data) < self.cut.at:
            self.send(other, data)
            return
        keep = self.cut.at - before
        self.send(other, data[:keep])
        self.rest = data[keep:]
        self.done = True
        self.end_connection()

    @staticmethod
    def send(sock, data):
        try:
            sock.sendall(data)
        except OSError:
            pass

    def end_connection(self):
        if self.cut.mode == "fin":
            self.server.close()
            try:
                self.client.shutdown(socket.SHUT_WR)
            except OSError:
                self.close()
        elif self.cut.mode == "rst":
            self.server.close()
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close()

    def close(self):
        self.client.close()
        self.open = False
        if not (self.done and self.cut.mode == "late"):
            self.server.close()

    def deliver(self):
        """Sends the late bytes to the server."""
        self.send(self.server, self.rest)
        self.server.close()


class Proxy:
    def __init__(self, upstream):
        self.upstream, self.turn = upstream, 0
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(8)
        self.port = self.listener.getsockname()[1]

    def run(self, argv, env, stdin=b"", cut=None, late=()):
        """Runs a command through the proxy and cuts its first connection. The late bytes of an earlier run are delivered after this
        run has connected. Returns (status, stdout, stderr, connections)."""
        p = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdin.write(stdin)
        p.stdin.close()
        connections, text, streams = [], {p.stdout: b"", p.stderr: b""}, {p.stdout, p.stderr}
        due = [c for c in late if c.done and c.cut.mode == "late"]
        arrive, end = None, time.monotonic() + LIMIT
        gone = os.pidfd_open(p.pid)
        try:
            while True:
                reading = {s: c for c in connections if c.open for s in c.sockets()}
                wait = max(arrive - time.monotonic(), 0) if arrive and due else end - time.monotonic()
                ready = select.select([gone, self.listener, *reading, *streams], [], [], max(wait, 0))[0]
                if arrive and due and time.monotonic() >= arrive:
                    due.pop().deliver()
                for s in ready:
                    if s in streams:
                        data = os.read(s.fileno(), 65536)
                        text[s] += data
                        streams -= set() if data else {s}
                    elif s is self.listener:
                        connections.append(Connection(s.accept()[0], self.upstream, None if connections else cut))
                        arrive = arrive or time.monotonic() + 0.002 * self.turn
                        self.turn = (self.turn + 1) % 3
                    elif s in reading and reading[s].open:
                        reading[s].readable(s)
                if gone in ready:
                    break
                if time.monotonic() > end:
                    raise Hang(f"{argv} through {cut}")
        finally:
            p.kill()
            out, err = [text[f] + f.read() for f in (p.stdout, p.stderr)]
            p.wait()
            p.stdout.close()
            p.stderr.close()
            os.close(gone)
            for c in connections:
                while c.open:	# reads what the command sent before it ended
                    c.readable(c.client)
            for c in due:
                c.deliver()
        return p.returncode, out.decode(), err.decode(), connections
