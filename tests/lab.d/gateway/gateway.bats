#!/usr/bin/env bats
# The server as a gateway: a knock opens the way to a host behind it.
# bats file_tags=backend,family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    make_backend_host
    start_listener 22 backend
    start_listener 23 backend
    configure "Shut = tcp/22"
    add_fence
    add_profile inner --open "tcp/2222 -> $(at 22)" --window 1m
    add_profile brief --open "tcp/2222 -> $(at 22)" --window 5s
    add_profile published --open tcp/8080 --window 1m
    keep_configuration
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

at() { # PORT of the host behind the server
    if [ "$FAMILY" = 6 ]; then echo "[$backend]:$1"; else echo "$backend:$1"; fi
}

set_destination() { # NAME PORT
    sed -i "s/^Open = tcp.*/Open = tcp\/2222 -> $(at "$2")/" "/etc/portsmith.d/$1.conf"
}

nat_rules() {
    local to='\4:\5'

    if [ "$BACKEND" = nftables ]; then # as the rules that they stand for
        [ "$FAMILY" = 4 ] || to='[\4]:\5'
        on server nft list map inet portsmith "sending$FAMILY" | tr ',{' '\n' | sed -n -E \
            "s|^[[:space:]]*(\S+) \. (tcp\|udp) \. ([0-9]+) .* : (\S+) \. ([0-9]+).*|-s \1/ --dport \3 --datestop in-the-map --to-destination $to|p"
        return
    fi
    xtables -t nat -S portsmith | without_litter
}

has_nat_rule() { # of this test's client
    nat_rules | grep -q -e "-s $client/"
}

has_no_nat_rule() {
    ! has_nat_rule
}

is_greeted() { # PORT
    [ "$(tcp_greeting "$server" "$1")" = "$greeting" ]
}

@test "a knock opens the way to the host behind, for its own address alone" {
    port_is_shut "$server" 2222
    knock_opens inner
    wait_until 5 is_greeted 2222
    port_is_shut "$server" 2222 "$other"
    nat_rules | grep -q -e "-s $client/.* --dport 2222 .*--datestop .* --to-destination"
}

# As Docker 29 writes them with --firewall-backend=nftables.
drop_as_docker() {
    local family=ip

    [ "$FAMILY" = 4 ] || family=ip6
    on server nft -f - <<RULES
table $family docker-bridges {
    map filter-forward-in-jumps { type ifname : verdict; elements = { "docker0" : jump filter-forward-in__docker0 }; }
    chain filter-FORWARD { type filter hook forward priority filter; policy accept; oifname vmap @filter-forward-in-jumps; }
    chain filter-forward-in__docker0 { ct state established,related accept; iifname "docker0" accept; drop; }
}
RULES
}

rename_link() { # NAME NEW-NAME
    ip -n server link set "$1" down
    ip -n server link set "$1" name "$2" up
    give_address server "$2" fd78::1/64 # that of IPv4 stays
}

# bats test_tags=iptables
@test "where Docker's own rules drop what goes on to a container, its accept mark is advised" {
    local advice family=ip

    [ "$BACKEND" != nftables ] || skip "it accepts nothing where others drop"
    [ "$FAMILY" = 4 ] || family=ip6
    knock_opens inner
    rename_link eth1 docker0
    wait_until 5 is_greeted 2222
    run on server portsmithctl doctor
    [[ $output != *Docker* ]]
    drop_as_docker
    port_is_shut "$server" 2222
    run on server portsmithctl doctor
    [[ $output == *"tcp/2222 goes on to $backend behind docker0, and Docker's own nftables rules drop"* ]]
    # As that option has it, and what is to be typed.
    on server nft insert rule "$family" docker-bridges filter-forward-in__docker0 \
        meta mark and 0x4000000 == 0x4000000 accept
    advice=$(sed -n "s/.*--bridge-accept-fwmark=0x4000000\/0x4000000, and mark it: \(ip6\{0,1\}tables-$XTABLES .*\)/\1/p;T;q" <<<"$output")
    # shellcheck disable=SC2086 # several words
    on server $advice
    is_greeted 2222
    port_is_shut "$server" 2222 "$other"
    on server nft delete table "$family" docker-bridges
    xtables -t mangle -D FORWARD 2
    rename_link docker0 eth1
}

@test "a knock for a port without a destination opens that port here alone" {
    start_listener 8080
    knock_opens published
    wait_until 5 is_greeted 8080
    has_no_nat_rule
}

@test "a close takes the way back, and a connection that stands lives on" {
    knock_opens inner
    open_connection "$server" 2222
    knock_until "inner: closed " --close inner
    port_is_shut "$server" 2222
    has_no_nat_rule
    connection_answers
}

# What drops there drops with nftables what a grant sends on, too.
forward_drops() {
    [ "$BACKEND" = nftables ] || xtables -P FORWARD DROP
}

# Of FORWARD the same chain refuses and accepts then.
@test "with ShutWith = reset the way is refused, opened and taken back as well" {
    forward_drops
    sed -i "s/^Shut = .*/& tcp\/2222/; \$a ShutWith = reset" "$conf"
    reload_daemon
    [ "$(tcp_answer "$server" 2222)" = reset ]
    knock_opens inner
    wait_until 5 is_greeted 2222
    open_connection "$server" 2222
    [ "$(tcp_answer "$server" 2222 "$other")" = reset ]
    knock_until "inner: closed " --close inner
    [ "$(tcp_answer "$server" 2222)" = reset ]
    connection_answers
    restore_configuration
    reload_daemon
    xtables -P FORWARD ACCEPT
}

@test "the window is over: nothing new comes through, also where FORWARD drops by default" {
    local window start

    forward_drops
    knock_opens_briefly brief
    open_connection "$server" 2222
    wait_for_log "brief: tcp/2222 for $client has ended" $((window + 5))
    port_is_shut "$server" 2222
    connection_answers
    xtables -P FORWARD ACCEPT
}

@test "what another program sends on is not kept alive by our rules" {
    publish 8081 22
    open_connection "$server" 8081
    connection_answers
    xtables -P FORWARD DROP
    ! connection_answers || false
    xtables -P FORWARD ACCEPT
    connection_answers
}

@test "all processes are killed: the kernel shuts the way in time" {
    local window start pid

    knock_opens_briefly brief
    wait_until 5 is_greeted 2222
    for pid in $(daemon_processes); do
        kill -KILL "$pid" || true # the others end when the first does
    done
    wait_until $((window + 5)) port_is_shut "$server" 2222
    # A rule stays, an element goes with its deadline.
    [ "$BACKEND" = nftables ] || xtables -t nat -S portsmith | grep -q -e "-s $client/"
    start_daemon
    wait_until 5 has_no_nat_rule
}

# bats test_tags=iptables
@test "what another program removes from the nat table is put back, with live grants" {
    [ "$BACKEND" != nftables ] || skip "nobody can take its rules away"
    knock_opens inner
    xtables -t nat -F
    wait_until 10 port_is_open "$server" 2222
    wait_for_log "putting them back"
}

@test "a restart takes the way over" {
    knock_opens inner
    end_process KILL "$(daemon_pid)"
    start_daemon
    wait_until 5 is_greeted 2222
}

@test "a reload that changes the destination ends the grant, and the next knock leads there" {
    knock_opens inner
    set_destination inner 23
    reload_daemon
    wait_for_log "inner: tcp/2222 for $client has ended: it is no longer permitted"
    port_is_shut "$server" 2222
    knock_opens inner
    nat_rules | grep -q -F -e "--to-destination $(at 23)"
    wait_until 5 is_greeted 2222
    set_destination inner 22
    reload_daemon
}

@test "without a destination of the client's family a service is refused, and others are not" {
    local v6_only="192.0.2.1:22"

    [ "$FAMILY" = 6 ] || v6_only="[2001:db8::1]:22"
    sed -i "s/^Open = tcp.*/Open = tcp\/2222 -> $v6_only/" /etc/portsmith.d/inner.conf
    reload_daemon
    knock_until "inner: refused for $client: this profile names no IPv$FAMILY host behind tcp/2222" inner
    echo "Open = tcp/8080" >>/etc/portsmith.d/inner.conf
    reload_daemon
    knock_until "inner: opened tcp/8080 for $client " inner tcp/2222 tcp/8080
    sed -i '/^Open = tcp.8080/d' /etc/portsmith.d/inner.conf
    set_destination inner 22
    reload_daemon
}

@test "Forward: a grant counts for a port that another program sends on" {
    publish 8080 22
    xtables -P FORWARD DROP
    xtables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT
    knock_opens published
    port_is_shut "$server" 8080
    sed -i "1a Forward = yes" "$conf"
    if [ "$BACKEND" = nftables ]; then # by the mark
        sed -i "1a AcceptMark = 0x100" "$conf"
        xtables -A FORWARD -m mark --mark 0x100/0x100 -j ACCEPT
    fi
    reload_daemon
    wait_until 5 is_greeted 8080
    port_is_shut "$server" 8080 "$other"
    xtables -P FORWARD ACCEPT
    restore_configuration
    reload_daemon
}

@test "without destinations nothing of ours is left in the nat table" {
    local name

    for name in inner brief; do
        mv "/etc/portsmith.d/$name.conf" "$lab/$name.away"
    done
    reload_daemon
    ! xtables -t nat -S | grep portsmith || false
    ! xtables -S | grep -e portsmith-gateway -e portsmith-through || false
    for name in inner brief; do
        mv "$lab/$name.away" "/etc/portsmith.d/$name.conf"
    done
    reload_daemon
    knock_opens inner
    wait_until 5 is_greeted 2222
}

@test "release leaves nothing" {
    stop_daemon
    on server portsmithd --release -c "$conf"
    ! xtables -t nat -S | grep portsmith || false
    ! rules | grep portsmith || false
    start_daemon
}
