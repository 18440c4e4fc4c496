"""Connects to HOST PORT again and again, and keeps the newest 300 that it gets, until FILE is
there: two minutes at most. Then prints how many are kept, and how many of them still answer."""
import os, select, socket, struct, sys, time

host, port, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
end = time.monotonic() + 120
kept, begun = [], []
made, tried = open(stop + ".made", "w"), open(stop + ".tried", "w")


def begin():
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setblocking(False)
    s.connect_ex((host, port))
    begun.append((s, time.monotonic()))
    tried.write("tried\n")
    tried.flush()


def keep(s):
    """The oldest gives way, by a reset: what was begun last is what a revoke could miss."""
    kept.append(s)
    if len(kept) > 300:
        oldest = kept.pop(0)
        oldest.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        oldest.close()


def look():
    """What has come of those begun; a SYN that was dropped is given up after half a second."""
    if not begun:
        return
    ready = select.select([], [s for s, _ in begun], [], 0.005)[1]
    for one in list(begun):
        s, at = one
        if s in ready and s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            keep(s)
            made.write("made\n")
            made.flush()
        elif s not in ready and time.monotonic() - at < 0.5:
            continue
        begun.remove(one)


def answers(s):
    try:
        s.sendall(b"still here\n")
        heard = b""
        while b"still here" not in heard:
            if not select.select([s], [], [], 1)[0]:
                return False
            some = s.recv(4096)
            if not some:
                return False
            heard += some
        return True
    except OSError:
        return False


while not os.path.exists(stop) and time.monotonic() < end:
    if len(begun) < 20:
        begin()
    time.sleep(0.001)  # several hundred times a second: the processor is for the others
    look()
look()
print("made", len(kept), "alive", sum(answers(s) for s in kept), flush=True)
