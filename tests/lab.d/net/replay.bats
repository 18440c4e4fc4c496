#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# A knock counts once, for one server, in its time, and from its client alone.
# bats file_tags=any,store
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

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
    [ -z "${flood:-}" ] || end_process TERM "$flood"
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
    send_until "ssh: refused for $client: already used" "$lab/recorded"
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

# Rules of either address that are not the fence's.
doors() {
    { grant_rules filter "$client"; grant_rules filter "$other"; } | grep -e "--dport 22 "
}

# Most knocks do count: what was not heard before the kill is when it is sent again.
@test "a knock counts at most once, whenever the processes are killed" {
    local delay mark opened=0

    for delay in 0 0.002 0.004 0.006 0.01; do
        mark=$(($(wc -l <"$lab/log/portsmithd.log") + 1))
        knock_bytes "$lab/recorded" ssh
        send_bytes "$lab/recorded"
        sleep "$delay" # not for an event: the moments of the kill are the point
        kill_daemon
        start_daemon
        send_bytes "$lab/recorded" "$other"
        fence
        [ "$(tail -n "+$mark" "$lab/log/portsmithd.log" | grep -c -E "ssh: (opened|extended)")" -le 1 ]
        [ "$(doors | wc -l)" -le 1 ]
        opened=$((opened + $(doors | wc -l)))
        knock_until "ssh: (closed|refused)" --close ssh
        knock_until "ssh: (closed|refused)" --close --address "$other" ssh
        run ! doors
    done
    echo "$opened of 5 knocks counted"
    [ "$opened" -ge 1 ]
}

@test "a knock that is sent while the daemon reloads counts, whenever that is, and once" {
    local delay mark=$(($(wc -l <"$lab/log/portsmithd.log") + 1)) sent=0

    for delay in 0 0.002 0.005 0.01 0.02 0.03 0.05 0.08 0.12 0.2; do
        knock_bytes "$lab/recorded" ssh
        kill -HUP "$(daemon_pid)"
        sleep "$delay" # not for an event: the moments of the knock are the point
        send_until "ssh: (opened|extended) tcp/22 for $client" "$lab/recorded"
        send_bytes "$lab/recorded" "$other"
        sent=$((sent + 1))
    done
    fence
    [ "$(tail -n "+$mark" "$lab/log/portsmithd.log" | grep -c -E "ssh: (opened|extended)")" -eq $sent ]
    has_no_grant "$other"
}

@test "the helper refuses a forged signature in a right envelope" {
    other_knock ssh "$lab/bytes" --bad-signature
    send_until "portsmith-witness.*ssh: refused for $client: the signature is wrong" "$lab/bytes"
    nothing_is_open
}

@test "forged signatures do not use up the client's own rate" {
    local i

    other_knock forged /dev/null --bad-signature --many "$lab/bytes" 80
    for i in {1..80}; do
        send_bytes "$lab/bytes$i"
    done
    knock_opens forged
    port_is_open "$server" 22
    kill -USR1 "$(daemon_pid)"
    wait_for_log "throttled [1-9][0-9]"
}

# Who has a profile's envelope key, but not its client's: so many different knocks, a thousand a
# second at most, which a sniffer that others keep waiting can read.
flood_with_forged() {
    spawn client "$lab/log/forger.log" python3 -c '
import socket, sys, time
knocks = [open(name, "rb").read() for name in sys.argv[3:]]
to = (sys.argv[1], int(sys.argv[2]))
end = time.monotonic() + 60
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as s:
    while time.monotonic() < end:
        for knock in knocks:
            s.sendto(knock, to)
            time.sleep(0.001)' "$server" "$knock_port" "$@"
    flood=$spawned
}

# Leaves in $throttled and $refused what the sniffer has counted.
count_knocks() {
    local before numbers

    before=$(log_count "seen [0-9]+:")
    kill -USR1 "$(daemon_pid)"
    wait_until 5 log_count_exceeds "seen [0-9]+:" "$before"
    numbers=$(grep -E "seen [0-9]+:" "$lab/log/portsmithd.log" | tail -n 1)
    [[ $numbers =~ throttled\ ([0-9]+).*refused\ ([0-9]+) ]]
    throttled=${BASH_REMATCH[1]} refused=${BASH_REMATCH[2]}
}

many_are_throttled() {
    count_knocks
    [ "$throttled" -gt 1000 ]
}

@test "a flood of forged knocks neither keeps the client out nor reaches the helper" {
    local i began refused throttled refused_before

    other_knock forged /dev/null --bad-signature --many "$lab/bytes" 80
    count_knocks
    refused_before=$refused began=$SECONDS
    flood_with_forged "$lab"/bytes{1..80}
    wait_until 20 many_are_throttled
    for i in {1..10}; do
        knock_opens forged
    done
    end_process TERM "$flood"
    count_knocks
    # Four at first, then one a second.
    [ "$refused" -le $((refused_before + 4 + SECONDS - began + 2)) ]
}

@test "a knock that was signed for another server is refused by the helper" {
    other_knock ssh "$lab/bytes" --sign-for "$(head -c 32 /dev/urandom | base64)"
    send_until "portsmith-witness.*ssh: refused for $client: the signature is wrong" "$lab/bytes"
    nothing_is_open
}

@test "a knock that was made for another server means nothing here" {
    sed -i.mine "s|^PublicKey.*|PublicKey = $(other_server_key)|" \
        "$lab/home/.config/portsmith/ssh.conf"
    knock ssh
    mv "$lab/home/.config/portsmith/ssh.conf.mine" "$lab/home/.config/portsmith/ssh.conf"
    fence
    nothing_is_open
    log_lacks "ssh: [a-z]+ed " # what an earlier test opened may end meanwhile
}

other_server_key() {
    "$top/tests/deep/vectors/other_client.py" make plain |
        sed -n '/^server_public/,/^nonce/{s/^  //p}' | head -c 64 | xxd -r -p | base64
}

# Sent by a clock that is off by so much; how far the log says that it is, in $said, is
# less or more by the time that it took from here to there.
is_refused_for_its_clock() { # SECONDS "ahead of"|behind
    local start=$SECONDS pattern="ssh: refused for $client: its clock is ([0-9]+) s $2 this host's" least most

    other_knock ssh "$lab/bytes" --counter "$(microseconds "$1")"
    send_until "$pattern" "$lab/bytes"
    [[ $(daemon_log) =~ $pattern ]]
    said=${BASH_REMATCH[1]} least=$(($1 - (SECONDS - start) - 1)) most=$1
    echo "said $said, of $least to $most"
    [ "$said" -ge "$((most < 0 ? -most : least))" ]
    [ "$said" -le "$((most < 0 ? -least : most))" ]
    nothing_is_open
    knock_opens ssh
}

@test "a clock ten minutes ahead is refused and named" {
    is_refused_for_its_clock 600 "ahead of"
}

@test "a clock ten minutes behind is refused and named" {
    is_refused_for_its_clock -600 behind
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
    log_lacks "ssh: [a-z]+ed " # what an earlier test opened may end meanwhile
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

# ---- in which order knocks were made ---------------------------------------

@test "an older open does not undo a newer close, nor after a restart" {
    knock_bytes "$lab/held" ssh
    knock_bytes "$lab/held-longer" ssh
    knock_opens ssh
    knock_until "ssh: closed" --close ssh
    send_until "ssh: refused for $client: the client has closed since it made this knock" "$lab/held"
    nothing_is_open
    stop_daemon
    start_daemon
    send_until "ssh: refused for $client: the client has closed since it made this knock" "$lab/held-longer"
    nothing_is_open
    knock_opens ssh
    port_is_open "$server" 22
}

@test "an older close does not undo a newer open, nor after a restart" {
    knock_bytes "$lab/held" --close ssh
    knock_bytes "$lab/held-longer" --close ssh
    knock_opens ssh
    send_until "ssh: refused for $client: the client has opened it since it made this knock" "$lab/held"
    port_is_open "$server" 22
    kill_daemon
    start_daemon
    log_has "took over [1-9]"
    send_until "ssh: refused for $client: the client has opened it since it made this knock" "$lab/held-longer"
    port_is_open "$server" 22
    knock_until "ssh: closed" --close ssh
    nothing_is_open
}

# ---- marks that are damaged ------------------------------------------------

max_skew() { # SPAN|off
    sed -i '/^MaxSkew/d' "$conf"
    echo "MaxSkew = $1" >>"$conf"
}

# What is left of the profile's record says whose it is, or nothing does.
damage_mark() { # NAME named|nameless
    "$top/tests/tools/damage-mark" /var/lib/portsmith/marks "$(profile_key "$1")" "$2"
}

profile_key() { # NAME
    sed -n 's/^PublicKey *= *//p' "/etc/portsmith.d/$1.conf"
}

# A profile that has knocked twice, so that each of its two slots was written.
add_known_profile() { # NAME
    and_reload add_profile "$1" --open tcp/22 --window 2s
    knock_opens "$1"
    knock_opens "$1"
}

@test "with MaxSkew = off, a damaged record shuts its own client out, by name, until it is added anew, and nobody else" {
    max_skew off
    add_known_profile hurt
    other_knock ssh "$lab/bytes" --counter 4070908800000000 # it was in 2099 once
    send_until "ssh: opened tcp/22 for $client" "$lab/bytes"
    stop_daemon
    damage_mark hurt named
    add_profile late --open tcp/22 --window 2s
    start_daemon
    log_has "prepare.*: of the marks in the state directory 1 were damaged"
    log_has "prepare.*: hurt: the record of its knocks was damaged: it stays out until it is added again, with a new key"
    knock_until "hurt: refused for $client: the record of its knocks was damaged" hurt
    knock_opens late
    knock_opens ssh
    stop_daemon
    start_daemon
    log_has "prepare.*: hurt: the record of its knocks was damaged"
    log_lacks "were damaged|(late|ssh): the record"
    knock_until "hurt: refused for $client: the record of its knocks was damaged" hurt
    knock_opens late
    and_reload on server portsmith-profile -c "$conf" revoke hurt
    rm -f "$lab"/home/.config/portsmith/hurt.{conf,key}
    and_reload add_profile hurt --open tcp/22 --window 2s
    knock_opens hurt
}

@test "with MaxSkew = off, a record of which nothing is left shuts out who has none, and who is added later is heard" {
    max_skew off
    add_known_profile wiped
    stop_daemon
    damage_mark wiped nameless
    start_daemon
    log_has "prepare.*: wiped: the record of its knocks was damaged: it stays out"
    knock_until "wiped: refused for $client: the record of its knocks was damaged" wiped
    knock_opens ssh
    and_reload add_profile later --open tcp/22 --window 2s
    knock_opens later
    knock_until "wiped: refused for $client: the record of its knocks was damaged" wiped
}

is_heard_again() { # NAME: by now
    knock_until "$1: (opened|extended|refused) " "$1" && log_has "$1: (opened|extended) "
}

@test "with MaxSkew, who lost a record is heard again once nothing can be a replay" {
    max_skew "$(long_enough 2)s"
    add_known_profile soon
    knock_bytes "$lab/recorded" soon
    send_until "soon: (opened|extended)" "$lab/recorded"
    stop_daemon
    damage_mark soon named
    start_daemon
    log_has "prepare.*: soon: the record of its knocks was damaged: it is heard again"
    send_bytes "$lab/recorded" "$other"
    wait_until 30 is_heard_again soon
    has_no_grant "$other"
}
