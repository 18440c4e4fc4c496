#!/usr/bin/env bats
# Wall clocks that are wrong, and that are set while everything runs. The programs
# are built with a clock that a test can set (clock.c); the kernel's own, by which it
# ends rules, stays right, so that of those the dates are read.
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/drills/drills.bash"

# shellcheck source=../lib/build.bash
. "$top/tests/lib/build.bash"
export TEST_CLOCK=$lab/clock-client # the daemon, started without it, has its own
hour=3600
window=6

setup_file() {
    mount --bind "$build_directory/clock/stage" /run/lab/stage
    lab_setup
    set_clocks 0 0
    start_listener 22
    configure
    add_fence
    add_profile ssh --open tcp/22 --window "${window}s"
    # The minute before this one to five from now; and until tomorrow.
    add_profile now --open tcp/22 --window 10m \
        --hours "$(LC_ALL=C date -u -d "-1 min" "+%a %H:%M-$(date -u -d "5 min" +%H:%M)")"
    add_profile today --open tcp/22 --window 10m --expires "$(date -u -d "1 day" +%F)"
    cp "$conf" "$lab/conf.good"
}

teardown_file() {
    lab_teardown
    umount /run/lab/stage
    rm -f "$lab/clock" "$lab/clock-client"
}

setup() {
    set_clocks 0 0
    cp "$lab/conf.good" "$conf"
    start_daemon_by_its_clock
    common_setup
}

teardown() {
    drill_teardown
    kill_daemon
    forget_grants
}

start_daemon_by_its_clock() {
    TEST_CLOCK=$lab/clock start_daemon
}

# ---- clocks ----------------------------------------------------------------

# So many seconds off the kernel's.
set_clock() { # FILE SECONDS
    python3 -c '
import os, struct, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
os.pwrite(file, struct.pack("q", int(sys.argv[2]) * 10**9), 0)
' "$1" "$2"
}

set_clocks() { # SERVER CLIENT
    set_clock "$lab/clock" "$1"
    set_clock "$lab/clock-client" "$2"
}

# While it runs.
step_server() { # SECONDS
    local before

    before=$(log_count "the wall clock was set")
    set_clock "$lab/clock" "$1"
    wait_until 10 log_count_exceeds "the wall clock was set" "$before"
}

seconds_until() { # DATE
    echo $(($(date -u -d "$1" +%s) - $(date +%s)))
}

# ---- rules -----------------------------------------------------------------

# The last second of the client's grant, since the epoch.
last_second() {
    date -u +%s -d "$(grant_rules mangle "$client" | sed -n 's/.*--datestop \([^ ]*\).*/\1Z/p')"
}

# Opens the window, and notes between which seconds that was.
open_window() {
    start=$(now_ms) begun_after=$(date +%s)
    knock_opens ssh
    begun_before=$(($(date +%s) + 1))
}

# The rule's date, by a clock that is off by so much: not after the window, and not
# more than two seconds before its end, which whole seconds may cost.
ends_right() { # OFFSET
    local last

    last=$(last_second)
    [ $((last + 1)) -le $((begun_before + $1 + window)) ] &&
        [ $((last + 1)) -ge $((begun_after + $1 + window - 2)) ]
}

# The window's end by the timer, whatever the rule's date.
ends_on_time() {
    local took

    wait_until 15 has_no_grant "$client"
    took=$(($(now_ms) - start))
    [ "$took" -ge $((window * 1000)) ]
    [ "$took" -le $((window * 1000 + 4000)) ]
}

refused_for_its_clock() { # ahead|behind
    knock_until "ssh: refused for $client: its clock is [0-9]+ s $1" ssh
    has_no_grant "$client"
    port_is_shut "$server" 22
}

works_again() {
    knock_opens ssh
    port_is_open "$server" 22
}

# ---- steps -----------------------------------------------------------------

window_survives_step() { # SECONDS
    open_window
    step_server "$1"
    wait_until 4 ends_right "$1"
    ends_on_time
}

@test "the server's clock is set an hour ahead: the window keeps its length, the log names the clock, right again knocks work" {
    window_survives_step $hour
    refused_for_its_clock behind
    step_server 0
    works_again
}

@test "the server's clock is set an hour back: the window keeps its length, the log names the clock, right again knocks work" {
    window_survives_step -$hour
    refused_for_its_clock "ahead of"
    step_server 0
    works_again
}

@test "the server's clock is set again and again within a window: each time the rule has the right date" {
    local offset looked=0

    open_window
    for offset in 60 -60 86400 -86400 31536000 -31536000 1 0; do
        step_server "$offset"
        [ $(($(now_ms) - start)) -lt $((window * 1000 - 500)) ] || break
        wait_until 4 ends_right "$offset" || [ "$(now_ms)" -gt $((start + window * 1000)) ]
        looked=$((looked + 1))
    done
    [ "$looked" -ge 3 ]
    ends_on_time
    step_server 7
    step_server 0
    works_again
}

@test "the server's clock is set while the helper is gone: the grant that is taken over ends on time" {
    open_window
    kill_daemon
    set_clock "$lab/clock" $hour
    start_daemon_by_its_clock
    log_has "took over 1 live grant"
    ends_right $hour
    ends_on_time
}

grant_ends_by_step() { # NAME SECONDS
    knock_opens "$1"
    port_is_open "$server" 22
    step_server "$2"
    wait_for_log "$1: tcp/22 for $client has ended"
    has_no_grant "$client"
    port_is_shut "$server" 22
}

@test "the server's clock is corrected out of a profile's Hours: its live grant ends" {
    grant_ends_by_step now 600
}

@test "the server's clock is corrected beyond a profile's last day: its live grant ends" {
    grant_ends_by_step today $((3 * 86400))
}

@test "the server's clock is corrected within Hours: the live grant ends with them, not before" {
    local before

    knock_opens now
    before=$(last_second)
    step_server 60
    on server portsmithctl -c "$conf" list # once the helper has done with the step
    [ $(($(last_second) - before)) -le 2 ] # the wall clock's end of the Hours has not moved
    port_is_open "$server" 22
}

# ---- years -----------------------------------------------------------------

@test "the server is in 1970: knocks are refused and the log names the clock; right again they work" {
    kill_daemon
    rm -f /var/lib/portsmith/marks
    set_clock "$lab/clock" "$(seconds_until 1970-01-01T00:10:00Z)"
    start_daemon_by_its_clock
    own_log
    refused_for_its_clock "ahead of"
    step_server 0
    works_again
}

@test "the server is in 1970 and does not mind: windows end, before and after its clock is right" {
    local years

    kill_daemon
    rm -f /var/lib/portsmith/marks
    echo "MaxSkew = off" >>"$conf"
    years=$(seconds_until 1970-01-01T00:10:00Z)
    set_clock "$lab/clock" "$years"
    start_daemon_by_its_clock
    own_log
    open_window
    ends_right "$years"
    ends_on_time
    open_window
    step_server 0
    wait_until 4 ends_right 0
    ends_on_time
}

@test "the server is in 2099: nothing opens that the kernel could not end; right again knocks work" {
    refused_for_2099() {
        knock_until "ssh: refused for $client: $1" ssh
        has_no_grant "$client"
        port_is_shut "$server" 22
    }

    step_server "$(seconds_until 2099-01-01T00:00:00Z)"
    refused_for_2099 "its clock is [0-9]+ s behind"
    echo "MaxSkew = off" >>"$conf"
    reload_daemon
    refused_for_2099 "the firewall could not be changed"
    cp "$lab/conf.good" "$conf"
    set_clock "$lab/clock" 0
    reload_daemon
    works_again
}

@test "the client is in 2099: refused, the log names the clock; right again its knocks work" {
    set_clock "$lab/clock-client" "$(seconds_until 2099-01-01T00:00:00Z)"
    refused_for_its_clock "ahead of"
    refused_for_its_clock "ahead of"
    set_clock "$lab/clock-client" 0
    knock ssh 2>"$lab/warning"
    grep -q clock "$lab/warning"
    wait_until 5 port_is_open "$server" 22
    works_again
}

@test "the client is in 1970: refused, the log names the clock; right again its knocks work" {
    set_clock "$lab/clock-client" "$(seconds_until 1970-01-02T00:00:00Z)"
    refused_for_its_clock behind
    set_clock "$lab/clock-client" 0
    works_again
}

# ---- time that passes ------------------------------------------------------

@test "the state directory is restored from a backup: knocks older than MaxSkew are refused" {
    local state=/var/lib/portsmith

    cp "$state/marks" "$lab/marks.backup"
    knock_bytes "$lab/recorded" ssh
    send_until "ssh: opened" "$lab/recorded"
    wait_until 10 has_no_grant "$client"
    stop_daemon
    cp "$lab/marks.backup" "$state/marks"
    set_clocks 400 400
    start_daemon_by_its_clock
    send_until "ssh: refused for $client: its clock is 40[0-9] s behind" "$lab/recorded"
    send_bytes "$lab/recorded" "$other"
    works_again
    has_no_grant "$other"
}
