"""buffer: reads a buffer's directory independently of the commands."""
import base64
import fcntl
import gzip
import json
import os
import re
import zlib

# State files that a run may leave; see ebbuffer(5).
STATE = {".lock", ".replay", ".target", ".progress", ".roster", ".counters", ".probe", ".outage",
         ".outage-over", ".own-stamp", "quarantine"}
SEGMENT = re.compile(r"(?P<stem>.+?)(?P<suspect>\.suspect)?\.jsonl(?P<gz>\.gz)?$")
OURS = re.compile(r"buffer_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d{6}")


def event_of(text):
    """Returns (P, N) of a payload {"p":P,"n":N}; None for any other payload."""
    try:
        body = json.loads(text)
        return str(body["p"]), body["n"]
    except (KeyError, TypeError, ValueError):
        return None


class Line:
    """One line of a segment or of quarantine/."""

    def __init__(self, name, raw, whole=True):
        self.name, self.raw, self.whole = name, raw, whole
        self.event = self.type = self.event_id = None
        self.doubt = b',"doubt":{' in raw
        self.bad = not whole
        try:
            body = json.loads(raw)
            message = body["message"]
            self.type = body["event_type"]
            self.event_id = message.get("event_id")
            self.event = event_of(message["payload"])
        except (KeyError, TypeError, ValueError):
            self.bad = True
            return
        if "crc" in body and OURS.match(name):
            covered = raw[:raw.rindex(b',"crc"')]
            self.bad |= "%08x" % zlib.crc32(covered) != body["crc"]


class Buffer:
    def __init__(self, folder):
        self.folder = folder
        self.lines, self.quarantined, self.segments, self.leaks = [], [], [], []
        self.whole = 0		# bad lines in segments that were quarantined whole
        self.names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        for name in self.names:
            match = SEGMENT.match(name)
            if match and not name.startswith("."):
                self.segments.append(name)
                twin = match["gz"] and match["stem"] + ".jsonl" in self.names
                if not twin:
                    self.lines += self.read(name, bool(match["gz"]))
            elif name not in STATE:
                self.leaks.append(name)
        self.read_quarantine()

    def read(self, name, gz=False):
        with (gzip.open if gz else open)(os.path.join(self.folder, name), "rb") as f:
            data = f.read()
        parts = data.split(b"\n")
        tail = parts.pop()
        lines = [Line(os.path.basename(name), p) for p in parts]
        return lines + ([Line(os.path.basename(name), tail, whole=False)] if tail else [])

    def read_quarantine(self):
        folder = os.path.join(self.folder, "quarantine")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if os.path.islink(os.path.join(folder, name)):	# part of a scene's state
                continue
            if not SEGMENT.match(re.sub(r"(\.\d+)?\.retrying$", "", name)):
                self.leaks.append("quarantine/" + name)
                continue
            lines = self.read(os.path.join("quarantine", name), name.endswith(".gz"))
            whole = re.search(r"\.bad-(\d+)\.", name)
            if whole:	# a whole segment; its name gives the number of bad lines, the others were delivered
                self.whole += int(whole[1])
                continue
            for line in lines:
                kept = json.loads(line.raw)
                raw = kept["line"].encode() if "line" in kept else base64.b64decode(kept["line_base64"])
                self.quarantined.append(Line(kept["segment"], raw.rstrip(b"\n")))

    def locked(self):
        """Returns the names of the locks that are held."""
        held = []
        for name in (".lock", ".replay"):
            if name not in self.names:
                continue
            with open(os.path.join(self.folder, name), "rb") as f:
                try:
                    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    fcntl.flock(f, fcntl.LOCK_UN)	# a child that another thread is forking inherits it
                except BlockingIOError:
                    held.append(name)
        return held

    def torn(self):
        return [line for line in self.lines if line.bad]
