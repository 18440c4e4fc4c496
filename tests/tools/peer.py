#!/usr/bin/python3 -IS
"""Speaks to services from the client's host, for as long as that is there, so that no test
starts a program for a mere look. Each line of the fifo DIRECTORY/peer.in is a question, and
each line of DIRECTORY/peer.out its answer, after the question's ID:

  ID tcp ADDRESS PORT [FROM]            open, reset or silent
  ID tcp-greeting ADDRESS PORT [FROM]   the first line that the service says, or nothing
  ID udp-greeting ADDRESS PORT [FROM]   the same, to a datagram
  ID send FILE ADDRESS PORT [FROM]      sends the file's bytes in a datagram, and says "sent"

What could not be asked is answered with "error: " and the reason."""
import os
import socket
import sys
import time

CONNECT = 0.5  # seconds; a port that drops does not answer
GREETING = 5  # once it is open: who greets may have to be started
DATAGRAM = 2  # where nothing says whether it is open


def new_socket(kind, address, source):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    if source:
        s.bind((source, 0))
    return s


def connect(s, address, port):
    s.settimeout(CONNECT)
    try:
        s.connect((address, port))
    except ConnectionRefusedError:
        return "reset"
    except OSError:
        return "silent"
    return "open"


def tcp(address, port, source=""):
    with new_socket(socket.SOCK_STREAM, address, source) as s:
        return connect(s, address, int(port))


def first_line(s, end):
    heard = b""
    while b"\n" not in heard and (left := end - time.monotonic()) > 0:
        s.settimeout(left)
        try:
            some = s.recv(2048)
        except OSError:
            break
        if not some:
            break
        heard += some
    return heard.split(b"\n")[0].decode("latin-1")


def tcp_greeting(address, port, source=""):
    with new_socket(socket.SOCK_STREAM, address, source) as s:
        is_open = connect(s, address, int(port)) == "open"
        return first_line(s, time.monotonic() + GREETING) if is_open else ""


def udp_greeting(address, port, source=""):
    end = time.monotonic() + DATAGRAM
    with new_socket(socket.SOCK_DGRAM, address, source) as s:
        s.connect((address, int(port)))
        s.send(b"hello\n")
        return first_line(s, end)


def send(file, address, port, source=""):
    with open(file, "rb") as f, new_socket(socket.SOCK_DGRAM, address, source) as s:
        s.sendto(f.read(), (address, int(port)))
    return "sent"


KINDS = {"tcp": tcp, "tcp-greeting": tcp_greeting, "udp-greeting": udp_greeting, "send": send}


def answer(kind, *words):
    try:
        return KINDS[kind](*words)
    except OSError as error:
        return f"error: {error}"


def main():
    # Opened for both, so that neither is ever without its other end.
    ends = [os.open(f"{sys.argv[1]}/peer.{end}", os.O_RDWR) for end in ("in", "out")]
    for line in os.fdopen(ends[0]):
        number, *question = line.split()
        os.write(ends[1], f"{number} {answer(*question)}\n".encode("latin-1"))


main()
