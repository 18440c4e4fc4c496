#!/usr/bin/env bats
# A server whose interfaces are in a VRF, so that its addresses are local by a table of
# their own.
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    make_backend_host
    put_into_vrf
    start_listener 22
    start_listener 22 backend
    configure "Shut = tcp/22 tcp/2222 tcp/8080 udp/5300"
    add_fence
    add_profile all --open tcp/22,tcp/8080,udp/5300 --window 1m
    add_profile inner --open "tcp/2222 -> $(at 22)" --window 1m
    keep_configuration
}

teardown_file() {
    lab_teardown
}

setup() {
    restore_configuration
    common_setup
}

teardown() {
    common_teardown
    [ ! -e "$lab/daemon.pid" ] || stop_daemon
    on server portsmithd --release -c "$conf"
}

# What listens on no interface in particular is heard in all VRFs.
put_into_vrf() {
    local interface

    ip -n server link add mgmt type vrf table 10
    ip -n server link set mgmt up
    for interface in eth0 eth1; do
        ip -n server link set "$interface" master mgmt
    done
    # IPv6 addresses went as the interfaces moved.
    give_address server eth0 fd77::1/64
    give_address server eth1 fd78::1/64
    on server sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_l3mdev_accept
                     echo 1 >/proc/sys/net/ipv4/udp_l3mdev_accept'
}

at() { # PORT of the host behind the server
    if [ "$FAMILY" = 6 ]; then echo "[$backend]:$1"; else echo "$backend:$1"; fi
}

# This machine is slow: what is open may take its time.
is_greeted() { # ADDRESS PORT
    wait_until 15 greets "$@"
}

greets() { # ADDRESS PORT
    [ "$(tcp_greeting "$1" "$2")" = "$greeting" ]
}

is_shut() { # ADDRESS PORT [FROM]
    ! on client socat -u /dev/null "$(socat_address TCP "$1" "$2" "${3:-}"),connect-timeout=3"
}

# UDP without a connection answers from the VRF of its interface alone.
start_vrf_echo() { # PORT
    spawn server "$lab/log/listener.log" python3 -c '
import socket, sys
service = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
service.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
service.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"mgmt")
service.bind(("::", int(sys.argv[1])))
while True:
    service.sendto(sys.argv[2].encode() + b"\n", service.recvfrom(2048)[1])
' "$1" "$greeting"
    wait_until 15 udp_is_open "$server" "$1"
}

@test "a shut port is open without rules, shut to strangers, open to whoever knocks" {
    is_greeted "$server" 22
    start_vrf_echo 5300
    start_daemon
    is_shut "$server" 22
    run ! udp_is_open "$server" 5300
    knock_opens all
    is_greeted "$server" 22
    wait_until 15 udp_is_open "$server" 5300
    is_shut "$server" 22 "$other"
    is_greeted "$backend" 22 # it only passes through
}

@test "a forgotten session goes on, the ACK of a cookie opens nothing" {
    forget_soon server
    open_connection "$server" 22
    start_daemon
    connection_answers
    knock_opens all tcp/22
    ask_for_cookie 22
    knock_until "all: closed" --close all tcp/22
    send_cookie 22
    end_cookie
    fence
    ! has_session 22 || false
    connection_answers
}

@test "published ports and the way to a host behind are shut, and open" {
    publish 8080 22
    is_greeted "$server" 8080
    start_daemon
    is_shut "$server" 8080
    is_shut "$server" 2222
    knock_opens all
    knock_opens inner
    is_greeted "$server" 8080
    is_greeted "$server" 2222
    is_shut "$server" 2222 "$other"
    xtables -t nat -F PREROUTING
}

@test "Interface = any hears a knock once; of the VRF's own device one is told what to name" {
    sed -i 's/^Interface.*/Interface = any/' "$conf"
    start_daemon
    knock_opens all
    fence
    on server portsmithctl -c "$conf" status
    on server portsmithctl -c "$conf" status | grep -q "packets  *2 seen, "
    sed -i 's/^Interface.*/Interface = mgmt/' "$conf"
    run on server portsmithd -t -c "$conf"
    [ "$status" -eq 0 ]
    [[ $output == *"mgmt is a VRF"*"in Interface: eth0 eth1"* ]]
    reload_daemon
    wait_for_log "mgmt is a VRF"
    run on server portsmithctl -c "$conf" doctor
    [[ $output == *"mgmt is a VRF"* ]]
    is_shut "$server" 22 "$other"
}
