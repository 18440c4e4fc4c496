#!/usr/bin/python3
"""Many clients of Portsmith at once, without a process for each.

  crowd.py profiles COUNT DIRECTORY [LINE]... a profile file for each client
  crowd.py knocks FROM COUNT KEY PORT [close] what probe.c reads, a line for each

Client I comes from 10.96.0.0 + I. Its secret key follows from its number, so that
nothing has to be kept."""
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

FIRST = ipaddress.IPv4Address("10.96.0.0")


def seed(client):
    return hashlib.sha256(b"portsmith bench %d" % client).digest()


def make_profiles(count, directory, lines):
    for client in range(1, count + 1):
        public = bindings.crypto_sign_seed_keypair(seed(client))[0]
        text = (f"[Profile]\nPublicKey = {b64encode(public).decode()}\nOpen = tcp/22\n"
                "MaxWindow = 1h\n" + "".join(f"{line}\n" for line in lines or ["Window = 1h"]))
        with open(f"{directory}/client-{client}.conf", "w", encoding="ascii") as file:
            file.write(text)


def print_knocks(first, count, key, port, action):
    server = b64decode(key)
    for client in range(first, first + count):
        keys = derive(seed(client), server, b"")
        request = encode_request(action, 0, time.time_ns() // 1000, None, [])
        signature = sign(keys["signing_key"], server, request)
        datagram = seal(keys, os.urandom(24), os.urandom(1)[0] % 129, request, signature)
        print(f"{FIRST + client} {port}:{datagram.hex()}")


if sys.argv[1] == "profiles":
    make_profiles(int(sys.argv[2]), sys.argv[3], sys.argv[4:])
else:
    print_knocks(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5]),
                 2 if sys.argv[6:] == ["close"] else 1)
