#!/usr/bin/python3 -IS
"""Sends the bytes of a file in frames that no socket would make.

frames.py wire INTERFACE MAC KIND SOURCE DESTINATION PORT FILE [TRANSPORT]
    puts one frame (or two fragments) on INTERFACE, to MAC; KIND is plain, vlan,
    qinq, qinq-8100, options, fragments, trailer, truncated or extension, and
    TRANSPORT udp (unless given), syn, syn-options, syn-ecn, syn-ack or echo
frames.py syn INTERFACE MAC KIND SOURCE DESTINATION PORT
    puts a TCP SYN on INTERFACE, whole or in two fragments of which the first ends
    before the flags; KIND is plain or fragments
frames.py cookie INTERFACE MAC SOURCE DESTINATION PORT
    sends a TCP SYN, says "cookie" when it is answered, and when a line comes in, sends
    the ACK that belongs to the answer, and says "sent"; ends with its input
frames.py merged SOURCE DESTINATION PORT FILE COUNT
    sends the file COUNT times in one call, as one packet that is to be taken apart at the
    end of its way (UDP_SEGMENT, udp(7)): where a frame has no wire to pass, it is not
frames.py tun NAME SOURCE DESTINATION PORT FILE
    makes the tun device NAME, says "up", and when a line comes in, lets the
    kernel receive one IP packet from it; ends with its input
frames.py noise INTERFACE MAC SOURCE DESTINATION PORT COUNT
    sends COUNT random frames, half of them with good headers, and says how many
"""
import fcntl
import ipaddress
import os
import random
import socket
import struct
import sys


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp(source, destination, port, payload):
    length = 8 + len(payload)
    header = struct.pack("!HHHH", 40000, port, length, 0)
    pseudo = source.packed + destination.packed + struct.pack("!IHBB", length, 0, 0, 17)
    value = checksum(pseudo + header + payload) or 0xFFFF
    return struct.pack("!HHHH", 40000, port, length, value) + payload


def segment(source, destination, port, flags, options=b"", payload=b"", numbers=(1, 0)):
    header = struct.pack("!HHIIBBHHH", 40000, port, *numbers, (20 + len(options)) // 4 << 4, flags,
                         64240, 0, 0) + options
    pseudo = source.packed + destination.packed + \
        struct.pack("!IHBB", len(header) + len(payload), 0, 0, 6)
    value = checksum(pseudo + header + payload)
    return header[:16] + struct.pack("!H", value) + header[18:] + payload


def echo(source, destination, payload):
    kind, pseudo = 8, b""
    if source.version == 6:
        kind = 128
        pseudo = source.packed + destination.packed + struct.pack("!IHBB", 8 + len(payload), 0, 0, 58)
    header = struct.pack("!BBHHH", kind, 0, 0, 77, 1)
    value = checksum(pseudo + header + payload)
    return header[:2] + struct.pack("!H", value) + header[4:] + payload


def inside(transport, source, destination, port, payload):
    """What is in the IP packet, and the number of its protocol."""
    if transport == "udp":
        return udp(source, destination, port, payload), 17
    if transport == "echo":
        return echo(source, destination, payload), 1 if source.version == 4 else 58
    flags = {"syn-ecn": 0xC2, "syn-ack": 0x12}.get(transport, 2)
    options = b"\x02\x04\x05\xb4" + b"\x01" * 36 if transport == "syn-options" else b""
    return segment(source, destination, port, flags, options, payload), 6


def ipv4(source, destination, payload, options=b"", flags=0, protocol=17):
    size = 20 + len(options)
    head = struct.pack("!BBHHHBBH4s4s", 0x40 | size // 4, 0, size + len(payload), 7, flags, 64,
                       protocol, 0, source.packed, destination.packed) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source, destination, payload, following=17):
    return struct.pack("!IHBB", 6 << 28, len(payload), following, 64) + \
        source.packed + destination.packed + payload


def syn_packets(kind, source, destination, port):
    """An IP packet with a SYN, or its fragments."""
    syn = segment(source, destination, port, 2)
    if kind == "plain":
        return [ipv4(source, destination, syn, protocol=6) if source.version == 4
                else ipv6(source, destination, syn, following=6)]
    if source.version == 4:
        return [ipv4(source, destination, syn[:8], flags=0x2000, protocol=6),
                ipv4(source, destination, syn[8:], flags=1, protocol=6)]
    return [ipv6(source, destination, struct.pack("!BBHI", 6, 0, offset | more, 77) + part,
                 following=44)
            for offset, more, part in ((0, 1, syn[:8]), (8, 0, syn[8:]))]


def packets(kind, source, destination, port, payload, transport="udp"):
    """The IP packets of a KIND."""
    datagram, protocol = inside(transport, source, destination, port, payload)
    if source.version == 4:
        if kind == "options":
            return [ipv4(source, destination, datagram, options=b"\x01" * 12, protocol=protocol)]
        if kind == "fragments":
            return [ipv4(source, destination, datagram[:64], flags=0x2000, protocol=protocol),
                    ipv4(source, destination, datagram[64:], flags=64 // 8, protocol=protocol)]
        return [ipv4(source, destination, datagram, protocol=protocol)]
    if kind == "extension":
        options = struct.pack("!BB", protocol, 0) + b"\x01\x04\0\0\0\0"
        return [ipv6(source, destination, options + datagram, following=60)]
    if kind == "fragments":
        def fragment(offset, more, part):
            head = struct.pack("!BBHI", protocol, 0, offset | more, 99)
            return ipv6(source, destination, head + part, following=44)
        return [fragment(0, 1, datagram[:64]), fragment(64, 0, datagram[64:])]
    return [ipv6(source, destination, datagram, following=protocol)]


def frames(kind, mac, own, source, destination, port, payload, transport="udp"):
    ethertype = b"\x08\x00" if source.version == 4 else b"\x86\xdd"
    tags = {"vlan": b"\x81\x00\x00\x05", "qinq": b"\x88\xa8\x00\x05\x81\x00\x00\x06",
            "qinq-8100": b"\x81\x00\x00\x05\x81\x00\x00\x06"}.get(kind, b"")
    for packet in packets(kind, source, destination, port, payload, transport):
        frame = mac + own + tags + ethertype + packet
        if kind == "trailer":
            frame += b"\xde\xad\xbe\xef"
        if kind == "truncated":
            frame = frame[:-20]
        yield frame


def open_wire(interface):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind((interface, 0))
    return wire, wire.getsockname()[4]


def run_wire(interface, mac, kind, source, destination, port, file, transport="udp"):
    wire, own = open_wire(interface)
    payload = open(file, "rb").read()
    for frame in frames(kind, bytes.fromhex(mac.replace(":", "")), own,
                        ipaddress.ip_address(source), ipaddress.ip_address(destination),
                        int(port), payload, transport):
        wire.send(frame)


def run_syn(interface, mac, kind, source, destination, port):
    wire, own = open_wire(interface)
    source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    ethertype = b"\x08\x00" if source.version == 4 else b"\x86\xdd"
    for packet in syn_packets(kind, source, destination, int(port)):
        wire.send(bytes.fromhex(mac.replace(":", "")) + own + ethertype + packet)


def cookie_of(frame, source, destination, port):
    """The sequence number of a SYN-ACK for us, or None."""
    size = 20 if source.version == 4 else 40
    ours = destination.packed + source.packed
    head, found = frame[14:14 + size], frame[14 + size:]
    if not head.endswith(ours) or len(found) < 20:
        return None
    from_port, to_port, number, _, _, flags = struct.unpack("!HHIIBB", found[:14])
    return number if (from_port, to_port, flags & 0x12) == (port, 40000, 0x12) else None


def run_cookie(interface, mac, source, destination, port):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.bind((interface, 0))
    wire.settimeout(5)
    source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    port = int(port)
    head = bytes.fromhex(mac.replace(":", "")) + wire.getsockname()[4] + \
        (b"\x08\x00" if source.version == 4 else b"\x86\xdd")

    def packet(tcp):
        return head + (ipv4(source, destination, tcp, protocol=6) if source.version == 4
                       else ipv6(source, destination, tcp, following=6))

    wire.send(packet(segment(source, destination, port, 2)))
    number = None
    while number is None:
        number = cookie_of(wire.recv(2048), source, destination, port)
    print("cookie", flush=True)
    for _ in sys.stdin:
        wire.send(packet(segment(source, destination, port, 0x10, payload=b"hello\n",
                                 numbers=(2, number + 1 & 0xFFFFFFFF))))
        print("sent", flush=True)


def run_merged(source, destination, port, file, count):
    payload = open(file, "rb").read()
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    sender = socket.socket(family, socket.SOCK_DGRAM)
    sender.setsockopt(socket.IPPROTO_UDP, 103, len(payload))
    sender.bind((source, 0))
    sender.sendto(payload * int(count), (destination, int(port)))


def run_tun(name, source, destination, port, file):
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH", name.encode(), 0x1001))  # IFF_TUN, no header
    print("up", flush=True)
    for _ in sys.stdin:
        for packet in packets("plain", ipaddress.ip_address(source),
                              ipaddress.ip_address(destination), int(port),
                              open(file, "rb").read()):
            os.write(tun, packet)
        print("sent", flush=True)


def run_noise(interface, mac, source, destination, port, count):
    wire, own = open_wire(interface)
    source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    target = bytes.fromhex(mac.replace(":", ""))
    kinds = ["plain", "vlan", "qinq", "options", "fragments", "trailer", "truncated", "extension"]
    chance = random.Random(1)
    sent = 0
    for _ in range(int(count)):
        if chance.random() < 0.5:
            made = [target + own + chance.choice([b"\x08\x00", b"\x86\xdd", b"\x81\x00"]) +
                    chance.randbytes(chance.randrange(46, 600))]
        else:
            made = frames(chance.choice(kinds), target, own, source, destination, int(port),
                          chance.randbytes(chance.choice([0, 1, 175, 176, 177, 200, 304, 305])),
                          chance.choice(["udp", "syn", "syn-options", "echo"]))
        for frame in made:
            wire.send(frame)
            sent += 1
    print(sent)


if __name__ == "__main__":
    {"wire": run_wire, "syn": run_syn, "cookie": run_cookie, "merged": run_merged,
     "tun": run_tun, "noise": run_noise}[sys.argv[1]](*sys.argv[2:])
