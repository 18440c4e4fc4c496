#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# Backend = auto while the iptables programs are missing, and when `iptables` becomes
# another.
# bats file_tags=backend,iptables
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    start_listener 22
    use_iptables "$XTABLES"
    configure "Backend = auto"
    add_fence
    add_profile ssh --open tcp/22 --window 1m
    keep_configuration
}

teardown_file() {
    lab_teardown
    use_iptables nft
}

setup() {
    use_iptables "$XTABLES"
    restore_configuration
    listen_as_manager
    start_daemon
    common_setup
}

teardown() {
    common_teardown
    ! is_taken_away || give_back
    [ ! -e "$lab/daemon.pid" ] || stop_daemon
    end_process KILL "$listener"
    on server portsmithd -c "$conf" --release
}

# Where STATUS goes.
listen_as_manager() {
    said=$lab/log/said.$BATS_TEST_NUMBER
    export NOTIFY_SOCKET=$said.socket
    spawn server "$lab/log/manager.log" "$top/tests/tools/manager.py" "$NOTIFY_SOCKET" "$said" true
    listener=$spawned
    wait_until 5 test -e "$said"
}

process() { # supervisor, sniffer, helper or program
    case $1 in
    supervisor) process_named portsmithd ;;
    helper) process_named portsmith-helpe ;;
    program) process_named '(xtables|iptables|ip6tables).*' ;;
    esac
}

# One program by many names, for both families.
program() {
    readlink -f "/usr/sbin/iptables-$XTABLES-restore"
}

# As update-alternatives(1) does, too, `iptables` becomes what is left.
take_away() {
    use_iptables "$(other_backend)"
    : >"$lab/nothing"
    chmod 644 "$lab/nothing"
    in_daemon_mounts mount --bind "$lab/nothing" "$(program)"
}

is_taken_away() {
    process supervisor && in_daemon_mounts mountpoint -q "$(program)"
}

give_back() {
    in_daemon_mounts umount "$(program)"
}

kill_helper() {
    end_process KILL "$(process helper)"
}

kill_programs() {
    local pids

    mapfile -t pids < <(process program)
    [ "${#pids[@]}" -eq 0 ] || kill -KILL "${pids[@]}"
}

# Lists, and makes no tables.
other_has_no_rules() {
    ! on server "iptables-$(other_backend)-save" 2>/dev/null | grep portsmith &&
        ! on server "ip6tables-$(other_backend)-save" 2>/dev/null | grep portsmith
}

status_says() { # PATTERN
    on server portsmithctl status | grep -E "$1"
}

was_said() { # PATTERN
    grep -E "$1" "$said"
}

# Strangers, too, are as before: what Portsmith wrote is where it was. Who says that the other back
# end works has just tried it, in chains that are gone at once.
shut_as_before() {
    port_is_shut "$server" 22 "$other" && chain mangle portsmith-shut | grep -q -e '-j DROP' &&
        wait_until 5 other_has_no_rules
}

missing() {
    echo "iptables-$BACKEND is not installed"
}

is_told_everywhere() {
    wait_for_log "$(missing)" 10
    wait_until 10 status_says "^helper +NOT RUNNING: being started again; $(missing)"
    status_says "^firewall +iptables-$BACKEND;"
    wait_until 10 was_said "^STATUS=.*$(missing)"
    run -4 in_daemon_mounts portsmithctl doctor
    [[ $output == *"starting them again ($(missing)"* ]]
}

goes_on() {
    wait_until 70 status_says "^firewall +iptables-$BACKEND, "
    knock_opens ssh --address "$other"
    port_is_open "$server" 22 "$other"
    other_has_no_rules
}

@test "the helper dies while its program is missing: nothing moves, all is told, and it goes on" {
    knock_opens ssh
    take_away
    kill_helper
    is_told_everywhere
    shut_as_before
    give_back
    goes_on
}

@test "the program is missing when it is to be started again: told, and it goes on" {
    take_away
    kill_programs
    knock ssh
    wait_for_log "tables-$XTABLES-restore may not be run" 15
    is_told_everywhere
    port_is_shut "$server" 22
    shut_as_before
    give_back
    goes_on
}

@test "a reload while the program is missing is refused, and moves nothing" {
    take_away
    run -1 on server portsmithctl reload
    shut_as_before
    kill_helper
    run -1 on server portsmithctl reload
    shut_as_before
    give_back
    goes_on
}

@test "a release while the program is missing does not claim that anything is open" {
    take_away
    kill_helper
    wait_for_log "$(missing)" 10
    run -1 on server portsmithctl release
    [[ $output == *"rules may remain"* ]]
    wait_for_log "stopped; rules may remain"
    chain mangle portsmith-shut | grep -e '-j DROP'
    rm -f "$lab/daemon.pid"
}

@test "a release without a daemon while the program is missing does not claim that, either" {
    local command

    stop_daemon
    for command in "portsmithctl release" "portsmithd --release"; do
        run -1 timeout 60 ip netns exec server sh -c "
            mount --bind /dev/null $(program) && exec $command"
        [[ $output == *"rules may remain"*"$(missing)"* ]]
    done
    port_is_shut "$server" 22 "$other"
}

# What the rules of iptables shut stays shut, but to knocks, too.
@test "a start while the program is missing takes nftables, and says so and what is left" {
    stop_daemon
    own_log
    spawn server "$lab/log/portsmithd.log" sh -c "
        mount --bind /dev/null $(program) && exec portsmithd -c $conf -f"
    echo "$spawned" >"$lab/daemon.pid"
    wait_for_log " ready: " 15
    log_has "the back end is nftables: $(missing)"
    wait_for_log "rules of another back end than nftables may remain: $(missing)"
    status_says "^firewall +nftables"
    shut_as_before
}

@test "what iptables is on the host counts anew when a reload changes Backend" {
    use_iptables "$(other_backend)"
    reload_daemon
    kill_helper
    goes_on
    sed -i "s/^Backend = .*/Backend = $(backend_word "$BACKEND")/" "$conf"
    reload_daemon
    restore_configuration
    reload_daemon
    status_says "^firewall +iptables-$(other_backend), "
    ! chain mangle portsmith-shut | grep . || false
    port_is_shut "$server" 22
}
