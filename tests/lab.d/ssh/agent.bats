#!/usr/bin/env bats
# Knocks that OpenSSH's own agent signs, by a key in it and by a security key that is touched; and
# what is said where it does not.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031 # agent.bash and bats set the variables

. "$top/tests/lib/agent.bash"

times=20
[ "${LONG:-no}" = no ] || times=50

setup_file() {
    ssh_setup "Shut = tcp/22"
    agent_setup
    make_key plain
    make_security_key touched
    cat "$keys"/*.pub >"$sshd_directory/authorized_keys"
    rm "$home"/.ssh/id_ed25519* # what is in the agent is all that there is
    and_reload on server portsmith-profile -c "$conf" revoke bastion
    rm "$home/.config/portsmith/bastion.conf"
    add_ssh_profile bastion plain
    add_ssh_profile keyed touched
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    rm -f "$device"/*
    know bastion
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

# The client says so.
knock_fails() { # PATTERN ARGUMENT of portsmith-knock...
    local before

    before=$(log_count '(opened|extended) tcp/22')
    run knock "${@:2}"
    echo "$output"
    [ "$status" -ne 0 ] && [[ $output =~ $1 ]] || return
    fence
    log_counts '(opened|extended) tcp/22' "$before"
}

# The lines of README.md.
stanza_for() { # HOST
    block_of "$top/README.md" "Host home server.example.net" |
        sed "s/^Host .*/Host $1/; s/server.example.net/$1/" | ssh_config
}

# ---- Done means ------------------------------------------------------------

# bats test_tags=once,ipv6
@test "ssh is in at the first try, $times times, with a key in the agent and nowhere else" {
    start_agent
    add_key plain
    mv "$keys/plain" "$lab/away"
    stanza_for bastion
    logs_in_from_shut_ports bastion "$times" 50
    mv "$lab/away" "$keys/plain"
}

# bats test_tags=once,ipv6
@test "ssh is in at the first try, $times times, by a security key and a touch for the knock" {
    start_agent
    add_key touched
    stanza_for keyed
    logs_in_from_shut_ports keyed "$times" 180
    [ "$(touches)" -eq $((2 * times)) ] # ssh wants one, too
}

# ---- from afar -------------------------------------------------------------

# On a third host, which one reaches by way of the server's.
make_jump_host() {
    local there=$lab/$account/.config/portsmith

    make_backend_host
    start_sshd 2222 backend
    stop_daemon
    sed -i 's/^Interface = .*/& eth1/' "$conf"
    start_daemon
    install -d -o "$account" "$there"
    sed "s/^Host .*/Host = $([ "$FAMILY" = 4 ] && echo 10.78.0.1 || echo fd78::1)/" "$lab/bastion.conf" |
        install -o "$account" -m 600 /dev/stdin "$there/bastion.conf"
}

@test "a knock from a host that the agent is forwarded to" {
    make_jump_host
    start_agent
    add_key plain
    echo "Host jump
            HostName $backend
            Port 2222" | ssh_config
    [ "$(as_client ssh -A jump "PATH=$PATH ssh -o 'ProxyCommand portsmith-knock --connect %h %p' \
        -l $account bastion echo in")" = in ]
    run as_client ssh -a jump "PATH=$PATH portsmith-knock bastion"
    echo "$output"
    [[ $output == *"SSH_AUTH_SOCK is not set"* ]]
}

# ---- which agent -----------------------------------------------------------

@test "an agent is found by its variable, by the server's file and by --agent, which comes first" {
    local away=$lab/agent/away

    start_agent
    add_key plain
    knock_opens bastion
    as_client mv "$agent_socket" "$away"
    knock_fails "agent/socket: .*; start the agent" bastion
    knock_opens bastion --agent "$away"
    (unset SSH_AUTH_SOCK && knock_opens bastion --agent "$away")
    echo "IdentityAgent = $away" >>"$home/.config/portsmith/bastion.conf"
    knock_opens bastion
    knock_fails "nowhere: .*; start the agent" --agent "$lab/nowhere" bastion
}

@test "where there is no agent the client says how to name one" {
    unset SSH_AUTH_SOCK
    knock_fails "SSH_AUTH_SOCK is not set.*--agent" bastion
    knock_fails "$conf: .*; start the agent" --agent "$conf" bastion
    knock_fails "the path is too long" --agent "/$(printf '%0200d' 1)" bastion
}

# ---- what agents refuse ----------------------------------------------------

@test "an agent that is locked, or has other keys" {
    start_agent
    knock_fails "is locked or empty; unlock it" bastion
    add_key touched
    knock_fails "does not hold the key of SSHKey" bastion
    add_key plain
    lock_agent -x
    knock_fails "is locked or empty; unlock it" bastion
    lock_agent -X
    knock_opens bastion
}

# ssh-add asks for a word.
lock_agent() { # -x|-X
    printf '#!/bin/sh\necho word\n' >"$lab/word"
    chmod 755 "$lab/word"
    as_client env SSH_ASKPASS="$lab/word" SSH_ASKPASS_REQUIRE=force ssh-add "$1"
}

@test "an agent that wants a confirmation and has no display to ask on" {
    start_agent
    add_key plain -c
    knock_fails "refuses to sign.*no display" bastion
}

@test "a key that is tied to its destinations" {
    start_agent
    echo "bastion $(cat "$sshd_directory/host_key.pub")" | as_client tee "$keys/known" >/dev/null
    add_key plain -h bastion -H "$keys/known"
    knock_fails "refuses to sign.*ssh-add -h" bastion
}

# ---- somebody is asked -----------------------------------------------------

start_asking_agent() {
    make_askpass
    start_agent SSH_ASKPASS="$lab/askpass" SSH_ASKPASS_REQUIRE=force
}

# In the background; ends before wait_for_knock does.
begin_knock() { # ARGUMENT...
    rm -f "$lab/knock.out"
    knock "$@" >"$lab/knock.out" 2>&1 3>&- &
    begun=$!
}

says() { # PATTERN
    grep -q "$1" "$lab/knock.out"
}

@test "somebody confirms, and takes a while" {
    start_asking_agent
    add_key plain -c
    begin_knock bastion
    wait_until 5 grep -q confirm "$device/asked"
    wait_until 5 says "may want a confirmation"
    echo yes >"$device/answer"
    wait "$begun"
    wait_for_log "bastion: opened tcp/22 for $client"
}

@test "somebody confirms nothing" {
    start_asking_agent
    add_key plain -c
    begin_knock bastion
    wait_until 5 grep -q confirm "$device/asked"
    echo no >"$device/answer"
    run wait "$begun"
    [ "$status" -ne 0 ]
    says "refuses to sign"
    opens_nothing
    [ "$(wc -l <"$device/asked")" -eq 1 ]
}

@test "a touch is said to be waited for, and opens when it comes" {
    start_agent
    add_key touched
    as_client mkfifo "$device/finger"
    begin_knock keyed
    wait_until 5 says "touch your security key"
    opens_nothing
    echo touch >"$device/finger"
    wait "$begun"
    wait_for_log "keyed: opened tcp/22 for $client"
    [ "$(touches)" -eq 1 ]
}

@test "a security key that nobody touches" {
    start_agent
    add_key touched
    echo refuse >"$device/finger"
    knock_fails "refuses to sign.*nobody touched the key" keyed
    [ "$(touches)" -eq 1 ]
}

# ---- what the profile demands ----------------------------------------------

# A security key of the test's own, and its profile, of the same name.
make_profile() { # NAME OPTION of ssh-keygen... -- OPTION of portsmith-profile add...
    local name=$1 options=()

    shift
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    make_security_key "$name" "${options[@]}"
    add_ssh_profile "$name" "$name" "${@:2}"
    add_key "$name"
}

@test "a profile that demands a touch refuses a key that signs without, until none is demanded" {
    start_agent
    make_profile lazy -O no-touch-required --
    knock_until "lazy: refused for $client: .* without the touch or PIN that Require demands" lazy
    opens_nothing
    echo "Require = none" >>/etc/portsmith.d/lazy.conf
    reload_daemon
    knock_opens lazy
    [ "$(touches)" -eq 0 ]
}

@test "a profile that demands a PIN refuses a key that was only touched" {
    start_agent
    make_profile strict -- --require pin
    knock_until "strict: refused for $client: .* without the touch or PIN that Require demands" strict
    opens_nothing
    [ "$(touches)" -eq 1 ]
}

@test "a profile that demands a PIN opens by a key that asked for one" {
    start_asking_agent
    make_profile exact -O verify-required -- --require pin
    begin_knock exact
    wait_until 5 test -s "$device/asked"
    echo 1234 >"$device/answer"
    wait "$begun"
    wait_for_log "exact: opened tcp/22 for $client"
    grep -q -x "touch pin" "$device/log"
}

@test "a profile that is revoked is shut out" {
    start_agent
    make_profile passing -O no-touch-required -- --require none
    knock_opens passing
    and_reload on server portsmith-profile -c "$conf" revoke passing
    wait_until 5 has_no_grant_but_fence
    knock passing
    opens_nothing
    port_is_shut "$server" 22
}

# ---- gpg-agent -------------------------------------------------------------

# It asks for a passphrase for the key that it is given: for none, and whether that is meant.
make_pinentry() {
    cat >"$lab/pinentry" <<'END'
#!/bin/sh
echo "OK at your service"
while read -r word _; do
    echo OK
    [ "$word" != BYE ] || exit 0
done
END
    chmod 755 "$lab/pinentry"
}

# It leaves the foreground, and ends with the hosts.
start_gpg_agent() {
    local of_gpg=$lab/gpg

    make_pinentry
    install -d -o "$client_user" -m 700 "$of_gpg"
    spawn client "$lab/log/agent.log" setpriv --reuid="$client_user" --regid="$client_group" \
        --clear-groups --no-new-privs env HOME="$home" gpg-agent --homedir "$of_gpg" \
        --enable-ssh-support --pinentry-program "$lab/pinentry" --daemon
    export SSH_AUTH_SOCK=$of_gpg/S.gpg-agent.ssh
    wait_until 5 test -S "$SSH_AUTH_SOCK"
}

@test "gpg-agent signs knocks, and lets ssh in" {
    start_gpg_agent
    add_key plain
    stanza_for bastion
    [ "$(as_client ssh bastion echo in)" = in ]
    wait_for_log "bastion: opened tcp/22 for $client"
}
