#!/usr/bin/env bats
# Two hosts of a group: who may have a knock count at which of them.
#
#   server  --  client  --  second
#
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"
. "$top/tests/lib/member.bash"

setup_file() {
    lab_setup
    make_second
    start_listener 22
    configure "MaxWindow = 60s"
    printf '%s\n' "Group = web" "Member = $server" "Peers = $second" >>"$conf"
    add_profile ssh --open tcp/22
    join_group "$second" "$server"
    start_daemon
    start_second_daemon
}

teardown_file() {
    lab_teardown
}

setup() {
    own_log
    : >"$lab/log/second.log"
    cp "$lab/home/.config/portsmith/ssh.conf" "$lab/ssh.conf.good"
}

teardown() {
    cp "$lab/ssh.conf.good" "$lab/home/.config/portsmith/ssh.conf"
    on server portsmithctl close --all >/dev/null
    on_second portsmithctl close --all >/dev/null
    member_teardown
}

# Has the client's file name these members alone.
only_members() { # MEMBER...
    sed -i '/^Member/d' "$lab/home/.config/portsmith/ssh.conf"
    [ $# -eq 0 ] || printf 'Member = %s\n' "$@" >>"$lab/home/.config/portsmith/ssh.conf"
}

# ---- one server file ---------------------------------------------------------

@test "one knock opens at each member, to the address that each sees" {
    run knock -v ssh
    [ "$status" -eq 0 ] || { echo "$output" && return 1; }
    [ "$(grep -c "for the address that the server observes, at this member of the group" <<<"$output")" -eq 2 ]
    wait_for_log "ssh: opened tcp/22 for $client for 30 s"
    wait_until 5 second_says "ssh: opened tcp/22 for $near_second for 30 s"
    port_is_open "$server" 22
    port_is_open "$second" 22
    knock --close ssh
    wait_for_log "ssh: closed tcp/22 for $client"
    wait_until 5 second_says "ssh: closed tcp/22 for $near_second"
}

@test "the client connects to the member that answers" {
    only_members 192.0.2.1 "$second"
    ip -n client route add blackhole 192.0.2.1
    knock --wait --timeout 40s ssh
    ip -n client route del blackhole 192.0.2.1
    port_is_open "$second" 22
    port_is_shut "$server" 22
}

@test "where a knock that names a member is of no use, the client says so" {
    run knock --wait --timeout 1s ssh tcp/23
    [ "$status" -eq 3 ]
    [[ $output == *"hint: the knock names a member of a group"*"an older portsmithd refuses that"* ]]
}

# ---- knocks that are resent ----------------------------------------------------

@test "a knock that names a member opens nothing at another, and still counts at its own" {
    only_members "$server"
    knock_bytes "$lab/knock" ssh
    send_to_second "$lab/knock"
    wait_until 5 second_says "ssh: refused for $near_second: it names another member of the group, or none"
    second_has_grants 0
    port_is_shut "$second" 22
    send_until "ssh: opened tcp/22 for $client for 30 s" "$lab/knock" "$client"
    [ "$(on_second portsmithctl status --json | jq .counters.refused.other_member)" -ge 1 ]
}

@test "a knock that names neither a member nor an address opens nothing" {
    only_members
    knock_bytes "$lab/knock" ssh
    send_to_second "$lab/knock"
    wait_until 5 second_says "ssh: refused for $near_second: it names another member of the group, or none"
    send_until "ssh: refused for $client: it names another member of the group, or none" "$lab/knock" \
        "$client"
    second_has_grants 0
    port_is_shut "$second" 22
    port_is_shut "$server" 22
}

@test "a knock that signs an address opens at each member, to that address alone" {
    knock_bytes "$lab/knock" --address "$client" ssh
    send_to_second "$lab/knock"
    wait_until 5 second_says "ssh: opened tcp/22 for $client for 30 s \(address signed; the knock came from $near_second\)"
    second_has_grants 1
    port_is_shut "$second" 22 "$near_second"
    port_is_open "$second" 22 "$client"
    send_until "ssh: opened tcp/22 for $client for 30 s \(address signed\)" "$lab/knock" "$client"
    send_to_second "$lab/knock"
    second_has_grants 1
}

@test "the other client speaks with members, too" {
    other_knock ssh "$lab/knock" --member "$second" --service tcp/22
    send_to_second "$lab/knock"
    wait_until 5 second_says "ssh: opened tcp/22 for $near_second for 30 s"
    send_until "ssh: refused for $client: it names another member" "$lab/knock" "$client"
}

# ---- are the members alike ---------------------------------------------------

# Of the members as they are; the second's status is changed by FILTER of jq.
doctor_says() { # FILTER
    on_second portsmithctl --json status | jq "$1" >"$lab/status"
    run on server portsmithctl --json doctor "$lab/status"
    jq -r '.findings[] | select(.check == "group") | .what' <<<"$output"
}

@test "status tells the group, and the members have one fingerprint" {
    local own

    own=$(on server portsmithctl --json status | jq -c .group)
    [ "$(jq -c 'del(.member)' <<<"$own")" = "$(on_second portsmithctl --json status | jq -c '.group | del(.member)')" ]
    [ "$(jq -r .name,.member <<<"$own")" = "web"$'\n'"$server" ]
    on server portsmithctl status | grep -q "^group  *web, as $server; fingerprint of the profiles $(jq -r .profiles <<<"$own")\$"
}

@test "doctor finds in what a member differs, and nothing where it does not" {
    [ -z "$(doctor_says .)" ]
    on_second portsmithctl --json status | on server portsmithctl --json doctor - >"$lab/doctor" || true
    [ "$(jq '[.findings[] | select(.check == "group")] | length' "$lab/doctor")" -eq 0 ]
    [ "$(doctor_says '.group.name = "mail"')" = "$second is of the group mail, and this host of web" ]
    [ "$(doctor_says '.group.public_key = "x"')" = "$second has another server key" ]
    [[ $(doctor_says ".group.member = \"$server\"") == "another host has Member = $server as well"* ]]
    [[ $(doctor_says '.group.member = "c"') == "Peers does not have c,"* ]]
    [[ $(doctor_says '.time += 60') =~ ^"the clock of $second is "(5|6)[0-9]" s ahead of this one"$ ]]
    [[ $(doctor_says '.time -= 60') == "the clock of $second is "*" s behind this one, or its status is that old" ]]
    [[ $(doctor_says '.time = -9223372036854774784') == "the clock of $second is "[0-9]*" s behind this one"* ]]
    [ "$(doctor_says '.in_force = null')" = "the rules of $second are not in force, or that is not known" ]
    [ "$(doctor_says '.group = null')" = "$lab/status is no status of a member: it is of a host of no group" ]
    [[ $(doctor_says 'del(.time)') == "$lab/status is no status of a member: "*time* ]]
    echo nonsense >"$lab/status"
    run on server portsmithctl doctor "$lab/status" "$lab/none"
    [ "$status" -eq 4 ]
    [[ $output == *"$lab/status is no status of a member: "*"$lab/none is no status of a member: "* ]]
    run on server portsmithctl doctor
    [[ $output == *"not known here"*"portsmithctl doctor HOST.json"* ]]
    sed "\$aRunDirectory = $lab/none" "$conf" >"$lab/other.conf"
    run -4 on server portsmithctl -c "$lab/other.conf" doctor "$lab/status"
    [[ $output == *"portsmithd does not tell this host's status, so it is compared with none"* ]]
}

@test "a profile that one member has changed is found, once it is in force there" {
    sed -i 's/^Window.*//; $aWindow = 7s' "$lab/second.d/ssh.conf"
    [ -z "$(doctor_says .)" ]
    on_second portsmithctl reload
    [ "$(doctor_says .)" = "$second has other profiles in force" ]
    cp /etc/portsmith.d/ssh.conf "$lab/second.d/"
    on_second portsmithctl reload
    [ -z "$(doctor_says .)" ]
}
