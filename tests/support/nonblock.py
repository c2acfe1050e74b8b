#!/usr/bin/env python3
"""nonblock.py COMMAND...: runs COMMAND as a program does that shares its pipes with another one that made them non-blocking.

Its stdin is a non-blocking pipe, which gets that of this program late and in two halves. Its stdout and stderr are pipes that are non-blocking and hold 4096 bytes; they are read late, and
copied to those of this program. The exit status is that of COMMAND.
"""
import fcntl
import os
import subprocess
import sys
import threading
import time


def pipe():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    return reader, writer


def copy(reader, to):
    time.sleep(0.3)
    while data := os.read(reader, 65536):
        to.write(data)
        time.sleep(0.0005)
    to.flush()


def feed(writer):
    data = sys.stdin.buffer.read()
    try:
        for part in (data[:len(data) // 2], data[len(data) // 2:]):
            time.sleep(0.3)
            writer.write(part)
            writer.flush()
        writer.close()
    except BrokenPipeError:
        pass


stdin, out, err = os.pipe(), pipe(), pipe()
os.set_blocking(stdin[0], False)
command = subprocess.Popen(sys.argv[1:], stdin=stdin[0], stdout=out[1], stderr=err[1])
os.close(stdin[0])
threading.Thread(target=feed, args=(open(stdin[1], "wb"),), daemon=True).start()
os.close(out[1])
os.close(err[1])
copies = [threading.Thread(target=copy, args=pair) for pair in ((out[0], sys.stdout.buffer), (err[0], sys.stderr.buffer))]
for thread in copies:
    thread.start()
for thread in copies:
    thread.join()
sys.exit(command.wait())
