#!/usr/bin/env bats
# Doors that admit only so many connections, on a host that has very many, and while
# strangers without a key do what they can.
# bats file_tags=backend
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/drills.bash"

setup_file() {
    lab_setup
    start_listener 22
    start_listener 80 # for everybody
    start_udp_listener 5300
    start_fast_listener 24
    configure "Shut = tcp/22 tcp/24 udp/5300"
    add_profile ssh --open tcp/22 --window 1m
    add_profile fast --open tcp/24 --window 1m
    add_profile two --open tcp/22,tcp/24,udp/5300 --window 5m --connections 2
    ip -n server route add 10.79.0.0/16 dev eth0
    ip -n server -6 route add fd79::/64 dev eth0
    start_daemon
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
}

teardown() {
    drill_teardown
}

# A part of all that the kernel has room for: of its 262,144 on a large host, 196,608.
share() { # EIGHTHS
    echo $(($(cat /proc/sys/net/netfilter/nf_conntrack_max) * $1 / 8))
}

# How long a knock takes to be honoured, in milliseconds.
knock_ms() { # NAME ARGUMENT...
    local start

    start=$(now_ms)
    knock_opens "$@" || return
    echo $(($(now_ms) - start))
}

slowest_knock_ms() { # COUNT NAME
    local i ms slowest=0

    for ((i = 0; i < $1; i++)); do
        ms=$(knock_ms "$2") || return
        [ "$ms" -le "$slowest" ] || slowest=$ms
        knock_until "$2: closed" --close "$2" || return
    done
    echo "$slowest"
}

# The processor time of the helper so far, in milliseconds: what it is to others that it
# was busy.
busy_ms() {
    local stat

    read -ra stat <"/proc/$(helper_pid)/stat" # its name has no space
    echo $(((stat[13] + stat[14]) * 1000 / $(getconf CLK_TCK)))
}

@test "a client that connects as fast as it can: what others do is counted" {
    local connections=$lab/connections on=$lab/on pid

    knock_opens fast --address "$other"
    knock_opens two tcp/22
    : >"$on"
    connect_again_and_again "$other" "$on" 1001 >"$connections" &
    pid=$!
    [ "$(connections 1)" -eq 1 ]
    two_come_in_and_no_third
    kill -0 "$pid"
    rm "$on"
    wait "$pid"
    tell "$(cat "$connections") connections meanwhile"
    log_lacks "could (not )?be counted"
}

@test "a table of connections that is nearly full: no knock waits for it" {
    local usual counting others before busy

    before=$(busy_ms)
    usual=$(slowest_knock_ms 5 ssh)
    before=$(($(busy_ms) - before))
    tell "$(on server "$top/tests/tools/fill.py" "$(share 6)") connections"
    busy=$(busy_ms)
    counting=$(slowest_knock_ms 4 two)
    knock_opens two
    others=$(slowest_knock_ms 4 ssh)
    busy=$(($(busy_ms) - busy))
    tell "knocks took up to $usual ms before; now $counting ms where connections count," \
        "$others ms of others meanwhile; the helper worked for $busy ms, before for $before ms"
    [ "$busy" -lt $((100 + 4 * before)) ]
    [ "$counting" -lt $((usual * 4 + 1000)) ]
    [ "$others" -lt $((usual * 4 + 1000)) ]
    two_come_in_and_no_third
}

@test "a flood of SYNs while the witness hears nothing: none is lost that counts" {
    local witness

    knock_opens two tcp/22
    [ "$(connections 1)" -eq 1 ]
    witness=$(witness_pid)
    freeze "$witness"
    tell "$(on client "$top/tests/tools/syns.py" "$server" 80 20000 "$(share 1)") SYNs a second, $(share 1) in all"
    [ "$(connections 1)" -eq 1 ]
    kill -CONT "$witness"
    wait_for_log "two: tcp/22 for $client has ended: it has had its connections"
    [ "$(connections 2)" -eq 0 ]
    log_lacks "could (not )?be counted"
    two_come_in_and_no_third
    [ "$(witness_pid)" = "$witness" ]
}

@test "SYNs in the client's name spend what it may try: another knock is another allowance" {
    knock_opens two tcp/22
    on client "$top/tests/tools/syns.py" "$server" 22 500 250 "$client"
    [ "$(connections 1)" -eq 0 ]
    log_lacks "two: tcp/22 for $client has ended"
    two_come_in_and_no_third
}
