"""table: rows that compare a contender with its peer and with a bar, printed as a table or as JSON."""
import json
import statistics


class Bar:
    """A bound for a ratio, at least or at most; with `rate` that many events a second suffice too; with `mib` a bound for memory too."""

    def __init__(self, least=None, most=None, rate=None, mib=None):
        self.least, self.most, self.rate, self.mib = least, most, rate, mib

    def __str__(self):
        text = f">= {self.least:g}" if self.most is None else f"<= {self.most:g}"
        return text + (f" or {self.rate / 1e6:g} M/s" if self.rate else "") + (f", < {self.mib} MiB" if self.mib else "")

    def verdict(self, row):
        ratio = round(row.ratio, 3)
        good = ratio >= self.least if self.most is None else ratio <= self.most
        good = good or self.rate is not None and row.rate >= self.rate
        return "ok" if good and (self.mib is None or row.mib < self.mib) else "below"

    def reached(self, ratio):
        """Returns the multiple of the bar that the ratio reaches; more than 1 is better than the bar."""
        return ratio / self.least if self.most is None else self.most / ratio


def rate(s):
    return s.events / s.wall


def wall(s):
    return s.wall / s.events


def cpu(s):
    return s.cpu / s.events


def micro(samples, what):
    """Returns the median microseconds per event."""
    return statistics.median(getattr(s, what) / s.events for s in samples) * 1e6


class Row:
    """The ratios of all rounds, the samples of the contender, and those of its peer if it has samples."""

    def __init__(self, part, contender, peer, of, ratios, samples, bar=None, peers=None):
        self.part, self.contender, self.peer, self.of, self.ratios, self.bar = part, contender, peer, of, ratios, bar
        self.ratio, self.least, self.most = statistics.median(ratios), min(ratios), max(ratios)
        self.rate = statistics.median(map(rate, samples))
        self.tool, self.server = (micro(samples, w) for w in ("cpu", "server"))
        self.peer_rate = statistics.median(map(rate, peers)) if peers else None
        self.peer_tool = micro(peers, "cpu") if peers else None
        self.mib = max(s.rss for s in samples) / 1024
        self.verdict = bar.verdict(self) if bar else ""

    def cells(self):
        return [self.part, self.contender, self.peer, f"{self.ratio:.3g}", f"({self.least:.3g} to {self.most:.3g})",
                str(self.bar or ""), self.verdict, f"{self.rate:,.0f}", f"{self.peer_rate:,.0f}" if self.peer_rate else "",
                f"{self.tool:.2f}", f"{self.peer_tool:.2f}" if self.peer_rate else "", f"{self.server:.2f}", f"{self.mib:.1f}"]

    def json(self):
        return {"part": self.part, "contender": self.contender, "peer": self.peer, "of": self.of, "ratio": round(self.ratio, 4),
                "least": round(self.least, 4), "most": round(self.most, 4), "rounds": len(self.ratios),
                "bar": str(self.bar) if self.bar else None, "verdict": self.verdict or None, "events_per_second": round(self.rate),
                "peer_events_per_second": self.peer_rate and round(self.peer_rate), "tool_us": round(self.tool, 3),
                "peer_us": self.peer_tool and round(self.peer_tool, 3), "server_us": round(self.server, 3), "peak_mib": round(self.mib, 2)}


HEAD = ["part", "contender", "beside", "ratio", "(least to most)", "bar", "verdict", "events/s", "its peer", "us tool", "its peer", "us server", "MiB"]
RIGHT = {3, 7, 8, 9, 10, 11, 12}


class Cost:
    """The counts of one path per event."""
    HEAD = ["path", "system calls", "fdatasyncs", "instructions"]
    RIGHT = {1, 2, 3}

    def __init__(self, path, calls, syncs, instructions):
        self.path, self.counts = path, (calls, syncs, instructions)

    def cells(self):
        return [self.path] + ["" if c is None else f"{c:,.0f}" if c >= 100 else f"{c:.3g}" for c in self.counts]

    def json(self):
        return {"part": "cost", "path": self.path} | {
            k: c if c is None else round(c, 5) for k, c in zip(("system_calls", "fdatasyncs", "instructions"), self.counts)}


def beside(part, contender, peer, ours, peers, what=rate, bar=None):
    """Returns a Row of the ratios, in each round, between the contender and the best of its peers."""
    best = [(max if what is rate else min)(each, key=what) for each in zip(*peers)]
    return Row(part, contender, peer, what.__name__, [what(s) / what(p) for s, p in zip(ours, best)], ours, bar, best)


def aligned(lines, right):
    width = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        yield "  ".join(c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(line, width))).rstrip()


def tables(rows):
    """Yields the table of ratios, then the table of counts."""
    ratios, costs = ([r for r in rows if isinstance(r, k)] for k in (Row, Cost))
    if ratios:
        yield "\n".join(aligned([HEAD] + [r.cells() for r in ratios], RIGHT))
    if costs:
        yield "\n".join(aligned([Cost.HEAD] + [r.cells() for r in costs], Cost.RIGHT))


def line(row):
    return json.dumps(row.json())
