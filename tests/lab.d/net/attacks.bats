#!/usr/bin/env bats
# What an attacker tried in a review: ways around the shut ports, and what a
# sniffer that was taken over could have used.
# bats file_tags=backend,family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

frames=$top/tests/tools/frames.py

setup() {
    lab_setup
    own_log
    start_listener 22
    configure
    add_fence
    add_profile ssh --open tcp/22 --window 1m
    # Answers are looked for on the wire: the client's own kernel stays out of it.
    for table in iptables-nft ip6tables-nft; do
        on client "$table" -A OUTPUT -p tcp --tcp-flags RST RST -j DROP
    done
}

teardown() {
    common_teardown
    lab_teardown
}

# SYN-ACKs of the shut port that left the server while a command ran, and all
# that was sent before the fence had been dealt with.
answers_to() { # COMMAND...
    capture_start "$lab/answers.pcap" "src host $server and tcp src port 22"
    "$@"
    ! process_named portsmithd >/dev/null || fence
    capture_stop
    tcpdump -n -r "$lab/answers.pcap" 2>/dev/null | grep -c "Flags \\[S\\.\\]" || true
}

fragmented_syn() {
    on client "$frames" syn eth0 "$(mac server)" fragments "$client" "$server" 22
}

syn_on_loopback() {
    on server "$frames" syn lo 00:00:00:00:00:00 plain "$client" "$server" 22
}

accept_what_comes_over_loopback() {
    on server sh -c 'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >"$f"; done'
}

@test "a SYN in two fragments meets a shut port" {
    start_daemon
    # So that addresses are known; nothing but an unrelated grant was ever made.
    [ "$(answers_to fragmented_syn)" -eq 0 ]
    wait_until 5 there_are_no_grants
    [ "$(answers_to fragmented_syn)" -eq 0 ]
}

# Then nothing puts them together before they are delivered.
track_nothing_from_the_start() {
    on server nft -f - <<RULES
table inet lab {
    chain in { type filter hook prerouting priority -450; notrack; }
}
RULES
}

@test "a SYN in two fragments that are never tracked meets a shut port" {
    track_nothing_from_the_start
    start_daemon
    [ "$(answers_to fragmented_syn)" -eq 0 ]
    knock_opens ssh
    port_is_open "$server" 22
}

# bats test_tags=ipv4
@test "the fragmented SYN is one: an open port answers it" {
    [ "$FAMILY" = 4 ] || skip "IPv6 does not put such small first fragments together"
    port_is_open "$server" 22
    [ "$(answers_to fragmented_syn)" -ge 1 ]
}

@test "a packet from outside that is put on lo meets a shut port" {
    accept_what_comes_over_loopback
    start_daemon
    port_is_shut "$server" 22
    [ "$(answers_to syn_on_loopback)" -eq 0 ]
}

@test "the packet on lo is one: an open port answers it" {
    accept_what_comes_over_loopback
    port_is_open "$server" 22
    [ "$(answers_to syn_on_loopback)" -ge 1 ]
}

# ---- ACKs that belong to no connection ---------------------------------------

# Shut ports that lead to a listener on all addresses, on one, on another host and, by
# another port, on this one.
shut_all_kinds() { # 'KEY = VALUE'...
    make_backend_host
    start_listener_on "$server" 23
    start_listener 8022 backend
    start_listener 24
    publish 8080 8022
    xtables -t nat -A PREROUTING -i eth0 -p tcp --dport 2400 -j REDIRECT --to-ports 24
    configure "Shut = tcp/22 tcp/23 tcp/2400 tcp/8080" "$@"
    add_profile all --open tcp/22,tcp/23,tcp/2400,tcp/8080 --window 1m
    forget_soon server backend
}

# Asks while a grant is live, and sends what it got when it is not. Looks while the client's
# kernel stays out of it, which resets what it does not know.
cookie_outlives_its_grant() { # PORT, PORT of the service [HOST]
    knock_opens all "tcp/$1" || return
    ask_for_cookie "$1" || return
    knock_until "all: closed" --close all "tcp/$1" || return
    send_cookie "$1" || return
    fence || return
    ! has_session "${@:2}" || { echo "in by the cookie of $1" && return 1; }
    end_cookie
}

@test "the ACK of a SYN cookie opens nothing once its grant has ended" {
    shut_all_kinds
    start_daemon
    log_lacks "SYN cookie"
    cookie_outlives_its_grant 22 22
    cookie_outlives_its_grant 23 23
    cookie_outlives_its_grant 2400 24
    cookie_outlives_its_grant 8080 8022 backend
}

@test "the ACK is one: open ports take it" {
    cookie_lets_in() { # PORT, PORT of the service [HOST]
        ask_for_cookie "$1"
        send_cookie "$1"
        wait_until 5 has_session "${@:2}"
        end_cookie
    }

    shut_all_kinds
    cookie_lets_in 22 22
    cookie_lets_in 23 23
    cookie_lets_in 2400 24
    cookie_lets_in 8080 8022 backend
}

resets_to() { # COMMAND...
    capture_start "$lab/answers.pcap" "src host $server"
    "$@" || return
    capture_stop
    tcpdump -n -r "$lab/answers.pcap" 2>/dev/null | grep -c "Flags \\[R" || true
}

@test "ShutWith = reset answers such an ACK as a port where nobody listens" {
    shut_all_kinds "ShutWith = reset"
    start_daemon
    [ "$(resets_to cookie_outlives_its_grant 22 22)" -eq 1 ]
    [ "$(resets_to cookie_outlives_its_grant 8080 8022 backend)" -eq 1 ]
    xtables -t mangle -A INPUT -j MARK --set-mark 0
    [ "$(resets_to cookie_outlives_its_grant 23 23)" -eq 1 ]
}

# Connection tracking begins with the first rule of ours, or forgets.
session_outlives_what_is_known() { # PORT
    open_connection "$server" "$1"
    start_daemon
    connection_answers
    wait_until_forgotten "$1"
    connection_answers
    [ "$(tcp_answer "$server" "$1")" != open ]
}

@test "a session goes on that connection tracking does not know, or has forgotten" {
    configure "Shut = tcp/22 tcp/23"
    start_listener_on "$server" 23
    forget_soon server
    session_outlives_what_is_known 22
    stop_daemon
    on server portsmithd --release
    session_outlives_what_is_known 23
}

@test "where the kernel cannot tell sessions they go on, and what stays open is said" {
    local switch

    configure "Shut = tcp/22 tcp/23"
    start_listener_on "$server" 23
    forget_soon server
    for switch in ip tcp; do
        on server sh -c "echo 0 >/proc/sys/net/ipv4/${switch}_early_demux"
        run on server portsmithd -t -c "$conf"
        [ "$status" -eq 0 ]
        [[ $output == *"SYN cookie"*"${switch}_early_demux is 0"* ]]
        session_outlives_what_is_known 23
        wait_for_log "SYN cookie.*${switch}_early_demux is 0"
        stop_daemon
        on server portsmithd --release
        on server sh -c "echo 1 >/proc/sys/net/ipv4/${switch}_early_demux"
    done
}

@test "ShutWith = reset does not rest on the packet mark alone" {
    echo "ShutWith = reset" >>"$conf"
    start_daemon
    [ "$(tcp_answer "$server" 22)" = reset ]
    xtables -t mangle -A PREROUTING -j MARK --set-mark 0
    [ "$(tcp_answer "$server" 22)" = reset ]
    knock_opens ssh
    port_is_open "$server" 22
}

shut_again() {
    port_is_shut "$server" 22
}

# bats test_tags=iptables
@test "an emptied chain of shut ports is filled again" {
    [ "$BACKEND" != nftables ] || skip "nobody can empty its chains"
    start_daemon
    xtables -t mangle -F portsmith-close
    wait_until 10 shut_again
    wait_for_log "putting them back"
}

# bats test_tags=nft
@test "a grant that was closed does not come back with a restored ruleset" {
    local saved=$lab/saved restore=iptables-$XTABLES

    [ "$BACKEND" = nft ] || skip "legacy tells nobody of a change; the deadline ends it"
    [ "$FAMILY" = 4 ] || restore=ip6tables-$XTABLES
    start_daemon
    knock_opens ssh
    on server "$restore-save" >"$saved"
    knock_until "ssh: closed" --close ssh
    on server "$restore-restore" <"$saved"
    wait_until 5 has_no_grant "$client"
    port_is_shut "$server" 22
}

@test "a stop while a restart is waited for still removes the grants" {
    local i

    start_daemon
    knock_opens ssh
    for i in 1 2 3; do
        kill -KILL "$(helper_pid)"
        [ "$i" -eq 3 ] || wait_until 10 log_count_exceeds " ready: " "$i"
    done
    wait_for_log "starting again in 2 s"
    stop_daemon
    there_are_no_grants
}

# The supervisor finds both when it goes on: that it is to stop, and that the helper is gone.
@test "a stop just as the helper is killed still removes the grants" {
    start_daemon
    knock_opens ssh
    kill -STOP "$(daemon_pid)"
    kill -KILL "$(helper_pid)"
    kill -TERM "$(daemon_pid)"
    kill -CONT "$(daemon_pid)"
    stop_daemon
    there_are_no_grants
}

@test "a reload that narrows a profile shortens and closes its grants" {
    add_profile long --open tcp/22 --window 10m
    start_daemon
    knock_opens long --address "$other"
    knock_opens ssh
    sed -i 's/^Window.*/Window = 2s\nMaxWindow = 2s/' /etc/portsmith.d/long.conf
    sed -i "s/^Address.*/Address = signed/" /etc/portsmith.d/ssh.conf
    reload_daemon
    has_no_grant "$client"
    wait_until 4 has_no_grant "$other"
}

# bats test_tags=legacy
@test "a lock held at the start is no verdict on the host" {
    [ "$BACKEND" = legacy ] || skip "iptables-nft takes no lock"
    spawn server "$lab/log/flock.log" flock /run/xtables.lock sleep 120
    wait_until 5 lock_is_held
    run on server portsmithd -f -c "$conf"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"xtables lock"* ]]
}

# A debug build keeps standard error, to name a forbidden system call there.
is_debug_build() { # PID
    grep -q -a "the forbidden system call" "/proc/$1/exe"
}

speaks_to_nobody() { # PID
    [ "/proc/$1/fd/0" -ef /dev/null ] && [ "/proc/$1/fd/1" -ef /dev/null ] &&
        { [ "/proc/$1/fd/2" -ef /dev/null ] || is_debug_build "$1"; }
}

@test "the sniffer has no network, no terminal, no log and no children" {
    local pid

    start_daemon
    pid=$(sniffer_pid)
    [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink "/proc/$(daemon_pid)/ns/net")" ]
    wait_until 5 speaks_to_nobody "$pid" # the last it does before it serves
    [ "$(ps -o sid= -p "$pid" | tr -d ' ')" = "$pid" ]
    grep -q '^Max processes *0 *0 ' "/proc/$pid/limits"
}

@test "the state directory is made private, so that nobody else can lock it" {
    chmod 755 /var/lib/portsmith
    start_daemon
    [ "$(stat -c %a /var/lib/portsmith)" = 700 ]
}
