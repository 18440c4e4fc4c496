#!/usr/bin/env bats
# Many clients at one moment: every one of them gets in.
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/net/net.bash"

clients=200 # more than may be on their way to the helper at once

setup_file() {
    lab_setup
    configure
    make_clients
    start_daemon
    make_knocks
}

teardown_file() {
    lab_teardown
}

setup() {
    own_log
}

teardown() {
    common_teardown
}

make_clients() {
    local i

    mkdir "$lab/burst"
    for ((i = 1; i <= clients; i++)); do
        portsmith-knock keygen "$lab/burst/key-$i" >/dev/null
        printf '[Profile]\nPublicKey = %s\nOpen = tcp/22\nWindow = 1m\n' \
            "$(portsmith-knock pubkey "$lab/burst/key-$i")" >"/etc/portsmith.d/client-$i.conf"
    done
}

make_knocks() {
    local i key

    key=$(portsmithd -T -c "$conf" | sed -n 's/^# the server.s public key: //p')
    for ((i = 1; i <= clients; i++)); do
        portsmith-knock --server-key "$key" --port "$knock_port" --identity "$lab/burst/key-$i" \
            --address "${client_prefix}$((i % 100 + 10))" --output "$lab/burst/knock-$i" "$server"
    done
}

send_all() {
    on client python3 -c '
import socket, sys
knocks = [open(f"{sys.argv[1]}/knock-{i}", "rb").read() for i in range(1, int(sys.argv[2]) + 1)]
info = socket.getaddrinfo(sys.argv[3], int(sys.argv[4]), type=socket.SOCK_DGRAM)[0]
with socket.socket(info[0], socket.SOCK_DGRAM) as s:
    for knock in knocks:
        s.sendto(knock, info[4])
' "$lab/burst" "$clients" "$server" "$knock_port"
}

all_are_in() {
    [ "$(log_count ': opened tcp/22 ')" -eq "$clients" ]
}

@test "$clients clients knock at once: all get in, each with one rule in either table" {
    send_all
    wait_until 20 all_are_in
    [ "$(rules | grep -c -e --datestop)" -eq $((2 * clients)) ]
}

@test "the same knocks once more: not one counts, and the daemon is none the worse" {
    send_all
    add_fence
    reload_daemon
    fence
    [ "$(log_count ': (opened|extended) tcp/22 ')" -eq 0 ]
    [ "$(rules | grep -c -e '--dport 22 .*--datestop')" -eq $((2 * clients)) ]
}
