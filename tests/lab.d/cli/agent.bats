#!/usr/bin/env bats
# portsmith-knock with a server whose key an ssh-agent holds: its file, bundles, what is shown and
# what is said. That its knocks open is tried in tests/lab.d/ssh.
# Once: programs on their own; nothing is sent to a daemon.
# bats file_tags=once
# shellcheck disable=SC2154,SC2030,SC2031 # bats sets the variables, and each test has its own

bats_require_minimum_version 1.5.0

KEY=hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=
PRESHARED=YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    export HOME=$PWD/home
    unset XDG_CONFIG_HOME XDG_STATE_HOME POSIXLY_CORRECT SSH_AUTH_SOCK
    umask 077
    mkdir home
    config=$HOME/.config/portsmith
    ssh-keygen -q -t ed25519 -N "" -C ann@laptop -f id
    line=$(cat id.pub)
    know_bastion "SSHKey = $line" "PresharedKey = $PRESHARED"
}

teardown() {
    [ -z "${agent:-}" ] || kill "$agent"
}

know_bastion() { # LINE...
    mkdir -p "$config"
    printf '%s\n' '[Server]' 'Host = 5.5.5.2' 'Port = 62201' "PublicKey = $KEY" "Service = tcp/22" \
        "$@" >"$config/bastion.conf"
}

start_agent() { # [KEY...]
    # It goes into the background once its socket is there.
    env -u DISPLAY -u SSH_ASKPASS ssh-agent -s -a "$PWD/socket" >agent.log 2>&1 3>&-
    agent=$(sed -n 's/^SSH_AGENT_PID=\([0-9]*\);.*/\1/p' agent.log)
    [ $# -eq 0 ] || SSH_AUTH_SOCK=$PWD/socket ssh-add -q "$@"
}

# In a network of its own, where nobody answers.
diagnoses() { # ARGUMENT of portsmith-knock...
    run --separate-stderr -4 unshare -n sh -ec '
        ip link set lo up
        ip link add near type veth peer name far
        ip addr add 5.5.5.1/24 dev near
        ip link set near up
        ip link set far up
        exec portsmith-knock --diagnose --timeout 1s "$@"' sh "$@"
}

says() { # TEXT
    [[ $output == *"$1"* ]] || {
        echo "'$1' is not in: $output ${stderr:-}"
        return 1
    }
}

@test "list and show have the key, and ask no agent" {
    run portsmith-knock list
    [[ ${lines[1]} == "bastion "*" usable" ]]
    run portsmith-knock show bastion
    says $'\n'"SSHKey = $line"$'\n'
    says $'\n'"IdentityAgent = SSH_AUTH_SOCK"$'\n'
    [[ $output != *"$PRESHARED"* && $output != *"Identity ="* ]]
    portsmith-knock show --json bastion >default.json
    know_bastion "SSHKey = $line" "PresharedKey = $PRESHARED" "IdentityAgent = ~/agent"
    portsmith-knock show --json bastion >named.json
    LINE=$line python3 - <<'END'
import json, os
default, named = json.load(open("default.json")), json.load(open("named.json"))
assert default["usable"] is True and default["ssh_key"] == os.environ["LINE"]
assert default["identity"] is None and default["identity_public_key"] is None
assert default["identity_agent"] is None
assert named["identity_agent"] == "~/agent"
END
}

@test "a bundle brings the key, and export hands it on with what is secret alone" {
    rm -r "$config"
    printf '%s\n' '[Bundle]' 'Name = bastion' 'Host = 5.5.5.2' 'Port = 62201' "PublicKey = $KEY" \
        "SSHKey = $line" "PresharedKey = $PRESHARED" >bundle
    run portsmith-knock import bundle
    says "Knocks are signed by your ssh-agent, with this key:"
    says "$line"
    says "Now delete bundle"
    [ ! -e "$config/bastion.key" ]
    portsmith-knock export bastion >public
    run ! grep -q -e SSHKey -e PresharedKey public
    run portsmith-knock export --with-secret-key bastion secret
    says "It holds a PresharedKey"
    grep -q -x -F "SSHKey = $line" secret
    grep -q -x "PresharedKey = $PRESHARED" secret
    rm -r "$config"
    portsmith-knock import secret
}

@test "a key is the server file's: no identity takes its place, and no agent that of an identity" {
    run -2 portsmith-knock --identity id bastion
    says "--identity: the server file has an SSHKey in its place"
    know_bastion
    run -2 portsmith-knock --agent "$PWD/socket" bastion
    says "--agent: no ssh-agent is asked unless a server file has an SSHKey"
    run -78 portsmith-knock bastion
    says "portsmith-knock keygen"
}

@test "a key that cannot knock is named with file and line" {
    ssh-keygen -q -t rsa -N "" -f rsa
    know_bastion "SSHKey = $(cut -c 1-150 rsa.pub)" "PresharedKey = $PRESHARED"
    run -78 portsmith-knock bastion
    says "$config/bastion.conf:6: SSHKey: a key of type ssh-rsa cannot knock"
    know_bastion "SSHKey = $line"
    run -78 portsmith-knock bastion
    says "$config/bastion.conf: SSHKey needs PresharedKey"
}

@test "--output writes what the agent has signed, and nothing if it does not" {
    start_agent id
    portsmith-knock --agent "$PWD/socket" --output knock bastion
    [ "$(stat -c %s knock)" -ge 176 ]
    SSH_AUTH_SOCK=$PWD/socket ssh-add -q -D
    run -1 portsmith-knock --agent "$PWD/socket" --output other bastion
    says "the ssh-agent at $PWD/socket is locked or empty"
    [ ! -e other ]
    run -1 portsmith-knock --output other bastion
    says "SSH_AUTH_SOCK is not set"
}

@test "--diagnose says whether the agent has the key" {
    start_agent id
    diagnoses --agent "$PWD/socket" bastion
    says "agent     ok: $PWD/socket holds the key of SSHKey, with the comment 'ann@laptop'"
    says "knock     ok: "
    SSH_AUTH_SOCK=$PWD/socket ssh-add -q -D
    diagnoses --agent "$PWD/socket" bastion
    says "agent     PROBLEM: the ssh-agent at $PWD/socket is locked or empty"
    [[ $output != *"knock     "* ]]
    diagnoses bastion
    says "agent     PROBLEM: no ssh-agent is named"
}

@test "--diagnose says that the agent refuses" {
    start_agent
    SSH_AUTH_SOCK=$PWD/socket ssh-add -q -c id
    diagnoses --agent "$PWD/socket" bastion
    says "knock     PROBLEM: the ssh-agent at $PWD/socket refuses to sign"
}
