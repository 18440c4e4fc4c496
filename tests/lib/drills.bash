# shellcheck shell=bash
# What the drills share besides what the lab tests share.
# shellcheck disable=SC2034,SC2154 # `top` is the lab's
. "$top/tests/lib/net.bash"

# How long is killed, or how often at most, and for how many seconds the flood goes on.
if [ "${LONG:-no}" = yes ]; then
    kill_seconds=1800 most_kills=1000 flood_seconds=60
else
    kill_seconds=60 most_kills=100000 flood_seconds=10
fi

# ---- processes -------------------------------------------------------------

# The standing iptables-restore of FAMILY.
restore_pid() {
    local six="" name

    [ "$FAMILY" = 4 ] || six=6
    name=ip${six}tables-$BACKEND-restore
    process_named "${name:0:15}"
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
