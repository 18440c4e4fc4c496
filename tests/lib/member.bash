# shellcheck shell=bash
# A second host of the server's group, beside it. Wants net.bash.
#
#   server  --  client eth1  --  eth0 second
#
# shellcheck disable=SC2034,SC2154 # the lab's and bats'

second_conf=$lab/second.conf
if [ "$FAMILY" = 6 ]; then
    second=fd79::1 near_second=fd79::2
else
    second=10.79.0.1 near_second=10.79.0.2
fi

make_second() {
    make_host second
    join_hosts client eth1 second eth0
    give_address second eth0 10.79.0.1/24 fd79::1/64
    give_address client eth1 10.79.0.2/24 fd79::2/64
    ip -n second route add default via 10.79.0.2
    ip -n second -6 route add default via fd79::2
    start_listener 22 second
}

on_second() { # COMMAND... with the second host's configuration
    on second "$1" -c "$second_conf" "${@:2}"
}

# The server's configuration names itself and the second host already.
join_group() { # MEMBER PEER, as the second host has them
    local key

    rm -rf "$lab"/second.{d,state,run,key} "$lab/web.group"
    sed "s/^Member = .*/Member = $1/; s/^Peers = .*/Peers = $2/" "$conf" >"$second_conf"
    printf '%s\n' "ProfileDirectory = $lab/second.d" "StateDirectory = $lab/second.state" \
        "RunDirectory = $lab/second.run" >>"$second_conf"
    on_second portsmith-profile init >"$lab/log/init.log" 2>&1 || true # it has no key yet
    key=$(on_second portsmith-profile group join 2>"$lab/log/init.log")
    on server portsmith-profile group create --for "$key" --output "$lab/web.group"
    on_second portsmith-profile group join "$lab/web.group"
    cp /etc/portsmith.d/ssh.conf "$lab/second.d/"
}

second_says() { # PATTERN
    grep -q -E "$1" "$lab/log/second.log"
}

start_second_daemon() {
    spawn second "$lab/log/second.log" portsmithd -c "$second_conf" -f
    wait_until 15 second_says ready
}

send_to_second() { # FILE [FROM]
    local answer

    ask_peer send "$1" "$second" "$knock_port" "${2:-$near_second}"
}

second_has_grants() { # COUNT
    [ "$(on_second portsmithctl list --json | jq length)" -eq "$1" ]
}

member_teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || cat "$lab/log/second.log"
    common_teardown
}
