#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# Starts, stops, reloads, deaths and accidents.
# bats file_tags=backend,store
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"
# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"

inspect=$build_directory/tests/tools/inspect
brief=8 # seconds, in which a pair is replaced

setup_file() {
    lab_setup
    start_listener 22
    start_listener 23
    configure
    add_fence
    add_profile ssh --open tcp/22 --window 1m
    add_profile short --open tcp/22 --window 10s
    keep_configuration
}

teardown_file() {
    lab_teardown
}

setup() {
    restore_configuration
    start_daemon
    common_setup
}

teardown() {
    common_teardown
    stop_probe
    kill_daemon
}

# ---- processes -------------------------------------------------------------

restore_processes() {
    process_named '(xtables|iptables|ip6tables).*'
}

restore_processes_are() { # NUMBER
    [ "$(restore_processes | wc -l)" -eq "$1" ]
}

has_no_daemon() {
    ! process_named 'portsmith.*'
}

# ---- stop and start --------------------------------------------------------

@test "no SYN is ever answered while the daemon stops, starts, reloads and dies" {
    start_probe
    stop_daemon
    wait_until 5 probed_at_least 50
    start_daemon
    reload_daemon
    kill_daemon
    start_daemon
    wait_until 5 probed_at_least 300
    stop_probe
    [ "$(captured src host "$server")" -eq 0 ]
}

@test "no SYN is ever answered while the back end changes, by a reload and by a restart" {
    local to

    start_probe
    for to in nft legacy nftables nft nftables legacy; do
        sed -i "s/^Backend = .*/Backend = $(backend_word "$to")/" "$conf"
        reload_daemon
    done
    sed -i "s/^Backend = .*/Backend = $(backend_word "$BACKEND")/" "$conf"
    kill -QUIT "$(daemon_pid)"
    wait_until 10 process_is_gone "$(daemon_pid)"
    start_daemon
    wait_until 5 probed_at_least 300
    stop_probe
    [ "$(captured src host "$server")" -eq 0 ]
    kill_daemon
    on server portsmithd --release
}

@test "the probe itself can tell an open port" {
    knock_opens ssh
    start_probe
    stop_probe
    [ "$(captured src host "$server")" -gt 0 ]
}

@test "SIGTERM removes the grants, leaves the port shut, and the exit status is 0" {
    local status=0

    kill_daemon
    ip netns exec server portsmithd -c "$conf" -f >>"$lab/log/portsmithd.log" 2>&1 3>&- &
    echo $! >"$lab/daemon.pid"
    own_log
    wait_for_log ready
    knock_opens ssh
    port_is_open "$server" 22
    kill -TERM "$(daemon_pid)"
    wait "$(daemon_pid)" || status=$?
    [ "$status" -eq 0 ]
    there_are_no_grants
    port_is_shut "$server" 22
    has_no_daemon
}

@test "a start in the background ends with 0 once knocks are heard" {
    kill_daemon
    on server portsmithd -c "$conf" 3>&-
    cat /run/portsmith/portsmithd.pid >"$lab/daemon.pid"
    knock ssh
    wait_until 3 port_is_open "$server" 22
    kill -TERM "$(daemon_pid)"
    wait_until 5 has_no_daemon
    port_is_shut "$server" 22
}

@test "started by one that ignores the end of children, with a file open: it does neither" {
    local pid

    kill_daemon
    spawn server "$lab/log/portsmithd.log" python3 -c '
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.set_inheritable(os.open("/etc/hostname", os.O_RDONLY), True)
os.execvp(sys.argv[1], sys.argv[1:])' portsmithd -c "$conf" -f
    echo "$spawned" >"$lab/daemon.pid"
    wait_for_log ready
    for pid in $(daemon_processes); do
        run -1 grep -x /etc/hostname <(readlink "/proc/$pid/fd"/*)
    done
    own_log
    kill -KILL "$(helper_pid)"
    wait_for_log ready
    knock_opens ssh
}

# A /dev of the lab's own, with a system log that writes what it hears.
start_system_log() {
    mkdir -p "$lab/dev"
    mount -t tmpfs -o mode=755 tmpfs "$lab/dev"
    cp -a /dev/null /dev/zero /dev/random /dev/urandom /dev/tty /dev/fd "$lab/dev"
    mount --bind "$lab/dev" /dev
    spawn server "$lab/log/socat.log" socat -u UNIX-RECV:/dev/log,mode=666 \
        "OPEN:$lab/log/system.log,creat,append"
    system_log=$spawned
    wait_until 5 test -S /dev/log
}

stop_system_log() {
    end_process TERM "$system_log"
    umount --lazy /dev "$lab/dev"
}

@test "in the background all processes speak to the system log" {
    kill_daemon
    start_system_log
    on server portsmithd -c "$conf" 3>&-
    cat /run/portsmith/portsmithd.pid >"$lab/daemon.pid"
    knock ssh
    wait_until 5 grep -q -a "portsmith-witness\[[0-9]*\]: ssh: opened tcp/22" "$lab/log/system.log"
    grep -q -a "portsmithd\[[0-9]*\]: ready: " "$lab/log/system.log"
    stop_system_log
}

# As a container may have it: root that may not signal others' processes.
@test "a sniffer that hangs and may not be killed is left behind, and said to be" {
    local old

    kill_daemon
    own_log
    spawn server "$lab/log/portsmithd.log" setpriv --bounding-set=-kill --inh-caps=-kill \
        portsmithd -c "$conf" -f
    echo "$spawned" >"$lab/daemon.pid"
    wait_for_log ready
    old=$(sniffer_pid)
    kill -STOP "$old"
    own_log
    kill -HUP "$(daemon_pid)"
    wait_for_log "the sniffer \(pid $old\) cannot be killed and is left behind.*not permitted"
    wait_for_log "the configuration was reloaded"
    knock_opens ssh
    end_process KILL "$old"
}

@test "a start in the background that fails does not end with 0" {
    run -1 on server portsmithd -c "$conf" 3>&-
    echo "Port = none" >>"$conf"
    run -78 on server portsmithd -c "$conf" 3>&-
    [[ $output == *"$conf:"* ]]
    knock_opens ssh
}

@test "a second daemon does not start" {
    run -1 timeout 60 ip netns exec server portsmithd -c "$conf" -f
    [[ $output == *"$(daemon_pid)"* ]]
    knock_opens ssh
    port_is_open "$server" 22
}

@test "a second daemon with the same state directory does not start" {
    sed "\$a RunDirectory = /run/portsmith-2" "$conf" >"$lab/second.conf"
    run -1 timeout 60 ip netns exec server portsmithd -c "$lab/second.conf" -f
    [[ $output == *another* ]]
    knock_opens ssh
    port_is_open "$server" 22
}

# It may be in a transaction, which the next helper must not meet.
# bats test_tags=iptables
@test "the state directory is locked until iptables has ended, too" {
    local program

    [ "$BACKEND" != nftables ] || skip "it runs no iptables"
    program=$(restore_processes | head -n 1)
    kill -STOP "$program" "$(daemon_pid)" # or it would end what its helper left behind
    kill_all "$(helper_pid)"
    kill_all "$(daemon_pid)"
    run -1 flock --nonblock /var/lib/portsmith true
    kill -CONT "$program" # it finds the end of its input
    wait_until 5 flock --nonblock /var/lib/portsmith true
    wait_until 5 has_no_daemon
    start_daemon
    knock_opens ssh
}

@test "--release opens the ports, and not while the daemon runs" {
    run -1 on server portsmithd --release -c "$conf"
    [[ $output == *"running as pid $(daemon_pid)"* ]]
    port_is_shut "$server" 22
    kill -TERM "$(daemon_pid)" # it waits for one that is about to end
    on server portsmithd --release -c "$conf"
    port_is_open "$server" 22
    wait_until 5 process_is_gone "$(daemon_pid)"
    [ ! -s /run/portsmith/portsmithd.pid ]
    run rules
    [[ $output != *portsmith* ]]
}

# ---- deaths ----------------------------------------------------------------

@test "the sniffer is killed: the pair is replaced, the grant lives and ends in time" {
    local window start

    knock_opens_briefly short
    own_log
    kill_all "$(sniffer_pid)"
    wait_for_log ready
    log_has "took over [1-9]"
    port_is_open "$server" 22
    shuts_in_time "$window" "$start"
    wait_until 2 has_no_grant "$client"
    knock_opens short
    port_is_open "$server" 22
}

@test "the helper is killed: the pair is replaced, the grant lives and ends in time" {
    local window start

    knock_opens_briefly short
    own_log
    kill_all "$(helper_pid)"
    wait_for_log ready
    log_has "took over [1-9]"
    port_is_open "$server" 22
    shuts_in_time "$window" "$start"
    wait_until 2 has_no_grant "$client"
    knock_opens short
    port_is_open "$server" 22
}

# bats test_tags=iptables
@test "the iptables-restore processes are killed: the grant ends in time, knocks work" {
    [ "$BACKEND" != nftables ] || skip "it runs no iptables"
    [ "${GRANT_STORE:-}" != set ] || skip "no program is asked for what is in sets"
    local window start pids

    knock_opens_briefly short
    mapfile -t pids < <(restore_processes)
    restore_processes_are 2
    kill_all "${pids[@]}"
    shuts_in_time "$window" "$start"
    has_no_grant "$client"
    wait_until 15 restore_processes_are 2 # which sweep the rule out
    mapfile -t pids < <(restore_processes)
    kill_all "${pids[@]}"
    knock_opens ssh
    port_is_open "$server" 22
}

@test "the supervisor is killed: its children end, the grant ends in time" {
    local window start

    knock_opens_briefly short
    kill_all "$(process_named portsmithd)"
    wait_until 5 has_no_daemon
    [ "$(grant_count "$client")" -eq 2 ]
    port_is_open "$server" 22
    shuts_in_time "$window" "$start"
    start_daemon
    port_is_shut "$server" 22
    has_no_grant "$client"
    knock_opens short
    port_is_open "$server" 22
}

# It has opened the state directory a second time, for the lock.
a_start_waits() {
    local pid

    pid=$(process_named portsmith-prepa) &&
        [ "$(readlink "/proc/$pid/fd/"* | grep -cx /var/lib/portsmith)" -gt 1 ]
}

@test "the supervisor is killed while the helper is busy: a new start waits for the helper" {
    local helper

    helper=$(helper_pid)
    kill -STOP "$helper"
    end_process KILL "$(daemon_pid)"
    (wait_until 10 a_start_waits && kill -CONT "$helper") &
    start_daemon
    knock_opens ssh
    port_is_open "$server" 22
}

@test "all processes are killed: the grant ends in time, a new start says so and works" {
    local window start

    knock_opens_briefly short
    kill_daemon
    has_no_daemon
    port_is_open "$server" 22
    shuts_in_time "$window" "$start"
    start_daemon
    wait_for_log "short: tcp/22 for $client has ended: the window is over"
    port_is_shut "$server" 22
    kill_daemon
    start_daemon
    knock_opens short
    log_lacks "short: tcp/22 for $client has ended" # that was told before
    port_is_open "$server" 22
}

@test "a restart takes live grants over, with the time they have left" {
    local window start

    knock_opens_briefly short
    kill_daemon
    start_daemon
    log_has "took over [1-9]"
    [ "$(grant_count "$client")" -eq 2 ]
    port_is_open "$server" 22
    shuts_in_time "$window" "$start"
    wait_until 2 has_no_grant "$client"
}

# The pauses that were logged, in seconds.
pauses() {
    daemon_log | sed -n 's/.*: starting again in \([0-9]*\) s$/\1/p' | xargs
}

# What does it is called with the sniffer; each start took as long as is said, the first none.
is_started_later_and_later() { # COMMAND...
    local pause start

    for pause in 0 1 2; do
        start=$(now_ms)
        "$@" "$(sniffer_pid)"
        wait_until $((pause + 15)) log_count_exceeds " ready: " "$pause"
        [ $(($(now_ms) - start)) -ge $((pause * 1000)) ]
    done
    [ "$(pauses)" = "1 2" ]
    knock_opens ssh
}

@test "a child that keeps dying is started again, later and later" {
    is_started_later_and_later kill_all
}

# As if a capture had ended, which no interface's end bears out.
@test "a sniffer that keeps saying that its capture has ended is started again, later and later" {
    has_its_capture_end() { # SNIFFER
        "$inspect" force "$1" exit_group 3
        wait_for_log "the sniffer \(pid $1\) exited with status 3"
    }

    is_started_later_and_later has_its_capture_end
}

# ---- reloads ---------------------------------------------------------------

@test "a reload of a broken configuration keeps the old one and names file and line" {
    knock_opens ssh
    echo "Colour = blue" >>"$conf"
    kill -HUP "$(daemon_pid)"
    wait_for_log "$conf:$(wc -l <"$conf"): "
    wait_for_log "was not reloaded"
    port_is_open "$server" 22
    knock_until "ssh: extended" ssh
}

@test "a reload does not change the user, which takes a restart" {
    echo "User = nobody" >>"$conf"
    kill -HUP "$(daemon_pid)"
    wait_for_log "restart portsmithd to change User; it is 'portsmith' now"
    wait_for_log "was not reloaded"
    knock_opens ssh
}

@test "a reload of a broken profile keeps the old ones" {
    local before

    before=$(helper_pid)
    sed -i.good 's/^Open.*/Open = tcp-22/' /etc/portsmith.d/ssh.conf
    kill -HUP "$(daemon_pid)"
    wait_for_log "/etc/portsmith.d/ssh.conf:[0-9]+: "
    mv /etc/portsmith.d/ssh.conf.good /etc/portsmith.d/ssh.conf
    [ "$(helper_pid)" = "$before" ]
    knock_opens ssh
}

@test "a revoked client is out, even when another file cannot be read" {
    add_profile leaving --open tcp/22
    wait_for_log reloaded
    knock_opens leaving --address "$other"
    port_is_open "$server" 22 "$other"
    mv "$conf" "$conf.good"
    { cat "$conf.good" && echo "Colour = blue"; } >"$conf"
    rm /etc/portsmith.d/leaving.conf
    kill -HUP "$(daemon_pid)"
    wait_for_log "dropped 1 profile: the file was removed"
    wait_until 5 has_no_grant "$other"
    mv "$conf.good" "$conf"
    port_is_shut "$server" 22 "$other"
    fence
    knock leaving --address "$other"
    fence
    has_no_grant "$other"
    wait_for_log "leaving: tcp/22 for $other has ended: it is no longer permitted|a removed profile: tcp/22 for $other has ended"
}

@test "SIGUSR1 logs what was counted so far, and nothing else happens" {
    local processes rules

    on server portsmithctl close --all # no other test's window ends meanwhile
    knock_opens ssh
    processes=$(daemon_processes) rules=$(rules)
    own_log
    kill -USR1 "$(daemon_pid)"
    wait_for_log "seen [0-9]+: garbage"
    knock_until "ssh: extended" ssh # by when whatever else it does would have been told
    daemon_log
    [ "$(log_count "")" -eq 2 ]
    [ "$(daemon_processes)" = "$processes" ]
    [ "$(rules | wc -l)" -eq "$(wc -l <<<"$rules")" ]
}

@test "a reload keeps live grants, closes those of removed profiles, hears new ones" {
    add_profile going --open tcp/22
    wait_for_log reloaded
    knock_opens ssh
    knock_opens going --address "$other"
    rm /etc/portsmith.d/going.conf
    add_profile coming --open tcp/23
    wait_until 5 log_count_exceeds " reloaded" 1
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
    has_no_grant "$other"
    knock_opens coming
    rm /etc/portsmith.d/coming.conf
}

@test "a reload shuts what was added to Shut and opens what was taken out" {
    port_is_open "$server" 23
    sed -i 's|^Shut = .*|Shut = tcp/22 tcp/23|' "$conf"
    reload_daemon
    port_is_shut "$server" 23
    port_is_shut "$server" 22
    sed -i 's|^Shut = .*|Shut = tcp/23|' "$conf"
    reload_daemon
    port_is_shut "$server" 23
    port_is_open "$server" 22
    sed -i '/^Shut = /d' "$conf"
    reload_daemon
    port_is_open "$server" 23
    port_is_open "$server" 22
}

# ---- the state directory ---------------------------------------------------

small_state() {
    kill_daemon
    mkdir -p "$lab/state"
    mount -t tmpfs -o size=64k,mode=700 tmpfs "$lab/state"
    echo "StateDirectory = $lab/state" >>"$conf"
}

fill_state() {
    head -c 1M /dev/zero >"$lab/state/filler" 2>/dev/null || true
}

@test "a full state directory: knocks are refused, the log says why, nothing opens" {
    small_state
    start_daemon
    truncate -s 0 "$lab/state/marks" # else the page that is there already does
    fill_state
    knock_until "ssh: refused for $client: its mark could not be stored" ssh
    log_has "No space left"
    has_no_grant "$client"
    port_is_shut "$server" 22
    rm "$lab/state/filler"
    knock_opens ssh
    port_is_open "$server" 22
    kill_daemon
    umount "$lab/state"
}

@test "a full state directory at the start: it does not start, the ports stay shut" {
    small_state
    fill_state
    run -1 timeout 60 ip netns exec server portsmithd -c "$conf" -f
    [[ $output == *"No space left"* ]]
    port_is_shut "$server" 22
    umount "$lab/state"
}

@test "a read-only state directory: it does not start, the ports stay shut" {
    small_state
    mount -o remount,ro "$lab/state"
    run -1 timeout 60 ip netns exec server portsmithd -c "$conf" -f
    [[ $output == *"Read-only"* ]]
    port_is_shut "$server" 22
    umount "$lab/state"
}

# ---- interfaces ------------------------------------------------------------

@test "the interface goes down and up: knocks are heard again, by the same sniffer" {
    local before

    before=$(sniffer_pid)
    for _ in 1 2 3; do
        ip -n server link set eth0 down
        ip -n server link set eth0 up
    done
    address_again
    wait_until 5 client_reaches_server
    knock_opens ssh
    port_is_open "$server" 22
    [ "$(sniffer_pid)" = "$before" ]
}

@test "the interface is down at the start: knocks are heard once it is up" {
    kill_daemon
    ip -n server link set eth0 down
    start_daemon
    log_has "interface eth0 is not there or is down"
    own_log
    ip -n server link set eth0 up
    wait_until 10 captures_were_renewed
    address_again
    wait_until 5 client_reaches_server
    knock_opens ssh
    port_is_open "$server" 22
}

# An interface that was down has lost its IPv6 addresses.
address_again() {
    ip -n server address replace 10.77.0.1/24 dev eth0
    ip -n server address replace fd77::1/64 dev eth0 nodad
}

captures_were_renewed() {
    daemon_log | sed -n '/has come or gone/,$p' | grep -q ready
}

client_reaches_server() {
    port_is_open "$server" 23
}

@test "the interface is deleted and made anew: knocks are heard again" {
    ip -n server link delete eth0
    wait_for_log "interface eth0 is not there"
    own_log
    join_hosts server eth0 client eth0
    address_again
    give_address client eth0 10.77.0.2/24 fd77::2/64
    own_addresses
    wait_until 10 captures_were_renewed
    wait_until 5 client_reaches_server
    knock_opens ssh
    port_is_open "$server" 22
}

delete_second_wire() {
    own_log
    ip -n server link delete eth9
    wait_for_log "interface eth9 is not there"
    wait_for_log " ready: "
}

@test "an interface that is deleted again and again is no accident: no pause" {
    sed -i 's/^Interface = .*/Interface = eth0 eth9/' "$conf"
    reload_daemon
    for _ in 1 2 3 4; do
        own_log
        add_wire
        wait_until 10 captures_were_renewed
        delete_second_wire
        log_lacks "starting again in"
    done
    knock_opens ssh
}

# A second wire between the hosts; from here on its addresses are used.
add_wire() {
    join_hosts server eth9 client eth9
    give_address server eth9 10.79.0.1/24 fd79::1/64
    give_address client eth9 10.79.0.2/24 fd79::2/64
}

use_second_wire() {
    server=10.79.0.1 client=10.79.0.2
    [ "$FAMILY" = 4 ] || server=fd79::1 client=fd79::2
}

@test "several interfaces, one of them not there at the start" {
    kill_daemon
    sed -i 's/^Interface = .*/Interface = eth0 eth9/' "$conf"
    start_daemon
    log_has "interface eth9 is not there"
    knock_opens ssh
    own_log
    add_wire
    wait_until 10 captures_were_renewed
    knock_opens ssh
    knock_bytes "$lab/bytes" ssh
    use_second_wire
    send_until "ssh: (opened|extended) tcp/22 for $client" "$lab/bytes"
    port_is_open "$server" 22
    ip -n server link delete eth9
}

@test "a capture on any hears every interface, new ones too" {
    kill_daemon
    sed -i 's/^Interface = .*/Interface = any/' "$conf"
    start_daemon
    knock_opens ssh
    port_is_open "$server" 22
    add_wire
    knock_bytes "$lab/bytes" ssh
    use_second_wire
    send_until "ssh: (opened|extended) tcp/22 for $client" "$lab/bytes"
    port_is_open "$server" 22
    ip -n server link delete eth9
}
