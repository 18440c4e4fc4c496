#!/usr/bin/env bats
# Knocks over every kind of link, and whatever else can be put on a wire.
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/net/net.bash"

frames=$top/tests/net/tools/frames.py

setup_file() {
    lab_setup
    start_listener 22
    configure
    add_fence
    add_profile ssh --open tcp/22 --window 1m
    start_daemon
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    knock_bytes "$lab/knock" ssh
}

teardown() {
    common_teardown
}

# A knock in a frame of this kind, from an address that nobody has.
send_frame() { # KIND
    stranger=${client_prefix}99
    on client "$frames" wire eth0 "$(server_mac)" "$1" "$stranger" "$server" "$knock_port" \
        "$lab/knock"
}

frame_opens() { # KIND
    local before

    before=$(log_count "ssh: (opened|extended) tcp/22 for ${client_prefix}99 ")
    send_frame "$1"
    wait_until 5 log_count_exceeds "ssh: (opened|extended) tcp/22 for ${client_prefix}99 " "$before"
    [ "$(grant_rules mangle "${client_prefix}99" | wc -l)" -eq 1 ]
}

frame_opens_nothing() { # KIND
    send_frame "$1"
    fence
    [ "$(log_count "ssh: ")" -eq 0 ]
}

@test "a plain frame" {
    frame_opens plain
}

@test "a VLAN-tagged frame" {
    frame_opens vlan
}

@test "a frame with two tags: 802.1ad" {
    frame_opens qinq
}

@test "a frame with two tags: 802.1Q twice" {
    frame_opens qinq-8100
}

@test "a frame with bytes behind the packet" {
    frame_opens trailer
}

@test "IPv4 options are skipped" {
    [ "$FAMILY" = 4 ] || skip "IPv4 alone"
    frame_opens options
}

@test "an IPv6 extension header opens nothing" {
    [ "$FAMILY" = 6 ] || skip "IPv6 alone"
    frame_opens_nothing extension
}

@test "a knock in fragments opens nothing" {
    frame_opens_nothing fragments
}

@test "a knock whose end is missing opens nothing" {
    frame_opens_nothing truncated
}

# The end of a fence's window may come at any time.
lines_but_fences() {
    daemon_log | grep -v -c ' fence: ' || true
}

@test "thousands of random frames: no line in the log, no crash, and an honest knock opens" {
    local lines pid sent

    fence
    lines=$(lines_but_fences)
    pid=$(process_named portsmith-sniff)
    sent=$(on client "$frames" noise eth0 "$(server_mac)" "${client_prefix}98" "$server" \
        "$knock_port" 5000)
    [ "$sent" -ge 5000 ]
    knock_opens ssh
    [ "$(lines_but_fences)" -eq $((lines + 1)) ]
    [ "$(process_named portsmith-sniff)" = "$pid" ]
    port_is_open "$server" 22
}

# ---- other captures --------------------------------------------------------

tun_says() { # WORD
    grep -q "$1" "$lab/log/tun.log"
}

@test "raw IP: a knock out of a tun device" {
    local stranger=10.79.0.2 far=10.79.0.1

    [ "$FAMILY" = 4 ] || stranger=fd79::2 far=fd79::1
    rm -f "$lab/tun.in" "$lab/log/tun.log"
    mkfifo "$lab/tun.in"
    ip netns exec server "$frames" tun tun0 "$stranger" "$far" "$knock_port" "$lab/knock" \
        <>"$lab/tun.in" >"$lab/log/tun.log" 2>&1 3>&- &
    disown
    wait_until 5 tun_says up
    ip -n server link set tun0 up
    give_address server tun0 "$far/$host_bits"
    sed -i 's/^Interface.*/Interface = eth0 tun0/' "$conf"
    reload_daemon
    echo >"$lab/tun.in"
    wait_for_log "ssh: opened tcp/22 for $stranger "
}

@test "loopback: a knock of the host's own, from an address of its own" {
    sed -i 's/^Interface.*/Interface = lo/' "$conf"
    reload_daemon
    on server socat -u -b 65536 "OPEN:$lab/knock,rdonly" \
        "$(socat_address UDP-SENDTO "$server" "$knock_port" "$server")"
    wait_for_log "ssh: opened tcp/22 for $server "
}

@test "any: a knock, plain or tagged, on whatever interface" {
    sed -i 's/^Interface.*/Interface = any/' "$conf"
    reload_daemon
    frame_opens plain
    knock_bytes "$lab/knock" ssh
    frame_opens vlan
}
