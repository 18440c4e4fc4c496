#!/usr/bin/env bats
# Hosts that keep the kernel from tracking the connections to a service, by rules of iptables
# and of nftables: what a knock opens, what is said of it, and what cannot be done.
# bats file_tags=backend,family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    start_listener 22
    start_udp_listener 53
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
}

teardown() {
    common_teardown
    [ ! -e "$lab/daemon.pid" ] || stop_daemon
    on server portsmithd --release
    rm -rf /etc/portsmith.d /var/lib/portsmith "$lab/home/.config"
    for table in raw filter; do
        xtables -t "$table" -F
    done
    xtables -P INPUT ACCEPT
    xtables -P OUTPUT ACCEPT
    on server nft delete table inet lab 2>/dev/null || true
}

untrack() { # tcp|udp PORT
    xtables -t raw -A PREROUTING -i eth0 -p "$1" --dport "$2" -j CT --notrack
    xtables -t raw -A OUTPUT -o eth0 -p "$1" --sport "$2" -j CT --notrack
}

untrack_by_nft() { # tcp|udp PORT
    on server nft -f - <<RULES
table inet lab {
    chain in { type filter hook prerouting priority raw; iifname "eth0" $1 dport { 1, $2 } notrack; }
    chain out { type filter hook output priority raw; $1 sport $2 jump off; }
    chain off { notrack; }
}
RULES
}

# The host's own rules: all is dropped but what is established, and neighbours.
drop_input() {
    xtables -A INPUT -i lo -j ACCEPT
    xtables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    [ "$FAMILY" = 4 ] || xtables -A INPUT -p ipv6-icmp -j ACCEPT
    xtables -P INPUT DROP
}

# As -t, the log and doctor say.
accept_rest() {
    xtables -A INPUT -p tcp --dport 22 ! --syn -m conntrack --ctstate UNTRACKED -j ACCEPT
}

start() { # 'KEY = VALUE'... and then the profile's options
    configure "$1"
    add_profile home "${@:2}"
    start_daemon
}

udp_is_shut() { # ADDRESS PORT [FROM]
    [ -z "$(udp_greeting "$@")" ]
}

gets_in() {
    [ "$(tcp_greeting "$server" 22)" = "$greeting" ]
}

# bats test_tags=iptables
@test "TCP that is not tracked gets in by a knock, with the rest in the host's own rules" {
    local window=$(($(long_enough 5) + 5)) # of which five seconds go by in silence

    untrack tcp 22
    drop_input
    start "Shut = tcp/22" --open tcp/22 --window "${window}s"
    knock_opens home
    [ -z "$(tcp_greeting "$server" 22)" ] # as its SYN alone is accepted
    accept_rest
    gets_in
    open_connection "$server" 22
    wait_for_log "home: tcp/22 for $client has ended" $((window + 5))
    log_has "whether a connection came is not known here"
    port_is_shut "$server" 22
    connection_answers # which goes on
}

# bats test_tags=iptables
@test "so it does with GrantStore = set" {
    untrack tcp 22
    drop_input
    accept_rest
    start $'Shut = tcp/22\nGrantStore = set' --open tcp/22 --window 60s
    port_is_shut "$server" 22
    knock_opens home
    gets_in
    port_is_shut "$server" 22 "$other"
}

# bats test_tags=iptables
@test "so it does with ShutWith = reset" {
    local window

    window=$(long_enough 5)
    untrack tcp 22
    drop_input
    accept_rest
    start $'Shut = tcp/22\nShutWith = reset' --open tcp/22 --window "${window}s"
    [ "$(tcp_answer "$server" 22)" = reset ]
    knock_opens home
    gets_in
    open_connection "$server" 22
    [ "$(tcp_answer "$server" 22 "$other")" = reset ]
    wait_for_log "home: tcp/22 for $client has ended" $((window + 5))
    [ "$(tcp_answer "$server" 22)" = reset ]
    connection_answers
}

@test "what is not tracked by rules of nftables is known, too" {
    local window

    window=$(long_enough 5)
    untrack_by_nft tcp 22
    start "Shut = tcp/22" --open tcp/22 --window "${window}s"
    log_has "connections to tcp/22 are not tracked \(IPv4\): notrack in the nftables chain inet lab in"
    knock_opens home
    gets_in
    wait_for_log "has ended: the window is over; whether a connection came is not known here" \
        $((window + 5))
}

# bats test_tags=iptables
@test "UDP that is not tracked gets in for as long as the window" {
    local window

    window=$(long_enough 5)
    untrack udp 53
    drop_input
    start "Shut = udp/53" --open udp/53 --window "${window}s"
    log_has "udp/53 are not tracked \(IPv$FAMILY\).*: a flow ends with its grant"
    udp_is_shut "$server" 53
    knock_opens home
    udp_is_open "$server" 53
    udp_is_shut "$server" 53 "$other"
    wait_for_log "has ended: the window is over; whether a connection came is not known here" \
        $((window + 5))
    udp_is_shut "$server" 53
}

# bats test_tags=iptables
@test "what is forwarded and not tracked gets through with Forward = yes" {
    make_backend_host
    untrack tcp 22
    xtables -t raw -A PREROUTING -i eth1 -j CT --notrack
    xtables -P FORWARD DROP
    start_listener 22 backend
    start $'Shut = tcp/22\nForward = yes' --open tcp/22 --window 60s
    knock_opens home
    ip -n client "-$FAMILY" route replace "$backend/$host_bits" via "$server" src "$client"
    [ "$(tcp_greeting "$backend" 22)" != "$greeting" ]
    xtables -A FORWARD -p tcp ! --syn -m conntrack --ctstate UNTRACKED -j ACCEPT
    xtables -A FORWARD -i eth1 -j ACCEPT
    [ "$(tcp_greeting "$backend" 22)" = "$greeting" ]
    xtables -P FORWARD ACCEPT
    xtables -F FORWARD
}

@test "start, -t and doctor say so, and what to accept; where nothing is kept from tracking they do not" {
    local untracked="connections to tcp/22 are not tracked \(IPv$FAMILY\): the rule '-t raw -A PREROUTING -i eth0"

    start "Shut = tcp/22" --open tcp/22
    run on server portsmithd -t -c "$conf"
    [ "$output" = "" ]
    untrack tcp 22
    drop_input
    run -0 on server portsmithd -t -c "$conf"
    grep -q -E "^portsmithd: warning: $untracked" <<<"$output"
    own_log
    reload_daemon
    wait_for_log "$untracked.* grant accepts only the SYN: .*-A INPUT -p tcp --dport 22 ! --syn -j ACCEPT"
    run on server portsmithctl doctor
    grep -q -E "^tracking +note: $untracked" <<<"$output"
    grep -q "connections to tcp/22 do not live (IPv$FAMILY, eth0)" <<<"$output"
    grep -q "accept them first: ip6\?tables-$XTABLES -I INPUT -p tcp --dport 22 ! --syn -m conntrack --ctstate UNTRACKED -j ACCEPT" <<<"$output"
    accept_rest
    run on server portsmithctl doctor
    [[ $output != *"do not live"* ]]
    xtables -t raw -F PREROUTING
    run on server portsmithd -t -c "$conf"
    grep -q "have what comes in and what goes out tracked, or neither" <<<"$output"
}

@test "Connections, and a destination, with a port that is not tracked is an error" {
    local to=$backend:22

    [ "$FAMILY" = 4 ] || to="[$backend]:22"
    start "Shut = tcp/22" --open tcp/22 --connections 1
    untrack tcp 22
    run -78 on server portsmithd -t -c "$conf"
    grep -q "^portsmithd: home: Connections cannot be held to, as connections to tcp/22 are not tracked" <<<"$output"
    run on server portsmithctl doctor
    grep -q -E "PROBLEM: home: Connections cannot be held to" <<<"$output"
    run -1 on server portsmithctl reload
    grep -q "home: Connections cannot be held to" <<<"$output"
    stop_daemon
    run -78 on server portsmithd -f -c "$conf"
    grep -q "home: Connections cannot be held to" <<<"$output"
    sed -i "/^Connections/d; s/^Open.*/Open = tcp\/22 -> $to/" /etc/portsmith.d/home.conf
    run -78 on server portsmithd -t -c "$conf"
    grep -q "^portsmithd: home: tcp/22 cannot be sent on to another host" <<<"$output"
}

@test "rules that are loaded after the daemon has started are known once an interface comes up" {
    configure "Interface = any"
    add_profile home --open tcp/22 --window 1s
    start_daemon
    untrack tcp 22
    log_lacks "not tracked"
    ip link add late0 netns server type veth peer name late1 netns client
    wait_for_log "tcp/22 are not tracked" 15
    knock_opens home
    wait_for_log "whether a connection came is not known here"
    ip -n server link delete late0
}

@test "revoke --kill ends connections that are not tracked" {
    untrack tcp 22
    start "Shut = tcp/22" --open tcp/22 --window 60s
    knock_opens home
    open_connection "$server" 22
    connection_answers
    run on server portsmith-profile -c "$conf" revoke home --kill
    [[ $output == *"1 connection"* ]]
    [ -z "$(on server ss -H -t -n state established "sport = :22 and dst = [$client]")" ]
}

# Its SYN to the service is lost now and then: the service's own comes after a second.
greets_behind_synproxy() {
    local line=""

    read -r -t 20 line < <(on client timeout 20 socat -u \
        "$(socat_address TCP "$server" 22),connect-timeout=15" - 2>/dev/null 3>&-) || true
    [ "$line" = "$greeting" ]
}

@test "SYNPROXY goes on answering the SYNs that are not tracked for it" {
    local loose=/proc/sys/net/netfilter/nf_conntrack_tcp_loose

    on server sh -c "echo 0 >$loose"
    xtables -t raw -A PREROUTING -i eth0 -p tcp --dport 22 --syn -j CT --notrack
    xtables -A INPUT -i eth0 -p tcp --dport 22 -m conntrack --ctstate INVALID,UNTRACKED \
        -j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460
    xtables -A INPUT -m conntrack --ctstate INVALID -j DROP
    start "Shut = tcp/22" --open tcp/22 --window 60s
    log_lacks "not tracked"
    knock_opens home
    greets_behind_synproxy
    on server sh -c "echo 1 >$loose"
}
