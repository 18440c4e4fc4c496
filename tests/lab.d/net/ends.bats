#!/usr/bin/env bats
# The rules of grants that have ended: the kernel has shut their doors, and the helper takes the
# rules out when no knock waits.
# bats file_tags=backend,family,iptables
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

many=10

setup_file() {
    lab_setup
    start_listener 22
    configure
    add_fence
    add_profile ssh --open tcp/22 --window 5m
    add_profile many --open tcp/22 --max-grants 100
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
    knock --close ssh
}

# Of the crowd's rules, those that are listed, whether they let anything through or not.
rules_of_many() {
    xtables -t mangle -S portsmith-shut | grep -c -e "-s $many_prefix.*--datestop" || true
}

many_rules_are() { # HOW-MANY
    [ "$(rules_of_many)" -eq "$1" ]
}

# As many grants as end at about the same time.
open_many() {
    local i

    many_prefix=10.99.0.
    [ "$FAMILY" = 4 ] || many_prefix=fd99::
    wait_until 15 many_rules_are 0 # of the test before
    for ((i = 1; i <= many; i++)); do
        knock --window 8s --address "$many_prefix$i" many
    done
    wait_until 10 log_counts "many: opened tcp/22" "$many"
    many_rules_are "$many"
}

many_are_listed() {
    on server portsmithctl list | grep -q -F "$many_prefix"
}

many_have_ended() {
    ! many_are_listed
}

@test "a knock is not held up by grants that end: their rules stand until later, and then go" {
    open_many
    wait_until 12 many_have_ended
    knock_opens ssh
    # Nothing was written anew meanwhile; but with iptables-legacy the helper looks every two seconds.
    [ "$BACKEND" = legacy ] || many_rules_are "$many"
    port_is_open "$server" 22
    wait_until 15 many_rules_are 0
    port_is_open "$server" 22
    [ "$(grant_count "$client")" -eq 2 ]
}

@test "while such rules stand, a close shuts at once" {
    open_many
    knock_opens ssh
    wait_until 12 many_have_ended
    knock_until "ssh: closed" --close ssh
    ! xtables -t mangle -S portsmith-shut | grep -F -e "-s $client/" || return 1
    port_is_shut "$server" 22
}

@test "a daemon that is stopped leaves none of them" {
    local listing

    open_many
    wait_until 12 many_have_ended
    stop_daemon
    listing=$(xtables -t mangle -S; xtables -S)
    [[ $listing == *portsmith-shut* && $listing != *--datestop* ]]
    start_daemon
}

@test "a daemon that dies leaves none of them either, and what is granted stays" {
    open_many
    knock_opens ssh
    wait_until 12 many_have_ended
    end_process KILL "$(daemon_pid)"
    wait_until 5 many_rules_are 0
    [ "$(grant_count "$client")" -eq 2 ]
    wait_until 10 no_process_of_daemon
    start_daemon
    port_is_open "$server" 22
}

no_process_of_daemon() {
    [ -z "$(daemon_processes)" ]
}
