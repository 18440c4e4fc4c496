#!/usr/bin/env bats
# What is no signature of a knock opens nothing: neither what an agent signs for others, sealed as if
# it were one, nor what wrong agents answer.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031,SC2119 # agent.bash and bats set the variables

. "$top/tests/lib/agent.bash"

stubs=$lab/stubs # sockets of agents that answer wrongly, each named by how
bastion=$home/.config/portsmith/bastion.conf

setup_file() {
    ssh_setup "Shut = tcp/22"
    agent_setup
    make_key plain
    make_security_key touched
    start_sshd 2222
    cat "$keys"/*.pub >"$sshd_directory/authorized_keys"
    and_reload add_profile native --open tcp/22
    and_reload on server portsmith-profile -c "$conf" revoke bastion
    add_ssh_profile bastion plain
    add_ssh_profile keyed touched
    mkdir -p "$stubs"
    spawn client "$lab/log/stubs.log" "$top/tests/tools/agents.py" "$stubs" "$keys/plain"
    wait_until 10 test -e "$stubs/ready"
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    start_agent
    add_key plain
    add_key touched
}

teardown() {
    stop_agent
    common_teardown
}

# Its datagram is in $lab/sealed.
seal() { # agent|file|native CONF OPTION of ssh_knock.py...
    counter=$(microseconds 0)
    "$top/tests/tools/ssh_knock.py" "$1" "$2" "$counter" "${@:3}" >"$lab/sealed"
}

sent_and_told() { # PATTERN COUNT
    send_bytes "$lab/sealed"
    wait_until 1 log_count_exceeds "$@"
}

# Sealed well, by the right key, and of this moment; by the log nothing is wrong but the signature.
# After four bad knocks only one of a client is looked at each second: a quick machine sends again.
is_refused() { # NAME
    local pattern="$1: refused for $client: the signature is wrong"

    wait_until 15 sent_and_told "$pattern" "$(log_count "$pattern")"
    log_lacks "$1: (opened|extended)"
}

@test "what the agent signs for others opens nothing, and what it signs for the knock does" {
    local way name

    for way in bytes namespace-git namespace-none sha256 login other-server other-request; do
        for name in bastion keyed; do
            echo "$name: $way"
            seal agent "$home/.config/portsmith/$name.conf" "$way"
            is_refused "$name"
        done
    done
    has_no_grant "$client"
    for name in bastion keyed; do
        seal agent "$home/.config/portsmith/$name.conf" right
        send_until "$name: (opened|extended) tcp/22 for $client" "$lab/sealed"
    done
}

@test "a security key's signature counts for nothing with other flags" {
    seal agent "$home/.config/portsmith/keyed.conf" right --flags 5
    is_refused keyed
    seal agent "$home/.config/portsmith/keyed.conf" right --flags 0
    is_refused keyed
}

@test "what ssh-keygen signs for git opens nothing, and what it signs as portsmith does" {
    local namespace

    for namespace in git portsmith; do
        counter=$(microseconds 0)
        "$top/tests/tools/ssh_knock.py" text "$bastion" "$counter" >"$lab/text"
        as_client ssh-keygen -q -Y sign -n "$namespace" -f "$keys/plain.pub" <"$lab/text" >"$lab/text.sig"
        "$top/tests/tools/ssh_knock.py" file "$bastion" "$counter" "$lab/text.sig" >"$lab/sealed"
        [ "$namespace" = portsmith ] || is_refused bastion
    done
    send_until "bastion: opened tcp/22 for $client" "$lab/sealed"
}

# The last that an agent was asked for, which ssh has logged in with.
@test "what has let ssh in opens nothing" {
    as_client env SSH_AUTH_SOCK="$stubs/right" ssh -F none -o StrictHostKeyChecking=no \
        -o UserKnownHostsFile=/dev/null -p 2222 "$account@$server" true
    sed -n '$s/^sign .* //p' "$stubs/right.log" >"$lab/login"
    grep -q -x '[0-9a-f]\{128\}' "$lab/login"
    seal file "$bastion" "$lab/login"
    is_refused bastion
}

@test "a profile with a secret key of its own refuses the form of ssh" {
    seal native "$home/.config/portsmith/native.conf" "$home/.config/portsmith/native.key"
    is_refused native
}

# ---- agents that answer wrongly --------------------------------------------

# How the agent is wrong, and what the client says.
wrong_agents() {
    cat <<'END'
list-refused has no keys to give
list-empty is locked or empty
list-of-others does not hold the key of SSHKey
list-silent has not answered in time
list-closes has closed the connection
list-half has closed the connection
list-nothing gave no answer of an agent's
list-huge gave no answer of an agent's
list-too-long gave no answer of an agent's
list-of-another-kind gave no answer of an agent's
list-counts-more gave no answer of an agent's
list-counts-less gave no answer of an agent's
list-counts-billions gave no answer of an agent's
list-key-overlong gave no answer of an agent's
refused refuses to sign, and never says why
closes has closed the connection
half has closed the connection
nothing gave no answer of an agent's
huge gave no answer of an agent's
of-another-kind gave no answer of an agent's
of-another-key has not signed by the key of SSHKey
of-other-bytes has not signed by the key of SSHKey
of-another-type gave no answer of an agent's
of-a-security-key gave no answer of an agent's
short gave no answer of an agent's
long gave no answer of an agent's
more-behind gave no answer of an agent's
END
}

# No more than one signature is asked for.
knock_by() { # WAY
    ! knock --agent "$stubs/$1" bastion >"$lab/said.$1" 2>&1 &&
        [ "$(grep -c '^sign ' "$stubs/$1.log")" -le 1 ]
}

# All at once, since the silent ones take their time.
@test "a client tells each agent that answers wrongly from the others, and knocks by none" {
    local way words pids=()

    wrong_agents | cut -d' ' -f1 | sort >"$lab/ways"
    find "$stubs" -type s ! -name right ! -name late ! -name list-of-many -printf '%f\n' |
        sort | diff "$lab/ways" -
    while read -r way words; do
        knock_by "$way" 3>&- &
        pids+=($!)
    done < <(wrong_agents)
    for way in "${pids[@]}"; do
        wait "$way"
    done
    while read -r way words; do
        cat "$lab/said.$way"
        grep -q -F "the ssh-agent at $stubs/$way" "$lab/said.$way"
        grep -q -F -e "$words" "$lab/said.$way" || { echo "$way: not '$words'" && return 1; }
        run grep "this machine's network" "$lab/said.$way" # which the agent is no part of
        [ "$status" -eq 1 ]
    done < <(wrong_agents)
    fence
    log_lacks "bastion: (opened|extended|refused)"
}

@test "an agent with two thousand keys is right, as is one that takes its time" {
    knock_opens bastion --agent "$stubs/list-of-many"
    mkfifo "$stubs/go"
    knock --agent "$stubs/late" bastion >"$lab/said" 2>&1 3>&- &
    wait_until 5 grep -q "waiting for the ssh-agent" "$lab/said"
    own_log
    echo >"$stubs/go"
    wait $!
    wait_for_log "bastion: (opened|extended) "
}
