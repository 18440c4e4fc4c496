#!/bin/bash
# iptables 1.8.9-2 of Debian 12, REJECT --reject-with tcp-reset, on Linux (seen on 6.18).
#
# Expected, from iptables-extensions(8): a TCP reset is sent back, as a port has it on which
# nobody listens. So to ordinary clients, a port that is rejected so and one that is closed are
# the same.
#
# Seen: netfilter makes its reset without what the kernel's own has from the connection. Over
# IPv6 the kernel's has a flow label (net.ipv6.auto_flowlabels is 1 by default), netfilter's has
# 0: each connect(2) tells. Over IPv4 the kernel's has the type of service of the SYN,
# netfilter's has 0: each connect(2) with IP_TOS tells.
#
# So: whoever rejects with a reset in order to look like a host without a firewall, and whoever
# compares answers in a test, finds the two apart in fields that no option of REJECT sets. And
# where queues or policies go by the type of service, refusals of a firewall travel in another
# class than those of a closed port.
set -euo pipefail

packages=(iptables=1.8.9-2 libxtables12=1.8.9-2 libip4tc2=1.8.9-2 libip6tc2=1.8.9-2
    libnftnl11=1.2.4-2 libmnl0=1.0.4-3)

cannot() {
    echo "cannot be seen here: $1"
    exit 77
}

[ "$(id -u)" -eq 0 ] || cannot "it wants root, for network namespaces of its own"
command -v apt-get >/dev/null || cannot "no apt-get"
command -v ip >/dev/null || cannot "no ip(8)"
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
libraries=$(dirname "$(find "$root" -name 'libxtables.so.12' | head -n 1)")
unshare --net sleep 50 & # the server's host
server=$!
trap 'kill "$server"' EXIT
on_server() {
    nsenter --net="/proc/$server/ns/net" "$@"
}

until [ "$(readlink "/proc/$server/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do
    kill -0 "$server" || cannot "no second network namespace"
    sleep 0.01
done
ip link set lo up
ip link add client type veth peer name server netns "$server"
ip address add 192.0.2.1/24 dev client
ip address add 2001:db8::1/64 dev client nodad
ip link set client up
on_server ip address add 192.0.2.2/24 dev server
on_server ip address add 2001:db8::2/64 dev server nodad
on_server ip link set server up
on_server ip link set lo up
for program in iptables ip6tables; do
    on_server env LD_LIBRARY_PATH="$libraries" XTABLES_LIBDIR="$libraries/xtables" \
        "$root/usr/sbin/xtables-nft-multi" "$program" -A INPUT -p tcp --dport 81 \
        -j REJECT --reject-with tcp-reset || cannot "no REJECT in this kernel"
done

python3 - <<'END'
import select
import socket
import struct
import sys
import time

REJECTED, CLOSED, SERVICE = 81, 82, 0x48
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
wire.bind(("client", 0))


def reset_of(family, address, port):
    """The network header of the reset that an ordinary connect gets."""
    ipv4 = family == socket.AF_INET
    end = time.monotonic() + 10
    with socket.socket(family) as s:
        s.setblocking(False)
        if ipv4:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, SERVICE)
        s.connect_ex((address, port))
        while time.monotonic() < end:
            if select.select([wire], [], [], 1)[0]:
                packet = wire.recv(2048)
                head = 20 if ipv4 else 40
                if packet[0] >> 4 == (4 if ipv4 else 6) and packet[9 if ipv4 else 6] == 6 and \
                        struct.unpack_from("!H", packet, head)[0] == port and packet[head + 13] & 4:
                    return packet
    sys.exit("no reset came")


def service(port):
    return reset_of(socket.AF_INET, "192.0.2.2", port)[1]


def label(port):
    return struct.unpack("!I", reset_of(socket.AF_INET6, "2001:db8::2", port)[:4])[0] & 0xFFFFF


services = service(CLOSED), service(REJECTED)
labels = label(CLOSED), label(REJECTED)
print(f"iptables 1.8.9: to a SYN with type of service {SERVICE:#x} a closed port's reset has"
      f" {services[0]:#x}, that of REJECT {services[1]:#x}; over IPv6 a closed port's has"
      f" {'a' if labels[0] else 'no'} flow label, that of REJECT {'one' if labels[1] else 'none'}")
sys.exit(0 if services == (SERVICE, 0) and labels[0] and not labels[1] else 1)
END
