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
    cp -r "$stage/share/doc/portsmith/examples/ansible" "$fleet"
    cd "$fleet"
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
ended_with() { # HOST ok=.. changed=.. failed=..
    [[ $output =~ $1\ *:\ ok=[0-9]+\ +changed=$2\ +unreachable=0\ +failed=$3 ]]
}

in_force() { # VERSION
    [ "$(on server portsmithctl --json status | jq .roster.version)" = "$1" ] &&
        [ "$(on_second portsmithctl --json status | jq .roster.version)" = "$1" ]
}

@test "a play brings roster, secret and lines to both hosts, and has them in force" {
    sign 1
    run -0 play --diff -vvv
    echo "$output"
    [[ $output != *"$(cat plain.secret)"* ]]
    in_force 1
}
