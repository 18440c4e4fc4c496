#!/usr/bin/env bats
# GrantStore = set beyond what grants.bats, lifecycle.bats and replay.bats try with it
# (the parts set-* of tests/run): how it is chosen, changed and left.
# bats file_tags=backend,family,iptables
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    start_listener 22
    configure
    add_profile ssh --open tcp/22 --window 1m
    add_profile one --open tcp/22 --window 1m --connections 1
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
}

teardown() {
    umount /usr/lib/*/xtables/libxt_time.so 2>/dev/null || true
    [ ! -e "$lab/daemon.pid" ] || stop_daemon
    common_teardown
}

use_store() { # GrantStore
    configure "GrantStore = $1"
}

# So many elements of the family's set; none without a set.
element_count() {
    on server ipset save "portsmith$FAMILY" 2>/dev/null | grep -c ^add
}

rule_count() {
    rules | grep -c -e --datestop
}

status_says() { # STORE
    on server portsmithctl status | grep -q -x "grant store *$1" &&
        on server portsmithctl --json status | grep -q "\"grant_store\": \"$1\""
}

@test "without a choice grants are rules" {
    configure
    start_daemon
    knock_opens ssh
    [ "$(rule_count)" -eq 2 ]
    run on server ipset list -n
    [ -z "$output" ]
    status_says rules
}

# iptables finds no time match, as on kernels that have none.
@test "where rules cannot end by themselves, they are elements of sets" {
    local library

    configure
    sed -i '/^Connections/d' /etc/portsmith.d/one.conf
    for library in /usr/lib/*/xtables/libxt_time.so; do
        mount --bind /dev/null "$library"
    done
    start_daemon
    log_has 'grants are kept in sets, as rules cannot end by themselves: the time match'
    knock_opens ssh
    port_is_open "$server" 22
    [ "$(element_count)" -eq 1 ]
    status_says set
    stop_daemon
    echo "Connections = 1" >>/etc/portsmith.d/one.conf
    run start_daemon
    [ "$status" -ne 0 ]
    log_has 'the time match does not work here'
}

@test "a reload changes the store and keeps what is open, both ways" {
    use_store rules
    start_daemon
    knock_opens ssh
    use_store set
    reload_daemon
    [ "$(rule_count)" -eq 0 ]
    [ "$(element_count)" -eq 1 ]
    port_is_open "$server" 22
    use_store rules
    reload_daemon
    [ "$(rule_count)" -eq 2 ]
    run on server ipset list -n
    [ -z "$output" ]
    port_is_open "$server" 22
}

@test "a check while the daemon serves leaves its sets as they are, and no other" {
    use_store set
    start_daemon
    knock_opens ssh
    on server ipset save | sed 's/ timeout .*//' >"$lab/sets"
    run -0 on server portsmithd -t -c "$conf"
    [ -z "$output" ]
    on server ipset save | sed 's/ timeout .*//' | diff "$lab/sets" -
    port_is_open "$server" 22
}

@test "a grant with Connections stays a rule beside the set, and is held to them" {
    use_store set
    start_daemon
    knock_opens one
    [ "$(rule_count)" -eq 2 ]
    [ "$(element_count)" -eq 0 ]
    open_connection "$server" 22
    wait_for_log "one: tcp/22 for $client has ended: it has had its connections"
    connection_answers
    port_is_shut "$server" 22
    [ "$(rule_count)" -eq 0 ]
}

# A saved ruleset that names a set which is not there is refused as a whole.
@test "a ruleset that was saved after the daemon ended loads where there are no sets" {
    use_store set
    start_daemon
    knock_opens ssh
    stop_daemon
    run rules
    [[ $output == *"-j portsmith-close"* ]]
    [[ $output != *match-set* ]]
    run on server ipset list -n
    [ -z "$output" ]
}

@test "release leaves neither rules nor sets, also of a daemon that was killed" {
    use_store set
    start_daemon
    knock_opens ssh
    mapfile -t pids < <(daemon_processes)
    kill -KILL "${pids[@]}"
    wait_until 10 process_is_gone "${pids[0]}"
    rm -f "$lab/daemon.pid"
    port_is_open "$server" 22
    on server portsmithd --release
    run rules
    [[ $output != *portsmith* ]]
    run on server ipset list -n
    [ -z "$output" ]
    start_daemon # which takes the grant over, so that it ends with this test
}

@test "a set that was emptied is filled when the rules are put back" {
    use_store set
    start_daemon
    knock_opens ssh
    on server ipset flush "portsmith$FAMILY" # which is noticed with the rules alone
    xtables -F
    wait_for_log "putting them back"
    wait_until 10 port_is_open "$server" 22
    [ "$(element_count)" -eq 1 ]
}

@test "only where grants are kept in sets the helper is the program that knows of them" {
    use_store rules
    start_daemon
    [[ "$(readlink "/proc/$(helper_pid)/exe")" == */portsmith-helper ]]
    use_store set
    reload_daemon
    [[ "$(readlink "/proc/$(helper_pid)/exe")" == */portsmith-helper-sets ]]
}

@test "the helper keeps the capabilities that iptables needs for sets, and no others" {
    use_store set
    start_daemon
    run awk '/^CapBnd/ { print $2 }' "/proc/$(helper_pid)/status"
    [ "$output" = 0000000000003000 ] # CAP_NET_ADMIN, CAP_NET_RAW
}
