#!/usr/bin/python3
"""syns.py ADDRESS PORT RATE COUNT [FROM]: sends that many SYNs to a port, RATE a second,
each from another port of hosts that do not exist (10.79.0.0/16, fd79::/112), or of FROM."""
import ipaddress
import socket
import struct
import sys
import time


def total(data):
    return sum(struct.unpack(">%dH" % (len(data) // 2), data))


def folded(number):
    while number >> 16:
        number = (number & 0xffff) + (number >> 16)
    return number


def syn(source, port, address, to):
    head = struct.pack(">HHIIBBHHH", port, to, port, 0, 0x50, 0x02, 64240, 0, 0)
    check = total(source + address) + socket.IPPROTO_TCP + len(head) + total(head)
    tcp = head[:16] + struct.pack(">H", ~folded(check) & 0xffff) + head[18:]
    if len(source) == 16:
        return struct.pack(">IHBB", 0x60000000, len(tcp), socket.IPPROTO_TCP, 64) + \
            source + address + tcp
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0) + \
        source + address + tcp


def main(address, port, rate, count, source=None):
    to = ipaddress.ip_address(address)
    base = ipaddress.ip_address(source or ("10.79.0.1" if to.version == 4 else "fd79::1"))
    family = socket.AF_INET if to.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        if to.version == 6:
            raw.setsockopt(socket.IPPROTO_IPV6, 36, 1)  # IPV6_HDRINCL
        start = time.monotonic()
        for i in range(count):
            host = base if source else base + i // 60000
            raw.sendto(syn(host.packed, 1024 + i % 60000, to.packed, port), (address, 0))
            ahead = i / rate - (time.monotonic() - start)
            if ahead > 0.01:
                time.sleep(ahead)
        print(round(count / (time.monotonic() - start)))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
