#!/bin/bash
# qemu-user-static 1:7.2+dfsg-7+deb12u18+b3 of Debian 12, running busybox-static
# 1:1.35.0-4+deb12u1+b1 of its s390x port on amd64.
#
# Expected: qemu-user hands files of /proc through as the host's kernel writes them, or, for
# some, as a kernel of the guest's byte order would. In /proc/net/route and /proc/net/tcp the
# kernel prints IPv4 addresses alike: as a number of the machine's own byte order. So under
# emulation the two are right together, or wrong together.
#
# Seen: /proc/net/route is turned into the guest's byte order, /proc/net/tcp is not.
# In one and the same guest `route -n` says that 192.0.2.0/24 is on the link, and `netstat -ltn`
# that the listener there has the address 1.2.0.192. The port is right: the kernel prints it as a
# number, not as the bytes of the wire.
#
# So: tests of a program that asks /proc/net who listens, run for a big-endian machine by
# qemu-user as build farms do, fail or pass for a reason that no such machine has. Whoever mends
# the program until they pass has broken it for the real one; whoever looks at the routes to see
# whether qemu turns addresses concludes that it does.
set -euo pipefail

packages=(qemu-user-static=1:7.2+dfsg-7+deb12u18+b3
    busybox-static:s390x=1:1.35.0-4+deb12u1+b1)

cannot() {
    echo "cannot be seen here: $1"
    exit 77
}

[ "$(id -u)" -eq 0 ] || cannot "it wants root, for a network namespace of its own"
[ "$(uname -m)" = x86_64 ] || cannot "it wants a little-endian host, and takes amd64"
command -v apt-get >/dev/null || cannot "no apt-get"
command -v ip >/dev/null || cannot "no ip(8)"
command -v python3 >/dev/null || cannot "no python3"
if [ "${1:-}" != inside ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    mkdir -p "$scratch"/lists/partial
    # Lists of its own, as those of the machine need not have the other architecture.
    apt=(-q -o Dir::State::Lists="$scratch/lists" -o Dir::Cache="$scratch"
        -o "APT::Architectures=amd64,s390x" -o APT::Sandbox::User=root)
    (cd "$scratch" && apt-get "${apt[@]}" update &&
        apt-get "${apt[@]}" download "${packages[@]}") >"$scratch/apt" 2>&1 ||
        cannot "apt does not have ${packages[*]}"
    for package in "$scratch"/*.deb; do
        dpkg-deb -x "$package" "$scratch/root"
    done
    unshare --net timeout 50 "$0" inside "$scratch"
    exit
fi

emulated=("$2/root/usr/bin/qemu-s390x-static" "$2/root/bin/busybox")
ip link set lo up
ip link add left type veth peer name right
ip address add 192.0.2.1/24 dev left
ip link set right up
ip link set left up
python3 - "${emulated[@]}" <<'END'
import re
import socket
import subprocess
import sys


def says(*command):
    return subprocess.run(sys.argv[1:] + list(command), capture_output=True, text=True,
                          check=True).stdout


with socket.create_server(("192.0.2.1", 5022)):
    routes, listeners = says("route", "-n"), says("netstat", "-ltn")
net = re.search(r"^(\S+) .* left$", routes, re.M)
listener = re.search(r"(\S+):5022 ", listeners)
net, listener = net and net[1], listener and listener[1]
line = f"qemu-s390x: the route is to {net}, the listener at {listener}"
print(line)
sys.exit(line != "qemu-s390x: the route is to 192.0.2.0, the listener at 1.2.0.192")
END
