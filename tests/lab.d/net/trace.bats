#!/usr/bin/env bats
# portsmithd --trace: where the time goes. Nothing of it without.
# Once: a line of the log, of times that are added up.
# bats file_tags=once
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    configure
    add_profile ssh --open tcp/22 --window 1m
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
}

teardown() {
    common_teardown
    [ ! -e "$lab/daemon.pid" ] || stop_daemon
}

@test "traced: a line with all parts, which are no more than the whole" {
    local names=(capture envelope hand-over signature mark policy firewall) name line sum=0

    daemon_options=(--trace)
    start_daemon
    knock_opens ssh
    wait_for_log 'ssh: trace: '
    line=$(daemon_log | grep 'ssh: trace: ')
    echo "$line"
    for name in "${names[@]}"; do
        [[ $line =~ [\ ]$name\ ([0-9]+) ]]
        sum=$((sum + BASH_REMATCH[1]))
    done
    [[ $line =~ \;\ ([0-9]+)\ us\ from\ the\ wire\ to\ the\ rule,\ 1\ at\ once$ ]]
    # Each is rounded down.
    [ "$sum" -le "${BASH_REMATCH[1]}" ]
    [ $((sum + 7)) -ge "${BASH_REMATCH[1]}" ]
}

@test "not traced: no such line" {
    start_daemon
    knock_opens ssh
    knock_opens ssh # the line of the first would have come by now
    [ "$(log_count 'trace')" -eq 0 ]
}
