#!/usr/bin/python3
"""ssh-agents that answer wrongly, or late: one for each of the ways below, at DIRECTORY/WAY.

  agents.py DIRECTORY KEY

KEY is a file of ssh-keygen's with an Ed25519 key, which they all hold. Each notes down in DIRECTORY/WAY.log
what it was asked, a line for a request: "list", or "sign", the length of what is to be signed, the
flags and what the right signature is, in hex. For `late` a signature is made when DIRECTORY/go is
written to, a FIFO."""
import base64
import os
import socket
import struct
import sys
import threading

from nacl import bindings

LIST, SIGN = 11, 13
FAILURE, KEYS, SIGNATURE = b"\x05", b"\x0c", b"\x0e"


def string(text):
    return struct.pack(">I", len(text)) + text


def message(text):
    return string(text)


def take_string(text):
    size = struct.unpack_from(">I", text)[0]
    return text[4:4 + size], text[4 + size:]


def read_key(path):
    """The public key, the secret one as libsodium has it, and the comment (PROTOCOL.key)."""
    with open(path, encoding="ascii") as file:
        rest = base64.b64decode("".join(file.read().split("\n")[1:-2]))[15:]
    for _ in ("cipher", "key derivation", "its options"):
        rest = take_string(rest)[1]
    rest = take_string(take_string(rest[4:])[1])[0][8:]
    public, rest = take_string(take_string(rest)[1])
    secret, rest = take_string(rest)
    return public, secret, take_string(rest)[0]


class Agent:
    def __init__(self, directory, path):
        public, self.secret, self.comment = read_key(path)
        self.other = bindings.crypto_sign_seed_keypair(bytes(32))[1]
        self.directory = directory
        self.key = self.blob(public)

    @staticmethod
    def blob(public):
        return string(b"ssh-ed25519") + string(public)

    def keys(self, *keys, count=None):
        body = b"".join(string(key) + string(self.comment) for key in keys)
        return KEYS + struct.pack(">I", len(keys) if count is None else count) + body

    def signature(self, data, kind=b"ssh-ed25519", secret=None, cut=0, more=b""):
        signed = bindings.crypto_sign(data, secret or self.secret)[:64]
        return SIGNATURE + string(string(kind) + string(signed[:64 - cut] + more))


class Silence(Exception):
    """Nothing is said, and the connection stays."""


class Half(Exception):
    """The last that is said before the connection is closed."""


def half(answer):
    raise Half(answer[:len(answer) // 2])


def silent(*_):
    raise Silence


def closes(*_):
    raise EOFError


def late(agent, data):
    with open(f"{agent.directory}/go", encoding="ascii") as file:
        file.read()
    return message(agent.signature(data))


# What is said to a list and to a request for a signature; None: what is right.
WAYS = {
    "right": (None, None),
    # a list
    "list-refused": (lambda a: message(FAILURE), None),
    "list-empty": (lambda a: message(a.keys()), None),
    "list-of-others": (lambda a: message(a.keys(a.blob(bytes(32)), string(b"ssh-rsa"))), None),
    "list-of-many": (lambda a: message(a.keys(*[a.blob(n.to_bytes(32, "big")) for n in range(2000)],
                                              a.key)), None),
    "list-silent": (silent, None),
    "list-closes": (closes, None),
    "list-half": (lambda a: half(message(a.keys(a.key))), None),
    "list-nothing": (lambda a: message(b""), None),
    "list-huge": (lambda a: struct.pack(">I", 0xFFFFFFFF) + a.keys(a.key), None),
    "list-too-long": (lambda a: struct.pack(">I", 2 << 20) + a.keys(a.key), None),
    "list-of-another-kind": (lambda a: message(SIGNATURE + a.keys(a.key)[1:]), None),
    "list-counts-more": (lambda a: message(a.keys(a.key, count=2)), None),
    "list-counts-less": (lambda a: message(a.keys(a.key, a.blob(bytes(32)), count=1)), None),
    "list-counts-billions": (lambda a: message(a.keys(a.key, count=0xFFFFFFFF)), None),
    "list-key-overlong": (lambda a: message(KEYS + struct.pack(">II", 1, 0xFFFFFFF0) + a.key), None),
    # a signature
    "refused": (None, lambda a, d: message(FAILURE)),
    "late": (None, late),
    "closes": (None, closes),
    "half": (None, lambda a, d: half(message(a.signature(d)))),
    "nothing": (None, lambda a, d: message(b"")),
    "huge": (None, lambda a, d: struct.pack(">I", 0xFFFFFFFF) + a.signature(d)),
    "of-another-kind": (None, lambda a, d: message(KEYS + a.signature(d)[1:])),
    "of-another-key": (None, lambda a, d: message(a.signature(d, secret=a.other))),
    "of-other-bytes": (None, lambda a, d: message(a.signature(d + b"x"))),
    "of-another-type": (None, lambda a, d: message(a.signature(d, kind=b"ssh-rsa"))),
    "of-a-security-key": (None, lambda a, d: message(a.signature(d, kind=b"sk-ssh-ed25519@openssh.com",
                                                                 more=bytes(5)))),
    "short": (None, lambda a, d: message(a.signature(d, cut=1))),
    "long": (None, lambda a, d: message(a.signature(d, more=b"x"))),
    "more-behind": (None, lambda a, d: message(a.signature(d) + b"x")),
}


def read_exactly(peer, size):
    got = b""
    while len(got) < size:
        more = peer.recv(size - len(got))
        if not more:
            raise EOFError
        got += more
    return got


def answer(agent, way, request, log):
    to_list, to_sign = WAYS[way]
    if request[:1] == bytes([LIST]):
        print("list", file=log, flush=True)
        return to_list(agent) if to_list else message(agent.keys(agent.key))
    size = struct.unpack_from(">I", request, 1)[0]
    at = 5 + size
    length = struct.unpack_from(">I", request, at)[0]
    data, flags = request[at + 4:at + 4 + length], struct.unpack_from(">I", request, at + 4 + length)[0]
    signature = agent.signature(data)
    print("sign", len(data), flags, signature[-64:].hex(), file=log, flush=True)
    return to_sign(agent, data) if to_sign else message(signature)


def converse(agent, way, peer):
    with open(f"{agent.directory}/{way}.log", "a", encoding="ascii") as log, peer:
        try:
            while True:
                request = read_exactly(peer, struct.unpack(">I", read_exactly(peer, 4))[0])
                peer.sendall(answer(agent, way, request, log))
        except Half as said:
            peer.sendall(said.args[0])
        except Silence:
            while peer.recv(1):
                pass
        except (EOFError, OSError):
            pass


def serve(agent, way, listener):
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=converse, args=(agent, way, peer), daemon=True).start()


def main():
    directory, path = sys.argv[1:]
    agent = Agent(directory, path)
    threads = []
    for way in WAYS:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{directory}/{way}")
        listener.listen()
        os.chmod(f"{directory}/{way}", 0o777)
        threads.append(threading.Thread(target=serve, args=(agent, way, listener)))
        threads[-1].start()
    open(f"{directory}/ready", "w", encoding="ascii").close()


main()
