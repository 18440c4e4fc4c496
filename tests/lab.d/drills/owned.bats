#!/usr/bin/env bats
# Backend = nftables where the kernel keeps the table for its owner: processes are killed at random
# instants, while another program flushes all rules. When follows from FAULTS_SEED.
# Once: it is about one back end, and a table of it holds both families.
# bats file_tags=nftables,once:nftables
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/drills.bash"

crowd=(ann ben cleo dan eve flo gus hal)
helper_kills=${HELPER_KILLS:-25}
[ "${LONG:-no}" = no ] || helper_kills=500

setup_file() {
    local name

    lab_setup
    route_crowd
    start_listener 22
    configure
    add_profile honest --open tcp/22 --window 2s
    for name in "${crowd[@]}"; do
        add_profile "$name" --open tcp/22 --window 2s --max-grants 200
    done
    add_profile ivy --open tcp/22 --window 2s --max-grants 200 --connections 2
    add_profile ssh --open tcp/22 --window 5m
    add_profile brief --open tcp/22 --window 3s
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
}

teardown() {
    drill_teardown
    kill_daemon
    forget_grants
    on server portsmithd --release
}

never_was_open() {
    stop_prober
    [ "$(<"$lab/log/prober")" = probing ] || {
        cat "$lab/log/prober"
        return 1
    }
}

# Which makes its own daemon, and ends that.
kills() { # SECONDS KILLS
    run on client "$top/tests/tools/kills.py" "$FAULTS_SEED" "$1" "$2" 2 honest "${crowd[@]}" ivy
    echo "# $output" >&3
    [ "$status" -eq 0 ] || {
        echo "$output"
        tail -n 60 "$lab/log/portsmithd.log"
        false
    }
}

# What is left of one: the ports are shut before anybody probes.
leave_table() {
    start_daemon
    kill_daemon
    table_is_there
}

table_is_there() {
    on server nft list table inet portsmith >/dev/null
}

@test "the helper is killed at random instants while all rules are flushed: no shut port opens, no door stays open" {
    leave_table
    start_prober
    VICTIMS=helper FLUSH=yes kills $((60 + 3 * helper_kills)) "$helper_kills"
    never_was_open
}

@test "any process, or all, is killed at random instants: the kernel keeps what is shut, and ends what is open" {
    leave_table
    start_prober
    kills "$kill_seconds" "$most_kills"
    never_was_open
}

# ---- between the last death and the next daemon --------------------------------

@test "all processes are killed: doors end in time, and until a daemon serves again others can flush the table" {
    local start

    start_daemon
    start_prober
    knock_opens brief
    start=$(now_ms)
    kill_daemon
    table_is_there
    shuts_in_time 3 "$start"
    never_was_open
    on server nft flush ruleset
    port_is_open "$server" 22 "$other"
    start_daemon
    table_is_owned inet portsmith
    port_is_shut "$server" 22 "$other"
    knock_opens brief
}

# As a service manager starts it again that waits for nothing. The start is looked for as often as
# it goes.
@test "from the death of all processes until the table is owned again: so long it takes" {
    local died

    start_daemon
    table_is_owned inet portsmith
    own_log
    kill_daemon
    died=$(now_ms)
    spawn server "$lab/log/portsmithd.log" portsmithd -c "$conf" -f
    echo "$spawned" >"$lab/daemon.pid"
    wait_until 15 is_owned_by_portsmithd
    tell "nobody owned the table for $(($(now_ms) - died)) ms"
    wait_for_log " ready: " 15
    port_is_shut "$server" 22 "$other"
}

is_owned_by_portsmithd() {
    on server nft list table inet portsmith | grep -q 'progname portsmithd'
}
