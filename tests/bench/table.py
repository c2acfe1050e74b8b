"""The rows: ratios against their bars, as a table for people and as JSON for programs."""
import json
import statistics


class Bar:
    """least 1.0, or most 0.5; or else, the events a second that will do as well."""

    def __init__(self, least=None, most=None, rate=None):
        self.least, self.most, self.rate = least, most, rate

    def __str__(self):
        text = f">= {self.least:g}" if self.least is not None else f"<= {self.most:g}"
        return text + (f" or {self.rate:,}/s" if self.rate else "")

    def met(self, ratio, rate):
        ratio = round(ratio, 3)
        return (self.least is not None and ratio >= self.least or self.most is not None and ratio <= self.most
                or self.rate is not None and rate >= self.rate)


def wall(s):
    return s.wall / s.events


def rate(s):
    return s.events / s.wall


def cpu(s):
    return s.cpu / s.events


class Row:
    """A contender beside its peers: the ratio of what they took, in each round to the best of the peers."""

    def __init__(self, part, contender, peer, ours, peers, what=rate, bar=None):
        self.part, self.contender, self.peer, self.bar, self.samples = part, contender, peer, bar, ours
        best = max if what is rate else min
        self.of(what, [what(s) / best(what(p[i]) for p in peers) for i, s in enumerate(ours)])

    def of(self, what, ratios):
        self.what, self.ratios = what.__name__, ratios
        self.ratio = statistics.median(ratios)
        self.rate = statistics.median(map(rate, self.samples))

    def verdict(self):
        return "" if self.bar is None else "ok" if self.bar.met(self.ratio, self.rate) else "below"

    def cells(self):
        tool, server = (statistics.median(getattr(s, w) / s.events for s in self.samples) * 1e6 for w in ("cpu", "server"))
        return [self.part, self.contender, self.peer, f"{self.ratio:.3g}", f"({min(self.ratios):.3g} to {max(self.ratios):.3g})",
                str(self.bar or ""), self.verdict(), f"{self.rate:,.0f}", f"{tool:.2f}", f"{server:.2f}",
                f"{max(s.rss for s in self.samples) / 1024:.1f}"]

    def json(self):
        tool, server = (statistics.median(getattr(s, w) / s.events for s in self.samples) * 1e6 for w in ("cpu", "server"))
        return {"part": self.part, "contender": self.contender, "peer": self.peer, "of": self.what,
                "ratio": round(self.ratio, 4), "least": round(min(self.ratios), 4), "most": round(max(self.ratios), 4),
                "rounds": len(self.ratios), "bar": str(self.bar) if self.bar else None, "verdict": self.verdict() or None,
                "events_per_second": round(self.rate), "tool_us": round(tool, 3), "server_us": round(server, 3),
                "peak_kib": max(s.rss for s in self.samples)}


HEAD = ["part", "contender", "beside", "ratio", "(least to most)", "bar", "verdict", "events/s", "us tool", "us server", "MiB"]
RIGHT = {3, 7, 8, 9, 10}


def aligned(lines, right):
    width = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        yield "  ".join(c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(line, width))).rstrip()


def show(rows, as_json):
    if as_json:
        for r in rows:
            print(json.dumps(r.json()), flush=True)
        return
    print("\n".join(aligned([HEAD] + [r.cells() for r in rows], RIGHT)), flush=True)
