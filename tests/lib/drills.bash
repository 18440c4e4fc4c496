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
    name=ip${six}tables-$XTABLES-restore
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

# ---- addresses -------------------------------------------------------------

# A network of addresses that are all the client's.
route_crowd() {
    ip -n client route add local 10.88.0.0/16 dev lo
    ip -n client -6 route add local fd88::/64 dev lo
    ip -n server route add 10.88.0.0/16 via 10.77.0.2
    ip -n server -6 route add fd88::/64 via fd77::2
}

# ---- connections -----------------------------------------------------------

# Not socat, which takes a process for each connection.
start_fast_listener() { # PORT
    spawn server "$lab/log/listener.log" python3 -c '
import socket, sys
with socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, backlog=1024,
                          dualstack_ipv6=True) as service:
    while True:
        service.accept()[0].close()
' "$1"
    wait_until 5 host_listens server tcp "$1"
}

connections() { # that come in, of COUNT attempts
    local i count=0

    for ((i = 0; i < $1; i++)); do
        ! port_is_open "$server" 22 || count=$((count + 1))
    done
    echo "$count"
}

two_come_in_and_no_third() {
    own_log
    knock_opens two tcp/22
    [ "$(connections 2)" -eq 2 ]
    wait_for_log "two: tcp/22 for $client has ended: it has had its connections"
    [ "$(connections 2)" -eq 0 ]
}

# As fast as it can, each ended by a reset, until the file is gone and for so many in any case.
connect_again_and_again() { # FROM FILE COUNT
    on client python3 -c '
import os, socket, struct, sys
count = 0
while os.path.exists(sys.argv[3]) or count < int(sys.argv[4]):
    with socket.create_connection((sys.argv[1], 24), 2, (sys.argv[2], 0)) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    count += 1
print(count)
' "$server" "$@"
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
