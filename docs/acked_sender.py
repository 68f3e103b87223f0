#!/usr/bin/env python3
"""Sends the lines of its input to an acked source of Landfall, each until it is acknowledged.

    acked_sender.py HOST PORT ID [TOKEN] < lines

It speaks version 2 of the protocol (docs/configuration.md, Acknowledged TCP) and ends with 0 when all is
acknowledged. A machine or a link that is gone says nothing at all: when nothing comes for ACKED_TIMEOUT seconds of
the environment (30 where it is not set), or nothing can be sent, it connects again as soon as it has a line. What it
has not sent when it is killed is gone with it: a sender that must not lose that keeps lines, numbers and epoch on its
disk.
"""
import collections
import contextlib
import os
import secrets
import socket
import sys
import threading
import time

TIMEOUT = float(os.environ.get("ACKED_TIMEOUT", "30"))  # seconds of silence
host, port, name, *token = sys.argv[1:]
epoch = secrets.token_hex(8)  # a new one, because the numbers begin at 1 again
unacknowledged = collections.deque()  # (number, line), in order
changed = threading.Condition()
ended = False


def all_done():
    return ended and not unacknowledged


def read_input():
    global ended
    # Not sys.stdin, whose lock this thread would hold when the process ends while it reads.
    for number, line in enumerate(open(0, "rb", closefd=False), 1):
        line = line.rstrip(b"\r\n")
        if not line:
            continue  # nothing to capture: the gateway would refuse it
        with changed:
            changed.wait_for(lambda: len(unacknowledged) < 10_000)
            unacknowledged.append((number, line))
            changed.notify_all()
    with changed:
        ended = True
        changed.notify_all()


def send(connection, window, broken):
    """Sends what is not acknowledged, at most window lines of it, as there is more or room for more."""
    sent = 0  # highest number on this connection
    try:
        while not broken.is_set():
            with changed:
                changed.wait_for(
                    lambda: broken.is_set() or all_done() or any(n > sent for n, _ in list(unacknowledged)[:window])
                )
                if all_done():
                    break
                lines = [(n, line) for n, line in list(unacknowledged)[:window] if n > sent]
            for number, line in lines:
                connection.sendall(b"%d %s\n" % (number, line))
                sent = number
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # no answer comes any more: the reader need not wait for one
    except OSError:
        pass  # the reader sees it too


def connection_of_its_life():
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection, connection.makefile("rb") as answers:
        connection.sendall(" ".join(["HELLO", name, "2", epoch, *token]).encode() + b"\n")
        verb, _, rest = answers.readline().decode().rstrip("\n").partition(" ")
        if verb == "ERR":
            sys.exit("the gateway says: " + rest)
        if verb != "LAST":
            return
        broken = threading.Event()  # LAST acknowledges nothing: everything in the queue is sent again
        sender = threading.Thread(target=send, args=(connection, int(rest.split()[1]), broken), daemon=True)
        sender.start()
        try:
            while not all_done():
                verb, _, rest = answers.readline().decode().rstrip("\n").partition(" ")
                if verb == "ERR":
                    sys.exit("the gateway says: " + rest)
                if verb != "ACK":
                    return
                with changed:
                    while unacknowledged and unacknowledged[0][0] <= int(rest):
                        unacknowledged.popleft()
                    changed.notify_all()
        finally:
            broken.set()
            with changed:
                changed.notify_all()
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            sender.join()


threading.Thread(target=read_input, daemon=True).start()
while True:
    with changed:
        changed.wait_for(lambda: unacknowledged or ended)
        if all_done():
            break
    try:
        connection_of_its_life()
    except OSError:
        pass
    time.sleep(0.2)
