#!/usr/bin/env bats
# How much one client can have the log say, and that it hides nobody else by that.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

# As many services as a profile may have.
services=$(printf 'tcp/%s ' {1001..1016})
services=${services% }

setup_file() {
    lab_setup
    configure
    add_profile loud --open "${services// /,}" --window 5m
    add_profile brief --open "${services// /,}" --window 4s
    add_profile quiet --open tcp/22
    start_listener 1007
    start_daemon
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
}

teardown() {
    common_teardown
}

@test "what one knock opened ends in one line, which names all services" {
    knock_opens brief
    wait_for_log "brief: $services for $client have ended: the window is over; no connection came"
    [ "$(log_count "brief: .* ended")" -eq 1 ]
}

@test "and those that were used" {
    knock_opens brief
    port_is_open "$server" 1007
    wait_for_log "brief: $services for $client have ended: the window is over; used: tcp/1007"
    [ "$(log_count "brief: .* ended")" -eq 1 ]
}

granted() {
    on server portsmithctl status --json | jq ".counters.granted | add"
}

# As fast as it can, until it was let in so often.
knock_without_end() { # NAME COUNT
    local end=$(($(now_ms) + 50000))

    while [ "$(granted)" -lt "$2" ]; do
        [ "$(now_ms)" -lt "$end" ]
        for _ in {1..10}; do
            knock "$1"
        done
    done
}

@test "a client that knocks without end is counted, and hides no other" {
    local before written left_out all

    before=$(granted)
    knock_without_end loud $((before + 100))
    knock_opens quiet
    written=$(log_count " loud: ")
    [ "$written" -ge 60 ]
    [ "$written" -le 70 ]
    end_process QUIT "$(daemon_pid)"
    wait_for_log " loud: [0-9]+ more lines about its grants were not logged"
    left_out=$(daemon_log | sed -n 's/.* loud: \([0-9]*\) more lines .*/\1/p')
    all=$(daemon_log | sed -n 's/.*; done \([0-9]*\), .*/\1/p')
    echo "written $written, left out $left_out, others $((before + 1)), all $all"
    [ $((written + left_out + before + 1)) -eq "$all" ]
    wait_until 5 log_counts " quiet: opened tcp/22 for $client " 1
    [ "$(log_count " loud: ")" -le 71 ]
    start_daemon
}

# bats test_tags=nft
@test "a firewall that cannot be changed is told of once, and again when it can be" {
    [ "$BACKEND" = nft ] || skip "nobody can keep iptables-legacy out for so long"
    local failed="the firewall could not be changed" over="the firewall could be changed again"
    local owner family=ip

    [ "$FAMILY" = 4 ] || family=ip6
    own_table "$family" filter
    wait_for_log "$failed" 10
    sleep 5 # not for an event: that nothing more is said is the point
    end_process TERM "$owner"
    wait_for_log "$over" 10
    [ "$(log_count "$failed")" -eq 1 ]
    [ "$(log_count "$over")" -eq 1 ]
    knock_opens quiet
}
