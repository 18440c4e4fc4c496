#!/usr/bin/env bats
# A client with room for one grant, and what moves it.
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    start_listener 22
    configure
    add_fence
    add_profile ssh --open tcp/22 --window 1m --max-grants 1
    add_profile two --open tcp/22 --window 1m --max-grants 2
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
    knock --close --address "$other" ssh
}

# In both tables one rule, and it is for this address.
it_is_open_for() { # ADDRESS
    [ "$(rules | grep -e --datestop | grep -v -c -e '--dport 9 ')" -eq 2 ] &&
        [ "$(grant_count "$1")" -eq 2 ]
}

@test "a knock from a new address takes the grant along" {
    knock_opens ssh
    it_is_open_for "$client"
    knock_opens ssh --address "$other"
    wait_for_log "ssh: no longer open for $client: a newer knock moved the profile's one grant; no con"
    wait_ms 250 it_is_open_for "$other"
    port_is_shut "$server" 22
    port_is_open "$server" 22 "$other"
    knock_opens ssh
    wait_for_log "ssh: no longer open for $other: a newer knock moved the profile's one grant; it was"
    wait_ms 250 it_is_open_for "$client"
}

@test "what stands goes on where it was" {
    knock_opens ssh
    open_connection "$server" 22
    knock_opens ssh --address "$other"
    connection_answers
    wait_ms 250 port_is_shut "$server" 22
}

# Else only the next move, or the sweep, would shut what the first one left.
@test "what moved away and back is shut at once when it is closed" {
    knock_opens ssh
    knock_opens ssh --address "$other"
    knock_opens ssh
    knock --close ssh
    wait_for_log "ssh: closed tcp/22 for $client"
    has_no_grant "$client"
    has_no_grant "$other"
}

@test "neither a replay nor a knock that was held back moves it" {
    knock_bytes "$lab/held" ssh
    knock_bytes "$lab/used" ssh
    send_until "ssh: opened tcp/22 for $client " "$lab/used"
    send_bytes "$lab/used" "$other"
    send_until "ssh: refused for $other: too many live grants" "$lab/held" "$other"
    it_is_open_for "$client"
}

@test "the grant moves from one family to the other and back" {
    local key

    key=$(sed -n 's/^PublicKey = //p' "$lab/home/.config/portsmith/ssh.conf")
    other_family() {
        local to=fd77::1

        [ "$FAMILY" = 4 ] || to=10.77.0.1
        knock --server-key "$key" --port "$knock_port" \
            --identity "$lab/home/.config/portsmith/ssh.key" "$to"
    }
    knock_opens ssh
    other_family
    wait_for_log "ssh: no longer open for $client:"
    wait_until 5 log_count_exceeds "ssh: opened" 1
    has_no_grant "$client"
    knock_opens ssh
    it_is_open_for "$client"
}

@test "a name with two addresses has the grant at the first" {
    local first=4

    printf '%s dual.test\n' 10.77.0.1 fd77::1 >"$lab/hosts"
    knock_both() {
        on client unshare --mount sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$lab/hosts" \
            setpriv --reuid="$client_user" --clear-groups --regid="$client_group" \
            env HOME="$lab/home" portsmith-knock -v \
            --server-key "$(sed -n 's/^PublicKey = //p' "$lab/home/.config/portsmith/ssh.conf")" \
            --port "$knock_port" --identity "$lab/home/.config/portsmith/ssh.key" dual.test
    }
    run knock_both
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 2 ]
    wait_until 5 log_count_exceeds "ssh: (opened|refused)" 1
    [[ ${lines[0]} == *" to 10.77.0.1 "* ]] || first=6
    [ "$(FAMILY=$first chain mangle portsmith-shut | grep -e --datestop | grep -v -c -e '--dport 9 ')" -eq 1 ]
}

@test "after a crash there is one, the last" {
    knock_opens ssh
    knock_opens ssh --address "$other"
    kill_daemon # perhaps before what is left here was swept out
    start_daemon
    it_is_open_for "$other"
}

@test "with room for two nothing moves" {
    knock_opens two
    knock_opens two --address "$other"
    [ "$(grant_count "$client")" -eq 2 ]
    [ "$(grant_count "$other")" -eq 2 ]
}
