#!/usr/bin/env bats
# The example of a roster for many hosts by Ansible, with the real one, over ssh, on two hosts.
#
#   server  --  client  --  second
#
# Once: whether the example works; what rosters do is tried in each combination elsewhere.
# bats file_tags=once
# shellcheck disable=SC2154,SC2030,SC2031 # recipes.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/recipes.bash"
# shellcheck source=tests/lib/member.bash
. "$top/tests/lib/member.bash"

fleet=$lab/fleet
second_directory=$lab/second.d

setup_file() {
    howto_setup
    make_second
    start_sshd 2200 second
    configure "Shut = tcp/80"
    set_up_second
    start_listener 80
    start_listener 80 second
    start_daemon
    : >"$lab/log/second.log"
    start_second_daemon
    make_fleet
}

teardown_file() {
    lab_teardown
}

setup() {
    cd "$fleet" || return
    common_setup
}

teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || printf '%s\n' "--- last command" "${output:-}"
    common_teardown
}

set_up_second() {
    rm -rf "$lab"/second.{d,state,run}
    { cat "$conf" && printf '%s\n' "ProfileDirectory = $second_directory" \
        "StateDirectory = $lab/second.state" "RunDirectory = $lab/second.run"; } >"$second_conf"
    on_second portsmith-profile init >>"$lab/log/init.log" 2>&1
}

# A copy of the example, as its README says.
make_fleet() {
    rm -rf "$fleet"
    cp -r /run/lab/stage/share/doc/portsmith/examples/ansible "$fleet"
    cd "$fleet" || return
    portsmith-profile roster init >init.log
    cp fleet.secret plain.secret
    echo "a password" >vault
    ansible-vault encrypt --vault-password-file vault fleet.secret
    sed -i "s|KEY #.*|$(sed -n 's/.*RosterKey = //p' init.log)|" fleet.yml
    cat >hosts <<HOSTS
[all]
server ansible_host=$server
second ansible_host=$second ansible_port=2200 portsmith_config=$second_conf portsmith_directory=$second_directory
[all:vars]
portsmith_roster_services=tcp/80
HOSTS
    as_client portsmith-knock keygen >keygen.log
    laptop=$(sed -n 's/^Its public key: //p' keygen.log)
    echo "$laptop" >laptop.pub
    portsmith-knock keygen other.key >/dev/null
}

sign() { # VERSION [LINE of the head...]
    printf '%s\n' "[Roster]" "Version = $1" "NotAfter = 2099-12-31" "${@:2}" "[Profile laptop]" \
        "PublicKey = $(cat laptop.pub)" "Open = tcp/80" >text
    rm -f roster
    portsmith-profile roster sign text >/dev/null
}

play() { # ARGUMENT...
    on client env HOME="$lab/root" ANSIBLE_PIPELINING=1 ANSIBLE_NOCOLOR=1 ansible-playbook -u root -i hosts \
        --vault-password-file vault fleet.yml "$@" </dev/null 3>&-
}

# What a play says of a host in the end.
ended_with() { # CHANGED FAILED: tasks, of each host
    local host

    for host in server second; do
        [[ $output =~ $host\ *:\ ok=[0-9]+\ +changed=$1\ +unreachable=0\ +failed=$2 ]] || return 1
    done
}

in_force() { # VERSION
    [ "$(on server portsmithctl --json status | jq .roster.version)" = "$1" ] &&
        [ "$(on_second portsmithctl --json status | jq .roster.version)" = "$1" ]
}

# ---- the role ----------------------------------------------------------------

@test "a play brings secret, roster and lines to both hosts, has them in force, and tells no secret" {
    sign 1
    run -0 play --diff -vvv
    ended_with 5 0
    [[ $output != *"$(cat plain.secret)"* ]]
    in_force 1
    cmp plain.secret /etc/portsmith.d/fleet.secret
    [ "$(stat -c %a "$second_directory/fleet.secret" "$second_directory/roster")" = $'600\n644' ]
    portsmith-profile roster bundle laptop --host "$server" --server laptop --output bundle
    as_client portsmith-knock import - <bundle
    knock_opens laptop
    port_is_open "$server" 80
}

@test "the next play changes nothing" {
    run -0 play
    ended_with 0 0
    log_lacks reloaded
}

@test "lines that an earlier play brought, and did not live to put in force, come in force" {
    sed -i 's|^RosterServices = .*|RosterServices = tcp/80 tcp/81|' "$conf" "$second_conf"
    run -0 play -e '{"portsmith_roster_services": "tcp/80 tcp/81"}'
    ended_with 2 0
    log_has reloaded
    run -0 play
    log_counts reloaded 2
}

@test "a roster that revokes the laptop is one file and one play" {
    knock_opens laptop
    sign 2 "Revoke = $(cat laptop.pub)"
    run -0 play
    ended_with 3 0
    in_force 2
    wait_until 5 has_no_grant "$client"
    knock laptop
    never_in_ms 1000 log_count_exceeds 'laptop: opened' 1
}

@test "a roster of another key fails the play with the reason, and the one before stays" {
    cp roster good
    sed -i s/Version/version/ roster
    run -2 play
    ended_with 0 1
    [[ $output == *"signed with another fleet key than is known here, or cut short or changed since"* ]]
    cmp good /etc/portsmith.d/roster
    in_force 2
    cp good roster
}

@test "lines that portsmithd would not take fail the play with the reason, and those before stay" {
    cp "$conf" good
    run -2 play -e portsmith_roster_services=tcp/99999
    ended_with 0 1
    [[ $output == *"RosterServices: '99999' is not a port number"* ]]
    cmp good "$conf"
}

@test "a roster of an earlier version fails each play with the reason, and the one before stays in force" {
    sign 1
    run -2 play
    [[ $output == *"Version 1 is below 2, which was used here"* ]]
    in_force 2
    run -2 play
    [[ $output == *"Version 1 is below 2, which was used here"* ]]
}
