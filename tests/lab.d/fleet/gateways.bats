#!/usr/bin/env bats
# portsmith-fleet(7), TWO GATEWAYS: the page is followed, with the real keepalived and conntrackd, and
# then one gateway after another dies, under one session that lives on.
# bats file_tags=backend,family,platforms
# shellcheck disable=SC2154,SC2030,SC2031 # fleet.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/fleet.bash"

setup_file() {
    fleet_setup
    set_up_fleet
    find_master
    open_session
}

teardown_file() {
    lab_teardown
}

teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || tell_state
}

@test "the members are alike, and both have the grant" {
    local member

    for member in a b; do
        wait_until 5 has_a_grant "$member"
    done
    read_steps "$page" "Before you need it"
    follow "json status"
    next_step
    take "$step" || true # nothing keeps the clock of the lab
    grep '^group *ok' "$lab/said"
    follow_all
}

@test "portsmithd ends on the master: the other one takes the address, and the session lives on" {
    local was

    find_master
    was=$standby
    wait_until 5 knows_the_session "$standby"
    on "$master" sh -c 'kill $(cat /run/portsmith/portsmithd.pid)'
    wait_until 20 has_address "$was"
    find_master
    [ "$master" = "$was" ]
    session_lives_on
    as_client ssh inner true
    on "$standby" systemctl enable --now portsmithd
}

@test "the master dies: the session and the grant live on, and a new connection goes in by the other one" {
    find_master
    knock --window 5m gateway tcp/2222
    gets_in_again
    wait_until 5 knows_the_session "$standby"
    wait_until 5 has_a_grant "$standby"
    kill_member "$master"
    wait_until 20 has_address "$standby"
    session_lives_on
    gets_in_again
    port_is_shut "$shared" 2222 "$other"
}

@test "it comes back, and when the other one dies the session lives on" {
    local gone=a

    ! has_address a || gone=b
    start_member "$gone"
    wait_until 20 knows_the_session "$gone"
    find_master
    [ "$master" != "$gone" ]
    kill_member "$master"
    wait_until 20 has_address "$gone"
    session_lives_on
    as_client ssh inner true
}
