#!/usr/bin/env python3
"""What no ordinary client of a SOCKS proxy does: speaks to the one at 127.0.0.1:1080 byte
by byte, all at once, slowly, wrongly, or two thousand at a time."""
import os
import random
import resource
import select
import selectors
import socket
import struct
import sys
import time

PROXY = ("127.0.0.1", 1080)


def connect():
    return socket.create_connection(PROXY, timeout=120)


def request(host, port):
    name = host.encode()
    return b"\5\1\0\3" + bytes([len(name)]) + name + struct.pack(">H", port)


def read_exactly(peer, size):
    got = b""
    while len(got) < size:
        more = peer.recv(size - len(got))
        if not more:
            raise EOFError(f"{len(got)} of {size} bytes: {got.hex()}")
        got += more
    return got


def enter(host, port):
    """A socket connected through the proxy."""
    peer = connect()
    peer.sendall(b"\5\1\0" + request(host, port))
    assert read_exactly(peer, 2) == b"\5\0"
    reply = read_exactly(peer, 10)
    assert reply == b"\5\0\0\1" + bytes(6), reply.hex()
    return peer


def read_to_end(peer):
    got = bytearray()
    try:
        while more := peer.recv(65536):
            got += more
    except ConnectionResetError:
        got += b"!"
    return bytes(got)


def answer(*pieces):
    """All that is said to these hex strings, sent one after the other, up to the end."""
    peer = connect()
    for piece in pieces:
        peer.sendall(bytes.fromhex(piece))
    print(read_to_end(peer).hex())


def bytewise(host, port):
    """Every byte in a packet of its own."""
    peer = connect()
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in b"\5\1\0":
        peer.sendall(bytes([byte]))
        time.sleep(0.002)
    assert read_exactly(peer, 2) == b"\5\0"
    for byte in request(host, int(port)):
        peer.sendall(bytes([byte]))
        time.sleep(0.002)
    assert read_exactly(peer, 10)[1] == 0
    print(peer.recv(100).decode().strip())


def pipelined(host, port):
    """All in one, what the far end is to hear included; then the end of it."""
    peer = connect()
    peer.sendall(b"\5\1\0" + request(host, int(port)) + b"early words\n")
    peer.shutdown(socket.SHUT_WR)
    said = read_to_end(peer)
    assert said[:12] == b"\5\0" + b"\5\0\0\1" + bytes(6), said.hex()
    print(said[12:].decode().strip())


def silent(*pieces):
    """How long the proxy bears somebody who says no more than this; at the least."""
    start = time.monotonic()
    peer = connect()
    for piece in pieces:
        peer.sendall(bytes.fromhex(piece))
    read_to_end(peer)
    print(round(time.monotonic() - start))


def idle(host, port):
    start = time.monotonic()
    peer = enter(host, int(port))
    read_to_end(peer)
    print(round(time.monotonic() - start))


def half_close(host, port):
    """Speaks, ends its own direction, and still hears all."""
    peer = enter(host, int(port))
    sent = os.urandom(1 << 20)
    held = memoryview(sent)
    got = b""
    peer.setblocking(False)
    while True:
        reading, writing, _ = select.select([peer], [peer] if held is not None else [], [], 120)
        assert reading or writing, "nothing moves"
        if writing and held is not None:
            if not held:
                peer.shutdown(socket.SHUT_WR)
                held = None
            else:
                held = held[peer.send(held[:65536]):]
        if reading:
            more = peer.recv(65536)
            if not more:
                break
            got += more
    assert got.endswith(sent), f"{len(got)} of {len(sent)} bytes came back"
    print(got[:len(got) - len(sent)].decode().strip())


def memory_of(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def slow(host, port, pid):
    """Asks for much and reads nothing: the proxy's memory must not grow. Then reads all."""
    peer = enter(host, int(port))
    peer.sendall(b"GET /large HTTP/1.0\r\n\r\n")
    before = memory_of(pid)
    time.sleep(1)
    grown = memory_of(pid) - before
    got = read_to_end(peer)
    body = got[got.index(b"\r\n\r\n") + 4:]
    assert len(body) == 30000000, len(body)  # far more than sockets hold
    assert grown < 200000, f"the proxy has grown by {grown} bytes"
    sys.stdout.buffer.write(body)


def crowd(host, port, count, size, pid):
    """COUNT connections at one time; each sends SIZE bytes of its own to a service that says
    them back. Every byte is looked at."""
    count, size = int(count), int(size)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    before = memory_of(pid)
    chosen = selectors.DefaultSelector()
    peers = []
    for number in range(count):
        peer = connect()
        peer.sendall(b"\5\1\0" + request(host, int(port)))
        peers.append(peer)
    for number, peer in enumerate(peers):
        assert read_exactly(peer, 12)[3] == 0
        peer.setblocking(False)
        sent = random.Random(number).randbytes(size)
        chosen.register(peer, selectors.EVENT_READ | selectors.EVENT_WRITE,
                        {"to_send": memoryview(sent), "sent": sent, "got": 0})
    left, most = count, 0
    while left:
        events = chosen.select(120)
        assert events, f"nothing moves; {left} are left"
        for key, mask in events:
            peer, state = key.fileobj, key.data
            if mask & selectors.EVENT_WRITE:
                state["to_send"] = state["to_send"][peer.send(state["to_send"][:8192]):]
                if not state["to_send"]:
                    chosen.modify(peer, selectors.EVENT_READ, state)
            if mask & selectors.EVENT_READ:
                more = peer.recv(65536)
                start = state["got"]
                assert more and more == state["sent"][start:start + len(more)], "other bytes"
                state["got"] += len(more)
                if state["got"] == size:
                    chosen.unregister(peer)
                    left -= 1
        most = max(most, memory_of(pid)) if left % 200 == 0 else most
    most = max(most, memory_of(pid))
    print(f"{count} connections, {count * size} bytes each way, right;"
          f" the proxy's memory for each: {(most - before) // count} bytes")
    for peer in peers:
        peer.close()


def mutate(rng, seed):
    bytes_ = bytearray(seed)
    for _ in range(rng.randrange(1, 6)):
        where = rng.randrange(len(bytes_) + 1)
        what = rng.randrange(4)
        if what == 0:
            bytes_[where:where] = rng.randbytes(rng.randrange(1, 300))
        elif what == 1:
            del bytes_[where:where + rng.randrange(1, 8)]
        elif bytes_:
            bytes_[where % len(bytes_)] = rng.choice([0, 1, 3, 4, 5, 255, rng.randrange(256)])
    return bytes(bytes_)


def fuzz(host, port, count):
    """Handshakes gone wrong, cut anywhere, some ended at once, some reset, some left alone."""
    rng = random.Random(20)
    seeds = [b"\5\1\0" + request(host, int(port)), b"\5\0", b"\5\2\0\2" + request("a" * 255, 80),
             b"\4\1\0\x16\0\0\0\1\0" + host.encode() + b"\0", b"\4\1\0\x16\x7f\0\0\1me\0",
             b"\5\1\2\1\3ann\6s3cret" + request(host, int(port)), rng.randbytes(600)]
    left_alone = []
    for _ in range(int(count)):
        peer = connect()
        said = mutate(rng, rng.choice(seeds))
        cut = rng.randrange(len(said) + 1)
        try:
            peer.sendall(said[:cut])
            peer.sendall(said[cut:])
        except (BrokenPipeError, ConnectionResetError):
            pass
        how = rng.randrange(3)
        if how == 0:
            left_alone.append(peer)
            if len(left_alone) > 100:
                left_alone.pop(0).close()
            continue
        if how == 1:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
