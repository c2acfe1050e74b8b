#!/usr/bin/env python3
"""proxy.py LISTEN SERVER MODE ARGUMENT: relays between the unix sockets LISTEN and SERVER.

  late SECONDS     delays each piece of a reply
  cut WORD         closes the connection at the first request that contains WORD
  mute WORD        closes it instead of relaying the reply to the first request that contains WORD
  once WORD=SHELL  runs SHELL before it forwards the first request that contains WORD
  hold WORD        prints "held" and holds a request that contains WORD, and all that follow, until the file LISTEN.go exists
"""
import functools
import os
import socket
import subprocess
import sys
import threading
import time

listen, server, mode, argument = sys.argv[1:]


def relay(source, sink, keep):
    try:
        while True:
            data = source.recv(65536)
            if not data or not keep(data):
                break
            sink.sendall(data)
    except OSError:
        pass
    for s in (source, sink):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


done = []


def request(upstream, data):
    word, _, shell = argument.partition("=")
    if mode == "once" and not done and word.encode() in data:
        done.append(subprocess.run(shell, shell=True, stdout=subprocess.DEVNULL, check=True))
    if mode == "mute" and not done and word.encode() in data:
        done.append(upstream)
    if mode == "hold" and argument.encode() in data:
        print("held", flush=True)
        while not os.path.exists(listen + ".go"):
            time.sleep(0.02)
    return mode != "cut" or argument.encode() not in data


def answer(upstream, _):
    if mode == "late":
        time.sleep(float(argument))
    return mode != "mute" or upstream not in done


def main():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(listen + ".new")
    listener.listen(64)
    os.rename(listen + ".new", listen)
    while True:
        client = listener.accept()[0]
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(server)
        for source, sink, keep in ((client, upstream, request), (upstream, client, answer)):
            threading.Thread(target=relay, args=(source, sink, functools.partial(keep, upstream)), daemon=True).start()


if __name__ == "__main__":
    main()
