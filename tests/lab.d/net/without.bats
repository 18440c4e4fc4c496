#!/usr/bin/env bats
# A host that has no program of iptables: Backend = auto takes nftables, and all that Portsmith
# made can be taken down again.
# Once: it is about one back end, and a table of it holds both families.
# bats file_tags=any,nftables,once
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    start_listener 22
    start_listener 80
    configure "Backend = auto" "AcceptMark = 0x100"
    add_profile ssh --open tcp/22 --window 5m
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
}

teardown() {
    common_teardown
    kill_daemon
    rm -f "$lab/daemon.pid" /run/portsmith/helper/grants
    on server portsmith-firewall remove
    on server portsmithd --release
}

start_without_iptables() {
    own_log
    [ -d "$lab/sbin.bare" ] || without_iptables true
    spawn server "$lab/log/portsmithd.log" sh -c \
        "mount --bind $lab/sbin.bare /usr/sbin && exec portsmithd -c $conf -f"
    echo "$spawned" >"$lab/daemon.pid"
    wait_for_log " ready: " 15
}

nothing_is_left() {
    [ -z "$(on server nft list ruleset)" ]
}

@test "the back end that cannot be had is told, and a knock opens by the other" {
    start_without_iptables
    log_has "the back end is nftables: iptables is not installed"
    without_iptables portsmithctl status | grep -E "^firewall +nftables, .*no other program can change"
    port_is_shut "$server" 22
    knock_opens ssh
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
}

@test "a release while the table is owned leaves nothing" {
    start_without_iptables
    knock_opens ssh
    without_iptables portsmithctl -c "$conf" release
    nothing_is_left
    port_is_open "$server" 22 "$other"
}

@test "a release of what killed processes left leaves nothing" {
    local command

    for command in "portsmithctl -c $conf release" "portsmithd -c $conf --release"; do
        start_without_iptables
        knock_opens ssh
        kill_daemon
        port_is_shut "$server" 22 "$other"
        # shellcheck disable=SC2086 # words
        without_iptables $command
        nothing_is_left
        port_is_open "$server" 22 "$other"
    done
}

@test "a release of nothing succeeds" {
    nothing_is_left
    without_iptables portsmithctl -c "$conf" release
    without_iptables portsmithd -c "$conf" --release
}

@test "a release does not succeed where rules of iptables are left that no program can remove" {
    on server iptables-nft -t mangle -N portsmith
    run -1 without_iptables portsmithctl -c "$conf" release
    [[ $output == *"rules may remain: iptables is not installed"* ]]
    on server iptables-nft -t mangle -X portsmith
}

@test "portsmith-firewall shuts the rest, and ends it" {
    start_without_iptables
    without_iptables portsmith-firewall try --allow tcp/443
    port_is_shut "$server" 80
    without_iptables portsmith-firewall confirm
    without_iptables portsmith-firewall show | grep -i confirmed
    port_is_shut "$server" 80
    knock_opens ssh
    port_is_open "$server" 22
    without_iptables portsmith-firewall remove
    port_is_open "$server" 80
    port_is_shut "$server" 22 "$other"
}

@test "a table of this name that another program owns is told, and by whom" {
    own_table inet portsmith
    for backend in auto nftables; do
        sed "s/^Backend = .*/Backend = $backend/" "$conf" >"$lab/other.conf"
        run -78 without_iptables timeout 60 portsmithd -c "$lab/other.conf" -f
        [[ $output == *"the nftables table inet portsmith belongs to nft (process $owner), and nobody else can change it"* ]]
    done
    run -1 without_iptables portsmithctl -c "$conf" release
    [[ $output == *"rules may remain: "*"another process owns it"* ]]
    end_process TERM "$owner"
}
