#!/usr/bin/env bats
# The deaths of those that the helper does without: the witness, what it has asked, and what
# prepares a helper. Nothing opens by them, and only what counts connections ends.
# Once: whoever dies here writes no rule.
# bats file_tags=once:nft
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/drills.bash"

# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"

cut=$stage/libexec/portsmith/portsmith-cut

setup_file() {
    lab_setup
    start_listener 22
    start_fast_listener 24
    configure "Shut = tcp/22 tcp/24"
    add_profile ssh --open tcp/22 --window 1m
    add_profile short --open tcp/22 --window 15s
    add_profile two --open tcp/22 --window 5m --connections 2
    add_profile fast --open tcp/24 --window 5m
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    start_daemon
}

teardown() {
    drill_teardown
    stop_daemon
}

# Until the kernel has more to tell than a witness that is stopped has room for.
lose_news() {
    local witness

    witness=$(witness_pid)
    freeze "$witness"
    python3 - "$witness" <<'END'
import ctypes, os, socket, sys
NEWS, PIDFD_GETFD, NETFILTER = 5, 438, 12
fd = ctypes.CDLL(None).syscall(PIDFD_GETFD, os.pidfd_open(int(sys.argv[1])), NEWS, 0)
news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER, fileno=fd)
news.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
END
    connect_again_and_again "$other" "$lab/no-such-file" 200 >"$lab/connections"
    kill -CONT "$witness"
}

# ---- the witness -----------------------------------------------------------

@test "the witness is killed: what counts connections ends, the rest ends in time, and the next one counts" {
    local start

    knock_opens two --address "$other"
    knock_opens short
    start=$(now_ms)
    own_log
    kill_all "$(witness_pid)"
    wait_until 5 has_no_grant "$other"
    wait_for_log " ready: "
    port_is_shut "$server" 22 "$other"
    [ "$(grant_count "$client")" -eq 2 ]
    shuts_in_time 15 "$start"
    two_come_in_and_no_third
}

# From before its knock is honoured to after its last connection. Whoever is quicker than the
# witness has what the kernel lets through by itself: three attempts for each connection.
@test "the witness is killed at any instant: no knock admits more than it did, and replays open nothing" {
    local round witness delay came

    RANDOM=$((FAULTS_SEED % 32768))
    for ((round = 0; round < 8; round++)); do
        client=$client_prefix$((200 + round))
        speak_from "$client"
        own_log
        knock_bytes "$lab/knock" --address "$client" two
        witness=$(witness_pid)
        delay=$((RANDOM % 200))
        (pause "0.$(printf %03d $delay)" && kill -KILL "$witness") &
        send_bytes "$lab/knock"
        came=$(connections 3)
        wait
        wait_for_log " ready: " 30
        came=$((came + $(connections 6)))
        echo "round $round, killed after $delay ms: $came came in"
        [ "$came" -le 6 ]
        wait_until 10 has_no_grant "$client"
        [ "$came" -gt 0 ] || continue # the knock may have been lost
        send_bytes "$lab/knock"
        wait_for_log "two: refused for $client: already used"
        [ "$(connections 2)" -eq 0 ]
    done
    two_come_in_and_no_third
}

@test "the witness is stopped and never goes on: windows end, knocks are served, a reload replaces it" {
    local start old

    old=$(witness_pid)
    freeze "$old"
    knock --address "$client" short
    start=$(now_ms)
    wait_until 5 port_is_open "$server" 22
    shuts_in_time 20 "$start" # when the knock was honoured, nobody has said
    wait_until 3 has_no_grant "$client"
    kill -HUP "$(daemon_pid)"
    wait_for_log " reloaded" 30
    process_is_gone "$old"
    knock_opens ssh
}

# What it may still write down is not taken for what the next one counted.
@test "all but the witness are killed: the next one has nothing in common with it" {
    local old

    old=$(witness_pid)
    freeze "$old"
    kill_all "$(daemon_pid)"
    start_daemon
    grep -q '/run/portsmith/uses (deleted)$' "/proc/$old/maps"
    kill_all "$old"
    two_come_in_and_no_third
}

# ---- questions -------------------------------------------------------------

@test "news are lost: a grant that counts connections is asked for again, and goes on" {
    knock_opens fast --address "$other"
    knock_opens two
    [ "$(connections 1)" -eq 1 ]
    lose_news
    wait_for_log "more connections were made than could be counted"
    [ "$(connections 1)" -eq 1 ]
    wait_for_log "two: tcp/22 for $client has ended: it has had its connections"
    [ "$(connections 2)" -eq 0 ]
    log_lacks "could not be counted"
}

@test "news are lost and the question fails: what counts connections ends, others live on" {
    knock_opens fast --address "$other"
    knock_opens two
    knock_opens ssh --address "$other"
    in_daemon_mounts mount --bind /bin/false "$cut"
    lose_news
    wait_for_log "two: tcp/22 for $client has ended: .*its connections" 20
    has_no_grant "$client"
    port_is_shut "$server" 22
    port_is_open "$server" 22 "$other"
    [ "$(grant_count "$other")" -eq 4 ]
    in_daemon_mounts umount "$cut"
    two_come_in_and_no_third
}

@test "connections cannot be ended: their door is shut all the same, and who closed it is told" {
    knock_opens ssh
    open_connection "$server" 22
    in_daemon_mounts mount --bind /bin/false "$cut"
    run on server portsmithctl close --kill --all
    echo "$output"
    [ "$status" -ne 0 ]
    has_no_grant "$client"
    port_is_shut "$server" 22
    in_daemon_mounts umount "$cut"
    knock_opens ssh
    on server portsmithctl close --kill --all
    run connection_answers
    [ "$status" -ne 0 ]
}

# ---- prepare ---------------------------------------------------------------

@test "what prepares a helper is killed at any instant: grants live on, the port stays shut to others" {
    local round hit=0 pid begun takes=0

    RANDOM=$((FAULTS_SEED % 32768))
    knock_opens ssh --address "$other"
    start_probe
    # The first is left to its end, and tells how many milliseconds that takes.
    for ((round = 0; round <= 10; round++)); do
        own_log
        kill -HUP "$(daemon_pid)"
        until pid=$(process_named portsmith-prepa) && [ -n "$pid" ]; do
            log_lacks " reloaded" || break
        done
        if [ -n "$pid" ] && [ "$takes" -eq 0 ]; then
            begun=${EPOCHREALTIME/./}
            until process_is_gone "$pid" || ((${EPOCHREALTIME/./} > begun + 5000000)); do :; done
            takes=$(((${EPOCHREALTIME/./} - begun) / 1000 + 1))
        elif [ -n "$pid" ]; then
            pause "0.$(printf %03d $((RANDOM % takes)))"
            process_is_gone "$pid" || ! kill -KILL "$pid" 2>/dev/null || hit=$((hit + 1))
        fi
        wait_for_log " ready: | reloaded" 30
        [ "$(grant_count "$other")" -eq 2 ]
    done
    tell "$hit of 10 were hit in the $takes ms in which they prepare"
    [ "$hit" -gt 0 ]
    stop_probe
    [ "$(captured src host "$server")" -eq 0 ]
    port_is_open "$server" 22 "$other"
    two_come_in_and_no_third
}
