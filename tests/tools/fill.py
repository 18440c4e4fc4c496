#!/usr/bin/python3
"""fill.py COUNT [SOURCE]: puts that many connections by UDP into this network namespace's
connection tracking, for ten minutes, and says how many there are then. They are
assured: a table that is full does not drop them. With SOURCE, of IPv4 or IPv6, they are an
address's own, by TCP to port 22 of other hosts."""
import socket
import struct
import sys

CREATE, GET_STATS = 0x100, 0x105  # NFNL_SUBSYS_CTNETLINK << 8 and IPCTNL_MSG_CT_...
REQUEST, ACK, CREATED = 0x1, 0x4, 0x400
ESTABLISHED = 3
ASSURED = 0x2 | 0x4 | 0x8  # seen reply, assured, confirmed
AT_ONCE = 200


def attribute(kind, value):
    return struct.pack("HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def nest(kind, *parts):
    return attribute(kind | 0x8000, b"".join(parts))


def tuple_of(kind, protocol, source, destination, source_port, destination_port):
    first = 1 if len(source) == 4 else 3  # CTA_IP_V4_SRC, CTA_IP_V6_SRC; each _DST is the next
    return nest(kind,
                nest(1, attribute(first, source), attribute(first + 1, destination)),
                nest(2, attribute(1, bytes([protocol])),
                     attribute(2, struct.pack(">H", source_port)),
                     attribute(3, struct.pack(">H", destination_port))))


def message(kind, flags, *parts, family=socket.AF_INET):
    payload = struct.pack("BBH", family, 0, 0) + b"".join(parts)
    return struct.pack("IHHII", 16 + len(payload), kind, REQUEST | flags, 1, 0) + payload


def connection(number, source):
    protocol, service, state = socket.IPPROTO_UDP, 53, []
    port = 1024 + number % 60000
    many = struct.pack(">I", (198 << 24) + (18 << 16) + number // 60000)  # 198.18.0.0/15
    ends = [many, socket.inet_aton("198.19.255.1")]
    family = socket.AF_INET6 if source and ":" in source else socket.AF_INET
    if family == socket.AF_INET6:
        many = struct.pack(">IQI", 0x20010002, 0, number // 60000)  # 2001:2::/48
    if source:
        protocol, service, ends = socket.IPPROTO_TCP, 22, [socket.inet_pton(family, source), many]
        state = [nest(4, nest(1, attribute(1, bytes([ESTABLISHED]))))]
    return message(CREATE, CREATED, tuple_of(1, protocol, *ends, port, service),
                   tuple_of(2, protocol, *reversed(ends), service, port), *state,
                   attribute(7, struct.pack(">I", 600)), attribute(3, struct.pack(">I", ASSURED)),
                   family=family)


def main(count, source=None):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netfilter:
        netfilter.connect((0, 0))
        for first in range(0, count, AT_ONCE):
            netfilter.send(b"".join(connection(number, source) for number in
                                    range(first, min(first + AT_ONCE, count))))
        netfilter.send(message(GET_STATS, 0))
        print(struct.unpack(">I", netfilter.recv(65536)[24:28])[0])


main(int(sys.argv[1]), *sys.argv[2:])
