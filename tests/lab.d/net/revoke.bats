#!/usr/bin/env bats
# portsmith-profile revoke --kill, with a thief who has the key and goes on using it.
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

rounds=5
[ "${LONG:-no}" = no ] || rounds=20

setup_file() {
    lab_setup
    configure
    add_profile owner --open tcp/22 --window 60s
    start_daemon
    start_listener 22
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
}

teardown() {
    touch "$lab/stop"
    common_teardown
}

revoke() { # NAME [OPTION...]
    on server portsmith-profile revoke "$@"
}

# The daemon's answer to the question alone: its result (controlmessage.h) and text.
ask_to_revoke() { # NAME
    on server python3 -c '
import socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(30)
s.connect("/run/portsmith/control")
s.send(struct.pack("IIII36s", 6, 2, 0, 1, sys.argv[1].encode()))
reply = s.recv(100000)
print(struct.unpack_from("I", reply, 4)[0], reply[24:536].split(b"\0")[0].decode())' "$1"
}

# A client with a grant, and a connection through it.
let_in() { # NAME
    add_profile "$1" --open tcp/22 --window 60s
    on server portsmithctl reload
    knock_opens "$1"
    open_connection "$server" 22
    connection_answers
    [ -n "$(connections)" ]
}

# Sockets of the service that have the client at their other end.
connections() {
    on server ss -H -t -n state connected exclude time-wait "sport = :22 and dst = [$client]"
}

# Whoever reads what is spoken into it may be gone: opened for both nothing waits for that.
connection_is_over() {
    local word="word-$RANDOM-$RANDOM"

    echo "$word" 1<>"$lab/connection.in"
    never_in_ms 1000 grep -q "$word" "$lab/connection.out"
}

there_are_no_connections() {
    [ -z "$(connections)" ]
}

thief_has() { # COUNT of connections, so far
    [ "$(wc -l <"$lab/stop.made")" -ge "$1" ]
}

thief_has_tried() { # COUNT
    [ "$(wc -l <"$lab/stop.tried")" -ge "$1" ]
}

# Knocks and connects without a break, until $lab/stop is there.
start_thief() { # NAME
    rm -f "$lab/stop" "$lab/stop.made" "$lab/stop.tried" "$lab/thief.log"
    spawn client "$lab/thief.log" python3 "$top/tests/tools/thief.py" "$server" 22 "$lab/stop"
    connecting=$spawned
    # shellcheck disable=SC2016 # the other shell's
    HOME=$lab/home spawn client "$lab/log/thief.log" setpriv --reuid="$client_user" \
        --regid="$client_group" --clear-groups bash -c 'for ((i = 0; i < 2000; i++)); do
            [ ! -e "$1" ] || exit 0
            portsmith-knock "$0"
        done' "$1" "$lab/stop"
    knocking=$spawned
}

stop_thief() {
    touch "$lab/stop"
    wait_until 30 process_is_gone "$connecting"
    wait_until 10 process_is_gone "$knocking"
}

@test "revoke --kill ends the profile, its grant and its connection, and says so" {
    let_in laptop
    run -0 revoke laptop --kill
    [ "$output" = "removed profile laptop
no knock of it counts any more; closed 1 grant, ended 1 connection" ]
    connection_is_over
    there_are_no_connections
    port_is_shut "$server" 22
    has_no_grant "$client"
    knock laptop
    knock_opens owner
    wait_until 5 log_counts 'laptop: opened' 1
    run -1 revoke laptop --kill
    [[ $output == *"there is no profile 'laptop'"* ]]
}

@test "others keep what they have, and without --kill a connection goes on" {
    let_in desk
    add_profile stolen --open tcp/22 --window 60s
    run -0 revoke stolen --kill
    [[ $output == *"closed 0 grants, ended 0 connections" ]]
    connection_answers
    revoke desk
    wait_for_log 'desk: tcp/22 .* has ended|a removed profile: tcp/22 .* has ended'
    port_is_shut "$server" 22
    connection_answers
}

@test "a thief who knocks and connects all the while keeps nothing, in $rounds rounds" {
    local round tried

    for ((round = 0; round < rounds; round++)); do
        own_log
        add_profile "thief$round" --open tcp/22 --window 60s
        on server portsmithctl reload
        start_thief "thief$round"
        wait_until 10 thief_has 3
        revoke "thief$round" --kill >"$lab/said"
        # What is begun from here on is shut out; what was begun before is dead.
        has_no_grant "$client"
        there_are_no_connections
        port_is_shut "$server" 22
        tried=$(wc -l <"$lab/stop.tried")
        wait_until 5 thief_has_tried $((tried + 5)) # it goes on
        stop_thief
        echo "round $round: $(cat "$lab/thief.log" "$lab/said")"
        [[ $(cat "$lab/thief.log") == "made "*" alive 0" ]]
        there_are_no_connections
        has_no_grant "$client"
    done
}

@test "a SYN cookie from before lets nobody in again" {
    add_profile cook --open tcp/22 --window 60s
    on server portsmithctl reload
    on server sh -c 'echo 2 >/proc/sys/net/ipv4/tcp_syncookies'
    knock_opens cook
    ask_for_cookie 22
    echo >"$lab/cookie.in"
    wait_until 5 has_session 22
    revoke cook --kill
    run -1 has_session 22
    echo >"$lab/cookie.in"
    wait_until 5 sh -c "[ \$(grep -c sent $lab/cookie.out) -eq 2 ]"
    never_in_ms 1000 has_session 22
    on server sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_syncookies'
    end_cookie
}

@test "where other profiles are broken, the thief goes all the same" {
    let_in phone
    echo nonsense >/etc/portsmith.d/broken.conf
    run -78 revoke phone --kill
    rm /etc/portsmith.d/broken.conf
    [[ $output == *"removed profile phone"*"closed 1 grant, ended 1 connection"* ]]
    [[ $output == *"the profile is gone, but"*"broken.conf:1"* ]]
    connection_is_over
    port_is_shut "$server" 22
    knock phone
    reload_daemon
    wait_until 5 log_counts 'phone: opened' 1
}

@test "what the daemon has dropped before is not called ended" {
    let_in tablet
    mv /etc/portsmith.d/tablet.conf "$lab/tablet.conf"
    reload_daemon
    mv "$lab/tablet.conf" /etc/portsmith.d/
    run -1 revoke tablet --kill
    [[ $output == *"connections made with it may be left"*"ss -tnp"* ]]
    [ ! -e /etc/portsmith.d/tablet.conf ]
    connection_answers
    # Asked again by itself, as where a reload comes between the two questions.
    [ "$(ask_to_revoke tablet)" = "2 portsmithd had dropped it before: it was reloaded in between, or the helper ended" ]
}

@test "without a daemon the profile goes, and that is all that is said to be done" {
    let_in watch
    end_process KILL "$(daemon_pid)"
    run -1 revoke watch --kill
    [[ $output == *"removed profile watch"*"portsmithd does not run, so no connection was ended"* ]]
    [ ! -e /etc/portsmith.d/watch.conf ]
    connection_answers
    start_daemon
    has_no_grant "$client"
}
