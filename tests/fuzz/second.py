#!/usr/bin/env python3
"""second.py CHECKER FOLDER [MUTATIONS]: compares the project's JSON check with Python's json.

CHECKER (build/tests/probe, `json-check-many`) reads the files of FOLDER, and MUTATIONS mutations of each from a fixed seed.
Python's json reads the same bytes, decoded strictly as UTF-8, with NaN and Infinity refused. Prints how many documents both
accepted and both refused, and each document on which they differ. Status 1 when there is one.

The two parsers treat these cases as follows:

  depth             The check accepts 1,000,000 open brackets (json.h). Python's parser recurses, so its limit is raised,
                    and documents with more than 900 brackets are left out.
  NaN, Infinity     Python accepts them; parse_constant refuses them here.
  byte order mark   Python's json.loads refuses a str that begins with U+FEFF, as the check does.
  lone surrogates   Both accept the escape "\\ud800", which is grammatical (RFC 8259, section 8.2). Both refuse its bytes,
                    which are not UTF-8.
  control characters in strings      Both refuse them (strict=True is Python's default).
  white space       Python's json.loads strips only the four characters of RFC 8259 around a value.
  long numbers      Python refuses to convert integers of more than 4,300 digits; parse_int keeps the text here.
"""
import json
import os
import random
import subprocess
import sys

DEEPEST = 900
PIECES = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u", b"\\ud800", b"\\udc00", b"0", b"-", b"+", b".", b"e", b"E",
          b"1", b"01", b"null", b"true", b"false", b"NaN", b"Infinity", b"-Infinity", b" ", b"\t", b"\r", b"\n", b"\v", b"\f",
          b"\0", b"\x1f", b"\x7f", b"\x80", b"\xbf", b"\xc0", b"\xc2\x80", b"\xe0\xa0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf",
          b"\xf0\x9f\x98\x80", b"\xf4\x90\x80\x80", b"\xff", b"\xe2\x80\xa8", b"/", b"/*", b"//", b"'", b"a"]


def refuse(word):
    raise ValueError(word)


def check_with_python(document):
    try:
        json.loads(document.decode("utf-8"), parse_constant=refuse, parse_int=str, parse_float=str)
    except ValueError:
        return False
    return True


def mutate(document, rng):
    d = bytearray(document)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randint(0, len(d))
        to = min(len(d), at + rng.choice([0, 1, 1, 2, 8]))
        kind = rng.randrange(4)
        if kind == 0:
            d[at:to] = b""
        elif kind == 1:
            d[at:to] = rng.choice(PIECES)
        elif kind == 2:
            d[at:at] = rng.choice(PIECES)
        else:
            other = rng.randint(0, len(d))
            d[at:at] = d[other:other + rng.randint(1, 6)]
    return bytes(d)


def check_with_probe(checker, documents):
    text = b"".join(b"%d\n%s" % (len(d), d) for d in documents)
    answer = subprocess.run([checker, "json-check-many"], input=text, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, check=True).stdout
    assert len(answer) == len(documents), "%d answers to %d documents" % (len(answer), len(documents))
    return [c == ord("1") for c in answer]


def main():
    checker, folder = sys.argv[1:3]
    mutations = int(sys.argv[3]) if len(sys.argv) > 3 else 600
    sys.setrecursionlimit(4 * DEEPEST)
    rng = random.Random(1)
    seeds = []
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as f:
            seeds.append(f.read())
    good = [s for s in seeds if check_with_python(s)]
    seeds += [b"[" + a + b',{"a" : ' + b + b"}]" for a, b in zip(good, good[1:])]
    documents = []
    for seed in seeds:
        documents += [seed] + [mutate(seed, rng) for _ in range(mutations)]
    documents = [d for d in documents if d.count(b"[") + d.count(b"{") <= DEEPEST]
    accepted = refused = differ = 0
    for document, ours in zip(documents, check_with_probe(checker, documents)):
        theirs = check_with_python(document)
        accepted += ours and theirs
        refused += not ours and not theirs
        if ours != theirs:
            differ += 1
            print("%s: we %s, Python %s" % (document[:200], *("accept it" if t else "refuse it" for t in (ours, theirs))))
    print("%d documents: both accepted %d, both refused %d, %d differences" % (len(documents), accepted, refused, differ))
    return differ > 0


sys.exit(main())
