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
    local window start

    knock_opens_briefly brief
    port_is_open "$server" 1007
    wait_for_log "brief: $services for $client have ended: the window is over; used: tcp/1007" \
        $((window + 5))
    [ "$(log_count "brief: .* ended")" -eq 1 ]
}

granted() {
    on server portsmithctl status --json | jq ".counters.granted | add"
}

was_let_in() { # COUNT
    [ "$(granted)" -ge "$1" ]
}

# As fast as it is heard, which is eight times a second, until it was let in so often. The knocks
# are made before: how long that takes is the machine's affair.
knock_without_end() { # NAME COUNT
    local number

    other_knock "$1" /dev/null --many "$lab/loud" 150
    for number in {1..150}; do
        send_bytes "$lab/loud$number"
        if [ $((number % 8)) -eq 0 ]; then
            pause 0.8
            ! was_let_in "$2" || return 0
        fi
    done
    wait_until 30 was_let_in "$2"
}

@test "a client that knocks without end is counted, and hides no other" {
    local before start periods written left_out all

    before=$(granted) start=$SECONDS
    knock_without_end loud $((before + 100))
    knock_opens quiet
    written=$(log_count " loud: ")
    periods=$(((SECONDS - start) / 60 + 1)) # of 60 lines
    echo "written $written in $((SECONDS - start)) s"
    [ "$written" -ge 60 ]
    [ "$written" -le $((periods * 60 + 10)) ]
    end_process QUIT "$(daemon_pid)"
    wait_for_log " loud: [0-9]+ more lines about its grants were not logged"
    left_out=$(daemon_log | sed -n 's/.* loud: \([0-9]*\) more lines .*/\1/p' | jq -s add)
    all=$(daemon_log | sed -n 's/.*; done \([0-9]*\), .*/\1/p')
    echo "written $written, left out $left_out, others $((before + 1)), all $all"
    [ $((written + left_out + before + 1)) -eq "$all" ]
    wait_until 5 log_counts " quiet: opened tcp/22 for $client " 1
    [ "$(log_count " loud: ")" -le $((periods * 61 + 10)) ]
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
