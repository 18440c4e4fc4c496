#!/usr/bin/python3 -B
"""Tells two ports apart by what they answer, byte for byte.

likeness.py INTERFACE MAC SOURCE DESTINATION PORT OTHER
    sends the same probes to PORT and to OTHER, one at a time: TCP with every set of flags that
    can get an answer, with data, options, urgent pointers and wrong checksums, UDP short and
    long; each with several types of service, flow labels and hop limits. Prints a line for
    each field of an answer that is not the same, with the first probe that showed it:

    FIELD: PROBE: what PORT said, what OTHER said

Wants a host that gives every error (icmp_ratelimit), and a prober whose kernel does not answer
the answers.

A field that is made up anew each time counts by whether it is zero, that of the probe, or
another: so the flow label and the IPv4 id.
"""
import ipaddress
import socket
import struct
import sys
import time

from frames import checksum

PATIENCE = 0.25 # seconds, where nothing is answered
TRIES = 3       # where one port answers and the other does not
SOURCE_PORT = 41000


def with_checksum(source, destination, protocol, head, at, rest, spoil=0):
    pseudo = source.packed + destination.packed + struct.pack("!IHBB", len(head) + len(rest), 0, 0,
                                                              protocol)
    value = checksum(pseudo + head + rest) ^ spoil
    return head[:at] + struct.pack("!H", value) + head[at + 2:] + rest


def tcp(source, destination, from_port, port, flags, payload=b"", options=b"", urgent=0, spoil=0):
    head = struct.pack("!HHIIBBHHH", from_port, port, 0x01020304, 0x05060708,
                       (20 + len(options)) // 4 << 4, flags, 1024, 0, urgent) + options
    return with_checksum(source, destination, 6, head, 16, payload, spoil)


def udp(source, destination, from_port, port, payload, spoil=0):
    head = struct.pack("!HHHH", from_port, port, 8 + len(payload), 0)
    return with_checksum(source, destination, 17, head, 6, payload, spoil)


def ip(source, destination, protocol, inside, service, label, hops):
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28 | service << 20 | label, len(inside), protocol, hops) + \
            source.packed + destination.packed + inside
    head = struct.pack("!BBHHHBBH4s4s", 0x45, service, 20 + len(inside), 0x1234, 0, hops, protocol, 0,
                       source.packed, destination.packed)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + inside


SYN, ACK, RST, FIN, PSH, URG, ECE, CWR = 2, 16, 4, 1, 8, 32, 64, 128
MSS = b"\x02\x04\x05\xb4"
STAMPS = b"\x01\x01\x08\x0a\0\0\0\x07\0\0\0\0"
MD5 = b"\x01\x01\x13\x12" + bytes(16)
AO = b"\x1d\x10\x01\x01" + bytes(12)
FASTOPEN = b"\x22\x02\x01\x01"
MULTIPATH = b"\x1e\x04\x01\x01"


def probes(protocol):
    """Name and what makes it, of source, destination and both ports."""
    if protocol == 17:
        for size in (0, 1, 200, 1300):
            yield f"{size} bytes", lambda s, d, f, t, n=size: udp(s, d, f, t, b"x" * n)
        yield "wrong checksum", lambda s, d, f, t: udp(s, d, f, t, b"hello", 0x5555)
        return
    for flags in (SYN, SYN | ECE | CWR, SYN | FIN, SYN | PSH | URG, FIN, FIN | PSH | URG, 0, PSH,
                  FIN | ACK, ACK, ACK | PSH, SYN | ACK, RST, RST | ACK, SYN | RST):
        yield f"flags {flags:#x}", lambda s, d, f, t, n=flags: tcp(s, d, f, t, n)
    for name, options in (("mss", MSS), ("stamps", STAMPS), ("the MD5 option", MD5), ("ao", AO), ("fastopen", FASTOPEN),
                          ("multipath", MULTIPATH)):
        yield f"SYN, {name}", lambda s, d, f, t, o=options: tcp(s, d, f, t, SYN, options=o)
    yield "FIN, the MD5 option", lambda s, d, f, t: tcp(s, d, f, t, FIN, options=MD5)
    yield "ACK, the MD5 option", lambda s, d, f, t: tcp(s, d, f, t, ACK, options=MD5)
    yield "SYN, 100 bytes", lambda s, d, f, t: tcp(s, d, f, t, SYN, b"x" * 100)
    yield "SYN, urgent", lambda s, d, f, t: tcp(s, d, f, t, SYN, b"x" * 9, urgent=5)
    yield "SYN, wrong checksum", lambda s, d, f, t: tcp(s, d, f, t, SYN, spoil=0x5555)


def ways(version):
    """Type of service (or class), flow label and hop limit."""
    yield 0, 0, 64
    yield 0x48, 0, 64
    yield 0xB8, 0, 64
    yield 0x02, 0, 64 # ECN
    yield 0, 0, 1
    if version == 6:
        yield 0, 0x12345, 64


def kind(value, probe):
    return "0" if value == 0 else "the probe's" if value == probe else "another"


def fields(packet, probe):
    """Of an answer, by name."""
    if packet[0] >> 4 == 6:
        first, sent = struct.unpack("!I", packet[:4])[0], struct.unpack("!I", probe[:4])[0]
        found = {"class": first >> 20 & 0xFF, "flow label": kind(first & 0xFFFFF, sent & 0xFFFFF),
                 "length": packet[4:6].hex(), "protocol": packet[6], "hop limit": packet[7]}
        inside = packet[40:]
    else:
        size = (packet[0] & 15) * 4
        found = {"type of service": packet[1], "length": packet[2:4].hex(),
                 "id": kind(int.from_bytes(packet[4:6], "big"), 0x1234),
                 "fragments": packet[6:8].hex(), "hop limit": packet[8], "protocol": packet[9],
                 "ip options": packet[20:size].hex()}
        inside = packet[size:]
    if found["protocol"] == 6:
        found.update({"sequence": inside[4:8].hex(), "acknowledged": inside[8:12].hex(),
                      "flags": inside[12:14].hex(), "window": inside[14:16].hex(),
                      "urgent": inside[18:20].hex(), "options": inside[20:].hex()})
    else: # an error: what it quotes but for the ports and the checksums
        quoted = bytearray(inside[8:])
        start = 40 if packet[0] >> 4 == 6 else (quoted[0] & 15) * 4
        del quoted[start + 6:start + 8], quoted[start:start + 4]
        found.update({"error": inside[:2].hex(), "rest": inside[4:8].hex(), "quote": quoted.hex()})
    return found


class Prober:
    def __init__(self, interface, mac, source, destination):
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.wire.bind((interface, 0))
        self.source, self.destination = source, destination
        self.ethertype = b"\x08\x00" if source.version == 4 else b"\x86\xdd"
        self.head = bytes.fromhex(mac.replace(":", "")) + self.wire.getsockname()[4] + self.ethertype
        self.port = SOURCE_PORT

    def is_answer(self, packet, port):
        version = self.source.version
        size = 40 if version == 6 else 20
        ours = self.destination.packed + self.source.packed
        if packet[0] >> 4 != version or packet[8 if version == 6 else 12:size] != ours:
            return False
        if packet[6 if version == 6 else 9] == 6:
            return packet[size:size + 4] == struct.pack("!HH", port, self.port)
        # An error that quotes the probe.
        return packet[6 if version == 6 else 9] in (1, 58) and \
            struct.pack("!HH", self.port, port) in packet[size + 8:]

    def ask(self, protocol, make, port, service, label, hops):
        """The fields of the answer, or None."""
        probe = ip(self.source, self.destination, protocol,
                   make(self.source, self.destination, self.port, port), service, label, hops)
        self.wire.send(self.head + probe)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.wire.settimeout(max(end - time.monotonic(), 0.001))
            try:
                frame = self.wire.recv(4096)
            except TimeoutError:
                break
            if frame[12:14] == self.ethertype and self.is_answer(frame[14:], port):
                return fields(frame[14:], probe)
        return None

    def compare(self, protocol, port, other):
        different = {}
        for service, label, hops in ways(self.source.version):
            for name, make in probes(protocol):
                for _ in range(TRIES):
                    self.port += 1
                    answers = [self.ask(protocol, make, to, service, label, hops)
                               for to in (port, other)]
                    if (answers[0] is None) == (answers[1] is None):
                        break
                probe = f"{name}, service {service:#x}, label {label:#x}, hop limit {hops}"
                if answers[0] is None and answers[1] is None:
                    continue
                if None in answers:
                    said = ["silence" if a is None else "an answer" for a in answers]
                    different.setdefault(f"silence to {name}", (probe, *said))
                    continue
                for field in answers[0].keys() | answers[1].keys():
                    pair = [a.get(field) for a in answers]
                    if pair[0] != pair[1]:
                        different.setdefault(field, (probe, *pair))
        return different


def main(interface, mac, source, destination, protocol, port, other):
    prober = Prober(interface, mac, ipaddress.ip_address(source), ipaddress.ip_address(destination))
    different = prober.compare({"tcp": 6, "udp": 17}[protocol], int(port), int(other))
    for field, (probe, *pair) in sorted(different.items()):
        print(f"{field}: {probe}: {pair[0]}, {pair[1]}")


main(*sys.argv[1:])
