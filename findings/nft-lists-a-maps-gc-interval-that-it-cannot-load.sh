#!/bin/bash
# nftables 1.0.6-2+deb12u2 of Debian 12 (nft and libnftables), on Linux (seen on 6.18).
#
# Expected, from libnftables-json(5): a map is described as a set is, "gc-interval" among its
# fields; and from nft(8): what `nft list ruleset` prints can be loaded again with `nft -f`, as
# Debian's /etc/nftables.conf is made by many.
#
# Seen: a map with a "gc-interval" is taken as JSON, and the kernel has it. The text that nft lists
# has the line `gc-interval 5s` in the map. Of a set nft -f takes that line; of a map it calls it a
# syntax error, and loads nothing of the whole file. As JSON the same listing loads again.
#
# So: a program that makes a timed map through libnftables' JSON or through netlink, and that sets
# how often its elements are collected, has the host's saved ruleset refused at the next boot, every
# other rule in it included. Who makes such maps does without the field, whose default is a second.
set -euo pipefail

packages=(nftables=1.0.6-2+deb12u2 libnftables1=1.0.6-2+deb12u2 libnftnl11=1.2.4-2
    libmnl0=1.0.4-3 libjansson4=2.14-2 libedit2=3.1-20221030-2)

cannot() {
    echo "cannot be seen here: $1"
    exit 77
}

[ "$(id -u)" -eq 0 ] || cannot "it wants root, for a network namespace of its own"
command -v apt-get >/dev/null || cannot "no apt-get"
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
LD_LIBRARY_PATH=$(dirname "$(find "$root" -name 'libnftables.so.1' | head -n 1)")
export LD_LIBRARY_PATH
nft=$root/usr/sbin/nft

# A set and a map, alike but for what makes a map of it; with another table, of which nothing is special.
describe() { # KIND
    local value=""

    [ "$1" = set ] || value='"map": "inet_service",'
    printf '{"nftables": [{"add": {"table": {"family": "inet", "name": "of_a_%s"}}},
        {"add": {"table": {"family": "inet", "name": "other"}}},
        {"add": {"%s": {"family": "inet", "table": "of_a_%s", "name": "timed", "type": "ipv4_addr",
            %s "flags": ["timeout"], "gc-interval": 5}}}]}' "$1" "$1" "$1" "$value"
}

# Whether what nft lists, in the form that its option asks for, loads again.
loads_again() { # KIND OPTION
    "$nft" flush ruleset
    describe "$1" | "$nft" -j -f - || cannot "no timed $1 in this kernel"
    "$nft" "$2" list ruleset >listing
    "$nft" flush ruleset
    "$nft" "$2" -f listing 2>complaint
}

cd "$2"
describe map | "$nft" -j -f - 2>/dev/null || cannot "no timed map in this kernel"
loads_again set -s || cannot "not even a timed set loads again"
loads_again map -j || cannot "not even the JSON loads again"
if loads_again map -s; then
    echo "changed: nft loads the gc-interval of a map that it lists"
    exit 1
fi
if ! grep -q "gc-interval 5s" listing || "$nft" list tables | grep -q other ||
    ! grep -q "unexpected gc-interval" complaint; then
    echo "changed: what nft does not load is something else"
    exit 1
fi
echo "nft 1.0.6 lists a map's gc-interval, and refuses the whole listing for it; as JSON it loads"
