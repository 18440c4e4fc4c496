#!/usr/bin/env bats
# Knocks by UDP, by TCP SYN and by echo request: who can send them, what they open, what
# is seen of them.
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

frames=$top/tests/tools/frames.py

setup_file() {
    lab_setup
    start_listener 22
    configure "Transports = udp, tcp-syn icmp"
    add_fence
    add_profile ssh --open tcp/22 --window 1m
    add_profile dns --open tcp/22 --window 1m --port 53
    add_profile https --open tcp/22 --window 1m --port 443
    start_daemon
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    allow_fast_open 1
    allow_echo "0 2147483647"
}

teardown() {
    common_teardown
}

allow_fast_open() { # VALUE of tcp_fastopen
    on client sh -c "echo $1 > /proc/sys/net/ipv4/tcp_fastopen"
}

allow_echo() { # "FIRST LAST" group
    on client sh -c "echo $1 > /proc/sys/net/ipv4/ping_group_range"
}

opens_by() { # TRANSPORT NAME ARGUMENT...
    local transport=$1

    shift
    has_no_grant "$client" || return 1
    knock_opens "$@" --transport "$transport" || return 1
    port_is_open "$server" 22
}

# As $client_user, but with CAP_NET_RAW.
knock_with_raw_sockets() { # ARGUMENT...
    on client setpriv --reuid="$client_user" --regid="$client_group" --clear-groups \
        --inh-caps=+net_raw --ambient-caps=+net_raw env HOME="$lab/home" portsmith-knock "$@"
}

nothing_was_opened_or_refused() {
    log_lacks ' (ssh|dns|https): (opened|extended|refused)'
}

@test "UDP opens the port" {
    opens_by udp ssh
}

@test "a TCP SYN opens the port: no privilege, no option in any file" {
    opens_by tcp-syn ssh
}

@test "an echo request opens the port, to a user whose group may ping" {
    opens_by icmp ssh
}

@test "the server file names the transport" {
    local file=$lab/home/.config/portsmith/ssh.conf

    cp -p "$file" "$lab/ssh.conf"
    echo "Transport = tcp-syn" >>"$file"
    knock_opens ssh
    run knock -v ssh
    mv "$lab/ssh.conf" "$file"
    [ "$status" -eq 0 ]
    [[ $output == *"bytes to $server port $knock_port by tcp-syn: open"* ]]
}

@test "a SYN that asks for ECN is a knock, too" {
    on client sh -c 'echo 1 > /proc/sys/net/ipv4/tcp_ecn'
    capture_start "$lab/ecn.pcap" tcp port "$knock_port"
    run opens_by tcp-syn ssh
    on client sh -c 'echo 2 > /proc/sys/net/ipv4/tcp_ecn'
    capture_stop
    [ "$status" -eq 0 ]
    tcpdump -n -r "$lab/ecn.pcap" 2>/dev/null | grep -F 'Flags [SEW]'
}

@test "where TCP Fast Open is off, CAP_NET_RAW does" {
    allow_fast_open 0
    has_no_grant "$client"
    knock_with_raw_sockets --transport tcp-syn ssh
    wait_for_log "ssh: opened tcp/22 for $client "
    port_is_open "$server" 22
}

@test "where no group may ping, CAP_NET_RAW does" {
    allow_echo "1 0"
    has_no_grant "$client"
    knock_with_raw_sockets --transport icmp ssh
    wait_for_log "ssh: opened tcp/22 for $client "
    port_is_open "$server" 22
}

@test "what is missing is said" {
    allow_fast_open 0
    run knock --transport tcp-syn ssh
    [ "$status" -eq 1 ]
    [[ $output == *"net.ipv4.tcp_fastopen"*"CAP_NET_RAW"* ]]
    allow_echo "1 0"
    run knock --transport icmp ssh
    [ "$status" -eq 1 ]
    [[ $output == *"net.ipv4.ping_group_range"*"CAP_NET_RAW"* ]]
    knock_opens ssh --transport udp
}

# One SYN with the knock, one reset, which finds nobody; and no socket is left that could
# send anything more.
@test "a knock by SYN is one packet, sent once" {
    local seen

    capture_start "$lab/syn.pcap" tcp
    knock_opens ssh --transport tcp-syn
    allow_fast_open 0
    knock_with_raw_sockets --transport tcp-syn fence
    wait_for_log "fence: opened"
    [ -z "$(on client ss -H -n -a -t "dport = :$knock_port")" ]
    capture_stop
    seen=$(tcpdump -n -r "$lab/syn.pcap" 2>/dev/null | grep -o -E 'Flags [^,]*')
    [ "$seen" = "$(printf 'Flags %s\n' '[S]' '[R.]' '[S]' '[R.]')" ]
    [ "$(tcpdump -n -r "$lab/syn.pcap" 2>/dev/null | grep -c -E 'Flags \[S\],.* length (1[7-9]|2[0-9]|30)[0-9]')" -eq 2 ]
}

@test "UDP ports 53 and 443 do where nothing listens, and TCP port 443 does" {
    knock_opens dns
    port_is_open "$server" 22
    knock_until "dns: closed" --close dns
    knock_opens https
    knock_until "https: closed" --close https
    has_no_grant "$client"
    opens_by tcp-syn https
}

# ---- what a server does not listen to ---------------------------------------

@test "an echo request is for every client, whatever its port; a SYN for its own port's" {
    opens_by icmp dns
    knock_until "dns: closed" --close dns
    sed 's/^Port.*/Port = 443/' "$lab/home/.config/portsmith/dns.conf" >"$lab/elsewhere.conf"
    knock --config "$lab/elsewhere.conf" --identity "$lab/home/.config/portsmith/dns.key" \
        --transport tcp-syn
    fence
    has_no_grant_but_fence
}

@test "only UDP is listened to unless more is asked for" {
    cp "$conf" "$lab/portsmith.conf"
    sed -i '/^Transports/d' "$conf"
    on server portsmithd -c "$conf" -T | grep -x 'Transports = udp'
    reload_daemon
    own_log
    knock --transport tcp-syn ssh
    knock --transport icmp ssh
    fence
    run nothing_was_opened_or_refused
    cp "$lab/portsmith.conf" "$conf"
    on server portsmithd -c "$conf" -T | grep -x 'Transports = udp tcp-syn icmp'
    reload_daemon
    [ "$status" -eq 0 ]
    knock_opens ssh --transport tcp-syn
}

# ---- replays -----------------------------------------------------------------

send_frame() { # KIND TRANSPORT [FROM]
    on client "$frames" wire eth0 "$(mac server)" "$1" "${3:-$client}" "$server" "$knock_port" \
        "$lab/knock" "$2"
}

@test "a knock counts once, by whatever it comes" {
    local first again

    for first in udp syn echo; do
        knock_bytes "$lab/knock" ssh
        send_frame plain "$first"
        wait_for_log "ssh: opened tcp/22 for $client "
        knock_until "ssh: closed" --close ssh
        for again in udp syn echo; do
            send_frame plain "$again" "$other"
        done
        fence
        has_no_grant_but_fence
        has_no_grant "$other"
        own_log
    done
}

# ---- frames ------------------------------------------------------------------

frame_opens() { # KIND TRANSPORT
    knock_bytes "$lab/knock" ssh
    send_frame "$@"
    wait_for_log "ssh: (opened|extended) tcp/22 for $client "
    own_log
}

@test "tags, trailers and options are skipped" {
    local transport

    for transport in syn echo; do
        frame_opens vlan "$transport"
        frame_opens qinq "$transport"
        frame_opens trailer "$transport"
    done
    frame_opens plain syn-options
    frame_opens qinq syn-options
    frame_opens plain syn-ecn
    [ "$FAMILY" = 6 ] || frame_opens options syn-options
    [ "$FAMILY" = 6 ] || frame_opens options echo
}

@test "fragments, headers in between and other flags open nothing" {
    local transport

    knock_bytes "$lab/knock" ssh
    for transport in syn echo; do
        send_frame fragments "$transport"
        send_frame truncated "$transport"
        [ "$FAMILY" = 4 ] || send_frame extension "$transport"
    done
    send_frame plain syn-ack
    fence
    nothing_was_opened_or_refused
    send_frame plain syn # it is a good one
    wait_for_log "ssh: opened tcp/22 for $client "
}
