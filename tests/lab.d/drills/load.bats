#!/usr/bin/env bats
# Too much at once: garbage, knocks that the helper is too slow for, too little memory.
# Once: as long as the floods are; the other back end is for tests/run platforms.
# bats file_tags=once:nft
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/drills.bash"
. "$top/tests/lib/crowd.bash"

crowd_size=400 # more than the helper's socket holds

setup_file() {
    lab_setup
    start_listener 22
    configure
    make_crowd "$crowd_size"
    add_fence
    add_profile ssh --open tcp/22 --window 1m
}

teardown_file() {
    lab_teardown
}

setup() {
    start_daemon
    common_setup
}

teardown() {
    drill_teardown
    kill_daemon
    forget_grants
}

# ---- a flood ---------------------------------------------------------------

@test "10,000 datagrams of garbage a second: every honest knock opens" {
    local i end rate=$lab/flood.rate pid

    pid=$(sniffer_pid)
    spawn client "$rate" "$top/tests/tools/flood.py" "$server" "$knock_port" 10000 "$flood_seconds"
    end=$((SECONDS + flood_seconds))
    for ((i = 0; SECONDS < end - 1; i++)); do
        knock_until "ssh: opened tcp/22 for $client" ssh
        port_is_open "$server" 22
        knock_until "ssh: closed tcp/22 for $client" --close ssh
        sleep 0.8 # not for an event: a client that comes about every second
    done
    wait_until 20 test -s "$rate"
    tell "$i honest knocks among $(cat "$rate") datagrams of garbage a second"
    [ "$i" -ge $((flood_seconds / 3)) ]
    [ "$(cat "$rate")" -ge 2000 ]
    [ "$(sniffer_pid)" = "$pid" ]
    kill -USR1 "$(daemon_pid)"
    wait_for_log "garbage [0-9]{4}"
}

# ---- a helper that falls behind --------------------------------------------

crowd_is_in() {
    log_counts ': opened tcp/22 ' "$crowd_size"
}

@test "the helper's queue is full: it goes on where it stopped, and all get in" {
    local helper sniffer

    helper=$(helper_pid) sniffer=$(sniffer_pid)
    make_crowd_knocks "$crowd_size"
    freeze "$helper"
    send_crowd_knocks "$crowd_size"
    send_crowd_knocks "$crowd_size" # clients make sure
    there_are_no_grants
    port_is_shut "$server" 22
    kill -CONT "$helper"
    wait_until 20 crowd_is_in
    [ "$(rules | grep -c -e '--dport 22 .*--datestop')" -eq $((2 * crowd_size)) ]
    fence
    [ "$(helper_pid) $(sniffer_pid)" = "$helper $sniffer" ]
}

@test "the helper is stopped while a window ends: the kernel shuts the door on time" {
    local start

    knock_opens ssh --window 3s
    start=$(now_ms)
    freeze "$(helper_pid)"
    shuts_in_time 3 "$start"
    [ "$(xtables -t mangle -S portsmith-shut | grep -c -F -e "-s $client/")" -eq 1 ] # it is there still
    kill -CONT "$(helper_pid)"
    wait_until 5 has_no_grant "$client"
}

# ---- too little memory -----------------------------------------------------

# Below what it has already: it gets no more. As its own user, who may do that.
starve() { # PID
    local uid gid limit=1000000

    read -r uid gid < <(ps -o ruid=,rgid= -p "$1")
    setpriv --reuid="$uid" --regid="$gid" --clear-groups prlimit --pid "$1" --as=$limit
    grep -q "^Max address space *$limit " "/proc/$1/limits"
    [ "$(awk '/^VmSize:/ { print $2 * 1024 }' "/proc/$1/status")" -gt "$limit" ]
}

# Every rule that lets somebody in has an end.
rules_have_ends() {
    ! rules | grep -e "-s $client_prefix" | grep -v -e --datestop || return 1
}

crowd_is_in_or_pair_is_new() {
    crowd_is_in || [ "$(log_count ' ready: ')" -ge 1 ]
}

crowd_knocks_at_starved() { # PID
    make_crowd_knocks "$crowd_size"
    starve "$1"
    send_crowd_knocks "$crowd_size"
    wait_until 20 crowd_is_in_or_pair_is_new
    rules_have_ends
    port_is_shut "$server" 22 "$other"
}

honest_knocks_work() {
    fence
    knock_opens ssh --address "$other"
    port_is_open "$server" 22 "$other"
    rules_have_ends
}

# A knock that closes what was extended makes the helper write all rules anew, the crowd's too.
@test "the helper gets no more memory: it serves, then ends and says so, and nothing is open that should not be" {
    crowd_knocks_at_starved "$(helper_pid)"
    knock_until "ssh: (opened|extended)" ssh
    knock_until "ssh: extended" ssh
    knock --close ssh
    wait_for_log "no memory" 10
    wait_for_log " ready: " 20
    port_is_shut "$server" 22 "$other"
    honest_knocks_work
}

@test "the sniffer gets no more memory: it serves or ends, and nothing is open that should not be" {
    local starved

    starved=$(sniffer_pid)
    crowd_knocks_at_starved "$starved"
    if [ "$(sniffer_pid)" = "$starved" ]; then
        tell "without more memory the sniffer served"
        crowd_is_in
    else
        tell "without more memory the sniffer ended"
        log_has "the sniffer \(pid $starved\) "
    fi
    honest_knocks_work
}

@test "a start with too little memory: it says why it ends, or it works; ports stay shut" {
    local megabytes status started=0 refused=0

    kill_daemon
    for megabytes in 3 6 8 10 12 14 16 20 24 32 64; do
        own_log
        status=0
        spawn server "$lab/log/portsmithd.log" prlimit --as=$((megabytes * 1000000)) \
            portsmithd -c "$conf" -f
        echo "$spawned" >"$lab/daemon.pid"
        wait_until 30 daemon_is_ready_or_gone
        port_is_shut "$server" 22
        if log_has " ready: "; then
            started=$((started + 1))
            knock --close ssh
        else
            refused=$((refused + 1))
            [ -n "$(daemon_log)" ]
        fi
        nothing_crashed
        kill_daemon
    done
    tell "of 11 limits to memory $started let it start, $refused did not"
    [ "$started" -ge 1 ]
    [ "$refused" -ge 1 ]
}
