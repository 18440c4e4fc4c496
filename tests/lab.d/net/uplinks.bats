#!/usr/bin/env bats
# A client with two uplinks that are used alike, and one whose address changes while it
# waits. Each uplink's provider drops what comes from the other's addresses.
#
#   client  5.5.N.2, 2a00:81:N::2  --upN--lan--  ispN  --wan--inN--  server  5.99.0.I, 2a00:99::I
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/proxy.bash"

servers=12 # addresses of the server; which uplink leads there, is as by the throw of a coin

setup_file() {
    lab_setup
    make_uplinks
    start_listener 22
    configure "Interface = in1 in2" "Transports = udp tcp-syn"
    for test in "${!BATS_TEST_NAMES[@]}"; do
        add_profile "far$((test + 1))" --open tcp/22 --window 1m --max-grants 1000
    done
    start_daemon
}

teardown_file() {
    stop_proxy
    lab_teardown
}

setup() {
    own_log
    use_both
    filter_uplinks
    on client sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_fastopen'
    far=far$BATS_TEST_NUMBER # the log has 60 lines a minute for each
    spot=$((BATS_TEST_NUMBER % servers + 1)) # the proxy takes the first that fits
    address=auto
    options=()
}

teardown() {
    common_teardown
    [ -z "${begun:-}" ] || kill "$begun" 2>/dev/null || true
    stop_proxy
    ip -n client address replace "$(client_at 1 2)/$length" dev up1
    ip -n client address delete "$(client_at 1 3)/$length" dev up1 2>/dev/null || true
    on server portsmithctl -c "$conf" close --all
}

# ---- two uplinks -----------------------------------------------------------

length=24
[ "$FAMILY" = 4 ] || length=64

client_at() { # UPLINK NUMBER
    case $FAMILY in 4) echo "5.5.$1.$2" ;; 6) echo "2a00:81:$1::$2" ;; esac
}

server_at() { # NUMBER
    case $FAMILY in 4) echo "5.99.0.$1" ;; 6) echo "2a00:99::$1" ;; esac
}

make_uplink() { # NUMBER
    local isp=isp$1

    make_host "$isp"
    join_hosts client "up$1" "$isp" lan
    join_hosts "$isp" wan server "in$1"
    give_address client "up$1" "5.5.$1.2/24" "2a00:81:$1::2/64"
    give_address "$isp" lan "5.5.$1.1/24" "2a00:81:$1::1/64"
    give_address "$isp" wan "10.82.$1.1/24" "fd82:$1::1/64"
    give_address server "in$1" "10.82.$1.2/24" "fd82:$1::2/64"
    on "$isp" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
                     echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
    ip -n "$isp" route add 5.99.0.0/24 via "10.82.$1.2"
    ip -n "$isp" -6 route add 2a00:99::/64 via "fd82:$1::2"
    ip -n server route add "5.5.$1.0/24" via "10.82.$1.1"
    ip -n server -6 route add "2a00:81:$1::/64" via "fd82:$1::1"
}

make_uplinks() {
    local number

    make_uplink 1
    make_uplink 2
    ip -n client route delete default
    ip -n client -6 route delete default
    for number in $(seq "$servers"); do
        give_address server lo "5.99.0.$number/32" "2a00:99::$number/128"
    done
    # As many set it. IPv6 is as every kernel has it.
    on client sh -c 'echo 1 >/proc/sys/net/ipv4/fib_multipath_hash_policy
                     echo 1 >/proc/sys/net/ipv4/conf/all/promote_secondaries'
}

provider() { # NUMBER ARGUMENT of iptables...
    local program=iptables

    [ "$FAMILY" = 4 ] || program=ip6tables
    on "isp$1" "$program-$XTABLES" -w 5 "${@:2}"
}

pass_all() {
    provider 1 -F FORWARD
    provider 2 -F FORWARD
}

filter_uplinks() {
    local number

    pass_all
    for number in 1 2; do
        provider "$number" -A FORWARD -i lan ! -s "$(client_at "$number" 0)/$length" -j DROP
    done
}

route() { # ARGUMENT of ip route...
    ip -n client "-$FAMILY" route "$@"
}

use_both() {
    route delete default metric 1 2>/dev/null || true
    route replace default metric 2 nexthop via "$(client_at 1 1)" dev up1 \
        nexthop via "$(client_at 2 1)" dev up2
}

# Without a moment that has no route.
leave_by() { # UPLINK
    route replace default metric 1 via "$(client_at "$1" 1)" dev "up$1"
}

capture_at() { # INTERFACE FILE
    rm -f "$lab/log/tcpdump.log" "$2"
    spawn server "$lab/log/tcpdump.log" tcpdump -n -i "$1" --immediate-mode -U -Z root -w "$2"
    echo "$spawned" >"$lab/tcpdump.pid"
    wait_until 5 capture_is_running
}

# Datagrams, and what begins a connection.
packets_of_client() {
    tcpdump -n -r "$lab/cap" src net "$(client_at 1 0)/$length" 2>/dev/null |
        grep -c -e UDP -e 'Flags .S'
}

# ---- getting in ------------------------------------------------------------

# The server is at this one of its addresses.
move_server() { # NUMBER
    as_client sed -i "s/^Host = .*/Host = $(server_at "$1")/" \
        "$lab/home/.config/portsmith/$far.conf"
}

# The last knock has another datagram, by another uplink, which may come after a close.
all_is_closed() {
    on server portsmithctl -c "$conf" close --all >/dev/null
    there_are_no_grants
}

# The door is shut, then a command is to get in: at each of the server's addresses.
enters_each_time() { # COMMAND, of one NUMBER
    local number failed=0

    for number in $(seq "$servers"); do
        move_server "$number"
        wait_until 10 all_is_closed
        "$1" "$number" || { echo "not at $(server_at "$number")" && failed=$((failed + 1)); }
    done
    echo "$failed of $servers failed"
    [ "$failed" -eq 0 ]
}

grants_are() { # COUNT
    [ "$(xtables -t mangle -S portsmith-shut | without_litter | grep -c -e --datestop)" -eq "$1" ]
}

# One attempt, as ssh(1) makes it, when all that was sent has been dealt with.
knock_then_connect() { # NUMBER
    local sent

    sent=$(knock -v "${options[@]}" --address "$address" "$far" 2>&1 | grep -c ' sent ')
    wait_until 3 grants_are "$sent"
    [ "$(tcp_greeting "$(server_at "$1")" 22)" = "$greeting" ]
}

knock_and_wait() { # NUMBER
    knock --wait --timeout 30s "${options[@]}" --address "$address" "$far"
}

knock_and_be_connected() { # NUMBER
    local line=""

    read -r -t 30 line < <(sleep 30 3>&- | as_client timeout 30 portsmith-knock --connect \
        --timeout 30s --address "$address" "$far" 22 3>&-) || true
    [ "$line" = "$greeting" ]
}

connect_by_proxy() { # NUMBER
    local status=0

    start_proxy "ConnectTimeout = 30s"
    [ "$(talk pipelined "$(server_at "$1")" 22 | head -n 1)" = "$greeting" ] || status=1
    stop_proxy
    return "$status"
}

@test "a signed knock opens to what a connection leaves from" {
    enters_each_time knock_then_connect
}

@test "so does one whose address is observed" {
    [ "$FAMILY" = 4 ] || pass_all
    address=observed
    enters_each_time knock_then_connect
}

@test "so does one in a SYN" {
    [ "$FAMILY" = 4 ] || pass_all
    address=observed options=(--transport tcp-syn)
    enters_each_time knock_then_connect
}

@test "--wait gets in" {
    enters_each_time knock_and_wait
}

@test "--connect gets in, for an observed address" {
    [ "$FAMILY" = 4 ] || pass_all
    address=observed
    enters_each_time knock_and_be_connected
}

@test "the proxy gets in" {
    servers=6 enters_each_time connect_by_proxy
}

@test "to find the source no packet is sent" {
    local sent

    leave_by 1
    move_server "$spot"
    capture_at in1 "$lab/cap"
    sent=$(knock -v "$far" 2>&1 | grep -c ' sent ')
    wait_until 3 log_has "$far: opened "
    capture_stop
    [ "$sent" -eq 1 ]
    [ "$(packets_of_client)" -eq 1 ]
}

@test "where fast open is switched off, the source is that of UDP, and the connection follows" {
    pass_all
    address=observed
    on client sh -c 'echo 0 >/proc/sys/net/ipv4/tcp_fastopen'
    servers=6 enters_each_time knock_and_wait
    servers=6 enters_each_time connect_by_proxy
}

@test "nor is one sent where fast open is switched off" {
    on client sh -c 'echo 0 >/proc/sys/net/ipv4/tcp_fastopen'
    leave_by 1
    move_server "$spot"
    capture_at in1 "$lab/cap"
    knock_until "$far: opened " "$far"
    capture_stop
    [ "$(packets_of_client)" -eq 1 ]
}

fast_open_is_suspended() {
    on client awk '/^TcpExt/ { if (!n++) split($0, name); else split($0, value) }
        END { for (i in name) if (name[i] == "TCPFastOpenBlackhole") exit value[i] == 0 }' \
        /proc/net/netstat
}

# As the kernel does of itself where a SYN with data gets no answer.
suspend_fast_open() {
    on client sh -c 'echo 60 >/proc/sys/net/ipv4/tcp_fastopen_blackhole_timeout_sec'
    spawn client "$lab/log/suspend.log" python3 -c '
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
unheard = socket.socket(family, socket.SOCK_STREAM)
unheard.setsockopt(socket.IPPROTO_TCP, 34, 1) # TCP_FASTOPEN_NO_COOKIE
unheard.setblocking(False)
unheard.sendto(b"data", socket.MSG_FASTOPEN, (sys.argv[1], 22))
time.sleep(60)' "$(server_at "$spot")"
    suspender=$spawned
    wait_until 30 fast_open_is_suspended
    end_process KILL "$suspender"
}

@test "nor where it is suspended" {
    leave_by 1
    move_server "$spot"
    suspend_fast_open
    capture_at in1 "$lab/cap"
    knock_until "$far: opened " "$far"
    capture_stop
    [ "$(packets_of_client)" -eq 1 ]
    on client sh -c 'echo 0 >/proc/sys/net/ipv4/tcp_fastopen_blackhole_timeout_sec'
}

# ---- a source that changes -------------------------------------------------

lose_knocks() {
    provider 1 -I FORWARD -p udp --dport "$knock_port" -j DROP
}

a_knock_is_lost() {
    provider 1 -L FORWARD -n -v -x |
        awk '$3 == "DROP" && /dpt/ && $1 > 0 { found = 1 } END { exit !found }'
}

# Whoever waits has knocked, in vain, and by uplink 1.
begin_in_vain() { # COMMAND...
    leave_by 1
    move_server "$spot"
    lose_knocks
    "$@" >"$lab/begun" 2>&1 3>&- &
    begun=$!
    wait_until 5 a_knock_is_lost
}

it_gets_in() {
    filter_uplinks
    wait "$begun" || { cat "$lab/begun" && return 1; }
}

lose_address() {
    give_address client up1 "$(client_at 1 3)/$length"
    ip -n client address delete "$(client_at 1 2)/$length" dev up1
}

talks_through_proxy() {
    [ "$(talk pipelined "$(server_at "$spot")" 22 | head -n 1)" = "$greeting" ]
}

@test "an address that goes while one waits: the knock is signed anew, and for the new one" {
    begin_in_vain knock --wait -v --timeout 40s "$far"
    lose_address
    it_gets_in
    wait_for_log "$far: opened tcp/22 for $(client_at 1 3) "
    grep -q "the signed address $(client_at 1 3)," "$lab/begun"
}

# As when the radio changes: the old address may stay for a while.
@test "another uplink while one waits" {
    begin_in_vain knock --wait --timeout 40s "$far"
    leave_by 2
    it_gets_in
    wait_for_log "$far: opened tcp/22 for $(client_at 2 2) "
}

an_address_goes_when_the_knock_was_heard() { # ADDRESS, as of --address
    leave_by 1
    move_server "$spot"
    provider 1 -I FORWARD -p tcp --dport 22 -j DROP
    knock --wait --timeout 40s --address "$1" "$far" >"$lab/begun" 2>&1 3>&- &
    begun=$!
    wait_for_log "$far: opened tcp/22 for $(client_at 1 2) "
    lose_address
    it_gets_in
    wait_for_log "$far: opened tcp/22 for $(client_at 1 3) "
}

@test "an address that goes after the knock was heard" {
    an_address_goes_when_the_knock_was_heard auto
}

@test "an observed address that goes after the knock was heard" {
    an_address_goes_when_the_knock_was_heard observed
}

@test "an address that goes while the proxy waits" {
    move_server "$spot"
    start_proxy "ConnectTimeout = 40s"
    begin_in_vain talks_through_proxy
    lose_address
    it_gets_in
    wait_for_log "$far: opened tcp/22 for $(client_at 1 3) "
}

@test "another uplink while the proxy waits" {
    move_server "$spot"
    start_proxy "ConnectTimeout = 40s"
    begin_in_vain talks_through_proxy
    leave_by 2
    it_gets_in
    wait_for_log "$far: opened tcp/22 for $(client_at 2 2) "
}
