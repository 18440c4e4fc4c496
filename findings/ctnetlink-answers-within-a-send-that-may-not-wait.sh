#!/bin/bash
# ctnetlink of Linux (seen on 6.18), asked with a socket that may not wait, over a table that
# conntrack 1:1.4.7-1+b2 of Debian 12 fills.
#
# Expected, from send(2) and netlink(7): a datagram of 36 bytes to the kernel with MSG_DONTWAIT
# is queued, or refused with EAGAIN, at once. The answer comes when the kernel has it; poll(2)
# tells when, and its time is the kernel's, or is taken in recv(2).
#
# Seen: the call of send(2) itself walks the connection table until the first part of the
# answer is full. A question that asks for few entries, by mark for example, has a part that
# is never full: send(2) comes back only after the walk over the whole table. Then all of the
# answer is there, and recv(2) takes no time. With 100,000 connections that is tens of
# milliseconds of the caller's own processor time for each question; the more precise the
# question, the longer send(2) stays. A question for everything is the quick one to send.
#
# So: a daemon with one loop that asks who has come through a door, on a non-blocking socket
# with a deadline in its poll(2), serves nobody and keeps no deadline meanwhile. Such a
# question belongs into a process of its own (its socket may be the daemon's: the answer
# comes to whoever reads), or is made needless by listening to events.
set -euo pipefail

packages=(conntrack=1:1.4.7-1+b2 libnetfilter-conntrack3=1.0.9-3 libmnl0=1.0.4-3
    libnfnetlink0=1.0.2-2)
connections=100000

cannot() {
    echo "cannot be seen here: $1"
    exit 77
}

[ "$(id -u)" -eq 0 ] || cannot "it wants root, for a network namespace of its own"
command -v apt-get >/dev/null || cannot "no apt-get"
command -v python3 >/dev/null || cannot "no python3"
if [ "${1:-}" != inside ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    chmod 755 "$scratch" # apt's own user writes there
    (cd "$scratch" && apt-get -q download "${packages[@]}" >/dev/null 2>&1) ||
        cannot "apt does not have ${packages[*]}"
    for package in "$scratch"/*.deb; do
        dpkg-deb -x "$package" "$scratch/root"
    done
    unshare --net timeout 50 "$0" inside "$scratch"
    exit
fi

root=$2/root
LD_LIBRARY_PATH=$(dirname "$(find "$root" -name 'libmnl.so.0' | head -n 1)")
export LD_LIBRARY_PATH
awk -v count=$connections 'BEGIN {
    for (n = 0; n < count; n++)
        printf "-I -p udp -s 198.18.0.%d -d 198.19.255.1 --sport %d --dport 53 -t 600\n",
            n / 60000, 1024 + n % 60000
}' >"$2/connections"
"$root/usr/sbin/conntrack" --load-file "$2/connections" >"$2/load" 2>&1 ||
    cannot "$(tail -n 1 "$2/load")"

python3 - $connections <<'END'
import socket
import struct
import sys
import time

GET, DUMP, REQUEST = 0x101, 0x300, 0x1
DONE = 3
CTA_MARK, CTA_MARK_MASK = 8, 21


def dump(*attributes):
    body = struct.pack("BBH", socket.AF_INET, 0, 0)
    body += b"".join(struct.pack("HHI", 8, kind, value) for kind, value in attributes)
    return struct.pack("IHHII", 16 + len(body), GET, REQUEST | DUMP, 1, 0) + body


def ask(question):
    """Milliseconds of the caller's processor time in send, and in all calls of recv."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netfilter:
        netfilter.connect((0, 0))
        netfilter.setblocking(False)
        start = time.thread_time()
        netfilter.send(question, socket.MSG_DONTWAIT)
        sent = time.thread_time()
        parts, spent = 0, 0.0
        while True:
            before = time.thread_time()
            answer = netfilter.recv(65536)
            spent += time.thread_time() - before
            parts += 1
            if struct.unpack_from("H", answer, 4)[0] == DONE:
                return 1000 * (sent - start), 1000 * spent, parts


def median(question):
    return sorted(ask(question) for _ in range(7))[3]


by_mark, read, parts = median(dump((CTA_MARK, 0x4D000000), (CTA_MARK_MASK, 0xFFFFFFFF)))
everything, read_all, all_parts = median(dump())
print(f"with {sys.argv[1]} connections, a question for none of them keeps the caller"
      f" {by_mark:.2f} ms in send(MSG_DONTWAIT), {read:.2f} ms in recv; one for all of them"
      f" {everything:.2f} and {read_all:.2f} ms ({all_parts} parts)")
as_described = parts == 1 and by_mark > 20 * read and by_mark > 5 * everything
sys.exit(0 if as_described and read_all > everything else 1)
END
