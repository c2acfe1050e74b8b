"""resp: a minimal Redis client for the tests, over a unix socket."""
import socket


class Refused(RuntimeError):
    """An error reply."""


class Redis:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(path)
        self.file = self.sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()

    def call(self, *words):
        out = b"*%d\r\n" % len(words)
        for w in words:
            w = w if isinstance(w, bytes) else str(w).encode()
            out += b"$%d\r\n%s\r\n" % (len(w), w)
        self.sock.sendall(out)
        return self.reply()

    def reply(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise Refused(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        raise ConnectionError(f"no reply: {line!r}")

    def stream(self, key):
        """Yields (ID, {field: value}) for each entry, oldest first."""
        after = "-"
        while True:
            page = self.call("XRANGE", key, after, "+", "COUNT", 2000)
            for ident, kv in page:
                yield ident.decode(), dict(zip(kv[::2], kv[1::2]))
            if len(page) < 2000:
                return
            after = "(" + page[-1][0].decode()

    def both(self, first, second):
        """Returns the entries of two streams, read atomically, as one sequence."""
        self.call("MULTI")
        for key in (first, second):
            self.call("XRANGE", key, "-", "+")
        return [(ident.decode(), dict(zip(kv[::2], kv[1::2]))) for part in self.call("EXEC") for ident, kv in part]

    def streams(self, pattern="quantum:stream:*"):
        return sorted(k.decode() for k in self.call("KEYS", pattern))

    def save(self):
        """Returns a dump of the database, for load()."""
        return [(k, self.call("DUMP", k)) for k in self.call("KEYS", "*")]

    def load(self, saved):
        self.call("FLUSHALL")
        for key, blob in saved:
            self.call("RESTORE", key, 0, blob)
