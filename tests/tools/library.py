#!/usr/bin/env python3
"""A program of somebody else's, which knocks by libportsmith (ctypes): `key FILE` makes a key of its
own, and prints the line of that for the server; `open|close DIRECTORY BUNDLE [KEY]` knocks at the
server of a bundle, with the last counter in DIRECTORY, signing by the KEY of its own."""
import base64
import ctypes
import os
import socket
import struct
import sys

import nacl.signing

OPEN, CLOSE, DATAGRAM_MAX = 1, 2, 1232
SIGNER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_ubyte),
                          ctypes.c_size_t, ctypes.POINTER(ctypes.c_ubyte))


def load():
    """ctypes takes all for int that it is not told of."""
    library = ctypes.CDLL("libportsmith.so.0")
    library.portsmith_new.restype = ctypes.c_void_p
    library.portsmith_error.restype = library.portsmith_get.restype = ctypes.c_char_p
    for name, more in (("new", ()), ("free", ()), ("error", ()),
                       ("parse_bundle", (ctypes.c_char_p, ctypes.c_size_t)),
                       ("get", (ctypes.c_char_p,)), ("sign", (SIGNER, ctypes.c_void_p)),
                       ("knock", (ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t))):
        first = ctypes.c_char_p if name == "new" else ctypes.c_void_p
        getattr(library, "portsmith_" + name).argtypes = (first, *more)
    return library


def make_key(path):
    key = nacl.signing.SigningKey.generate()
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(bytes(key))
    strings = (b"ssh-ed25519", bytes(key.verify_key))
    blob = b"".join(struct.pack(">I", len(string)) + string for string in strings)
    print("ssh-ed25519", base64.b64encode(blob).decode())


def signer_by(path):
    with open(path, "rb") as file:
        key = nacl.signing.SigningKey(file.read())

    def sign(_context, message, size, signature):
        signed = key.sign(bytes(message[:size])).signature
        ctypes.memmove(signature, signed, len(signed))
        return len(signed)

    return SIGNER(sign)


def knock(action, directory, bundle, key=None):
    library = load()
    server = library.portsmith_new(directory.encode())
    with open(bundle, "rb") as file:
        text = file.read()
    if library.portsmith_parse_bundle(server, text, len(text)) != 0:
        sys.exit(library.portsmith_error(server).decode())
    sign = signer_by(key) if key else None  # which is to live as long as it may be called
    if sign:
        library.portsmith_sign(server, sign, None)
    host, port = (library.portsmith_get(server, name).decode() for name in (b"Host", b"Port"))
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    datagram = ctypes.create_string_buffer(DATAGRAM_MAX)
    with socket.socket(family, kind, protocol) as outgoing:
        outgoing.connect(address)
        size = library.portsmith_knock(server, OPEN if action == "open" else CLOSE,
                                       outgoing.getsockname()[0].encode(), datagram, DATAGRAM_MAX)
        if size < 0:
            sys.exit(library.portsmith_error(server).decode())
        outgoing.send(datagram.raw[:size])
    library.portsmith_free(server)


if sys.argv[1] == "key":
    make_key(sys.argv[2])
else:
    knock(*sys.argv[1:])
