#!/usr/bin/env python3
"""Connects to a port again and again, until it is told to end (SIGTERM): each span of time
in which a connection was accepted is a line "OPEN SHUT WAITED": milliseconds since the epoch,
from the beginning of the first that was to the end of the last; and for how many of them some
process waited for a processor (0 where the kernel does not tell)."""
import signal
import socket
import sys
import time

PATIENCE = 0.1  # seconds; a port that drops does not answer
PAUSE = 0.02

address, port, source = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ended = False


def end(*_):
    global ended
    ended = True


def is_open():
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
        s.bind((source, 0))
        s.settimeout(PATIENCE)
        try:
            s.connect((address, port))
        except OSError:
            return False
        return True


def now():
    return time.time_ns() // 1000000


def waited():
    """Since the boot, in milliseconds."""
    try:
        with open("/proc/pressure/cpu", encoding="ascii") as file:
            return int(file.readline().rpartition("total=")[2]) // 1000
    except OSError:
        return 0


def main():
    since = last = waited_before = 0

    signal.signal(signal.SIGTERM, end)
    print("probing", flush=True)
    while not ended:
        begun = now()
        if is_open():
            waited_before = waited_before if since else waited()
            since, last = since or begun, now()
        elif since:
            print(since, last, waited() - waited_before, flush=True)
            since = 0
        time.sleep(PAUSE)
    if since:
        print(since, last, waited() - waited_before, flush=True)


main()
