#!/usr/bin/env bats
# Interfaces that are renamed or change their size, and hosts that lack something: a family,
# Landlock, memory that can be executed.
# bats file_tags=backend
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/drills.bash"

# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"
no_ipv6=$build_directory/tests/tools/no-ipv6
no_landlock=$build_directory/tests/tools/no-landlock
no_nfnetlink=$build_directory/tests/tools/no-nfnetlink
noexec_memory=$build_directory/tests/tools/noexec-memory
no_persist=$build_directory/tests/tools/no-persist

setup_file() {
    lab_setup
    start_listener 22
    start_listener 23
    configure
    add_profile ssh --open tcp/22 --window 1m
    keep_configuration
}

teardown_file() {
    lab_teardown
}

setup() {
    restore_configuration
    start_daemon
    common_setup
}

teardown() {
    drill_teardown
    kill_daemon
    forget_grants
}

# ---- interfaces ------------------------------------------------------------

rename() { # FROM TO
    ip -n server link set "$1" down
    ip -n server link set "$1" name "$2"
    ip -n server link set "$2" up
    give_address server "$2" fd77::1/64 # IPv6 addresses went with the link
}

client_reaches_server() {
    port_is_open "$server" 23
}

@test "the interface is renamed: the daemon waits, and hears knocks when it has its name again" {
    rename eth0 eth7
    wait_until 15 log_count_exceeds " ready: " 0
    log_has "interface eth0 is not there"
    wait_until 5 client_reaches_server
    rename eth7 eth0
    wait_until 15 log_count_exceeds " ready: " 1
    wait_until 5 client_reaches_server
    knock_opens ssh
    port_is_open "$server" 22
}

@test "the interface is renamed and the configuration follows: knocks are heard" {
    rename eth0 eth7
    wait_for_log "interface eth0 is not there"
    sed -i 's/^Interface = .*/Interface = eth7/' "$conf"
    reload_daemon
    wait_until 5 client_reaches_server
    knock_opens ssh
    port_is_open "$server" 22
    kill_daemon
    rename eth7 eth0
}

@test "the interface's MTU changes, down and up: knocks are heard all the while" {
    local mtu

    for mtu in 1280 9000 1500; do
        ip -n server link set eth0 mtu "$mtu"
        ip -n client link set eth0 mtu "$mtu"
        wait_until 5 client_reaches_server
        knock_opens ssh
        port_is_open "$server" 22
    done
    log_lacks "took over"
}

# ---- families --------------------------------------------------------------

# bats test_tags=ipv4,once
@test "a host without IPv6: it starts, and IPv4 works" {
    [ "$FAMILY" = 4 ] || skip "IPv4 alone"
    kill_daemon
    own_log
    spawn server "$lab/log/portsmithd.log" "$no_ipv6" portsmithd -c "$conf" -f
    echo "$spawned" >"$lab/daemon.pid"
    wait_for_log " ready: " 15
    ! process_named 'ip6tables.*' || false
    knock_opens ssh
    port_is_open "$server" 22
}

# bats test_tags=iptables
@test "a host with IPv6 and no working ip6tables: the start is refused, ports stay shut" {
    [ "$BACKEND" != nftables ] || skip "it runs no iptables"
    kill_daemon
    mkdir -p "$lab/sbin"
    cp -a /usr/sbin/. "$lab/sbin"
    ln -sf /bin/false "$lab/sbin/ip6tables-$XTABLES-restore"
    run timeout 60 ip netns exec server sh -c "
        mount --bind $lab/sbin /usr/sbin && exec portsmithd -c $conf -f"
    [ "$status" -eq 1 ] || [ "$status" -eq 78 ]
    [[ $output == *"ip6tables-$XTABLES-restore"* ]]
    port_is_shut "$server" 22
}

# ---- the kernel ------------------------------------------------------------

start_daemon_by() { # PROGRAM, which executes another [ARGUMENT...]
    kill_daemon
    own_log
    spawn server "$lab/log/portsmithd.log" "$@" portsmithd -c "$conf" -f
    echo "$spawned" >"$lab/daemon.pid"
    wait_for_log " ready: " 15
    knock_opens ssh
    port_is_open "$server" 22
}

@test "a kernel without Landlock: it starts and says so, and a reload takes the grants over" {
    start_daemon_by "$no_landlock"
    log_has "this kernel has no Landlock"
    reload_daemon
    [ "$(grant_count "$client")" -eq 2 ]
    readlink "/proc/$(helper_pid)/fd"/* >"$lab/open"
    [ "$(grep -c /helper/grants "$lab/open")" -eq 1 ]
}

@test "a kernel that makes no memory that can be executed: it starts, and sees what others load" {
    "$noexec_memory" python3 -c 'import os; os.memfd_create("x", 8)' ||
        skip "before Linux 6.3"
    start_daemon_by "$noexec_memory"
    log_lacks "Permission denied"
}

# bats test_tags=legacy,once
@test "a kernel without the netlink of netfilter: iptables-legacy is enough" {
    [ "$BACKEND" = legacy ] || skip "nftables is spoken to by it"
    start_daemon_by "$no_nfnetlink"
    port_is_shut "$server" 22 "$other"
}

# What is flushed is put back with the grants.
is_a_plain_table() {
    ! on server nft list table inet portsmith | grep owner || false
    on server nft flush ruleset
    wait_until 10 eval 'on server nft list table inet portsmith >/dev/null 2>&1'
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
    knock_until "ssh: extended" ssh
    knock_until "ssh: closed" --close ssh
    port_is_shut "$server" 22
}

# bats test_tags=nftables,once
@test "a kernel before 6.9: nobody can own the table, and what others flush is put back" {
    [ "$BACKEND" = nftables ] || skip "iptables' rules are nobody's"
    start_daemon_by "$no_persist"
    is_a_plain_table
}

# bats test_tags=nftables,once
@test "a kernel before 6.3: elements are removed that need not be there" {
    [ "$BACKEND" = nftables ] || skip "iptables' rules are nobody's"
    start_daemon_by "$no_persist" old
    is_a_plain_table
}
