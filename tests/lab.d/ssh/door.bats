#!/usr/bin/env bats
# --wait and --connect where something is in the way: knocks that are lost or late,
# servers that reset, addresses that are dead, doors that stay shut.
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/ssh.bash"
# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"
# shellcheck source=tests/lib/timekeeping.bash
. "$top/tests/lib/timekeeping.bash"

setup_file() {
    ssh_setup "Shut = tcp/22 tcp/23"
    add_profile wrong --open tcp/23
    add_profile many --open tcp/22
    add_profile two --open tcp/22,tcp/24
    make_backend_host
    start_listener 23
    make_hole
    prepare_timekeeping "$lab"
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    config_for pass
}

teardown() {
    common_teardown
    flush server PREROUTING raw
    flush client OUTPUT mangle
    flush client OUTPUT nat
    flush client OUTPUT filter
}

# ---- what is in the way ----------------------------------------------------

tables() { # HOST ARGUMENT...
    local program=iptables

    [ "$FAMILY" = 4 ] || program=ip6tables
    on "$1" "$program-$XTABLES" -w 5 "${@:2}"
}

flush() { # HOST CHAIN TABLE
    tables "$1" -t "$3" -F "$2"
}

# An interface of the client's that leads nowhere: what is marked 9 is lost there,
# without a word to whoever sent it.
make_hole() {
    join_hosts client hole backend hole
    ip -n client link set hole arp off
    ip -n client "-$FAMILY" rule add fwmark 9 table 9
    ip -n client "-$FAMILY" route add default dev hole table 9
}

# The client's knocks, all from now on or only the first, are lost.
lose_knocks() { # [COUNT]
    local rule=(-A OUTPUT -p udp --dport "$knock_port") number

    [ $# -gt 0 ] || tables client -t mangle "${rule[@]}" -j MARK --set-mark 9
    for ((number = 0; number < ${1:-0}; number++)); do
        tables client -t mangle "${rule[@]}" -m statistic --mode nth --every 100 \
            --packet "$number" -j MARK --set-mark 9
    done
}

lost_knocks() {
    tables client -t mangle -L OUTPUT -n -v -x | awk '/MARK/ { sum += $1 } END { print sum + 0 }'
}

knock_was_lost() {
    [ "$(lost_knocks)" -gt 0 ]
}

# Makes the Host of a server that the client knows a name with these addresses.
name_many() { # ADDRESS...
    sed -i '/ many.lab$/d' /etc/hosts
    printf '%s many.lab\n' "$@" >>/etc/hosts
    sed -i 's/^Host .*/Host = many.lab/' "$home/.config/portsmith/many.conf"
}

says() { # TEXT...
    local text

    echo "status $status: $output"
    for text; do
        [[ $output == *"$text"* ]] || { echo "it does not say '$text'" && return 1; }
    done
}

# ---- --wait ----------------------------------------------------------------

@test "--wait ends in silence when the port is open" {
    port_is_shut "$server" 22
    run knock --wait bastion tcp/22
    echo "$output"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    port_is_open "$server" 22
    wait_for_log "bastion: opened tcp/22 for $client"
}

@test "--wait takes the services of the server file, and says where it came in with -v" {
    run knock --wait -v bastion
    says "sent " "connected to $server port 22"
    [ "$status" -eq 0 ]
}

@test "--wait wants a TCP service" {
    as_client sed '/^Service/d' "$home/.config/portsmith/bastion.conf" >"$lab/conf"
    install -o "$client_user" -m 600 "$lab/conf" "$home/.config/portsmith/any.conf"
    run knock --wait any
    says "no TCP service to wait for; name one, such as tcp/22"
    [ "$status" -eq 2 ]
    run knock --wait any udp/53
    [ "$status" -eq 2 ]
    fence
    log_lacks "bastion: (opened|extended|refused)" # what an earlier test opened may end meanwhile
}

@test "one of several services is enough" {
    run knock --wait -v two # nothing listens at the other one
    says "open tcp/22 tcp/24" "connected to $server port 22"
    [ "$status" -eq 0 ]
}

# ---- knocks that are lost, and late ----------------------------------------

@test "a knock that is lost is sent again" {
    lose_knocks 1
    [ "$(as_client ssh bastion echo in)" = in ]
    knock_was_lost
    wait_for_log "bastion: opened tcp/22 for $client"
}

@test "three knocks that are lost are followed by a fourth" {
    lose_knocks 3
    knock --wait bastion
    [ "$(lost_knocks)" -eq 3 ]
    wait_for_log "bastion: opened tcp/22 for $client"
}

# The door is open, but no connection comes through, so the knock is sent again.
@test "knocks that arrive twice open once, and raise no alarm" {
    tables server -t raw -A PREROUTING -i eth0 -p tcp --dport 22 --syn -j DROP
    capture_start "$lab/cap" udp port "$knock_port"
    run knock --wait --timeout 2s bastion
    [ "$status" -eq 3 ]
    fence
    capture_stop
    [ "$(knocks_captured)" -ge 3 ]
    wait_until 5 log_counts "bastion: opened tcp/22 for $client" 1
    log_lacks "bastion: (refused|extended)"
    log_lacks "<[0-4]>"
}

knocks_captured() {
    tcpdump -n -r "$lab/cap" 2>/dev/null | grep -c "$knock_port"
}

@test "a knock that is heard late lets ssh in" {
    lose_knocks
    as_client ssh bastion echo in >"$lab/late.out" 2>&1 3>&- &
    ssh=$!
    wait_until 5 knock_was_lost
    flush client OUTPUT mangle
    wait "$ssh"
    [ "$(cat "$lab/late.out")" = in ]
}

# ---- addresses -------------------------------------------------------------

@test "an address that is dead does not keep ssh out" {
    case $FAMILY in
    4) name_many 10.77.0.250 "$server" ;;
    6) name_many fd77::dead "$server" ;;
    esac
    sed -i 's/^Host bastion/Host many/' "$home/.ssh/config"
    [ "$(as_client ssh many echo in)" = in ]
    wait_for_log "many: opened tcp/22 for $client"
}

@test "of IPv4 and IPv6 the one that is alive is taken" {
    name_many 10.77.0.1 fd77::1
    tables server -t raw -A PREROUTING -i eth0 -p tcp --dport 22 -j DROP
    sed -i 's/^Host bastion/Host many/' "$home/.ssh/config"
    run as_client ssh many 'echo $SSH_CONNECTION'
    echo "$output"
    case $FAMILY in 4) [[ $output == fd77::* ]] ;; 6) [[ $output == 10.77.* ]] ;; esac
    wait_until 5 log_counts "many: opened tcp/22 for " 2
}

# ---- doors that stay shut --------------------------------------------------

knock_by_clock() { # kept|lost ARGUMENT of portsmith-knock...
    # shellcheck disable=SC2046 # words
    as_client env $(clock_that_is "$1" "$lab") portsmith-knock "${@:2}"
}

@test "a profile that does not permit the service: exit 3, with hints" {
    run knock_by_clock kept --wait --timeout 1s wrong tcp/22
    says "the knock was sent to $server, but tcp/22 is still shut after 1s" \
        "hint: nothing answered" "your profile on the server may have expired" \
        "if that log says nothing, portsmithd may not run" \
        "the knock left from $client, which is not public"
    [ "$status" -eq 3 ]
    [[ $output != *"is not synchronised"* ]]
    run knock_by_clock lost --wait --timeout 1s wrong tcp/22
    says "hint: nothing answered" "clock is not synchronised: is it $(date +%Y)-"
    [ "$status" -eq 3 ]
}

@test "a door opened for another address: exit 3, with a hint" {
    run knock --wait --timeout 1s --address "$other" bastion tcp/22
    says "the knock opens to $other, but connections from here leave from $client"
    [ "$status" -eq 3 ]
}

@test "ssh shows why it is not in" {
    stop_daemon
    run as_client ssh -o "ProxyCommand portsmith-knock --connect --timeout 1s %h %p" bastion true
    start_daemon
    says "tcp/22 is still shut after 1s" "hint: "
    [ "$status" -eq 255 ]
}

failure_file=$home/.local/state/portsmith/failure

@test "what ssh discards under ControlPersist is kept for --diagnose" {
    stop_daemon
    run as_client ssh -o ControlMaster=auto -o "ControlPath=$home/control" -o ControlPersist=1m \
        -o "ProxyCommand portsmith-knock --connect --timeout 1s %h %p" bastion true
    start_daemon
    echo "$output"
    [ "$status" -eq 255 ]
    [[ $output != *"still shut"* ]]
    [ "$(stat -c '%a %U' "$failure_file")" = "600 $client_user" ]
    run knock --diagnose bastion
    says "last      note: " " s ago: the knock was sent to $server, but tcp/22 is still shut after 1s" \
        "-> hint: nothing answered"
    touch -d '-3 hours' "$failure_file"
    run knock --diagnose bastion
    says "last      note: 3 h ago: the knock was sent"
    run as_client portsmith-knock --connect nowhere.example.net 22
    [ "$status" -eq 78 ]
    run knock --diagnose bastion
    says "last      note: " " s ago: there is no server file that is called 'nowhere.example.net'"
    chmod 644 "$failure_file"
    run knock --diagnose bastion
    echo "$output"
    [[ $output != *$'\nlast '* ]]
}

@test "the hints come before ssh ends a ProxyCommand by its ConnectTimeout" {
    rm -f "$failure_file"
    stop_daemon
    config_for relay
    run as_client ssh -o ConnectTimeout=7 bastion true
    start_daemon
    says "tcp/22 is still shut after 4s" "hint: nothing answered"
    [[ $output != *"after 10s"* ]]
    [ "$status" -eq 255 ]
    grep -q "^the knock was sent to $server, but tcp/22 is still shut after 4s" "$failure_file"
}

@test "what lets in after the hints leaves no failure behind" {
    rm -f "$failure_file"
    lose_knocks
    as_client portsmith-knock --wait --timeout 30s bastion >"$lab/slow" 2>&1 3>&- &
    waiting=$!
    wait_until 10 grep -q "hint: " "$lab/slow"
    wait_until 2 test -s "$failure_file"
    flush client OUTPUT mangle
    wait "$waiting"
    [ "$(grep -c "still shut" "$lab/slow")" -eq 1 ]
    [ ! -e "$failure_file" ]
}

@test "without a knock nothing is tried" {
    ip -n client "-$FAMILY" route replace unreachable "$server/$host_bits"
    run knock --wait bastion tcp/22
    ip -n client "-$FAMILY" route delete unreachable "$server/$host_bits"
    says "no knock was sent to $server: " "check this machine's network and firewall"
    [ "$status" -eq 1 ]
}

@test "a firewall of this machine that forbids knocks is told" {
    tables client -A OUTPUT -p udp --dport "$knock_port" -j DROP
    run knock --wait bastion tcp/22
    flush client OUTPUT filter
    says "no knock was sent to $server: Operation not permitted by a firewall on this machine: let UDP"
    [ "$status" -eq 1 ]
}

# ---- a router that maps ports -----------------------------------------------

# As seen from the client: what it sends to 2222 arrives at 22, and 22 itself is refused.
map_port() {
    local to="$server:22"

    [ "$FAMILY" = 4 ] || to="[$server]:22"
    tables client -t nat -A OUTPUT -d "$server" -p tcp --dport 2222 -j DNAT --to-destination "$to"
    tables client -A OUTPUT -p tcp -m conntrack --ctorigdstport 22 -j REJECT --reject-with tcp-reset
    as_client sed '$a ConnectPort = tcp/22 2222' "$home/.config/portsmith/bastion.conf" >"$lab/conf"
    install -o "$client_user" -m 600 "$lab/conf" "$home/.config/portsmith/mapped.conf"
}

@test "ConnectPort says at which port of a router a service is" {
    map_port
    run knock --wait --timeout 1s bastion
    [ "$status" -eq 3 ]
    run knock --wait -v mapped
    says "open tcp/22 for" "connected to $server port 2222"
    [ "$status" -eq 0 ]
    run knock --diagnose mapped
    says "after     ok: the server lets you in"
    wait_for_log "bastion: opened tcp/22 for $client"
}

@test "with ConnectPort ssh is in by either port" {
    map_port
    sed -i 's/^Host bastion/Host mapped/' "$home/.ssh/config"
    [ "$(as_client ssh mapped echo in)" = in ]
    [ "$(as_client ssh -p 2222 mapped echo in)" = in ]
}

# ---- resets; the last, as it restarts the daemon ---------------------------

@test "a server that resets lets ssh in all the same" {
    stop_daemon
    echo "ShutWith = reset" >>"$conf"
    start_daemon
    lose_knocks 1
    [ "$(tcp_answer "$server" 22)" = reset ]
    [ "$(as_client ssh bastion echo in)" = in ]
    knock_was_lost
    knock --close bastion
    wait_for_log "bastion: closed tcp/22 for $client"
    run knock --wait --timeout 1s wrong tcp/22
    says "tcp/22 is still shut after 1s" "hint: connections were refused"
    [ "$status" -eq 3 ]
}
