#!/usr/bin/env bats
# Nothing on the wire tells a host with Portsmith from the same host without it
# whose port is shut in the same way; and Portsmith never sends a packet.
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/net/net.bash"

every_transport="Transports = udp tcp-syn icmp"
frames=$top/tests/net/tools/frames.py
neighbour_port=$((knock_port + 1))

setup() {
    common_setup_hosts
}

teardown() {
    common_teardown
    lab_teardown
}

# Each test has hosts of its own: a reference needs a host that never saw us.
common_setup_hosts() {
    lab_setup
    own_log
    start_listener 22
    add_known_knock
}

# A real knock, with the configuration and profile that made it, kept for both
# hosts, so that the same bytes are sent to each.
add_known_knock() {
    configure
    add_profile ssh --open tcp/22 --window 1m
    # A knock counts from the first start that knew its profile.
    start_daemon
    stop_daemon
    on server portsmithd --release
    knock_bytes "$lab/knock" ssh
    knock_bytes "$lab/knock-syn" ssh
    knock_bytes "$lab/knock-echo" ssh
    head -c 200 /dev/urandom >"$lab/garbage"
}

scan() { # nmap's OPTION...
    local ours=(--ttl 64) # a random one would come back, quoted

    [ "$FAMILY" = 4 ] || ours=(-6)
    on client nmap "${ours[@]}" -n -Pn --max-retries 0 --initial-rtt-timeout 150ms \
        --max-rtt-timeout 150ms --min-rate 50 "$@" "$server" >>"$lab/log/nmap.log"
}

# Twice each, so that a single answer that the kernel's rate limit for ICMP
# swallows does not matter: what is compared is which answers there are.
probe_from_outside() {
    local kind file port

    for kind in -sS -sA -sF -sN -sX -sM; do
        scan "$kind" -p "22,23,$knock_port,$neighbour_port"
    done
    for port in 22 "$knock_port" "$neighbour_port"; do
        for file in garbage knock empty; do
            : >"$lab/empty"
            wait_for_unreachable_budget
            send_bytes "$lab/$file" "" "$port" || true
        done
        wait_for_unreachable_budget
        scan -sU -p "$port"
    done
    probe_by_other_transports
}

# By each of them garbage and a knock that nobody has heard yet.
probe_by_other_transports() {
    local file port

    for port in 22 "$neighbour_port" "$knock_port"; do # the last is where it opens
        for file in garbage knock-syn; do
            on client "$frames" wire eth0 "$(server_mac)" plain "$client" "$server" "$port" \
                "$lab/$file" syn
        done
    done
    for file in garbage knock-echo; do
        on client "$frames" wire eth0 "$(server_mac)" plain "$client" "$server" 0 \
            "$lab/$file" echo
    done
}

# The kernel answers one UDP datagram a second to an address, after a burst of
# six (icmp_ratelimit; icmp(7)). A new address has a budget of its own.
wait_for_unreachable_budget() {
    budget=$((${budget:-20} + 1))
    own_source "$budget"
}

own_source() { # NUMBER
    client=$client_prefix$1
    give_address client eth0 "$client/$host_bits"
    ip -n client "-$FAMILY" route replace "$server/$host_bits" dev eth0 src "$client"
}

# What the server sends, without what is random or different by nature: time,
# IP id, flow label, sequence numbers, timestamps, checksums, the prober's ports
# and addresses.
answers() { # FILE
    tcpdump -n -v -r "$1" "src host $server and not arp and not (icmp6 and ip6[40] >= 133)" \
        2>/dev/null |
        sed -E -e ':join' -e '$!N' -e 's/\n[ \t]+/ /' -e 'tjoin' -e 'P' -e 'D' |
        sed -E -e 's/^[0-9:.]+ //' -e 's/\bid [0-9]+/id N/g' -e 's/flowlabel 0x[0-9a-f]+, //g' \
            -e 's/\b(seq|ack) [0-9:]+/\1 N/g' -e 's/TS val [0-9]+ ecr [0-9]+/TS/g' \
            -e 's/cksum 0x[0-9a-f]+ \([^)]*\)/cksum/g' \
            -e 's/(10\.77\.0\.([2-9]|[0-9]{2,3})|fd77::([2-9]|a:[0-9a-f]+))(\.[0-9]+)? >/PROBER >/g' \
            -e 's/> (10\.77\.0\.([2-9]|[0-9]{2,3})|fd77::([2-9]|a:[0-9a-f]+))(\.[0-9]+)?:/> PROBER:/g' |
        sort -u
}

shut_by_plain_rule() {
    xtables -t mangle -A PREROUTING -i eth0 -p tcp --dport 22 --tcp-flags ACK,RST NONE "$@"
}

# The same probes at the same host without and with Portsmith.
compare() { # COMMAND that shuts the port on the reference host
    capture_start "$lab/reference.pcap"
    "$@"
    probe_from_outside
    capture_stop
    xtables -t mangle -F PREROUTING
    xtables -t filter -F
    budget=60
    start_daemon
    capture_start "$lab/portsmith.pcap"
    probe_from_outside
    capture_stop
    wait_for_log "ssh: opened tcp/22"
    answers "$lab/reference.pcap" >"$lab/reference"
    answers "$lab/portsmith.pcap" >"$lab/portsmith"
    echo "--- the reference's $(wc -l <"$lab/reference") kinds of answer"
    cat "$lab/reference"
    [ "$(wc -l <"$lab/reference")" -ge 8 ]
    diff "$lab/reference" "$lab/portsmith"
}

@test "scans and knocks get the answers that a plain rule would give: drop" {
    compare shut_by_plain_rule -j DROP
}

reject_by_plain_rules() {
    shut_by_plain_rule -j MARK --set-mark 1
    xtables -A INPUT -p tcp -m mark --mark 1 -j REJECT --reject-with tcp-reset
}

@test "scans and knocks get the answers that a plain rule would give: reset" {
    printf '%s\n' "CloseWith = reset" "$every_transport" >>"$conf"
    compare reject_by_plain_rules
    [ "$(log_count "ssh: (opened|extended) tcp/22 for ")" -ge 3 ] # by each transport
}

@test "a shut port that resets looks like one where nothing listens" {
    echo "CloseWith = reset" >>"$conf"
    start_daemon
    capture_start "$lab/shut.pcap" port 22
    for kind in -sS -sF -sN -sX -sM; do scan "$kind" -p 22; done
    capture_stop
    capture_start "$lab/nothing.pcap" port 23
    for kind in -sS -sF -sN -sX -sM; do scan "$kind" -p 23; done
    capture_stop
    answers "$lab/shut.pcap" | sed 's/\.22 >/.PORT >/' >"$lab/shut"
    answers "$lab/nothing.pcap" | sed 's/\.23 >/.PORT >/' >"$lab/nothing"
    [ -s "$lab/shut" ]
    diff "$lab/shut" "$lab/nothing"
}

# The whole life of a daemon, and not one packet that it would have caused.
@test "Portsmith sends nothing: start, knocks, reload, stop" {
    echo "$every_transport" >>"$conf"
    on client sh -c 'echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range'
    capture_start "$lab/own.pcap"
    start_daemon
    knock_opens ssh
    knock_opens ssh --transport tcp-syn
    knock_opens ssh --transport icmp
    send_bytes "$lab/garbage"
    reload_daemon
    knock_until "ssh: closed" --close ssh
    stop_daemon
    capture_stop
    # The host itself answers what nothing takes, as at any port, and echo requests.
    answers "$lab/own.pcap" >"$lab/own"
    cat "$lab/own"
    run grep -v -E "ICMP $server udp port $knock_port unreachable|ICMP6, destination unreachable, unreachable port|\.$knock_port > PROBER: Flags \[R\.\]|ICMP6?,? echo reply" "$lab/own"
    [ "$status" -eq 1 ] # no other line
}
