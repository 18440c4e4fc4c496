#!/usr/bin/python3
"""Many clients of Portsmith at once, without a process for each.

  crowd.py profiles COUNT DIRECTORY [LINE]... a profile file for each client
  crowd.py knocks FROM COUNT KEY PORT [close] what probe.c reads, a line for each
  crowd.py mixed COUNT DIRECTORY BACKEND      profiles of four kinds, in turn: plain; its
                                              connections counted; roaming; to a host behind
  crowd.py stream KNOCKS COUNT KEY PORT       what these clients knock, round by round, each line
                                              made when it is about to be read

Client I comes from 10.96.0.0 + I, or fd96:: + I where FAMILY is 6. Its secret key follows from its
number, so that nothing has to be kept."""
import hashlib
import ipaddress
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "deep" / "vectors"))
sys.dont_write_bytecode = True
from base64 import b64decode, b64encode  # noqa: E402
from other_client import bindings, derive, encode_request, seal, sign  # noqa: E402

FIRST = ipaddress.ip_address("fd96::" if os.environ.get("FAMILY") == "6" else "10.96.0.0")
OPEN = "Open = tcp/22"
PLAIN, COUNTED, ROAMING, BEHIND = range(4)  # as report.py has them
PLACES = 16  # that a roaming client knocks from


def seed(client):
    return hashlib.sha256(b"portsmith bench %d" % client).digest()


def write_profile(client, directory, lines):
    public = bindings.crypto_sign_seed_keypair(seed(client))[0]
    with open(f"{directory}/client-{client}.conf", "w", encoding="ascii") as file:
        print("[Profile]", f"PublicKey = {b64encode(public).decode()}", "MaxWindow = 1h", *lines,
              sep="\n", file=file)


def make_profiles(count, directory, lines):
    for client in range(1, count + 1):
        write_profile(client, directory, [OPEN, *(lines or ["Window = 1h"])])


def kind_of(client):
    return client % 4


def make_mixed(count, directory, backend):
    """A client's door is shut again before it knocks next; but for those who roam, who move it. Of a
    window of two seconds the kernel, which counts whole ones, leaves one at least."""
    to = f"[{backend}]:22" if ":" in backend else f"{backend}:22"
    lines = {PLAIN: [OPEN, "Window = 2s"], COUNTED: [OPEN, "Window = 2s", "Connections = 1"],
             ROAMING: [OPEN, "Window = 10s", "MaxGrants = 1"],
             BEHIND: [f"{OPEN} -> {to}", "Window = 2s"]}
    for client in range(1, count + 1):
        write_profile(client, directory, lines[kind_of(client)])


def print_knock(keys, server, address, port, action):
    request = encode_request(action, 0, time.time_ns() // 1000, None, [])
    signature = sign(keys["signing_key"], server, request)
    datagram = seal(keys, os.urandom(24), os.urandom(1)[0] % 129, request, signature)
    print(f"{address} {port}:{datagram.hex()}")


def print_knocks(first, count, key, port, action):
    server = b64decode(key)
    for client in range(first, first + count):
        print_knock(derive(seed(client), server, b""), server, FIRST + client, port, action)


def print_stream(knocks, count, key, port):
    server = b64decode(key)
    keys = [derive(seed(client), server, b"") for client in range(1, count + 1)]
    for i in range(knocks):
        client, turn = i % count + 1, i // count
        moved = count * (turn % PLACES) if kind_of(client) == ROAMING else 0
        print_knock(keys[client - 1], server, FIRST + client + moved, port, 1)
        sys.stdout.flush()


def main(job, count, *rest):
    if job == "profiles":
        make_profiles(int(count), rest[0], rest[1:])
    elif job == "mixed":
        make_mixed(int(count), *rest)
    elif job == "stream":
        print_stream(int(count), int(rest[0]), rest[1], int(rest[2]))
    else:
        print_knocks(int(count), int(rest[0]), rest[1], int(rest[2]),
                     2 if rest[3:] == ("close",) else 1)


main(*sys.argv[1:])
