#!/usr/bin/env bats
# What limits a grant: how many connections it admits, and when it may be had; and
# that its end says whether it was used.
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/net/net.bash"

setup_file() {
    lab_setup
    start_listener 22
    start_listener 23
    start_udp_listener 5300
    configure "Close = tcp/22 tcp/24 udp/5300"
    # A port that is shut by another's rules alone: there the accept rule counts.
    xtables -A INPUT -i eth0 -p tcp --dport 23 --syn -j DROP
    add_profile any --open tcp/22
    add_profile both --open tcp/22,udp/5300
    add_profile brief --open tcp/22 --window 2s
    add_profile one --open tcp/22,tcp/23,udp/5300 --window 1m --connections 1
    add_profile two --open tcp/22 --window 1m --connections 2
    add_profile nobody --open tcp/24 --window 1m --connections 1
    # Around this minute: a minute ago to five from now, and the rest of the week.
    add_profile now --open tcp/22 --window 10m --hours "$(hours -1 +5)"
    add_profile later --open tcp/22 --hours "$(day +6) 00:00-24:00"
    add_profile last-day --open tcp/22 --expires 2037-01-01
    sed -i 's/^Expires.*/Expires = 2020-01-31/' /etc/portsmith.d/last-day.conf
    start_daemon
}

# In minutes from now; a day and two times, as Hours has them.
hours() { # FROM TO
    LC_ALL=C date -u -d "$1 min" "+%a %H:%M-$(date -u -d "$2 min" +%H:%M)"
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
    knock_opens brief
    port_is_open "$server" 22
    wait_for_log "brief: tcp/22 for $client has ended: the window is over; it was used"
}

@test "a connection that was there before does not count, nor does an attempt" {
    knock_opens brief
    open_connection "$server" 22
    wait_for_log "brief: .*; it was used"
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

@test "Connections where another's rules shut the port" {
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
    knock_until "nobody: extended" nobody
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

some_syns_went() { # and were answered in vain
    [ "$(xtables -nvx -L OUTPUT | awk '/DROP/ { print $1 }')" -ge 2 ]
}

@test "a SYN that is sent again does not shut its client out" {
    knock_opens one tcp/22
    xtables -A OUTPUT -p tcp --sport 22 -d "$client" -j DROP
    open_connection "$server" 22 &
    wait_until 5 some_syns_went
    log_lacks "has ended"
    xtables -D OUTPUT -p tcp --sport 22 -d "$client" -j DROP
    wait
    connection_answers
    wait_for_log "one: .* has had its connections"
    connection_answers
}

# ---- Hours, Expires --------------------------------------------------------

seconds_left() { # by the kernel's deadline of this client's grant
    local stop

    stop=$(grant_rules filter "$client" | grep -o 'datestop [^ ]*' | cut -d' ' -f2)
    echo $(($(date -u -d "$stop" +%s) - $(date -u +%s)))
}

@test "within its Hours a profile opens, no longer than they last" {
    knock_opens now
    port_is_open "$server" 22
    [ "$(seconds_left)" -le 300 ]
    [ "$(seconds_left)" -gt 100 ]
    log_has "now: opened tcp/22 for $client for [12][0-9]+ s"
}

@test "outside its Hours it does not, and the log says when they begin" {
    knock_until "later: refused for $client: outside its Hours: it is ... ..:.. UTC, they begin again on $(day +6) 00:00" later
    port_is_shut "$server" 22
}

@test "after its last day a profile opens nothing" {
    knock_until "last-day: refused for $client: the profile has expired" last-day
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
