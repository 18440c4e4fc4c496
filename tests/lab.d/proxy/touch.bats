#!/usr/bin/env bats
# The proxy knocks by a security key, whose owner is asked for as few touches as can be.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031,SC2119 # agent.bash and bats set the variables

. "$top/tests/lib/agent.bash"
. "$top/tests/lib/proxy.bash"

setup_file() {
    lab_setup
    agent_setup
    make_security_key touched
    start_listener 22
    configure
    start_daemon
    name_hosts
    add_ssh_profile door touched --window 4s --max-window 4s
    sed -i 's/^Host = .*/Host = door.example.net/' "$lab/home/.config/portsmith/door.conf"
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    rm -f "$device"/*
    start_agent
    add_key touched
}

teardown() {
    proxy_is_well
    stop_proxy
    stop_agent
    common_teardown
}

@test "twenty connections share one touch, no timer asks for another, and a later connection does" {
    start_proxy
    hold_connections 20 22
    [ "$(touches)" -eq 1 ]
    wait_until 10 has_no_grant "$client" # nor has anything renewed it at half of the window
    [ "$(touches)" -eq 1 ]
    log_counts "door: (opened|extended)" 1
    [ "$(talk bytewise door.example.net 22)" = "$greeting" ]
    [ "$(touches)" -eq 2 ]
    end_held
}

@test "a connection that no touch comes for is refused, and another waits for it" {
    start_proxy
    echo refuse >"$device/finger"
    run talk bytewise door.example.net 22
    [ "$status" -ne 0 ]
    proxy_says "nobody touched the key"
    rm "$device/finger"
    as_client mkfifo "$device/finger"
    talk bytewise door.example.net 22 >"$lab/greeting" 3>&- &
    wait_until 10 asked_for_touches 2
    [ ! -s "$lab/greeting" ]
    echo touch >"$device/finger"
    wait $!
    [ "$(cat "$lab/greeting")" = "$greeting" ]
    [ "$(touches)" -eq 2 ]
}
