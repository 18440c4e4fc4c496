#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# Profiles of ssh keys: the server's side, with knocks of the other implementation, which ssh-keygen
# signs. Knocks that agents sign are tried in lab.d/ssh.
# bats file_tags=any
# shellcheck disable=SC2154 # net.bash sets the variables

. "$top/tests/lib/net.bash"

keys=$lab/ssh-keys

setup_file() {
    lab_setup
    start_listener 22
    configure
    add_fence
    mkdir -p "$keys"
    for name in alice bob; do
        ssh-keygen -q -t ed25519 -N "" -C "$name@laptop" -f "$keys/$name"
    done
    cat "$keys"/*.pub >"$keys/authorized_keys"
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

# What portsmith-profile printed or wrote for the client says the server's key and the pre-shared one.
ssh_knock() { # KEY FILE-OF-SETTINGS FILE [OPTION of other_client.py knock...]
    "$top/tests/deep/vectors/other_client.py" knock --ssh-key "$keys/$1" \
        --server "$(sed -n 's/^PublicKey = //p' "$2")" \
        --preshared "$(sed -n 's/^PresharedKey = //p' "$2")" "${@:4}" >"$3"
}

@test "an ssh key opens what its profile permits, until it is revoked" {
    and_reload on server portsmith-profile -c "$conf" add laptop --ssh-key "$keys/alice.pub" \
        --open tcp/22 --host "$server" >"$lab/laptop.conf"
    grep -x "SSHKey = $(<"$keys/alice.pub")" "$lab/laptop.conf"
    ssh_knock alice "$lab/laptop.conf" "$lab/knock"
    send_until "laptop: opened tcp/22 for $client" "$lab/knock"
    port_is_open "$server" 22
    send_bytes "$lab/knock"
    ssh_knock alice "$lab/laptop.conf" "$lab/close" --close
    send_until "laptop: closed tcp/22" "$lab/close"
    has_no_grant "$client"
    ssh_knock bob "$lab/laptop.conf" "$lab/knock"
    ssh_knock alice "$lab/laptop.conf" "$lab/late"
    and_reload on server portsmith-profile -c "$conf" revoke laptop
    send_bytes "$lab/knock"
    send_bytes "$lab/late"
    fence
    has_no_grant_but_fence
    port_is_shut "$server" 22
}

@test "a file of authorized_keys makes a profile for each key" {
    cd "$lab"
    and_reload on server portsmith-profile -c "$conf" add --ssh-key "$keys/authorized_keys" \
        --open tcp/22 --host "$server"
    [ "$(stat -c %a alice-laptop.bundle)" = 600 ]
    grep -x "SSHKey = $(<"$keys/bob.pub")" bob-laptop.bundle
    run ! cmp -s <(grep ^PresharedKey alice-laptop.bundle) <(grep ^PresharedKey bob-laptop.bundle)
    [[ $(on server portsmith-profile -c "$conf" list) =~ alice-laptop.*ssh-agent.*bob-laptop.*ssh-agent ]]
    ssh_knock bob bob-laptop.bundle "$lab/knock"
    send_until "bob-laptop: opened tcp/22 for $client" "$lab/knock"
    # Signed by the one, in the envelope of the other.
    ssh_knock alice bob-laptop.bundle "$lab/knock"
    send_bytes "$lab/knock"
    fence
    [ "$(log_count "alice-laptop: ")" -eq 0 ]
}
