# shellcheck shell=bash
# What the drills share besides what the lab tests share.
# shellcheck disable=SC2034,SC2154 # `top` is the lab's
. "$top/tests/net/net.bash"

# ---- processes -------------------------------------------------------------

helper_pid() {
    process_named portsmith-helpe
}

sniffer_pid() {
    process_named portsmith-sniff
}

# The standing iptables-restore of FAMILY.
restore_pid() {
    local six="" name

    [ "$FAMILY" = 4 ] || six=6
    name=ip${six}tables-$BACKEND-restore
    process_named "${name:0:15}"
}

# Kills them at one stroke.
kill_all() { # PID...
    local pid

    kill -KILL "$@"
    for pid; do
        wait_until 10 process_is_gone "$pid"
    done
}

kill_daemon() {
    local pids

    mapfile -t pids < <(daemon_processes)
    [ "${#pids[@]}" -eq 0 ] || kill_all "${pids[@]}"
}

# As after a boot: the next start takes nothing over.
forget_grants() {
    find /run/portsmith -type f -name grants -delete
}

is_stopped() { # PID
    [ "$(ps -o stat= -p "$1" | cut -c1)" = T ]
}

freeze() { # PID
    kill -STOP "$1"
    wait_until 5 is_stopped "$1"
}

# Runs a command in the mounts that the daemon sees.
in_daemon_mounts() { # COMMAND...
    nsenter -t "$(daemon_pid)" -m "$@"
}

# ---- what is seen ----------------------------------------------------------

# Tells a figure on the way, beside the TAP.
tell() { # TEXT...
    echo "# $*" >&3
}

opened_for() { # ADDRESS
    log_has ": opened tcp/22 for $1 "
}

# What no fault may do to a process: an ugly death of its own.
nothing_crashed() {
    ! daemon_log | grep -E "ended by signal" | grep -v "ended by signal 9 " || {
        echo "a process has crashed"
        return 1
    }
}

drill_teardown() {
    common_teardown
    nothing_crashed
}
