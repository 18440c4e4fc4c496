#!/usr/bin/env bats
# portsmithctl(8) and the control socket of a running daemon.
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

socket=/run/portsmith/control

setup_file() {
    lab_setup
    groupadd --system gatekeepers
    useradd --system --user-group --groups gatekeepers keeper
    configure "ControlGroup = gatekeepers"
    add_profile ssh --open tcp/22 --window 10m
    add_profile web --open tcp/22 --open tcp/80 --window 10m
    add_fence
    start_daemon
    start_listener 22
}

teardown_file() {
    lab_teardown
    userdel keeper
    groupdel gatekeepers
}

setup() {
    common_setup
}

teardown() {
    [ ! -e "$lab/in-background" ] || {
        end_process KILL "$(cat "$lab/in-background")"
        rm -f "$lab/in-background"
    }
    on server portsmithctl close --all >/dev/null || true
    common_teardown
}

ctl() { # ARGUMENT of portsmithctl...
    on server portsmithctl "$@"
}

as() { # USER COMMAND...
    local user=$1

    shift
    on server setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups "$@"
}

# A value of what portsmithctl prints as JSON, by a Python expression on it.
value() { # EXPRESSION ARGUMENT of portsmithctl...
    ctl --json "${@:2}" | python3 -c 'import json, sys
it = json.load(sys.stdin)
print(eval(sys.argv[1]))' "$1"
}

id_of() { # PROFILE [SERVICE]
    value "[g['id'] for g in it if g['profile'] == '$1' and g['service'] == '${2:-tcp/22}'][0]" list
}

seconds_left() { # ID
    value "[g['seconds_left'] for g in it if g['id'] == $1][0]" list
}

has_less_than() { # SECONDS ID
    [ "$(seconds_left "$2")" -lt "$1" ]
}

counter() { # PATH, such as granted.opened
    local name path="it['counters']"

    for name in ${1//./ }; do
        path+="['$name']"
    done
    value "$path" status
}

counter_is() { # PATH VALUE
    [ "$(counter "$1")" -eq "$2" ]
}

# ---- who is in -------------------------------------------------------------

@test "status tells what runs, what is captured and what is shut" {
    run -0 ctl status
    grep -q -x "portsmithd *running as pid $(process_named portsmithd) for .*" <<<"$output"
    grep -q -x "sniffer *running as pid $(sniffer_pid) for .*" <<<"$output"
    grep -q -x "helper *running as pid $(helper_pid) for .*" <<<"$output"
    grep -q -x "witness *running as pid $(witness_pid) for .*" <<<"$output"
    grep -q -x 'interfaces *eth0' <<<"$output"
    grep -q -x "firewall *$(backend_word "$BACKEND"), IPv4 and IPv6.*" <<<"$output"
    store=rules
    [ "$BACKEND" != nftables ] || store="set"
    grep -q -x "grant store *$store" <<<"$output"
    grep -q -x 'shut ports *tcp/22' <<<"$output"
    grep -q -x 'profiles *3' <<<"$output"
    [ "$(value "it['interfaces']" status)" = "[{'name': 'eth0', 'captured': True, 'unsupported': False}]" ]
}

@test "list shows a knock's grant, and its seconds go down" {
    local id left start

    [ "$(ctl list)" = "There are no live grants." ]
    start=$SECONDS
    knock_opens ssh
    id=$(id_of ssh)
    left=$(seconds_left "$id")
    ctl list | grep -q -x -E " *$id  ssh +$client +tcp/22 +[0-9]+ s  no"
    [ "$left" -ge $((600 - (SECONDS - start) - 2)) ]
    [ "$left" -le 600 ]
    wait_until 5 has_less_than "$left" "$id"
}

@test "list says which grant was used" {
    knock_opens ssh
    port_is_open "$server" 22
    wait_until 20 eval '[ "$(value "it[0][\"used\"]" list)" = True ]'
    ctl list | grep -q 'tcp/22 .* yes$'
}

@test "list goes through many pages" {
    local i

    for i in $(seq 20); do
        give_address client eth0 "$client_prefix$((BATS_TEST_NUMBER * 3 + 150 + i))/$host_bits"
        knock_opens web --address "$client_prefix$((BATS_TEST_NUMBER * 3 + 150 + i))" ||
            break
    done
    [ "$(value "len(it)" list)" -eq 32 ] # the most that a profile may have, by default
    knock_opens ssh
    [ "$(value "len(it)" list)" -eq 33 ]
    [ "$(value "it == sorted(it, key=lambda g: g['id'])" list)" = True ]
    [ "$(value "len({g['id'] for g in it})" list)" -eq 33 ]
}

# ---- closing ---------------------------------------------------------------

@test "close by id ends that grant alone" {
    knock_opens web
    knock_opens ssh
    run -0 ctl close "$(id_of web tcp/80)"
    [ "$output" = "closed 1 grant" ]
    [ "$(value "sorted((g['profile'], g['service']) for g in it)" list)" = \
        "[('ssh', 'tcp/22'), ('web', 'tcp/22')]" ]
    wait_for_log 'web: tcp/80 for .* has ended: closed by an admin; no connection came'
    run -1 ctl close 4000000000
    [[ $output == *"no live grant of that id"* ]]
}

@test "close by profile shuts the port, and the connection that stands goes on" {
    knock_opens ssh
    open_connection "$server" 22
    [ "$(value "it['closed']" close ssh)" -eq 1 ]
    port_is_shut "$server" 22
    has_no_grant "$client"
    connection_answers
    run -1 ctl close nobody-of-that-name
    [[ $output == *"there is no profile 'nobody-of-that-name'"* ]]
}

@test "close --kill ends the connection, too" {
    knock_opens ssh
    open_connection "$server" 22
    connection_answers
    run -0 ctl close --kill ssh
    [ "$output" = "closed 1 grant, ended 1 connection" ]
    run ! connection_answers
    port_is_shut "$server" 22
}

# VERB, SCOPE, ID and KILL are those of controlmessage.h.
ask_and_leave() { # VERB SCOPE ID KILL PROFILE
    on server python3 - $socket "$@" <<'END'
import socket, struct, sys
client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
client.connect(sys.argv[1])
client.send(struct.pack("=4I36s", *map(int, sys.argv[2:6]), sys.argv[6].encode()))
END
}

# While the helper, which is stopped, has not yet done it.
kill_and_leave_and_ask() { # ARGUMENT of portsmithctl...
    local helper

    helper=$(helper_pid)
    kill -STOP "$helper"
    ask_and_leave 3 2 0 1 ssh
    rm -f "$lab/answer"
    spawn server "$lab/answer" portsmithctl "$@"
    wait_until 5 waits_for_answer "$spawned"
    kill -CONT "$helper"
    wait_until 10 process_is_gone "$spawned"
}

waits_for_answer() { # PID
    [ "$(cat "/proc/$1/comm")" = portsmithctl ] && grep -q '^State:.S' "/proc/$1/status" &&
        readlink "/proc/$1/fd"/* | grep -q socket:
}

@test "whoever has connections ended and does not wait: they end, and the next one has an own answer" {
    knock_opens ssh
    open_connection "$server" 22
    kill_and_leave_and_ask --json status
    jq -e ".helper.pid == $(helper_pid)" "$lab/answer"
    run ! connection_answers
    knock_opens ssh
    open_connection "$server" 22
    kill_and_leave_and_ask close 4000000000
    grep -q "there is no live grant of that id" "$lab/answer"
    run ! connection_answers
}

@test "close --all ends all, and a client may knock again" {
    knock_opens ssh
    knock_opens web
    run -0 ctl close --all
    [ "$output" = "closed 3 grants" ]
    there_are_no_grants
    port_is_shut "$server" 22
    knock_opens ssh
    port_is_open "$server" 22
}

# ---- who may ask -----------------------------------------------------------

@test "the socket belongs to root and the group" {
    [ "$(stat -c '%U %G %a %F' $socket)" = "root gatekeepers 660 socket" ]
    [ ! -e $socket.new ]
}

@test "a user without privilege is refused, a member of the group is not" {
    run -1 as "$client_user" portsmithctl list
    [ "$output" = "portsmithctl: must be run as root, or by a member of the group gatekeepers" ]
    knock_opens ssh
    as keeper portsmithctl status
    as keeper portsmithctl list | grep -q ssh
    as keeper portsmithctl close ssh
    has_no_grant "$client"
}

@test "whoever gets at the socket without being let in is hung up on" {
    chmod 666 $socket
    run -1 as "$client_user" portsmithctl list
    chmod 660 $socket
    [[ $output == *"hung up without an answer"* ]]
    ctl status
}

@test "a member of the group may neither reload nor release" {
    local verb

    for verb in reload release; do
        run -1 as keeper portsmithctl $verb
        [ "$output" = "portsmithctl: must be run as root" ]
    done
    ctl status
    log_lacks 'reloaded|stopping'
}

# ---- hostile clients -------------------------------------------------------

@test "garbage of any size hangs up and harms nothing" {
    knock_opens ssh
    on server python3 - $socket <<'END'
import random, socket, sys
sizes = [0, 1, 51, 52, 53, 104, 4096, 60000]
for size in sizes:
    for content in (bytes(size), b"\xff" * size, random.Random(size).randbytes(size)):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(10)
        s.connect(sys.argv[1])
        s.send(content)
        try:
            assert s.recv(100000) == b"", size
        except ConnectionResetError:
            pass
END
    [ "$(value "len(it)" list)" -eq 1 ]
    log_lacks 'ended by signal|exited'
}

@test "100 clients that say nothing stop neither knocks nor status" {
    spawn server "$lab/log/silent.log" python3 -u -c '
import socket, time
held = []
while True:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect("'$socket'")
    held = held[-99:] + [s]
    if len(held) == 100:
        print("held")
        time.sleep(0.01)
'
    echo "$spawned" >"$lab/in-background"
    wait_until 10 grep -q held "$lab/log/silent.log"
    ctl status
    knock_opens ssh
    ctl list | grep -q ssh
    ctl close ssh
}

# ---- reload ----------------------------------------------------------------

grants_but_fence() {
    value "[(g['id'], g['profile'], g['service']) for g in it if g['profile'] != 'fence']" list
}

@test "reload under load keeps every live grant, its id and its port" {
    local before i

    knock_opens ssh
    knock_opens web
    before=$(grants_but_fence)
    spawn client "$lab/log/load.log" env top="$top" FAMILY="$FAMILY" BACKEND="$BACKEND" bash -c \
        '. "$top/tests/lib/lab.bash"; for ((i = 0; i < 500; i++)); do knock fence || exit; done'
    echo "$spawned" >"$lab/in-background"
    for i in 1 2 3; do
        run -0 ctl reload
        [ "$output" = "the new configuration is in force" ]
        [ "$(grants_but_fence)" = "$before" ]
        port_is_open "$server" 22
    done
}

@test "reload with a broken configuration changes nothing and says why" {
    knock_opens ssh
    cp "$conf" "$lab/good.conf"
    echo "Windwo = 3s" >>"$conf"
    run -1 on server portsmithctl reload # it warns that it could not read it, either
    cp "$lab/good.conf" "$conf"
    grep -q "^portsmithctl: $conf:[0-9]*: " <<<"$output"
    # A knock of the load before this may still have been on its way.
    [ "$(value "[g['profile'] for g in it if g['profile'] != 'fence']" list)" = "['ssh']" ]
    port_is_open "$server" 22
    knock_opens web
}

@test "what a profile lost ends by reload" {
    knock_opens ssh
    mv /etc/portsmith.d/ssh.conf "$lab/ssh.conf"
    ctl reload
    mv "$lab/ssh.conf" /etc/portsmith.d/ssh.conf
    [ "$(value "len(it)" list)" -eq 0 ]
    port_is_shut "$server" 22
    ctl reload
}

# ---- counters --------------------------------------------------------------

@test "counters count what was sent, and reload keeps them" {
    local seen garbage opened repeated i

    seen=$(counter seen) garbage=$(counter garbage)
    opened=$(counter granted.opened) repeated=$(counter held_back.repeated)
    for i in 1 2 3; do
        head -c 200 /dev/urandom >"$lab/garbage"
        send_bytes "$lab/garbage"
    done
    knock_bytes "$lab/knock" ssh
    send_until 'ssh: opened' "$lab/knock"
    send_bytes "$lab/knock"
    wait_until 5 counter_is held_back.repeated $((repeated + 1))
    counter_is seen $((seen + 5))
    counter_is garbage $((garbage + 3))
    wait_until 5 counter_is granted.opened $((opened + 1)) # the helper answers when it has logged
    ctl reload
    counter_is granted.opened $((opened + 1))
    counter_is garbage $((garbage + 3))
    ctl status | grep -q -x -E ' +held back +[0-9]+  already used: a repeat or a replay'
}

@test "refusals are counted by reason" {
    local denied

    denied=$(counter refused.service_denied)
    knock_until 'ssh: refused' ssh tcp/80
    wait_until 5 counter_is refused.service_denied $((denied + 1))
    ctl status | grep -q 'a service that is not in the profile'
}

# ---- watch -----------------------------------------------------------------

watch_says() { # PATTERN
    grep -q -E "$1" "$lab/log/watch.log"
}

@test "watch shows what opens and ends, and ends on Ctrl-C" {
    rm -f "$lab/log/watch.log"
    spawn server "$lab/log/watch.log" portsmithctl watch
    echo "$spawned" >"$lab/in-background"
    wait_until 5 watch_says counters
    knock_opens ssh
    wait_until 5 watch_says "opened .* ssh  tcp/22 for $client, [0-9]+ s left"
    ctl close ssh
    wait_until 5 watch_says "ended .* ssh  tcp/22 for $client, used: "
    end_process INT "$spawned"
    rm -f "$lab/in-background"
}

@test "watch ends well when it is told to, and when nobody reads" {
    local status=0

    ip netns exec server portsmithctl --json watch >"$lab/watched" 3>&- &
    wait_until 10 grep -q '"status"' "$lab/watched"
    kill -INT "$!"
    wait "$!" || status=$?
    [ "$status" -eq 0 ]
    python3 -c 'import json, sys
for line in sys.argv[1].splitlines():
    assert json.loads(line)["event"] in ("live", "opened", "extended", "ended", "status"), line' \
        "$(<"$lab/watched")"
    run -0 timeout 60 ip netns exec server bash -c \
        'portsmithctl watch | head -n 1; exit "${PIPESTATUS[0]}"'
}

# ---- mistakes --------------------------------------------------------------

@test "a mistyped verb is told what it may have been" {
    run -2 ctl stauts
    [[ $output == *"there is no command 'stauts'; did you mean 'status'?"* ]]
    run -2 ctl
    run -2 ctl close
    run -2 ctl close --all ssh
    run -2 ctl close Ssh
    run -2 ctl list --all
    run -2 ctl status now
}

@test "an interface that is missing is shown so" {
    sed -i 's/^Interface = .*/Interface = eth0 eth7/' "$conf"
    ctl reload
    ctl status | grep -q -x 'interfaces *eth0, eth7 (MISSING or down)'
    sed -i 's/^Interface = .*/Interface = eth0/' "$conf"
    ctl reload
}

helper_is() { # PATTERN, as status has it
    ctl status | grep -q -x "helper *$1"
}

@test "a killed helper is told of until there is another" {
    local helper program

    knock_opens ssh
    helper=$(helper_pid)
    helper_is "running as pid $helper for .*"
    program=$(readlink "/proc/$helper/exe")
    in_daemon_mounts mount --bind /bin/false "$program" # so that there is none for a while
    kill -KILL "$helper"
    # Who asks a helper that has just died is answered by the next one.
    wait_for_log "the helper \(pid $helper\) was ended by signal 9"
    wait_until 10 helper_is "NOT RUNNING: being started again; .*"
    run -1 ctl list
    echo "$output"
    [[ $output == *"portsmithd is starting its helper again"* ]]
    in_daemon_mounts umount "$program"
    wait_until 20 helper_is "running as pid [0-9]* for .*"
    [ "$(value "it[0]['profile']" list)" = ssh ]
}

@test "who has asked a helper that dies, and has no successor, is told so" {
    local helper program asking

    helper=$(helper_pid)
    program=$(readlink "/proc/$helper/exe")
    in_daemon_mounts mount --bind /bin/false "$program"
    kill -STOP "$helper"
    wait_until 5 grep -q "^State:.*T" "/proc/$helper/status"
    ctl status >"$lab/asked" 3>&- &
    asking=$!
    pause 0.5 # or it finds none from the beginning
    kill -KILL "$helper"
    wait "$asking" || true
    in_daemon_mounts umount "$program"
    grep -q -x 'helper *NOT RUNNING: being started again; .*' "$lab/asked"
    wait_until 20 helper_is "running as pid [0-9]* for .*"
}

# ---- last: it stops the daemon ---------------------------------------------

@test "release stops the daemon and opens what was shut; without one, too" {
    port_is_shut "$server" 22
    run -0 ctl release
    [[ $output == *"shuts no port any more"* ]]
    wait_until 5 process_is_gone "$(daemon_pid)"
    port_is_open "$server" 22
    run ! grep portsmith <(rules)
    [ ! -e $socket ]
    run -3 ctl status
    [[ $output == *"portsmithd is not running"* ]]
    run -0 ctl release
    start_daemon
    end_process KILL "$(daemon_pid)"
    port_is_shut "$server" 22
    run -3 ctl list
    run -0 ctl release
    port_is_open "$server" 22
    start_daemon
}
