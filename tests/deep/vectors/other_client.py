#!/usr/bin/python3
"""Another client, written from portsmith-protocol(7) alone.

  other_client.py knock --key FILE --server KEY [options] > DATAGRAM
  other_client.py check FILE...     work out a test vector again and compare
  other_client.py make NAME         print a test vector; ssh-keygen signs that of ssh

It proves that the manual page suffices to write a client, and makes the
knocks that portsmith-knock refuses to make: --bad-signature,
--sign-for, --request. With --ssh-key ssh-keygen signs, or the agent that it asks.
BLAKE2b and SHA-512 are Python's own, SipHash is below, the rest is PyNaCl.
"""
import argparse
import base64
import hashlib
import ipaddress
import os
import struct
import subprocess
import sys
import tempfile
import time

from nacl import bindings

PROTOCOLS = {"tcp": 6, "udp": 17}


def blake2b(size, *parts, key=b""):
    return hashlib.blake2b(b"".join(parts), digest_size=size, key=key).digest()


def siphash_2_4(key, data):
    """Aumasson and Bernstein, 2012; eight bytes, little-endian."""
    mask = (1 << 64) - 1
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D,
         k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotate(x, n):
        return ((x << n) | (x >> (64 - n))) & mask

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & mask
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & mask
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    tail = data[len(data) & ~7:]
    last = tail + bytes(7 - len(tail)) + bytes([len(data) & 255])
    for at in range(0, len(data) & ~7, 8):
        m = struct.unpack_from("<Q", data, at)[0]
        v[3] ^= m
        rounds(2)
        v[0] ^= m
    m = struct.unpack("<Q", last)[0]
    v[3] ^= m
    rounds(2)
    v[0] ^= m
    v[2] ^= 0xFF
    rounds(4)
    return struct.pack("<Q", v[0] ^ v[1] ^ v[2] ^ v[3])


def member_id(name):
    return blake2b(16, b"portsmith/1 member", name.lower().encode("ascii"))


def encode_request(action, window, counter, address, services, member=None):
    flags = 1 if address else 2 if member else 0
    request = struct.pack(">BBBBIQ", 1, action, flags, len(services), window, counter)
    if address:
        ip = ipaddress.ip_address(address)
        request += (b"\0" * 10 + b"\xff\xff" if ip.version == 4 else b"") + ip.packed
    else:
        request += b"\0" * 16
    for protocol, port in sorted(set(services)):
        request += struct.pack(">BBH", protocol, 0, port)
    return request.ljust(48, b"\0") + (member_id(member) if flags == 2 else bytes(16))


def derive_public(client_public, server_public):
    return {"client_public": client_public,
            "key_id": blake2b(32, b"portsmith/1 key-id", client_public)[:8],
            "gate_key": blake2b(16, b"portsmith/1 gate", server_public)}


def derive_ssh(client_public, server_public, preshared):
    """The same for a client that an ssh agent signs for."""
    keys = derive_public(client_public, server_public)
    keys["envelope_key"] = blake2b(32, b"portsmith/1 envelope-psk", client_public, server_public,
                                   key=preshared)
    return keys


def derive(seed, server_public, preshared):
    """All that one client and one server need, once."""
    client_public, signing_key = bindings.crypto_sign_seed_keypair(seed)
    scalar = bytearray(hashlib.sha512(seed).digest()[:32])
    scalar[0] &= 248
    scalar[31] = (scalar[31] & 127) | 64
    shared = bindings.crypto_scalarmult(bytes(scalar), server_public)
    return {
        **derive_public(client_public, server_public),
        "signing_key": signing_key,
        "shared": shared,
        "envelope_key": blake2b(32, b"portsmith/1 envelope", shared, client_public, server_public,
                                key=preshared),
    }


def signed_text(server_public, request):
    return b"portsmith/1 request\0" + server_public + request


def sign(signing_key, server_public, request):
    return bindings.crypto_sign(signed_text(server_public, request), signing_key)[:64]


# ---- ssh keys --------------------------------------------------------------

def string(text):
    return struct.pack(">I", len(text)) + text


def strings(text):
    """What string() has joined."""
    while text:
        size = struct.unpack_from(">I", text)[0]
        yield text[4:4 + size]
        text = text[4 + size:]


def ssh_blob(server_public, request):
    digest = hashlib.sha512(signed_text(server_public, request)).digest()
    return b"SSHSIG" + string(b"portsmith") + string(b"") + string(b"sha512") + string(digest)


def authenticator_text(application, authenticator, blob):
    return hashlib.sha256(application).digest() + authenticator + hashlib.sha256(blob).digest()


def openssh_key(seed):
    """A private key file, which is not encrypted (OpenSSH's PROTOCOL.key)."""
    public = bindings.crypto_sign_seed_keypair(seed)[0]
    public_blob = string(b"ssh-ed25519") + string(public)
    private = bytes(8) + public_blob + string(seed + public) + string(b"vector")
    private += bytes(range(1, 1 + -len(private) % 8))
    whole = (b"openssh-key-v1\0" + string(b"none") + string(b"none") + string(b"") +
             struct.pack(">I", 1) + string(public_blob) + string(private))
    lines = base64.encodebytes(whole).decode()
    return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{lines}-----END OPENSSH PRIVATE KEY-----\n"


def ssh_keygen_sign(key_file, text):
    """The signature of ssh-keygen -Y sign, and what an authenticator adds to it."""
    armoured = subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "portsmith", "-f", key_file],
                              input=text, stdout=subprocess.PIPE, check=True).stdout
    whole = base64.b64decode(b"".join(armoured.splitlines()[1:-1]))
    *_, last = strings(whole[10:])  # behind the magic and the version
    size = struct.unpack_from(">I", last)[0]
    signature = last[4 + size:]
    return signature[4:68], signature[68:]


def ssh_keygen_sign_by_seed(seed, text):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "key")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write(openssh_key(seed))
        return ssh_keygen_sign(path, text)[0]


def seal(keys, nonce, padding, request, signature):
    mask = siphash_2_4(keys["gate_key"], nonce)
    hint = bytes(a ^ b for a, b in zip(keys["key_id"], mask))
    plain = request + signature + bytes(padding)
    sealed = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        plain, hint, nonce, keys["envelope_key"])
    return nonce + hint + sealed


# ---- test vectors ----------------------------------------------------------

def vector(seed, server_secret, preshared, nonce, padding, request, member=b""):
    server_public = bindings.crypto_scalarmult_base(server_secret)
    keys = derive(seed, server_public, preshared)
    signature = sign(keys["signing_key"], server_public, request)
    values = {"client_seed": seed, "client_public": keys["client_public"],
              "key_id": keys["key_id"], "server_secret": server_secret,
              "server_public": server_public, "gate_key": keys["gate_key"]}
    if preshared:
        values["preshared"] = preshared
    if member:
        values.update(member=member, member_id=member_id(member.decode("ascii")))
    values.update(shared=keys["shared"], envelope_key=keys["envelope_key"], request=request,
                  signature=signature, nonce=nonce,
                  datagram=seal(keys, nonce, padding, request, signature))
    return values


def ssh_vector(seed, server_secret, preshared, nonce, padding, request, application=b"",
               authenticator=b"", by_ssh_keygen=False):
    """Of a security key where there is an application."""
    server_public = bindings.crypto_scalarmult_base(server_secret)
    client_public, signing_key = bindings.crypto_sign_seed_keypair(seed)
    keys = derive_ssh(client_public, server_public, preshared)
    text = blob = ssh_blob(server_public, request)
    values = {"client_seed": seed, "client_public": client_public, "key_id": keys["key_id"],
              "server_secret": server_secret, "server_public": server_public,
              "gate_key": keys["gate_key"], "preshared": preshared,
              "envelope_key": keys["envelope_key"], "request": request, "ssh_blob": blob}
    if application:
        text = authenticator_text(application, authenticator, blob)
        values.update(application=application, authenticator=authenticator, signed=text)
    signature = bindings.crypto_sign(text, signing_key)[:64]
    if by_ssh_keygen:
        signature = ssh_keygen_sign_by_seed(seed, signed_text(server_public, request))
    rest = bytes(padding - len(authenticator))
    values.update(signature=signature, nonce=nonce,
                  datagram=seal(keys, nonce, 0, request, signature + authenticator + rest))
    return values


def roster_vector(seed, secret, text, client_public):
    """A roster's file, and the pre-shared key of one of its clients."""
    fleet_public, signing_key = bindings.crypto_sign_seed_keypair(seed)
    message = b"# portsmith-roster 1\n" + text
    signature = bindings.crypto_sign(message, signing_key)[:64]
    return {"fleet_seed": seed, "fleet_public": fleet_public, "text": text,
            "file": message + base64.b64encode(signature) + b"\n", "fleet_secret": secret,
            "client_public": client_public,
            "preshared": blake2b(32, b"portsmith/1 roster-psk", client_public, key=secret)}


SEED, SERVER, PRESHARED = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
VECTORS = {
    "plain": ("Open what the profile permits, for the observed address. No padding.",
              lambda: vector(SEED, SERVER, b"", bytes(range(128, 152)), 0,
                             encode_request(1, 0, 1767225600000000, None, []))),
    "preshared": ("Open tcp/22 and udp/53 for 2001:db8::7, 30 s. 37 bytes of padding.",
                  lambda: vector(SEED, SERVER, PRESHARED, bytes(range(152, 176)), 37,
                                 encode_request(1, 30, 1767225600000001, "2001:db8::7",
                                                [(17, 53), (6, 22)]))),
    "close": ("Close tcp/22 for 192.0.2.7. 128 bytes of padding.",
              lambda: vector(SEED, SERVER, b"", bytes(range(176, 200)), 128,
                             encode_request(2, 0, 1767225600000002, "192.0.2.7", [(6, 22)]))),
    "ssh": ("Open what the profile permits, signed by ssh-keygen. No padding.",
            lambda: ssh_vector(SEED, SERVER, PRESHARED, bytes(range(200, 224)), 0,
                               encode_request(1, 0, 1767225600000003, None, []),
                               by_ssh_keygen=True)),
    "security-key": ("Open what the profile permits, by a touch of a security key. 5 bytes of padding.",
                     lambda: ssh_vector(SEED, SERVER, PRESHARED, bytes(range(224, 248)), 5,
                                        encode_request(1, 0, 1767225600000004, None, []),
                                        b"ssh:", bytes([1, 0, 0, 1, 2]))),
    "member": ("Open tcp/22 for the observed address, at a.example.org alone. No padding.",
               lambda: vector(SEED, SERVER, b"", bytes(range(24)), 0,
                              encode_request(1, 0, 1767225600000005, None, [(6, 22)],
                                             "a.example.org"), b"a.example.org")),
    "roster": ("Version 1 until the end of 2030, without a profile; and a client's pre-shared key.",
               lambda: roster_vector(SEED, SERVER,
                                     b"[Roster]\nVersion = 1\nNotAfter = 2030-12-31\n",
                                     bindings.crypto_sign_seed_keypair(PRESHARED)[0])),
}


def make(name):
    title, work_out = VECTORS[name]
    print(f"# {title}")
    for key, value in work_out().items():
        text = value.hex()
        print(f"{key} =")
        for at in range(0, len(text), 64):
            print(f"  {text[at:at + 64]}")


def read_vector(path):
    values, name = {}, None
    with open(path, encoding="ascii") as lines:
        for line in lines:
            if line.startswith(" "):
                values[name] += bytes.fromhex(line.strip())
            elif not line.startswith("#"):
                name = line.partition(" =")[0]
                values[name] = b""
    return values


def compare(path, given, again):
    wrong = [name for name in again if again[name] != given.get(name)]
    if wrong or set(given) != set(again):
        sys.exit(f"{path}: differs in {', '.join(wrong) or 'its names'}")
    print(f"{path}: the same, byte for byte")


def check(paths):
    for path in paths:
        given = read_vector(path)
        if "fleet_seed" in given:
            compare(path, given, roster_vector(given["fleet_seed"], given["fleet_secret"],
                                               given["text"], given["client_public"]))
            continue
        arguments = [given["client_seed"], given["server_secret"], given.get("preshared", b""),
                     given["nonce"], len(given["datagram"]) - 176, given["request"]]
        if "ssh_blob" in given:
            again = ssh_vector(*arguments, given.get("application", b""),
                               given.get("authenticator", b""))
        else:
            again = vector(*arguments, given.get("member", b""))
        if "member_id" in given and given["request"][48:] != given["member_id"]:
            sys.exit(f"{path}: the request names another member")
        compare(path, given, again)


# ---- a knock ---------------------------------------------------------------

def knock(options):
    """A datagram, or many, each in a file of its own."""
    if options.many:
        prefix, count = options.many
        for number in range(1, int(count) + 1):
            with open(f"{prefix}{number}", "wb") as file:
                file.write(datagram(options))
    else:
        sys.stdout.buffer.write(datagram(options))


def sign_as_told(options, keys, server_public, request):
    """The signature, and what of the padding is not zero."""
    if options.ssh_key:
        return ssh_keygen_sign(options.ssh_key, signed_text(server_public, request))
    signing_key = keys["signing_key"]
    if options.bad_signature:
        signing_key = bindings.crypto_sign_seed_keypair(os.urandom(32))[1]
    return sign(signing_key, server_public, request), b""


def keys_as_told(options, server_public):
    preshared = base64.b64decode(options.preshared)
    if options.ssh_key:
        with open(options.ssh_key.removesuffix(".pub") + ".pub", encoding="utf-8") as file:
            blob = base64.b64decode(file.read().split()[1])
        return derive_ssh(list(strings(blob))[1], server_public, preshared)
    with open(options.key, encoding="ascii") as file:
        return derive(base64.b64decode(file.read()), server_public, preshared)


def datagram(options):
    server_public = base64.b64decode(options.server)
    keys = keys_as_told(options, server_public)
    services = [(PROTOCOLS[p], int(n)) for p, n in (s.split("/") for s in options.service)]
    counter = options.counter or time.time_ns() // 1000
    request = encode_request(2 if options.close else 1, options.window, counter, options.address,
                             services, options.member)
    if options.request:
        request = bytes.fromhex(options.request)
    signed_for = base64.b64decode(options.sign_for) if options.sign_for else server_public
    signature, authenticator = sign_as_told(options, keys, signed_for, request)
    least = len(authenticator)
    padding = options.padding
    if padding is None:
        padding = least + os.urandom(1)[0] % (129 - least)
    rest = bytes(padding - least)
    return seal(keys, os.urandom(24), 0, request, signature + authenticator + rest)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("check")
    one.add_argument("files", nargs="+")
    one = commands.add_parser("make")
    one.add_argument("name", choices=VECTORS)
    one = commands.add_parser("knock")
    one.add_argument("--key", help="file with the client's secret key")
    one.add_argument("--ssh-key", metavar="FILE", help="OpenSSH's; .pub: an agent's")
    one.add_argument("--server", required=True, help="the server's public key")
    one.add_argument("--preshared", default="")
    one.add_argument("--service", action="append", default=[], metavar="tcp/22")
    one.add_argument("--window", type=int, default=0)
    one.add_argument("--counter", type=int, default=0)
    one.add_argument("--address")
    one.add_argument("--member", help="the one host of a group that is to open")
    one.add_argument("--padding", type=int)
    one.add_argument("--close", action="store_true")
    one.add_argument("--bad-signature", action="store_true", help="sign with another key")
    one.add_argument("--sign-for", metavar="KEY", help="sign for this other server")
    one.add_argument("--many", nargs=2, metavar=("PREFIX", "COUNT"),
                     help="so many, in PREFIX1, PREFIX2 and so on")
    one.add_argument("--request", help="these 64 bytes, in hex, whatever they say")
    options = parser.parse_args()
    if options.command == "check":
        check(options.files)
    elif options.command == "make":
        make(options.name)
    else:
        knock(options)


if __name__ == "__main__":
    main()
