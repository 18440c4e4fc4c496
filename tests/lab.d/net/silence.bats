#!/usr/bin/env bats
# Nothing on the wire tells a host with Portsmith from the same host without it
# whose port is shut in the same way; and Portsmith never sends a packet.
# bats file_tags=backend,family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

every_transport="Transports = udp tcp-syn icmp"
frames=$top/tests/tools/frames.py
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

probe_from_outside() {
    local kind file port

    for kind in -sS -sA -sF -sN -sX -sM; do
        scan "$kind" -p "22,23,$knock_port,$neighbour_port"
    done
    for port in 22 "$knock_port" "$neighbour_port"; do
        for file in garbage knock empty; do
            : >"$lab/empty"
            take_another_source
            send_bytes "$lab/$file" "" "$port"
        done
        take_another_source
        scan -sU -p "$port"
    done
    probe_by_other_transports
}

# By each of them garbage and a knock that nobody has heard yet.
probe_by_other_transports() {
    local file port

    for port in 22 "$neighbour_port" "$knock_port"; do # the last is where it opens
        for file in garbage knock-syn; do
            on client "$frames" wire eth0 "$(mac server)" plain "$client" "$server" "$port" \
                "$lab/$file" syn
        done
    done
    for file in garbage knock-echo; do
        on client "$frames" wire eth0 "$(mac server)" plain "$client" "$server" 0 \
            "$lab/$file" echo
    done
}

# What a knock opens, it opens for its address.
take_another_source() {
    source=$((${source:-20} + 1))
    client=$client_prefix$source
    speak_from "$client"
}

# By default the kernel gives an address one error a second (icmp(7)).
give_every_error() {
    on server sh -c 'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit
        echo 10000 >/proc/sys/net/ipv4/icmp_msgs_per_sec
        echo 10000 >/proc/sys/net/ipv4/icmp_msgs_burst
        echo 0 >/proc/sys/net/ipv6/icmp/ratelimit'
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

# Whatever belongs to no connection; nothing answers an RST in any case.
shut_by_plain_rule() {
    xtables -t mangle -A PREROUTING -i eth0 -p tcp --dport 22 --tcp-flags RST NONE \
        -m conntrack ! --ctstate ESTABLISHED "$@"
}

# The same probes at the same host without and with Portsmith.
compare() { # COMMAND that shuts the port on the reference host
    give_every_error
    capture_start "$lab/reference.pcap"
    "$@"
    probe_from_outside
    capture_stop
    xtables -t mangle -F PREROUTING
    xtables -t filter -F
    source=60
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
    printf '%s\n' "ShutWith = reset" "$every_transport" >>"$conf"
    compare reject_by_plain_rules
    [ "$(log_count "ssh: (opened|extended) tcp/22 for ")" -ge 3 ] # by each transport
}

@test "a shut port that resets looks like one where nothing listens" {
    echo "ShutWith = reset" >>"$conf"
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

# The differences that portsmith.conf(5) names, a line each.
named_differences() {
    sed -n '/^\.It Ic ShutWith/,/^\.It Ic Forward/p' "$top/man/portsmith.conf.5" |
        sed -n 's/^\.It \([a-zA-Z].*\)/\1/p' | grep -v '^Ic '
}

# What likeness.py tells two ports apart by, into $lab/differences.
compare_answers() { # tcp|udp PORT OTHER
    give_every_error
    client_resets -A
    on client "$top/tests/tools/likeness.py" eth0 "$(mac server)" "$client" "$server" "$@" |
        tee "$lab/differences"
    client_resets -D
}

# Sorted, of the names that are given those that a difference has, each; and no other.
differs_only_by() { # NAME...
    local name

    for name; do
        named_differences | grep -q -x "$name"
        grep -q -F "$name" "$lab/differences"
    done
    ! grep -v -F -f <(printf '%s\n' "$@") "$lab/differences"
}

# Each packet answered the same, byte for byte.
differs_by_nothing() {
    [ ! -s "$lab/differences" ]
}

@test "a port shut by reset can be told from an unused one by what portsmith.conf(5) names alone" {
    local refused=("MD5 option" "type of service")

    [ "$FAMILY" = 4 ] || refused=("MD5 option" class "flow label")
    [ "$(named_differences | wc -l)" -eq 5 ]
    start_udp_listener 5300
    printf '%s\n' "ShutWith = reset" "Shut = udp/5300" >>"$conf"
    start_daemon
    compare_answers tcp 24 23 # both unused
    differs_by_nothing
    compare_answers tcp 22 23
    differs_only_by "${refused[@]}"
    compare_answers udp 5300 5301
    differs_by_nothing
    [ "$FAMILY" = 4 ] || {
        on server sh -c 'echo 0 >/proc/sys/net/ipv6/auto_flowlabels'
        compare_answers tcp 22 23
        differs_only_by "MD5 option" class
    }
    xtables -A INPUT -p tcp --dport 23 -j REJECT --reject-with tcp-reset
    compare_answers tcp 22 23
    differs_by_nothing
}

@test "a published port shut by reset can be told besides by a hop limit that ends here" {
    local refused=("MD5 option" "type of service")

    [ "$FAMILY" = 4 ] || refused=("MD5 option" class "flow label")
    make_backend_host
    start_listener 8022 backend
    publish 8080 8022
    printf '%s\n' "ShutWith = reset" "Shut = tcp/8080" >>"$conf"
    start_daemon
    compare_answers tcp 8080 23
    differs_only_by "${refused[@]}" "hop limit 1"
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
