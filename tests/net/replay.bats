#!/usr/bin/env bats
# A knock counts once, for one server, in its time, and from its client alone.
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/net/net.bash"

setup_file() {
    lab_setup
    start_listener 22
    configure
    add_fence
    add_profile ssh --open tcp/22 --window 1m
    add_profile forged --open tcp/22
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

# Neither address has anything but what the fence opened.
nothing_is_open() {
    local address

    for address in "$client" "$other"; do
        ! grant_rules mangle "$address" | grep -v -e "--dport 9 " || return 1
        port_is_shut "$server" 22 "$address" || return 1
    done
}

# A recorded knock that was honoured, and its grant closed again.
record_and_close() {
    knock_bytes "$lab/recorded" ssh
    send_until "ssh: opened tcp/22 for $client" "$lab/recorded"
    port_is_open "$server" 22
    knock_until "ssh: closed" --close ssh
    has_no_grant "$client"
}

# Ended at one stroke.
kill_daemon() {
    local pid pids

    mapfile -t pids < <(daemon_processes)
    kill -KILL "${pids[@]}"
    for pid in "${pids[@]}"; do
        wait_until 5 process_is_gone "$pid"
    done
}

@test "a replay is refused at once, from the same address and from another" {
    record_and_close
    send_bytes "$lab/recorded" "$client"
    send_bytes "$lab/recorded" "$other"
    fence
    nothing_is_open
}

@test "a replay does not extend the window" {
    local before

    knock_bytes "$lab/recorded" ssh
    send_until "ssh: opened" "$lab/recorded"
    before=$(grant_rules mangle "$client")
    send_bytes "$lab/recorded"
    fence
    [ "$(grant_rules mangle "$client" | grep -v -e "--dport 9 ")" = "$before" ]
}

@test "a replay is refused after a restart" {
    record_and_close
    stop_daemon
    start_daemon
    send_until "helper.*ssh: refused for $client: already used" "$lab/recorded"
    send_bytes "$lab/recorded" "$other"
    fence
    nothing_is_open
}

@test "a replay is refused after all processes were killed" {
    record_and_close
    kill_daemon
    start_daemon
    send_until "ssh: refused for $client: already used" "$lab/recorded"
    send_bytes "$lab/recorded" "$other"
    fence
    nothing_is_open
}

@test "a knock counts at most once, whenever the processes are killed" {
    local delay mark

    for delay in 0 0.002 0.004 0.006 0.01; do
        mark=$(($(wc -l <"$lab/log/portsmithd.log") + 1))
        knock_bytes "$lab/recorded" ssh
        send_bytes "$lab/recorded"
        sleep "$delay" # not for an event: the moments of the kill are the point
        kill_daemon
        start_daemon
        send_bytes "$lab/recorded" "$other"
        fence
        [ "$(tail -n "+$mark" "$lab/log/portsmithd.log" | grep -c "ssh: opened")" -le 1 ]
        [ "$({ grant_rules filter "$client"; grant_rules filter "$other"; } |
            grep -c -e "--dport 22 ")" -le 1 ]
        knock_until "ssh: (closed|refused)" --close ssh
        knock_until "ssh: (closed|refused)" --close --address "$other" ssh
        has_no_grant "$other"
    done
}

@test "the helper refuses a forged signature in a right envelope" {
    other_knock ssh "$lab/bytes" --bad-signature
    send_until "portsmith-helper.*ssh: refused for $client: the signature is wrong" "$lab/bytes"
    nothing_is_open
}

@test "forged signatures do not use up the client's own rate" {
    local i

    for i in {1..80}; do
        other_knock forged "$lab/bytes$i" --bad-signature
    done
    for i in {1..80}; do
        send_bytes "$lab/bytes$i"
    done
    knock_opens forged
    port_is_open "$server" 22
    kill -USR1 "$(daemon_pid)"
    wait_for_log "throttled [1-9][0-9]"
}

@test "a knock that was signed for another server is refused by the helper" {
    other_knock ssh "$lab/bytes" --sign-for "$(head -c 32 /dev/urandom | base64)"
    send_until "portsmith-helper.*ssh: refused for $client: the signature is wrong" "$lab/bytes"
    nothing_is_open
}

@test "a knock that was made for another server means nothing here" {
    sed -i.mine "s|^PublicKey.*|PublicKey = $(other_server_key)|" \
        "$lab/home/.config/portsmith/ssh.conf"
    knock ssh
    mv "$lab/home/.config/portsmith/ssh.conf.mine" "$lab/home/.config/portsmith/ssh.conf"
    fence
    nothing_is_open
    log_lacks "ssh: "
}

other_server_key() {
    "$top/tests/vectors/other_client.py" make plain |
        sed -n '/^server_public/,/^nonce/{s/^  //p}' | head -c 64 | xxd -r -p | base64
}

@test "a clock ten minutes ahead is refused and named" {
    other_knock ssh "$lab/bytes" --counter "$(microseconds 600)"
    send_until "ssh: refused for $client: its clock is (59[0-9]|600) s ahead of this host's" "$lab/bytes"
    nothing_is_open
    knock_opens ssh
}

@test "a clock ten minutes behind is refused and named" {
    other_knock ssh "$lab/bytes" --counter "$(microseconds -600)"
    send_until "ssh: refused for $client: its clock is 60[0-9] s behind this host's" "$lab/bytes"
    nothing_is_open
    knock_opens ssh
}

@test "clocks four minutes apart do" {
    other_knock ssh "$lab/bytes" --counter "$(microseconds 240)"
    send_until "ssh: opened tcp/22 for $client" "$lab/bytes"
    port_is_open "$server" 22
}

@test "a request that is not in its one encoding is dropped in silence" {
    local request good

    good=01010001$(printf '%08x%016x' 30 "$(microseconds 0)")$(printf '%032d' 0)06000016
    for request in "02${good:2}" "${good:0:2}03${good:4}" "${good:0:4}80${good:6}" \
        "${good:0:6}05${good:8}" "${good:0:6}00${good:8}"; do
        other_knock ssh "$lab/bytes" --request "$(printf '%-128s' "$request" | tr ' ' 0)"
        send_bytes "$lab/bytes"
    done
    fence
    nothing_is_open
    log_lacks "ssh: "
    other_knock ssh "$lab/bytes" --request "$(printf '%-128s' "$good" | tr ' ' 0)"
    send_until "ssh: opened tcp/22 for $client for 30 s" "$lab/bytes"
}

@test "with MaxSkew = off a wrong clock does, and a replay does not" {
    echo "MaxSkew = off" >>"$conf"
    reload_daemon
    other_knock ssh "$lab/bytes" --counter "$(microseconds 86400)"
    send_until "ssh: opened tcp/22 for $client" "$lab/bytes"
    knock_until "ssh: closed" --close ssh
    send_bytes "$lab/bytes" "$other"
    fence
    nothing_is_open
}
