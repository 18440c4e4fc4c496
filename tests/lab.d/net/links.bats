#!/usr/bin/env bats
# Knocks over every kind of link, and whatever else can be put on a wire.
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

frames=$top/tests/tools/frames.py

setup_file() {
    lab_setup
    start_listener 22
    configure
    add_fence
    add_profile ssh --open tcp/22 --window 1m
    keep_configuration
    start_daemon
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    knock_bytes "$lab/knock" ssh
}

# Each test finds the daemon as the first does.
teardown() {
    common_teardown
    cmp -s "$lab/conf.good" "$conf" || { restore_configuration && reload_daemon; }
}

# A knock in a frame of this kind, from an address that nobody has.
send_frame() { # KIND
    stranger=${client_prefix}99
    on client "$frames" wire eth0 "$(mac server)" "$1" "$stranger" "$server" "$knock_port" \
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
    log_lacks "ssh: (opened|extended|refused)" # what an earlier test opened may end meanwhile
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

# bats test_tags=ipv4
@test "IPv4 options are skipped" {
    [ "$FAMILY" = 4 ] || skip "IPv4 alone"
    frame_opens options
}

merged_knocks() {
    on server portsmithctl -c "$conf" status --json | jq .counters.merged
}

merged_knocks_exceed() { # COUNT
    [ "$(merged_knocks)" -gt "$1" ]
}

@test "knocks merged into one frame: the first opens, and status and doctor say so" {
    local before count

    for count in 2 4; do
        knock_bytes "$lab/knock" ssh
        before=$(merged_knocks)
        own_log
        on client "$frames" merged "$client" "$server" "$knock_port" "$lab/knock" "$count"
        wait_for_log "ssh: (opened|extended) tcp/22 for $client "
        wait_until 5 merged_knocks_exceed "$before"
    done
    port_is_open "$server" 22
    [[ $(on server portsmithctl -c "$conf" status) == *"the first of several in one packet"* ]]
    run on server portsmithctl -c "$conf" doctor
    [[ $output == *"ethtool -K INTERFACE rx-udp-gro-forwarding off rx-gro-list off"* ]]
}

# bats test_tags=ipv6
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

# The end of a window, of the fence's and of an earlier test's, may come at any time.
lines_but_ends() {
    daemon_log | grep -v -c -e ' fence: ' -e ' has ended: ' || true
}

@test "thousands of random frames: no line in the log, no crash, and an honest knock opens" {
    local lines pid sent

    fence
    lines=$(lines_but_ends)
    pid=$(sniffer_pid)
    sent=$(on client "$frames" noise eth0 "$(mac server)" "${client_prefix}98" "$server" \
        "$knock_port" 5000)
    [ "$sent" -ge 5000 ]
    knock_opens ssh
    [ "$(lines_but_ends)" -eq $((lines + 1)) ]
    [ "$(sniffer_pid)" = "$pid" ]
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
    on server portsmithctl doctor >"$lab/doctor" || [ $? -eq 4 ]
    run ! grep "tun0 does not exist" "$lab/doctor"
    echo >"$lab/tun.in"
    wait_for_log "ssh: opened tcp/22 for $stranger "
}

is_radio() { # NAME
    [ "$(with_mounts_on server cat "/sys/class/net/$1/type")" = 803 ]
}

# With headers of 802.11, as an adapter in monitor mode has them; for as long as $spawned runs.
add_radio() { # NAME
    spawn server "$lab/log/radio.log" python3 -c 'import fcntl, signal, struct, sys
TUNSETIFF, TUNSETLINK = 0x400454ca, 0x400454cd
IFF_TUN, IFF_NO_PI, ARPHRD_IEEE80211_RADIOTAP = 1, 0x1000, 803
device = open("/dev/net/tun", "rb+", buffering=0)
fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", sys.argv[1].encode(), IFF_TUN | IFF_NO_PI))
fcntl.ioctl(device, TUNSETLINK, ARPHRD_IEEE80211_RADIOTAP)
signal.pause()' "$1"
    wait_until 5 is_radio "$1"
    ip -n server link set "$1" up
}

@test "a link type that is not supported is left out, said, and the others are watched" {
    local radio

    add_radio radio0
    radio=$spawned
    sed -i 's/^Interface.*/Interface = radio0 eth0/' "$conf"
    reload_daemon
    log_has "interface radio0: its link type IEEE802_11_RADIO is not supported: knocks that come in by it are not heard"
    knock_opens ssh
    on server portsmithctl status | grep -q "radio0 (NOT WATCHED: its link type is not supported), eth0$"
    [ "$(on server portsmithctl --json status | jq -c '.interfaces[] | [.name, .captured, .unsupported]' | xargs)" = \
        "[radio0,false,true] [eth0,true,false]" ]
    on server portsmithctl doctor >"$lab/doctor" || [ $? -eq 4 ]
    grep -q "PROBLEM: radio0 has a link type that is not supported" "$lab/doctor"
    ip link add late0 netns server type veth peer name late1 netns client # it is no reason to start anew
    own_log
    sleep 0.3 # not for an event: that nothing is said is the point
    on server portsmithctl status # which has had its turn by now
    log_lacks "an interface has come or gone"
    ip -n server link delete late0
    sed -i 's/^Interface.*/Interface = radio0/' "$conf"
    run -1 on server portsmithctl reload
    log_has "no interface that Interface names can be watched"
    stop_daemon
    run -78 on server timeout 60 portsmithd -c "$conf" -f # it is tried again in vain
    [[ $output == *"no interface that Interface names can be watched: name others"* ]]
    end_process TERM "$radio"
    restore_configuration
    start_daemon
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
