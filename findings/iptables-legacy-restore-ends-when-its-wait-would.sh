#!/bin/bash
# iptables 1.8.9-2 of Debian 12, iptables-legacy-restore --wait SECONDS.
#
# Expected, from iptables-restore(8): rules are read from standard input until that ends;
# --wait with a number says for how long the xtables lock is waited for.
#
# Seen: the lock is free and had at once, and yet the program ends by itself so many seconds
# after its first "*table" line, with exit status 0, while its standard input is still open
# and quiet. The alarm that is to end the wait for the lock is never taken back; when it
# comes, it interrupts the read, which counts as the end of the input. iptables-nft-restore,
# with the same options, stays.
#
# So: who keeps one iptables-restore running and feeds it a transaction now and then, to
# save the start of a program each time, finds it gone on hosts with iptables-legacy as soon
# as nothing was to be done for SECONDS; the next transaction meets a broken pipe, and exit
# status 0 says that all was well. --wait without a number has no alarm.
set -euo pipefail

packages=(iptables=1.8.9-2 libxtables12=1.8.9-2 libip4tc2=1.8.9-2 libip6tc2=1.8.9-2)
wait=2 # seconds

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
    unshare --net "$0" inside "$scratch"
    exit
fi

root=$2/root
libraries=$(dirname "$(find "$root" -name 'libxtables.so.12' | head -n 1)")
export LD_LIBRARY_PATH=$libraries XTABLES_LIBDIR=$libraries/xtables XTABLES_LOCKFILE=$2/lock

# How long it lives, in milliseconds, with one empty transaction at its start and its input
# open for six seconds; its exit status.
lives() { # nft|legacy DIRECTORY
    local start=${EPOCHREALTIME/[.,]/} status

    mkfifo "$2/in"
    "$root/usr/sbin/xtables-$1-multi" "iptables-$1-restore" --noflush --wait $wait <"$2/in" >/dev/null 2>&1 &
    exec {input}>"$2/in"
    printf '*filter\nCOMMIT\n' >&"$input"
    (exec {input}>&- && exec sleep 6) &
    status=0
    wait -n || status=$?
    echo "$(((${EPOCHREALTIME/[.,]/} - start) / 1000)) $status"
    exec {input}>&-
    kill $! 2>/dev/null || true
    wait || true
    rm "$2/in"
}

read -r legacy legacy_status < <(lives legacy "$2")
read -r nft _ < <(lives nft "$2")
[ "$legacy_status" -le 1 ] || cannot "iptables-legacy does not run here: exit status $legacy_status"
echo "iptables 1.8.9-2: with --wait $wait and its input open, iptables-legacy-restore ended after $legacy ms" \
    "(exit status $legacy_status), iptables-nft-restore stayed for $nft ms"
[ "$legacy" -ge $((wait * 1000 - 200)) ] && [ "$legacy" -lt $((wait * 1000 + 2000)) ] &&
    [ "$legacy_status" -eq 0 ] && [ "$nft" -ge 5500 ]
