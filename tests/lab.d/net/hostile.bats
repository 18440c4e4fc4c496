#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# A program that takes the sniffer's place, or the witness's, with the real helper: see
# tests/tools/hostile.c. It makes namespaces of its own. Then the same through
# the socket of the sniffer of a whole daemon.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"
hostile=$build_directory/tests/tools/hostile
prepare=$stage/libexec/portsmith/portsmith-prepare

setup_file() {
    lab_setup
    start_listener 22
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
}

# Every variant of an act; what the helper said is shown if it fails.
helper_holds_against() { # ACT
    "$hostile" "$prepare" "$BACKEND" "$FAMILY" "$1"
}

@test "messages of a wrong size" {
    helper_holds_against wrong-size
}

@test "actions that there are not" {
    helper_holds_against wrong-action
}

@test "another action than the client signed" {
    helper_holds_against another-action
}

@test "every flag" {
    helper_holds_against wrong-flag
}

@test "addresses that no knock comes from" {
    helper_holds_against wrong-address
}

@test "random bytes" {
    helper_holds_against random-bytes
}

@test "passed descriptors" {
    helper_holds_against passed-descriptors
}

@test "an end in the middle" {
    helper_holds_against end-of-file
}

@test "requests without a signature" {
    helper_holds_against unsigned
}

@test "requests with a wrong signature" {
    helper_holds_against wrongly-signed
}

@test "requests of other clients, and old ones, again" {
    helper_holds_against replays
}

@test "knocks and what closes them, in one batch and in any order" {
    helper_holds_against in-one-batch
}

@test "replies that nobody reads" {
    helper_holds_against never-reading
}

@test "a flood while a deadline is due" {
    helper_holds_against flood
}

# ---- a witness ---------------------------------------------------------------

@test "what is no word" {
    helper_holds_against unsound-words
}

@test "every word about a grant that counts no connections" {
    helper_holds_against every-word
}

@test "a flood of words while a deadline is due" {
    helper_holds_against word-flood
}

@test "events that nobody reads" {
    helper_holds_against unread-events
}

@test "no act is left out" {
    local act acts

    acts=$("$hostile" acts)
    [ -n "$acts" ]
    for act in $acts; do
        grep -q "helper_holds_against $act\$" "$BATS_TEST_FILENAME"
    done
}

# ---- the whole daemon ------------------------------------------------------

has_new_sniffer() { # OLD
    local pid

    pid=$(sniffer_pid)
    [ -n "$pid" ] && [ "$pid" != "$1" ] && [ "$(daemon_log | grep -c ready:)" -ge 1 ]
}

grants_of_all() {
    rules | grep -c -e --datestop
}

# The pair is replaced; what was granted stays, and nothing comes up.
is_replaced_after() { # KIND
    local old

    old=$(sniffer_pid)
    own_log
    "$hostile" through "$old" "$1"
    wait_for_log "cut off"
    wait_until 20 has_new_sniffer "$old"
    process_is_gone "$old"
    [ "$(grants_of_all)" -eq 2 ]
    [ "$(grant_count "$client")" -eq 2 ]
}

@test "a sniffer that goes bad is replaced, and knocks work again" {
    local kind

    start_daemon
    for kind in size action random; do
        knock ssh
        wait_until 5 port_is_open "$server" 22
        is_replaced_after "$kind"
        knock --close ssh
        wait_until 5 there_are_no_grants
        port_is_shut "$server" 22
    done
    knock ssh
    wait_until 5 port_is_open "$server" 22
    stop_daemon
}
