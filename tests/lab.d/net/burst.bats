#!/usr/bin/env bats
# Many clients at one moment: every one of them gets in.
# bats file_tags=backend,installed
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"
. "$top/tests/lib/crowd.bash"

clients=200 # more than may be on their way to the helper at once

setup_file() {
    lab_setup
    configure
    make_crowd "$clients"
    start_daemon
    make_crowd_knocks "$clients"
}

teardown_file() {
    lab_teardown
}

setup() {
    own_log
}

teardown() {
    common_teardown
}

all_are_in() {
    log_counts ': opened tcp/22 ' "$clients"
}

# In both tables. In nftables two clients of one address are let in by one element.
grants_in_force() {
    local count

    count=$(rules | grep -c -e '--dport 22 .*--datestop')
    [ "$BACKEND" != nftables ] || count=$((2 * count))
    echo "$count"
}

@test "$clients clients knock at once: all get in, each with one rule in either table" {
    send_crowd_knocks "$clients"
    wait_until 20 all_are_in
    [ "$(grants_in_force)" -eq $((2 * clients)) ]
}

@test "the same knocks once more: not one counts, and the daemon is none the worse" {
    send_crowd_knocks "$clients"
    add_fence
    reload_daemon
    fence
    [ "$(log_count ': (opened|extended) tcp/22 ')" -eq 0 ]
    [ "$(grants_in_force)" -eq $((2 * clients)) ]
}
