#!/usr/bin/env bats
# Knocks that OpenSSH's own agent signs, by a key in it and by a security key that is touched; and
# what is said where it does not.
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031 # agent.bash and bats set the variables

. "$top/tests/lib/agent.bash"

setup_file() {
    ssh_setup "Shut = tcp/22"
    agent_setup
    make_key plain
    make_security_key touched
    make_security_key untouched -O no-touch-required
    make_security_key with-pin -O verify-required
    cat "$keys"/*.pub >"$sshd_directory/authorized_keys"
    rm "$home"/.ssh/id_ed25519* # what is in the agent is all that there is
    on server portsmith-profile -c "$conf" revoke bastion
    rm "$home/.config/portsmith/bastion.conf"
    add_ssh_profile bastion plain --open tcp/22
    add_ssh_profile keyed touched --open tcp/22
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    rm -f "$device"/*
}

teardown() {
    stop_agent
    common_teardown
}

# Of tcp/22, whatever a fence has opened.
opens_nothing() {
    fence
    has_no_grant_but_fence
}

# The client says so, and asks for no touch and no signature twice.
knock_fails() { # PATTERN ARGUMENT of portsmith-knock...
    run knock "${@:2}"
    echo "$output"
    [ "$status" -ne 0 ] && [[ $output =~ $1 ]] && opens_nothing
}

# The lines of README.md.
stanza_for() { # NAME...
    local name

    for name; do
        block_of "$top/README.md" "Host home server.example.net" |
            sed "s/^Host .*/Host $name/; s/HostName .*/HostName $server/; s/ %h / $name /"
    done | ssh_config
}

# ---- Done means ------------------------------------------------------------

@test "ssh is in at the first try, 50 times, with a key in the agent and nowhere else" {
    start_agent
    add_key plain
    mv "$keys/plain" "$lab/away"
    stanza_for bastion
    logs_in_from_shut_ports bastion 50 50
    mv "$lab/away" "$keys/plain"
}

@test "ssh is in at the first try, 50 times, by a security key and a touch for the knock" {
    start_agent
    add_key touched
    stanza_for keyed
    logs_in_from_shut_ports keyed 50 180
    [ "$(touches)" -eq 100 ] # ssh wants one, too
}
