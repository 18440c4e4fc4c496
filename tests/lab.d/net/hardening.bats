#!/usr/bin/env bats
# What the running processes can still do, as the kernel tells it.
# bats file_tags=backend
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0
. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    configure
    add_profile ssh --open tcp/22
    start_daemon
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
}

teardown() {
    common_teardown
}

field() { # PID FIELD of /proc/PID/status
    sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

sniffer() {
    process_named portsmith-sniff
}

helper() {
    process_named portsmith-helpe
}

all_sets_are() { # PID MASK
    local set

    for set in CapInh CapPrm CapEff CapBnd; do
        [ "$(field "$1" "$set")" = "$2" ]
    done
    [ "$(field "$1" CapAmb)" = 0000000000000000 ]
}

# Without the capability, as a unit of systemd starts it, the limit counts. With checked programs
# mlock does nothing, and succeeds.
# bats test_tags=installed
@test "keys that cannot be locked in memory are told of" {
    log_lacks "locked in memory"
    stop_daemon
    own_log
    spawn server "$lab/log/portsmithd.log" prlimit --memlock=0:0 setpriv --bounding-set=-ipc_lock \
        portsmithd -c "$conf" -f
    echo "$spawned" >"$lab/daemon.pid"
    wait_for_log "the profiles' keys cannot be locked in memory"
    wait_for_log ready
    stop_daemon
    start_daemon
}

@test "there is one of each process" {
    [ "$(sniffer | wc -l)" -eq 1 ]
    [ "$(helper | wc -l)" -eq 1 ]
}

@test "the sniffer is its own user, in no group but its own" {
    local uid

    uid=$(id -u portsmith)
    [ "$uid" -ne 0 ]
    [ "$(field "$(sniffer)" Uid | tr '\t' ' ')" = "$uid $uid $uid $uid" ]
    grep -q -x 'Groups:[[:space:]]*' "/proc/$(sniffer)/status"
}

@test "the sniffer has no capability in any set and gains none by exec" {
    all_sets_are "$(sniffer)" 0000000000000000
    [ "$(field "$(sniffer)" NoNewPrivs)" = 1 ]
}

@test "the sniffer's system calls are filtered" {
    [ "$(field "$(sniffer)" Seccomp)" = 2 ]
}

@test "the sniffer's root directory is empty and nobody else can write it" {
    [ "/proc/$(sniffer)/root/." -ef /run/portsmith/empty ]
    [ -z "$(ls -A /run/portsmith/empty)" ]
    [ "$(stat -c '%u %a' /run/portsmith/empty)" = "0 755" ]
}

@test "the sniffer holds no descriptor but its sockets" {
    local fd

    for fd in "/proc/$(sniffer)/fd"/*; do
        [ "${fd##*/}" -le 2 ] || [[ "$(readlink "$fd")" == socket:* ]]
    done
}

@test "the helper has the capabilities that iptables needs, and those alone" {
    local mask=0000000000001000

    [ "$BACKEND" != legacy ] || mask=0000000000003000
    all_sets_are "$(helper)" "$mask"
    [ "$(field "$(helper)" NoNewPrivs)" = 1 ]
}

@test "what the helper runs has no more than the helper" {
    local child children

    children=$(ps -o pid= --ppid "$(helper)" || true) # without any it fails
    [ "$(wc -w <<<"$children")" -eq "$([ "$BACKEND" = nftables ] && echo 0 || echo 2)" ]
    for child in $children; do
        [ "$(field "$child" CapEff)" = "$(field "$(helper)" CapEff)" ]
        [ "$(field "$child" CapBnd)" = "$(field "$(helper)" CapBnd)" ]
        [ "$(tr -d '\0' <"/proc/$child/environ")" = "" ]
    done
}

# By root that may trace nobody: it may look into its own processes that have no more
# capabilities and can be dumped (ptrace(2), access mode checking).
equals_look_into() { # PID
    setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace readlink "/proc/$1/exe"
}

# A program that gets cores by core_pattern gets them whatever the limit.
@test "neither process can be made to dump its memory" {
    local pid children

    for pid in "$(sniffer)" "$(helper)"; do
        grep -q '^Max core file size *0 *0 ' "/proc/$pid/limits"
    done
    [ "$(stat -c %u "/proc/$(sniffer)/mem")" -eq 0 ] # else its user's
    read -r -d '' -a children < <(ps -o pid= --ppid "$(helper)") || true
    [ "$BACKEND" = nftables ] || equals_look_into "${children[0]}" # of a program that keeps no secret
    run -1 equals_look_into "$(helper)"
}

@test "the sniffer's keys are in its memory alone, not in what others see of it" {
    [ "$(tr '\0' ' ' <"/proc/$(sniffer)/cmdline")" = "portsmith-sniffer " ]
    [ "$(tr -d '\0' <"/proc/$(sniffer)/environ")" = "" ]
}

@test "the sniffer refuses to be started by hand, and takes no arguments" {
    local program=/run/lab/stage/libexec/portsmith/portsmith-sniffer

    run "$program"
    [ "$status" -eq 1 ]
    [[ "$output" == *"started by portsmithd, never by hand"* ]]
    run "$program" --help
    [ "$status" -eq 2 ]
}

@test "the helper refuses to be started by hand" {
    run "/proc/$(helper)/exe"
    [ "$status" -eq 1 ]
    [[ "$output" == *"started by portsmith-prepare, never by hand"* ]]
}

@test "the helper takes no arguments" {
    run "/proc/$(helper)/exe" --help
    [ "$status" -eq 2 ]
}
