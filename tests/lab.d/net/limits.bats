#!/usr/bin/env bats
# What limits a grant: how many connections it admits, and when it may be had; and
# that its end says whether it was used.
# bats file_tags=backend
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    start_listener 22
    start_listener 23
    start_udp_listener 5300
    configure "Shut = tcp/22 tcp/24 udp/5300 udp/5301"
    # A port that is shut by another's rules alone: there the accept rule counts.
    xtables -A INPUT -i eth0 -p tcp --dport 23 --syn -j DROP
    add_profile any --open tcp/22
    add_profile both --open tcp/22,udp/5300
    add_profile brief --open tcp/22 --window 4s
    add_profile one --open tcp/22,tcp/23,udp/5300 --window 1m --connections 1
    add_profile two --open tcp/22 --window 1m --connections 2
    add_profile dozen --open "$(echo tcp/{2001..2012} | tr ' ' ,)" --window 5m --connections 2
    add_profile nobody --open tcp/24 --window 1m --connections 1
    add_profile deaf --open udp/5301 --window 1m --connections 1
    add_profile last-day --open tcp/22 --expires 2037-01-01
    sed -i 's/^Expires.*/Expires = 2020-01-31/' /etc/portsmith.d/last-day.conf
    start_daemon
}

day() { # DAYS FROM NOW
    LC_ALL=C date -u -d "$1 days" +%a
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

# ---- was it used? ----------------------------------------------------------

@test "a grant that nobody used ends with these words" {
    knock_opens brief
    wait_for_log "brief: tcp/22 for $client has ended: the window is over; no connection came"
}

@test "a grant that was used ends with these" {
    local window start

    knock_opens_briefly brief
    port_is_open "$server" 22
    wait_for_log "brief: tcp/22 for $client has ended: the window is over; it was used" \
        $((window + 5))
}

@test "a connection that was there before does not count, nor does an attempt" {
    local window start

    knock_opens_briefly brief
    open_connection "$server" 22
    wait_for_log "brief: .*; it was used" $((window + 5))
    own_log
    knock_opens brief
    wait_for_log "brief: .*; no connection came"
    connection_answers
}

@test "a grant that its client closes says it, too" {
    knock_opens any
    knock_until "any: closed tcp/22 for $client; no connection came" --close any
    knock_opens any
    port_is_open "$server" 22
    knock_until "any: closed tcp/22 for $client; it was used" --close any
}

@test "of several that are closed at once those are named that were used" {
    knock_opens both
    port_is_open "$server" 22
    knock_until "both: closed tcp/22 udp/5300 for $client; used: tcp/22" --close both
    knock_opens both
    knock_until "both: closed tcp/22 udp/5300 for $client; no connection came" --close both
}

# ---- Connections -----------------------------------------------------------

@test "Connections = 1: the first goes on, the second is shut out" {
    knock_opens one tcp/22
    open_connection "$server" 22
    wait_for_log "one: tcp/22 for $client has ended: it has had its connections; it was used"
    has_no_grant "$client"
    port_is_shut "$server" 22
    connection_answers
}

@test "another knock admits another connection, beside the first" {
    knock_opens one tcp/22
    open_connection "$server" 22
    wait_for_log "one: .* has had its connections"
    own_log
    knock_opens one tcp/22
    port_is_open "$server" 22
    wait_for_log "one: .* has had its connections"
    port_is_shut "$server" 22
    connection_answers
}

@test "Connections = 2: the third is shut out" {
    knock_opens two
    port_is_open "$server" 22
    port_is_open "$server" 22
    wait_for_log "two: .* has had its connections"
    port_is_shut "$server" 22
}

# bats test_tags=iptables
@test "Connections where another's rules shut the port" {
    [ "$BACKEND" != nftables ] || skip "a table of Portsmith's own accepts for nobody else"
    knock_opens one tcp/23
    port_is_open "$server" 23
    wait_for_log "one: tcp/23 .* has had its connections"
    port_is_shut "$server" 23
}

@test "Connections, by UDP" {
    knock_opens one udp/5300
    udp_is_open "$server" 5300
    wait_for_log "one: udp/5300 .* has had its connections"
    [ -z "$(udp_greeting "$server" 5300)" ]
}

# By ICMP where nobody listens: each try comes from another port, and each is NEW.
udp_answer() { # ADDRESS PORT: refused or silent
    on client python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
s.connect((sys.argv[1], int(sys.argv[2])))
s.send(b"hello")
try:
    s.recv(1)
except ConnectionRefusedError:
    print("refused")
except TimeoutError:
    print("silent")
' "$1" "$2"
}

tries_are_answered() { # COUNT: by a reset, as nobody listens
    local i

    for ((i = 0; i < $1; i++)); do
        [ "$(tcp_answer "$server" 24)" = reset ]
    done
}

@test "of attempts three pass, whatever is done to the rules meanwhile" {
    knock_opens nobody
    tries_are_answered 3
    [ "$(tcp_answer "$server" 24)" = silent ]
    xtables -A INPUT -p tcp --dport 9 -j ACCEPT
    xtables -t mangle -A PREROUTING -p tcp --dport 9 -j ACCEPT
    [ "$(tcp_answer "$server" 24)" = silent ]
    xtables -D INPUT -p tcp --dport 9 -j ACCEPT
    xtables -t mangle -D PREROUTING -p tcp --dport 9 -j ACCEPT
    reload_daemon
    [ "$(grant_count "$client")" -eq 2 ]
    [ "$(tcp_answer "$server" 24)" = silent ]
    log_lacks "putting them back"
}

@test "another knock is another allowance, for the same grant too, and no more than that" {
    knock_opens nobody
    tries_are_answered 3
    [ "$(tcp_answer "$server" 24)" = silent ]
    knock_until "nobody: extended" nobody
    tries_are_answered 3
    [ "$(tcp_answer "$server" 24)" = silent ]
    [ "$(grant_count "$client")" -eq 2 ]
}

@test "by UDP, too" {
    local i

    knock_opens deaf
    for i in 1 2 3; do
        [ "$(udp_answer "$server" 5301)" = refused ]
    done
    [ "$(udp_answer "$server" 5301)" = silent ]
    knock_until "deaf: extended" deaf
    [ "$(udp_answer "$server" 5301)" = refused ]
}

@test "of two that a knock admits one has come: another knock admits two" {
    knock_opens two
    port_is_open "$server" 22
    knock_until "two: extended" two
    port_is_open "$server" 22
    port_is_open "$server" 22
    wait_for_log "two: .* has had its connections"
    port_is_shut "$server" 22
}

@test "what comes while another helper takes over counts" {
    local helper

    knock_opens one tcp/22
    helper=$(helper_pid)
    kill -STOP "$helper"
    port_is_open "$server" 22
    kill -KILL "$helper"
    wait_for_log "one: tcp/22 .* has ended: it has had its connections; it was used" 10
    port_is_shut "$server" 22
}

@test "what comes while portsmithd hands over counts, as the kernel is asked for it" {
    knock_opens one tcp/22
    kill -QUIT "$(daemon_pid)"
    wait_until 10 process_is_gone "$(daemon_pid)"
    port_is_open "$server" 22
    start_daemon
    wait_for_log "one: tcp/22 .* has ended: it has had its connections; it was used" 10
    port_is_shut "$server" 22
}

counts_again() { # COUNT: so many grants of the profile
    on server portsmithctl --json list |
        jq -e "[.[] | select(.profile == \"dozen\" and .used != null)] | length == $1"
}

# More than the kernel is asked about at once.
@test "a profile has a dozen grants that count while portsmithd hands over: all go on" {
    knock_opens dozen
    wait_until 5 counts_again 12
    kill -QUIT "$(daemon_pid)"
    wait_until 10 process_is_gone "$(daemon_pid)"
    start_daemon
    wait_until 20 counts_again 12
    log_lacks "dozen: .* ended"
}

some_syns_went() { # and were answered in vain
    [ "$(xtables -nvx -L OUTPUT | awk '/DROP/ { print $1 }')" -ge 2 ]
}

@test "a SYN that is sent again does not shut its client out" {
    knock_opens one tcp/22
    xtables -A OUTPUT -p tcp --sport 22 -d "$client" -j DROP
    open_connection "$server" 22 &
    wait_until 5 some_syns_went
    log_lacks "one: tcp/22 for $client has ended"
    xtables -D OUTPUT -p tcp --sport 22 -d "$client" -j DROP
    wait
    connection_answers
    wait_for_log "one: .* has had its connections"
    connection_answers
}

# ---- Hours, Expires --------------------------------------------------------

seconds_left() { # by the kernel's deadline of this client's grant
    local stop

    if [ "${GRANT_STORE:-}" = set ]; then
        on server ipset save "portsmith$FAMILY" |
            sed -n -E "s|^add [^ ]* $client,tcp:22 timeout ([0-9]+).*|\1|p"
        return
    fi
    if [ "$BACKEND" = nftables ]; then
        on server nft -j list set inet portsmith "grants$FAMILY" | python3 -c '
import json, sys
for item in json.load(sys.stdin)["nftables"]:
    for element in item.get("set", {}).get("elem", []):
        if element["elem"]["val"]["concat"] == [sys.argv[1], "tcp", 22]:
            print(element["elem"]["expires"])' "$client"
        return
    fi
    stop=$(grant_rules filter "$client" | grep -o 'datestop [^ ]*' | cut -d' ' -f2)
    echo $(($(date -u -d "$stop" +%s) - $(date -u +%s)))
}

# While the daemon runs: these Hours are not long.
add_profile_with_hours() { # NAME HOURS
    local before

    before=$(log_count ' reloaded')
    add_profile "$1" --open tcp/22 --window 10m --hours "$2"
    wait_until 15 log_count_exceeds ' reloaded' "$before"
}

# From the minute before this one to five from now, so to four minutes from now at least.
@test "within its Hours a profile opens, no longer than they last" {
    add_profile_with_hours now \
        "$(LC_ALL=C date -u -d "-1 min" "+%a %H:%M-$(date -u -d "5 min" +%H:%M)")"
    knock_opens now
    port_is_open "$server" 22
    [ "$(seconds_left)" -le 300 ]
    [ "$(seconds_left)" -gt 100 ]
    log_has "now: opened tcp/22 for $client for ([12][0-9][0-9]|300) s"
}

@test "outside its Hours it does not, and the log says when they begin" {
    local begin

    begin=$(day +6)
    add_profile_with_hours later "$begin 00:00-24:00"
    knock_until "later: refused for $client: outside its Hours: it is ... ..:.. UTC, they begin again on $begin 00:00" later
    port_is_shut "$server" 22
}

@test "after its last day a profile opens nothing" {
    knock_until "last-day: refused for $client: the profile or its roster has expired" last-day
    port_is_shut "$server" 22
}

@test "a grant that another configuration's Hours leave out ends with the reload" {
    knock_opens any --window 1m
    cp /etc/portsmith.d/any.conf "$lab/any.conf"
    echo "Hours = $(day +6) 00:00-24:00" >>/etc/portsmith.d/any.conf
    reload_daemon
    wait_for_log "any: tcp/22 for $client has ended: it is no longer permitted; no connection came"
    has_no_grant "$client"
    cp "$lab/any.conf" /etc/portsmith.d/any.conf
    reload_daemon
}
