#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# What a service manager is told, and when: sd_notify(3)'s datagrams.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    configure
}

teardown_file() {
    lab_teardown
}

setup() {
    keep_configuration
    said=$lab/log/said.$BATS_TEST_NUMBER
}

teardown() {
    common_teardown
    [ ! -e "$lab/daemon.pid" ] || stop_daemon
    end_process KILL "$listener"
    restore_configuration
}

# Starts the listener; what it says of the firewall at READY=1 is in $said.ready.
listen_as_manager() { # [SOCKET]
    export NOTIFY_SOCKET=${1:-$said.socket}
    spawn server "$lab/log/manager.log" "$top/tests/tools/manager.py" "$NOTIFY_SOCKET" "$said" \
        "$(command -v iptables-"$XTABLES")" -w 5 -t mangle -S portsmith-close
    listener=$spawned
    wait_until 5 test -e "$said"
}

said_count() { # PATTERN
    grep -c -E -e "$1" "$said" || true
}

was_said() { # PATTERN [TIMES]
    [ "$(said_count "$1")" -ge "${2:-1}" ]
}

wait_for_word() { # PATTERN [TIMES]
    wait_until 10 was_said "$@" || { cat "$said" && return 1; }
}

# The third argument of poll(2), where the supervisor waits, in /proc/PID/syscall.
waits_for_ever() {
    [ "$(awk '{ print $4 }' "/proc/$(daemon_pid)/syscall")" = 0xffffffff ]
}

@test "READY comes once the ports are shut, with a STATUS" {
    listen_as_manager
    start_daemon
    wait_for_word '^READY=1$'
    grep -- '--dport 22 ' "$said.ready"
    [ "$(head -n 1 "$said")" = "STATUS=ready: 0 profiles, 1 shut port" ]
    [ "$(said_count ^READY)" -eq 1 ]
}

@test "an abstract socket will do" {
    listen_as_manager "@portsmith-lab"
    start_daemon
    wait_for_word '^READY=1$'
}

@test "RELOADING has its time, and READY ends it, also where nothing could be reloaded" {
    listen_as_manager
    start_daemon
    reload_daemon
    wait_for_word '^READY=1$' 2
    [[ $(sed -n 3p "$said") =~ ^RELOADING=1\ MONOTONIC_USEC=[0-9]+$ ]]
    echo "Nonsense = 1" >>"$conf"
    kill -HUP "$(daemon_pid)"
    wait_for_word '^READY=1$' 3
    [ "$(said_count ^RELOADING)" -eq 2 ]
}

@test "STOPPING comes before the end, and no READY after it" {
    listen_as_manager
    start_daemon
    stop_daemon
    wait_for_word '^STOPPING=1$'
    [ "$(tail -n 1 "$said")" = STOPPING=1 ]
}

@test "a pair that died is told, and so is the next" {
    listen_as_manager
    start_daemon
    kill -KILL "$(helper_pid)"
    wait_for_word '^STATUS=.*starting again'
    wait_for_word '^STATUS=ready' 2
}

# bats test_tags=nft
@test "rules that are not in force are told, and what becomes of it" {
    local remover

    listen_as_manager
    start_daemon
    spawn server "$lab/log/remover" bash -c 'while sleep 0.02; do nft flush ruleset; done'
    remover=$spawned
    wait_for_word "^STATUS=another program keeps removing Portsmith's rules, see the log; ready: "
    wait_for_word "^STATUS=NOT IN FORCE: another program removed Portsmith's rules, see the log; ready"
    end_process TERM "$remover"
    wait_until 10 eval '[[ $(tail -n 1 "$said") == "STATUS=another program keeps removing"* ]]'
    wait_until 70 eval '[[ $(tail -n 1 "$said") == "STATUS=ready: "* ]]'
}

@test "the watchdog is fed, where there is one" {
    export WATCHDOG_USEC=200000
    listen_as_manager
    start_daemon
    wait_for_word '^WATCHDOG=1$' 3
    run ! waits_for_ever
}

@test "without a watchdog the supervisor waits for ever" {
    listen_as_manager
    start_daemon
    wait_for_word '^READY=1$'
    wait_until 5 waits_for_ever
    [ "$(said_count ^WATCHDOG)" -eq 0 ]
}

@test "a manager that went away is not missed" {
    listen_as_manager
    end_process TERM "$listener"
    start_daemon
    reload_daemon
    stop_daemon
}
