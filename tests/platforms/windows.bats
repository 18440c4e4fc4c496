#!/usr/bin/env bats
# The client for Windows, run by Wine, at a server of the lab.
# shellcheck disable=SC2119,SC2154 # ssh_setup takes options; ssh.bash and build.bash set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/ssh.bash"
# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"

export WINEDEBUG=-all
program=$build_directory/windows/portsmith-knock.exe

setup_file() {
    ssh_setup
    as_client wine wineboot --init
    install -o "$client_user" -m 600 "$lab/bastion.bundle" "$home/bastion.bundle"
    in_windows import "$home/bastion.bundle"
}

teardown_file() {
    as_client wineserver --kill || true
    lab_teardown
}

setup() {
    common_setup
    on server portsmithctl close --all
    wait_until 5 port_is_shut "$server" 22
}

teardown() {
    common_teardown
}

in_windows() { # ARGUMENT of portsmith-knock...
    as_client wine "$program" "$@"
}

# A file of the client's, as Linux sees it. Wine gives the user's group what it gives the user.
own_file() { # NAME
    find "$home/.wine/drive_c/users" -path "*/Local/portsmith/$1"
}

@test "an identity is made for the user alone, and never overwritten" {
    in_windows keygen
    [[ $(stat -c %a "$(own_file identity)") == *0 ]]
    in_windows pubkey
    run in_windows keygen
    [ "$status" -ne 0 ]
    [[ $output == *"exists already and is never overwritten"* ]]
}

@test "a key that others can read is refused, with what to do" {
    chmod 644 "$(own_file bastion.key)"
    run in_windows bastion
    chmod 600 "$(own_file bastion.key)"
    [ "$status" -ne 0 ]
    [[ $output == *"other users can read or write it; run: icacls"* ]]
}

@test "a knock opens" {
    in_windows bastion
    wait_until 5 port_is_open "$server" 22
}

@test "knocks at the same time take counters of their own" {
    local one

    in_windows bastion &
    one=$!
    in_windows bastion
    wait "$one"
    wait_until 5 log_has "bastion: extended tcp/22" # so both were honoured
}

@test "--wait ends once the port is open" {
    in_windows --wait bastion tcp/22
    port_is_open "$server" 22
}

@test "--connect carries bytes for ssh, both ways" {
    ssh_config <<END
Host bastion
    ProxyCommand wine $program --connect %h %p
END
    head -c 300000 /dev/urandom >"$BATS_TEST_TMPDIR/sent"
    as_client ssh bastion cat <"$BATS_TEST_TMPDIR/sent" >"$BATS_TEST_TMPDIR/came"
    cmp "$BATS_TEST_TMPDIR/sent" "$BATS_TEST_TMPDIR/came"
}

@test "what Windows lacks is refused, with what does instead" {
    run in_windows --transport tcp-syn bastion
    [ "$status" -ne 0 ]
    [[ $output == *"the transport tcp-syn: only the client for Linux has it; knock by udp"* ]]
    run in_windows --transport icmp bastion
    [ "$status" -ne 0 ]
    [[ $output == *"the transport icmp: only the client for Linux has it"* ]]
    run in_windows --connect --pass bastion 22
    [ "$status" -ne 0 ]
    [[ $output == *"leave --pass out"* ]]
    port_is_shut "$server" 22
}
