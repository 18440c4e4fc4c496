#!/usr/bin/env bats
# What a knock opens, for whom and for how long.
# bats file_tags=backend,family,store
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    start_listener 22
    start_listener 23
    start_udp_listener 5300
    configure "Shut = tcp/22 tcp/23 udp/5300"
    add_fence
    add_profile all --open tcp/22,tcp/23,udp/5300
    add_profile ssh --open tcp/22
    add_profile short --open tcp/22 --window 5s
    cap=$(long_enough 5)
    export cap
    add_profile capped --open tcp/22 --window 2s --max-window "${cap}s"
    add_profile signed --open tcp/22 --address signed
    add_profile ranged --open tcp/22 --address "$other_range"
    add_profile expired --open tcp/22 --expires 2037-01-01
    sed -i 's/^Expires.*/Expires = 2020-01-31/' /etc/portsmith.d/expired.conf
    add_profile revoked --open tcp/22
    add_profile few --open tcp/22,tcp/23,udp/5300 --max-grants 3 --window 5m
    add_profile own-port --open tcp/22 --port 47001
    add_profile preshared --open tcp/22 --preshared-key
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

@test "a knock opens the port" {
    port_is_shut "$server" 22
    knock_opens ssh
    [ "$(tcp_greeting "$server" 22)" = "$greeting" ]
}

@test "another port stays shut" {
    knock_opens all tcp/22
    port_is_open "$server" 22
    port_is_shut "$server" 23
}

@test "the port stays shut to another address" {
    knock_opens ssh
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
}

@test "the window ends: the rules go and the port is shut" {
    local window start

    knock_opens_briefly short
    port_is_open "$server" 22
    shuts_in_time "$window" "$start"
    wait_until 2 has_no_grant "$client"
}

@test "an established connection outlives the window" {
    local window start

    knock_opens_briefly short
    open_connection "$server" 22
    wait_until $((window + 5)) has_no_grant "$client"
    port_is_shut "$server" 22
    connection_answers
}

@test "knocking again extends the window and leaves one rule in each table" {
    local window start

    knock_opens_briefly short
    knock_until "short: extended" short --window "$((window + 120))s"
    [ "$(grant_rules mangle "$client" | wc -l)" -eq 1 ]
    [ "$(grant_rules filter "$client" | wc -l)" -eq 1 ]
    while [ "$(now_ms)" -lt $((start + (window + 1) * 1000)) ]; do
        port_is_open "$server" 22
        pause 0.05
    done
}

@test "knocking again with a shorter window does not cut the longer one" {
    local before

    knock_opens ssh --window 1m
    before=$(grant_rules mangle "$client")
    knock_until "ssh: extended" ssh --window 1s
    [ "$(grant_rules mangle "$client")" = "$before" ]
}

@test "a door that two profiles opened is shut when the later grant ends, whichever that is" {
    knock_opens ssh --window 1m
    knock_opens short
    knock_until "ssh: closed" --close ssh
    port_is_open "$server" 22
    knock_opens ssh --window 1m
    wait_for_log "short: tcp/22 for $client has ended: the window is over" 8
    port_is_open "$server" 22
    knock_until "ssh: closed" --close ssh
    port_is_shut "$server" 22
    has_no_grant "$client"
}

@test "a knock closes what it opened" {
    knock_opens ssh
    port_is_open "$server" 22
    knock_until "ssh: closed tcp/22 for $client" --close ssh
    has_no_grant "$client"
    port_is_shut "$server" 22
}

@test "closing what is not open changes nothing" {
    knock_until "ssh: refused for $client: nothing was open" --close ssh
    has_no_grant "$client"
}

@test "one knock opens several services" {
    knock_opens all tcp/22 tcp/23
    port_is_open "$server" 22
    port_is_open "$server" 23
    [ -z "$(udp_greeting "$server" 5300)" ]
}

@test "a knock that names no service opens all of the profile" {
    knock_opens all
    port_is_open "$server" 22
    port_is_open "$server" 23
    udp_is_open "$server" 5300
}

@test "a udp service is shut, opened, and shut again" {
    local window start

    [ -z "$(udp_greeting "$server" 5300)" ]
    knock_opens_briefly all udp/5300
    udp_is_open "$server" 5300
    port_is_shut "$server" 22
    wait_until $((window + 5)) has_no_grant "$client"
    [ -z "$(udp_greeting "$server" 5300)" ]
}

@test "a wish for a longer window is cut to MaxWindow" {
    knock_until "capped: opened tcp/22 for $client for $cap s" capped --window 1h
    port_is_open "$server" 22
    wait_until $((cap + 5)) has_no_grant "$client"
    port_is_shut "$server" 22
}

@test "without a wish the window is the profile's" {
    knock_until "short: opened tcp/22 for $client for 5 s" short
    knock_until "ssh: opened tcp/22 for $client for 30 s" ssh
}

@test "a service that the profile does not have is refused" {
    knock_until "ssh: refused for $client: .*not in this profile" ssh tcp/23
    port_is_shut "$server" 23
    has_no_grant "$client"
}

@test "nothing is opened when one of several services is refused" {
    knock_until "ssh: refused for $client: .*not in this profile" ssh tcp/22 tcp/23
    has_no_grant "$client"
    port_is_shut "$server" 22
}

@test "a signed address is the one that is let in" {
    knock_until "ssh: opened tcp/22 for $other .*address signed" ssh --address "$other"
    port_is_open "$server" 22 "$other"
    port_is_shut "$server" 22
}

@test "Address = signed refuses an observed address" {
    knock_until "signed: refused for $client: .*wants the address signed" signed --address observed
    port_is_shut "$server" 22
    has_no_grant "$client"
    knock_until "signed: opened tcp/22 for $client" signed --address "$client"
    port_is_open "$server" 22
}

@test "an address outside of the profile's range is refused, observed or signed" {
    knock_until "ranged: refused for $client: .*does not permit" ranged
    knock_until "ranged: refused for $client: .*does not permit" ranged --address "$client"
    has_no_grant "$client"
    port_is_shut "$server" 22
    knock_until "ranged: opened tcp/22 for $other" ranged --address "$other"
    port_is_open "$server" 22 "$other"
}

@test "an expired profile is refused" {
    knock_until "expired: refused for $client: the profile or its roster has expired" expired
    has_no_grant "$client"
    port_is_shut "$server" 22
}

@test "MaxGrants limits the live grants of a profile" {
    knock_opens few tcp/22
    knock_opens few tcp/23
    knock_opens few udp/5300
    knock_until "few: refused for $other: too many" --address "$other" few tcp/22
    [ "$(grant_count "$client")" -eq 6 ]
    has_no_grant "$other"
    port_is_shut "$server" 22 "$other"
    knock_until "few: extended tcp/22" few tcp/22
    knock_until "few: closed tcp/23" --close few tcp/23
    knock_until "few: opened tcp/22 for $other" --address "$other" few tcp/22
}

@test "a profile with a port of its own is heard there and nowhere else" {
    knock_bytes "$lab/bytes" own-port
    send_bytes "$lab/bytes" "$client" "$knock_port"
    fence
    has_no_grant_but_fence
    send_until "own-port: opened tcp/22" "$lab/bytes" "$client" 47001
    port_is_open "$server" 22
    knock_until "own-port: extended" own-port
}

@test "a profile with a pre-shared key wants it" {
    other_knock preshared "$lab/bytes"
    send_bytes "$lab/bytes"
    fence
    has_no_grant_but_fence
    knock_opens preshared
    port_is_open "$server" 22
}

@test "two knocks that overtake each other both count" {
    knock_bytes "$lab/first" all tcp/22
    knock_bytes "$lab/second" all tcp/23
    send_until "all: opened tcp/23" "$lab/second"
    send_until "all: opened tcp/22" "$lab/first"
    port_is_open "$server" 22
    port_is_open "$server" 23
}

@test "another client, written from the manual, opens the port" {
    other_knock ssh "$lab/bytes" --padding 0 --service tcp/22 --window 50
    send_until "ssh: opened tcp/22 for $client for 50 s" "$lab/bytes"
    port_is_open "$server" 22
    other_knock ssh "$lab/bytes" --padding 128 --address "$other"
    send_until "ssh: opened tcp/22 for $other" "$lab/bytes"
    port_is_open "$server" 22 "$other"
    other_knock ssh "$lab/bytes" --close
    send_until "ssh: closed tcp/22 for $client" "$lab/bytes"
    port_is_shut "$server" 22
}

@test "revoking a profile closes its live grants and no others" {
    knock_opens revoked --window 1m
    knock_opens ssh --address "$other" --window 1m
    port_is_open "$server" 22
    on server portsmith-profile -c "$conf" revoke revoked
    wait_for_log "configuration was reloaded"
    has_no_grant "$client"
    port_is_shut "$server" 22
    port_is_open "$server" 22 "$other"
    knock revoked
    fence
    has_no_grant_but_fence
    port_is_shut "$server" 22
}
