#!/usr/bin/python3
"""Knocks that an ssh-agent has signed, and what else it would sign; by the other implementation.

  ssh_knock.py text CONF COUNTER        what the signature is made over, for ssh-keygen -Y sign
  ssh_knock.py agent CONF COUNTER WAY   a datagram, signed by the agent at SSH_AUTH_SOCK: see WAYS
  ssh_knock.py file CONF COUNTER FILE   one with what ssh-keygen has signed, or a signature in hex
  ssh_knock.py native CONF COUNTER KEY  one in the form of ssh, with the key of a profile without

CONF is the client's file of a server."""
import argparse
import base64
import hashlib
import os
import socket
import struct
import sys

sys.path.insert(0, f"{os.path.dirname(os.path.realpath(__file__))}/../deep/vectors")
import other_client  # noqa: E402, pylint: disable=wrong-import-position


def string(text):
    return struct.pack(">I", len(text)) + text


def take_string(text):
    size = struct.unpack_from(">I", text)[0]
    return text[4:4 + size], text[4 + size:]


def sshsig(text, namespace=b"portsmith", algorithm="sha512"):
    digest = hashlib.new(algorithm, text).digest()
    return b"SSHSIG" + string(namespace) + string(b"") + string(algorithm.encode()) + string(digest)


def userauth(text, key):
    """What ssh has signed to log in, had it chosen the session's name itself."""
    kind = take_string(key)[0]
    return (string(text) + b"\x32" + string(b"visitor") + string(b"ssh-connection") +
            string(b"publickey") + b"\x01" + string(kind) + string(key))


def text_of(request, server):
    return b"portsmith/1 request\0" + server + request


WAYS = {
    "right": lambda request, server, key: sshsig(text_of(request, server)),
    "bytes": lambda request, server, key: text_of(request, server),
    "namespace-git": lambda request, server, key: sshsig(text_of(request, server), b"git"),
    "namespace-none": lambda request, server, key: sshsig(text_of(request, server), b""),
    "sha256": lambda request, server, key: sshsig(text_of(request, server), algorithm="sha256"),
    "login": lambda request, server, key: userauth(text_of(request, server), key),
    "other-server": lambda request, server, key: sshsig(text_of(request, bytes(32))),
    "other-request": lambda request, server, key: sshsig(text_of(request[:-1] + b"\1", server)),
}


def ask_agent(key, data):
    with socket.socket(socket.AF_UNIX) as agent, agent.makefile("rb") as answers:
        agent.connect(os.environ["SSH_AUTH_SOCK"])
        agent.sendall(string(b"\x0d" + string(key) + string(data) + bytes(4)))
        answer = answers.read(struct.unpack(">I", answers.read(4))[0])
    if answer[:1] != b"\x0e":
        sys.exit(f"the agent does not sign: {answer.hex()}")
    return take_string(answer[1:])[0]


def take_apart(signature):
    """The 64 bytes, and the flags and counter of a security key."""
    signed, rest = take_string(take_string(signature)[1])
    return signed, rest


def signature_in(path):
    with open(path, encoding="ascii") as file:
        lines = file.read().split("\n")
    if not lines[0].startswith("-----"):
        return bytes.fromhex(lines[0]), b""
    rest = base64.b64decode("".join(lines[1:-2]))[10:]
    for _ in ("key", "namespace", "reserved", "hash"):
        rest = take_string(rest)[1]
    return take_apart(take_string(rest)[0])


def read_server(path):
    with open(path, encoding="utf-8") as file:
        return dict(line.strip().split(" = ", 1) for line in file if " = " in line)


def seal(keys, request, signature, authenticator):
    padding = authenticator + bytes(32)
    mask = other_client.siphash_2_4(keys["gate_key"], nonce := os.urandom(24))
    hint = bytes(a ^ b for a, b in zip(keys["key_id"], mask))
    return nonce + hint + other_client.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        request + signature + padding, hint, nonce, keys["envelope_key"])


def keys_of(conf, key):
    """Of one ssh key and one server."""
    public, server = take_string(take_string(key)[1])[0], base64.b64decode(conf["PublicKey"])
    return {
        "key_id": other_client.blake2b(32, b"portsmith/1 key-id", public)[:8],
        "gate_key": other_client.blake2b(16, b"portsmith/1 gate", server),
        "envelope_key": other_client.blake2b(32, b"portsmith/1 envelope-psk", public, server,
                                             key=base64.b64decode(conf["PresharedKey"])),
    }


def sealed_by_agent(options, conf, server, request):
    key = base64.b64decode(conf["SSHKey"].split()[1])
    signature, authenticator = take_apart(ask_agent(key, WAYS[options.way](request, server, key)))
    if options.flags is not None:
        authenticator = bytes([options.flags]) + authenticator[1:]
    return seal(keys_of(conf, key), request, signature, authenticator)


def sealed_by_file(options, conf, _, request):
    key = base64.b64decode(conf["SSHKey"].split()[1])
    return seal(keys_of(conf, key), request, *signature_in(options.signature))


def sealed_by_native_key(options, _, server, request):
    with open(options.key, encoding="ascii") as file:
        keys = other_client.derive(base64.b64decode(file.read()), server, b"")
    blob = sshsig(text_of(request, server))
    return seal(keys, request, other_client.bindings.crypto_sign(blob, keys["signing_key"])[:64], b"")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = parser.add_subparsers(dest="job", required=True)
    made_by = {"text": lambda _, conf, server, request: text_of(request, server),
               "agent": sealed_by_agent, "file": sealed_by_file, "native": sealed_by_native_key}
    job = {name: jobs.add_parser(name) for name in made_by}
    for one in job.values():
        one.add_argument("conf")
        one.add_argument("counter", type=int)
    job["agent"].add_argument("way", choices=WAYS)
    job["agent"].add_argument("--flags", type=int, help="say these of a security key, not its own")
    job["file"].add_argument("signature")
    job["native"].add_argument("key")
    options = parser.parse_args()
    conf = read_server(options.conf)
    server = base64.b64decode(conf["PublicKey"])
    request = other_client.encode_request(1, 0, options.counter, None, [])
    sys.stdout.buffer.write(made_by[options.job](options, conf, server, request))


main()
