#!/usr/bin/env bats
# Wall clocks that are wrong, and that are set while everything runs. The programs
# are built with a clock that a test can set (clock.c); the kernel's own, by which it
# ends rules, stays right, so that of those the dates are read.
# Once: each test waits for windows to end; the other back end is for tests/run platforms.
# bats file_tags=once:legacy
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0
. "$top/tests/lib/drills.bash"

# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"
export TEST_CLOCK=$lab/clock-client # the daemon, started without it, has its own
hour=3600

setup_file() {
    mount --bind "$build_directory/clock/stage" /run/lab/stage
    mount --bind "$build_directory/clock/stage" "$stage" # where portsmithd has its helper
    lab_setup
    set_clocks 0 0
    start_listener 22
    window=$(long_enough 6)
    export window
    configure
    add_fence
    add_profile ssh --open tcp/22 --window "${window}s"
    add_profile today --open tcp/22 --window 10m --expires "$(date -u -d "1 day" +%F)"
    keep_configuration
}

teardown_file() {
    lab_teardown
    umount /run/lab/stage "$stage"
    rm -f "$lab/clock" "$lab/clock-client"
}

setup() {
    set_clocks 0 0
    restore_configuration
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

# The last second of the client's grant, since the epoch, by whichever clock.
last_second() {
    date -u +%s -d "$(xtables -t mangle -S portsmith-shut |
        sed -n "s|.* -s $client/.*--datestop \([^ ]*\).*|\1Z|p")"
}

window_is_over="ssh: tcp/22 for .* has ended: the window is over"

# Opens the window, and notes between which seconds that was.
open_window() {
    ended=$(log_count "$window_is_over")
    begin_timing
    start=$timed_from begun_after=$(date +%s)
    knock_opens ssh --window "${window}s"
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

# The window's end by the timer, whatever the rule's date. Its rule goes later: by the kernel's own
# clock, which is another one here, it may let something through until then.
ends_on_time() {
    local took

    wait_until $((window + 9)) log_count_exceeds "$window_is_over" "$ended"
    took=$(($(now_ms) - start))
    [ "$took" -ge $((window * 1000)) ]
    took_at_most $((window * 1000 + $(slack 4000)))
    wait_until 15 has_no_grant "$client"
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
    [ "$looked" -ge 2 ] # to replace the helper takes a while
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

# The second in which the kernel ends the trial, since the epoch.
trial_end() {
    date -u +%s -d "$(xtables -t mangle -S portsmith | sed -n 's/.*--datestart \([^ ]*\).*/\1Z/p')"
}

# Or one second from it, as the two clocks are not read at one stroke.
trial_ends_at() { # SECOND
    local difference=$(($(trial_end) - $1))

    [ "${difference#-}" -le 1 ]
}

@test "the server's clock is set while it is on trial: the trial ends when it was to end" {
    local end offset

    stop_daemon
    on server portsmithd --release
    daemon_options=(--trial 10m)
    start_daemon_by_its_clock
    daemon_options=()
    end=$(trial_end)
    for offset in 3600 -3600 86400; do
        step_server "$offset"
        wait_until 4 trial_ends_at $((end + offset))
    done
    stop_daemon
    port_is_open "$server" 22
    rm /var/lib/portsmith/trial # it was not kept
}

grant_ends_by_step() { # NAME SECONDS
    knock_opens "$1"
    port_is_open "$server" 22
    step_server "$2"
    wait_for_log "$1: tcp/22 for $client has ended"
    has_no_grant "$client"
    port_is_shut "$server" 22
}

new_profile() { # NAME [OPTION of portsmith-profile create...]
    local before

    before=$(log_count ' reloaded')
    add_profile "$1" --open tcp/22 --window "${window}s" "${@:2}"
    wait_until 15 log_count_exceeds ' reloaded' "$before"
}

@test "the server's clock is corrected beyond a profile's last day: its live grant ends" {
    grant_ends_by_step today $((3 * 86400))
}

@test "the server's clock is corrected on a profile's last day: the live grant ends with that day, not before" {
    local day before offset

    day=$(date -u -d "1 day" +%F)
    new_profile ending --window 10m --expires "$day"
    offset=$(($(seconds_until "$day + 1 day") - 300)) # five minutes to midnight
    set_clock "$lab/clock-client" "$offset"
    step_server "$offset"
    knock_opens ending
    before=$(last_second)
    step_server $((offset + 60))
    on server portsmithctl -c "$conf" list # once the helper has done with the step
    [ $(($(last_second) - before)) -le 2 ] # the wall clock's midnight has not moved
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
    restore_configuration
    set_clock "$lab/clock" 0
    reload_daemon
    works_again
}

@test "the server is in 2099: nothing is tried that the kernel could not end" {
    kill_daemon
    on server portsmithd --release
    set_clock "$lab/clock" "$(seconds_until 2099-01-01T00:00:00Z)"
    run -78 env TEST_CLOCK="$lab/clock" ip netns exec server portsmithd -c "$conf" --trial 10m
    [[ $output == *"a trial could not end by itself"*"set this host's clock right"* ]]
    port_is_open "$server" 22
}

@test "with MaxSkew = off, a close by a client in 2099 ends its grant, and a knock by its right clock opens again" {
    echo "MaxSkew = off" >>"$conf"
    reload_daemon
    works_again
    set_clock "$lab/clock-client" "$(seconds_until 2099-01-01T00:00:00Z)"
    knock_until "ssh: closed" --close ssh
    port_is_shut "$server" 22
    set_clock "$lab/clock-client" 0
    works_again
}

sends_for_nothing() { # FILE PATTERN
    send_until "$2" "$1" "$other"
    has_no_grant "$other"
}

@test "a knock that was refused as ahead of the clock never counts; with a right clock the client is let in at once" {
    knock_bytes "$lab/warm-up" ssh # so that the client's counter is of now
    set_clock "$lab/clock-client" 400
    knock_bytes "$lab/recorded" ssh
    send_until "ssh: refused for $client: its clock is [0-9]+ s ahead of this host's; allowed 300; it was for" "$lab/recorded"
    set_clock "$lab/clock-client" 0
    works_again
    kill_daemon
    set_clocks 200 200
    start_daemon_by_its_clock
    sends_for_nothing "$lab/recorded" "ssh: refused for $other: it was refused before, when its clock was ahead of this host's, and never counts"
    works_again
    stop_daemon
    start_daemon_by_its_clock
    sends_for_nothing "$lab/recorded" "ssh: refused for $other: it was refused before"
}

@test "of more knocks ahead of the clock than can be noted the first to become timely never count, and the log says so" {
    local i

    new_profile noted
    for i in 1 2 3; do
        set_clock "$lab/clock-client" $((400 + i))
        knock_bytes "$lab/recorded$i" noted
    done
    send_until "noted: refused for $client: .* ahead of this host's; allowed 300; it was for" "$lab/recorded3"
    send_until "noted: refused for $client: .* ahead of this host's; allowed 300; it was for" "$lab/recorded2"
    send_until "noted: refused for $client: .*; allowed 300; there was no room to note all of these: somebody who recorded one can use it once its time comes, unless it has a signed address" "$lab/recorded1"
    set_clocks 200 0
    wait_for_log "the wall clock was set"
    sends_for_nothing "$lab/recorded1" "noted: refused for $other: it was refused before"
    sends_for_nothing "$lab/recorded2" "noted: refused for $other: it was refused before"
    set_clocks 0 0
}

@test "a profile is added while the server is in 2099: right again its knocks work, while it runs and after a restart" {
    local far

    far=$(seconds_until 2099-01-01T00:00:00Z)
    step_server "$far"
    new_profile young
    step_server 0
    knock_opens young
    step_server "$far"
    new_profile younger
    kill_daemon
    set_clock "$lab/clock" 0
    start_daemon_by_its_clock
    knock_opens younger
}

@test "with MaxSkew = off, a profile that is added while the server is in 2099 stays out until then, and the log says how long" {
    echo "MaxSkew = off" >>"$conf"
    reload_daemon
    step_server "$(seconds_until 2099-01-01T00:00:00Z)"
    new_profile youngest
    step_server 0
    knock_until "youngest: refused for $client: older than the moment .* it is heard in [0-9]{8,} s" youngest
}

@test "with MaxSkew = off, the last eight knocks of a client were of 2099: the log says what shuts it out" {
    echo "MaxSkew = off" >>"$conf"
    new_profile ahead
    set_clock "$lab/clock-client" "$(seconds_until 2099-01-01T00:00:00Z)"
    for _ in {1..8}; do
        knock_opens ahead
    done
    set_clock "$lab/clock-client" 0
    knock_until "ahead: refused for $client: it knocked while its clock was ahead of this host's; it is heard in [0-9]{8,} s" ahead
    knock_opens ssh
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
    wait_until $((window + 4)) has_no_grant "$client"
    stop_daemon
    cp "$lab/marks.backup" "$state/marks"
    set_clocks 400 400
    start_daemon_by_its_clock
    send_until "ssh: refused for $client: its clock is 4[0-9][0-9] s behind" "$lab/recorded"
    send_bytes "$lab/recorded" "$other"
    works_again
    has_no_grant "$other"
}
