#!/usr/bin/env bats
# A name with several addresses: the server's own, and those of others. A stranger among
# them passes on what it gets, from its own address, and keeps it for later.
#
#   client --eth0--eth0-- server
#   client --eth1--eth0-- stranger --eth1--eth2-- server
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/proxy.bash"

if [ "$FAMILY" = 6 ]; then
    second=fd77::9 behind=fd79::2
    gate=fd80::1 near=fd77::a:fff0 far=fd80::2 # to the resolver, from the client
else
    second=10.77.0.9 behind=10.79.0.2
    gate=10.80.0.1 near=10.77.0.250 far=10.80.0.2
fi

setup_file() {
    lab_setup
    make_stranger
    give_address server eth0 "$second/$host_bits"
    start_listener 22
    configure "Interface = eth0 eth2"
    add_profile many --open tcp/22 --window 1m --max-grants 100 --address any
    sed -i 's/^Host = .*/Host = many.lab/' "$lab/home/.config/portsmith/many.conf"
    add_fence
    start_daemon
}

teardown_file() {
    stop_proxy
    lab_teardown
}

# One uplink leads everywhere, as far as the client's address is concerned.
setup() {
    common_setup
    ip -n client "-$FAMILY" route replace "$second/$host_bits" dev eth0 src "$client"
    for address in "$near" "$far"; do
        ip -n client "-$FAMILY" route replace "$address/$host_bits" dev eth1 src "$client"
    done
    ip -n stranger "-$FAMILY" route replace "$client/$host_bits" via "$gate" dev eth0 onlink
    rm -rf "$lab/kept"
    mkdir "$lab/kept"
}

teardown() {
    common_teardown
    stop_proxy
    end_process KILL "$stranger"
    tables client -t mangle -F OUTPUT
    tables server -t raw -F PREROUTING
}

tables() { # HOST ARGUMENT...
    local program=iptables

    [ "$FAMILY" = 4 ] || program=ip6tables
    on "$1" "$program-$XTABLES" -w 5 "${@:2}"
}

make_stranger() {
    make_host stranger
    join_hosts client eth1 stranger eth0
    join_hosts stranger eth1 server eth2
    give_address client eth1 "$gate/$host_bits"
    give_address stranger eth0 "$near/$host_bits" "$far/$host_bits"
    give_address stranger eth1 10.79.0.2/24 fd79::2/64
    give_address server eth2 10.79.0.1/24 fd79::1/64
    ip -n stranger route add default via 10.79.0.1
    ip -n stranger -6 route add default via fd79::1
}

# Keeps what it gets, each in a file; `pass`: and passes it on at once.
start_stranger() { # [pass]
    spawn stranger "$lab/log/stranger.log" python3 -c '
import socket, sys
server, port, directory, passes = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]
family = socket.AF_INET6 if ":" in server else socket.AF_INET
heard, sent = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
heard.bind(("", port))
for number in range(1000):
    datagram = heard.recv(2048)
    if passes:
        sent.sendto(datagram, (server, port))
    with open(f"{directory}/{number:03}", "wb") as file:
        file.write(datagram)
' "$server" "$knock_port" "$lab/kept" "$@"
    stranger=$spawned
    wait_until 5 host_listens stranger udp "$knock_port"
}

stranger_has() { # COUNT
    [ "$(find "$lab/kept" -type f | wc -l)" -ge "$1" ]
}

# All that it has kept, once more.
stranger_sends() {
    local file

    for file in "$lab"/kept/*; do
        on stranger socat -u -b 65536 "OPEN:$file,rdonly" \
            "$(socat_address UDP-SENDTO "$server" "$knock_port")"
    done
    fence
}

# The resolver may sort them: the first is to be the first.
name_many() { # ADDRESS...
    sed -i '/ many.lab$/d' /etc/hosts
    printf '%s many.lab\n' "$@" >>/etc/hosts
    [ "$(as_client getent ahosts many.lab | awk '$2 == "DGRAM" { print $1 }' | head -n 1)" = "$1" ]
}

# So that whoever else gets one is first.
lose_first_to_server() {
    lose_to_server -m statistic --mode nth --every 1000 --packet 0
}

lose_to_server() { # MATCH of iptables...
    tables client -t mangle -A OUTPUT -d "$server" -p udp --dport "$knock_port" "$@" \
        -j MARK --set-mark 9
    ip -n client "-$FAMILY" rule list | grep -q 'fwmark 0x9' ||
        ip -n client "-$FAMILY" rule add fwmark 9 table 9
    ip -n client "-$FAMILY" route replace "$server/$host_bits" dev eth1 src "$client" table 9
}

# The rule comes before the log, so one may be in before it says so.
opened() { # ADDRESS: how often
    fence >&2
    log_count "many: (opened|extended) tcp/22 for $1 "
}

@test "whoever is in the answer besides the server holds a repeat" {
    start_stranger
    name_many "$server" "$far"
    knock --wait many
    wait_until 5 stranger_has 1
    stranger_sends
    [ "$(opened "$client")" -eq 1 ]
    [ "$(opened "$behind")" -eq 0 ]
    log_lacks "many: refused"
}

@test "so it does where it is the first" {
    start_stranger
    name_many "$near" "$server"
    knock --wait many
    wait_until 5 stranger_has 1
    stranger_sends
    [ "$(opened "$client")" -eq 1 ]
    [ "$(opened "$behind")" -eq 0 ]
}

@test "a close knock is a repeat to others, too" {
    start_stranger
    name_many "$server" "$far"
    knock --wait many
    knock --close many
    wait_for_log "many: closed tcp/22 for $client"
    wait_until 5 stranger_has 2
    stranger_sends
    log_lacks "many: (refused|closed tcp/22 for $behind)"
    [ "$(opened "$behind")" -eq 0 ]
}

@test "a stranger that passes the knock on before the server gets it: --wait gets in, it once" {
    start_stranger pass
    name_many "$server" "$far"
    lose_first_to_server
    run knock --wait -v many
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c ' sent ' <<<"$output")" -eq 3 ]
    [[ ${lines[2]} == *" to $server port "* ]] # alone
    [ "$(opened "$behind")" -eq 1 ]
    [ "$(opened "$client")" -eq 1 ]
    stranger_sends
    [ "$(opened "$behind")" -eq 1 ]
}

@test "so does --connect" {
    start_stranger pass
    name_many "$server" "$far"
    lose_first_to_server
    [ "$(knock --connect many 22 </dev/null | head -n 1)" = "$greeting" ]
    [ "$(opened "$behind")" -eq 1 ]
}

@test "so does the proxy" {
    start_stranger pass
    name_many "$server" "$far"
    lose_first_to_server
    start_proxy "ConnectTimeout = 30s"
    [ "$(talk pipelined many.lab 22 | head -n 1)" = "$greeting" ]
    proxy_says 'many: asked to open, at 2 addresses'
    proxy_says 'many: asked to open, at 1 address$'
    [ "$(opened "$behind")" -eq 1 ]
    stranger_sends
    [ "$(opened "$behind")" -eq 1 ]
}

@test "a stranger that is the first in the answer, too" {
    start_stranger pass
    name_many "$near" "$server"
    lose_first_to_server
    knock --wait many
    [ "$(opened "$client")" -eq 1 ]
}

@test "and it does not keep the proxy out either" {
    start_stranger pass
    name_many "$near" "$server"
    lose_first_to_server
    start_proxy "ConnectTimeout = 30s"
    [ "$(talk pipelined many.lab 22 | head -n 1)" = "$greeting" ]
}

@test "a server with two addresses opens once" {
    start_stranger
    name_many "$server" "$second"
    tables server -t raw -A PREROUTING -d "$server" -p tcp --dport 22 -j DROP
    run knock --wait -v many
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"connected to $second port 22"* ]]
    [ "$(opened "$client")" -eq 1 ]
    log_lacks "many: (refused|extended)"
}

@test "a knock that is lost on the way to one address comes by the other" {
    start_stranger
    name_many "$server" "$second"
    lose_to_server
    knock --wait many
    [ "$(opened "$client")" -eq 1 ]
}

# ---- another host with the same name ---------------------------------------

start_other_host() {
    sed "s/^Interface = .*/Interface = eth0/
         \$a StateDirectory = $lab/state-2\nRunDirectory = /run/portsmith-2" "$conf" \
        >"$lab/other.conf"
    mkdir -p "$lab/state-2"
    spawn stranger "$lab/log/other.log" portsmithd -c "$lab/other.conf" -f
    other_host=$spawned
    wait_until 15 grep -q ' ready' "$lab/log/other.log"
    spawn stranger "$lab/log/listener.log" \
        socat "TCP6-LISTEN:22,ipv6only=0,reuseaddr,fork" "SYSTEM:echo SSH-2.0-other; cat"
    wait_until 5 host_listens stranger tcp 22
}

@test "two hosts under one name: the knock opens both, and either lets in" {
    start_stranger
    start_other_host
    name_many "$server" "$far"
    knock --wait many
    [ "$(opened "$client")" -eq 1 ]
    wait_until 5 grep -q "many: opened tcp/22 for $client" "$lab/log/other.log"
    [ "$(tcp_greeting "$far" 22 "$client")" = SSH-2.0-other ]
    tables server -t raw -A PREROUTING -i eth0 -p tcp --dport 22 -j DROP
    run knock --wait -v many
    [[ $output == *"connected to $far port 22"* ]]
    end_process TERM "$other_host"
}
