#!/usr/bin/env bats
# Networks that translate addresses: the server sees the client come from another address
# than the client has, which looks public to it all the same.
#
#   client 25.0.0.2, 2001:4860:25::2  --  router  --  server 5.5.5.1, 2001:4860:5::1
#
# The router can be a NAT64, too; and there is the lab's own link, which translates nothing.
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

if [ "$FAMILY" = 6 ]; then
    server=2001:4860:5::1 client=2001:4860:25::2 outside=2001:4860:5::2 second=2001:4860:5::3
else
    server=5.5.5.1 client=25.0.0.2 outside=5.5.5.2 second=5.5.5.3
fi

make_router() {
    make_host router
    join_hosts client eth1 router eth0
    join_hosts router eth1 server eth1
    give_address client eth1 25.0.0.2/24 2001:4860:25::2/64
    give_address router eth0 25.0.0.1/24 2001:4860:25::1/64
    give_address router eth1 5.5.5.2/24 5.5.5.3/24 2001:4860:5::2/64 2001:4860:5::3/64
    give_address server eth1 5.5.5.1/24 2001:4860:5::1/64
    ip -n client route add 5.5.5.0/24 via 25.0.0.1
    ip -n client route add 2001:4860::/32 via 2001:4860:25::1
    ip -n client route add 64:ff9b::/32 via 2001:4860:25::1
    ip -n server route add 2001:4860::/32 via 2001:4860:5::2
    ip -n server route add 25.0.0.0/24 via 5.5.5.2
    on router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
                     echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
}

setup_file() {
    lab_setup
    make_router
    start_listener 22
    configure "Interface = eth0 eth1" "Transports = udp tcp-syn" "MetricsFile = $lab/portsmith.prom"
    add_profile ssh --open tcp/22
    add_fence
    start_daemon
}

teardown_file() {
    lab_teardown
}

setup() {
    own_log
    sed -i "s/^Host.*/Host = $server/" "$lab/home/.config/portsmith/ssh.conf"
}

teardown() {
    [ ! -e "$lab/tayga.pid" ] || stop_nat64
    [ ! -e "$lab/resolver.pid" ] || stop_resolver
    on router iptables-"$XTABLES" -w 5 -t nat -F POSTROUTING
    on router ip6tables-"$XTABLES" -w 5 -t nat -F POSTROUTING
    on server portsmithctl close --all >/dev/null
    common_teardown
}

# What leaves the router by eth1.
translate() { # RULE...
    local program=iptables

    [ "$FAMILY" = 4 ] || program=ip6tables
    on router "$program-$XTABLES" -w 5 -t nat -A POSTROUTING -o eth1 "$@"
}

gets_in() { # ARGUMENT of portsmith-knock...
    knock --wait --timeout 40s "$@"
}

# In vain, with what it says in $output.
stays_out() { # ARGUMENT of portsmith-knock...
    run knock --wait --timeout 1s "$@"
    [ "$status" -eq 3 ]
}

says() { # TEXT...
    local text

    for text; do
        [[ $output == *"$text"* ]] || {
            echo "'$text' is not in:"
            echo "$output"
            return 1
        }
    done
}

# A number of portsmithctl's JSON.
of_status() { # EXPRESSION of jq
    on server portsmithctl status --json | jq "$1"
}

of_list() { # EXPRESSION of jq
    on server portsmithctl list --json | jq -c "$1"
}

# ---- an address that looks public and is translated ---------------------------

@test "where nothing is translated, the signed address is the one that is seen" {
    local before

    before=$(of_status .counters.elsewhere)
    gets_in ssh
    wait_for_log "ssh: opened tcp/22 for $client for 30 s \(address signed\)$"
    [ "$(of_list 'map(.elsewhere)')" = "[false]" ]
    [ "$(of_status .counters.elsewhere)" -eq "$before" ]
}

@test "a signed address that is translated on the way: the log names both, and the client the cure" {
    translate -j SNAT --to-source "$outside"
    stays_out ssh
    says "hint: the knock opens to $client, an address of this machine" "try --address observed"
    wait_for_log "ssh: opened tcp/22 for $client for 30 s \(address signed; the knock came from $outside\)"
    gets_in --address observed ssh
    wait_for_log "ssh: opened tcp/22 for $outside for 30 s$"
}

@test "status, list, doctor and the metrics show it" {
    local before

    translate -j SNAT --to-source "$outside"
    before=$(of_status .counters.elsewhere)
    knock_until "the knock came from $outside" ssh
    [ "$(of_status .counters.elsewhere)" -eq $((before + 1)) ]
    on server portsmithctl status | grep -q -x -E ' +elsewhere +[0-9]+  signed another address than they came from'
    on server portsmithctl list | grep -q -E " $client .*\(the knock came from another address\)$"
    [ "$(of_list 'map(.elsewhere)')" = "[true]" ]
    run on server portsmithctl doctor
    says "$((before + 1)) knocks signed another address than they came from" "--address observed"
    wait_until 20 grep -q -x "portsmith_elsewhere_knocks_total $((before + 1))" "$lab/portsmith.prom"
}

@test "a restart keeps what list shows of it" {
    translate -j SNAT --to-source "$outside"
    knock_until "the knock came from $outside" ssh
    kill_daemon
    start_daemon
    [ "$(of_list 'map(.elsewhere)')" = "[true]" ]
    knock_until "closed tcp/22 for $client; the knock came from $outside" --close ssh
}

@test "what is refused is told with both, too" {
    translate -j SNAT --to-source "$outside"
    knock_until "ssh: refused for $client: tcp/23 is not in this profile; the knock came from $outside" \
        ssh tcp/23
}

@test "--diagnose names the cure" {
    translate -j SNAT --to-source "$outside"
    run knock --diagnose --timeout 1s ssh
    [ "$status" -eq 4 ]
    says "PROBLEM: the port is still shut" "-> the knock opens to $client, an address of this machine" \
        "try --address observed"
}

@test "a prefix that is translated, one address for one address" {
    local prefix=5.5.5.128/25 seen=5.5.5.130

    [ "$FAMILY" = 4 ] || prefix=2001:4860:9::/64 seen=2001:4860:9::2
    translate -j NETMAP --to "$prefix"
    ip -n server "-$FAMILY" route replace "$prefix" via "$outside"
    stays_out ssh
    says "hint: the knock opens to $client, an address of this machine"
    wait_for_log "address signed; the knock came from $seen"
    gets_in --address observed ssh
    on server portsmithctl close --all
    gets_in --address "$seen" ssh
    ip -n server "-$FAMILY" route delete "$prefix"
}

@test "UDP by one public address and TCP by another: the hint names what works" {
    translate -p udp -j SNAT --to-source "$second"
    translate -j SNAT --to-source "$outside"
    stays_out --address observed ssh
    says "hint: the port opens to the address that the knock came from" "try --transport tcp-syn"
    wait_for_log "ssh: opened tcp/22 for $second for"
    gets_in --address observed --transport tcp-syn ssh
    wait_for_log "ssh: opened tcp/22 for $outside for"
    stays_out --address observed --transport tcp-syn ssh tcp/23
    [[ $output != *"try --transport tcp-syn"* ]]
}

# ---- NAT64 -------------------------------------------------------------------

# Translates to IPv4 behind PREFIX, with 192.168.64.0/24 for its clients.
start_nat64() { # PREFIX
    rm -rf "$lab/tayga"
    mkdir -p "$lab/tayga"
    cat >"$lab/tayga.conf" <<END
tun-device nat64
ipv4-addr 192.168.64.1
ipv6-addr 2001:4860:25:64::1
prefix $1
dynamic-pool 192.168.64.0/24
data-dir $lab/tayga
END
    on router tayga --config "$lab/tayga.conf" --mktun
    ip -n router link set nat64 up
    ip -n router route add "$1" dev nat64
    ip -n router route add 192.168.64.0/24 dev nat64
    on router iptables-"$XTABLES" -w 5 -t nat -A POSTROUTING -o eth1 -s 192.168.64.0/24 -j MASQUERADE
    spawn router "$lab/log/tayga" tayga --config "$lab/tayga.conf" --nodetach
    echo "$spawned" >"$lab/tayga.pid"
    wait_until 5 translates_to_ipv4
}

translates_to_ipv4() {
    [ "$(with_mounts_on router cat /sys/class/net/nat64/carrier)" = 1 ]
}

stop_nat64() {
    end_process TERM "$(<"$lab/tayga.pid")"
    rm "$lab/tayga.pid"
    on router tayga --config "$lab/tayga.conf" --rmtun
}

# A resolver for the client alone, where the lab has all look for one; it knows nothing else.
start_resolver() { # NAME,ADDRESS...
    : >"$lab/log/resolver"
    spawn client "$lab/log/resolver" dnsmasq --keep-in-foreground --user=root --pid-file= \
        --conf-file=/dev/null --no-resolv --no-hosts --no-daemon --log-queries --log-facility=- \
        --listen-address=127.0.0.1 --bind-interfaces "${@/#/--host-record=}"
    echo "$spawned" >"$lab/resolver.pid"
    wait_until 5 host_listens client udp 53
}

stop_resolver() {
    end_process TERM "$(<"$lab/resolver.pid")"
    rm "$lab/resolver.pid"
}

asked_for() { # TYPE NAME: how often
    grep -c -F "query[$1] $2 from" "$lab/log/resolver" || true
}

knock_at() { # HOST
    sed -i "s/^Host.*/Host = $1/" "$lab/home/.config/portsmith/ssh.conf"
}

# bats test_tags=ipv4
@test "through a NAT64 with a well-known prefix auto gets in, and -v says that nothing was signed" {
    [ "$FAMILY" = 4 ] || skip "to the server it is IPv4"
    start_nat64 64:ff9b::/96
    knock_at 64:ff9b::5.5.5.1
    run gets_in -v ssh
    [ "$status" -eq 0 ]
    says "for the address that the server observes" \
        "no address was signed: 64:ff9b::505:501 stands for an IPv4 host behind a NAT64"
    wait_for_log "ssh: opened tcp/22 for $outside for 30 s$"
    run knock --diagnose ssh
    says "64:ff9b::505:501 stands for an IPv4 host behind a NAT64, which translates: no address is signed"
}

# bats test_tags=ipv4
@test "through the network's own NAT64 auto gets in by name" {
    local options # none or one

    [ "$FAMILY" = 4 ] || skip "to the server it is IPv4"
    start_nat64 2001:4860:64:100::/56
    start_resolver home.example,5.5.5.1,2001:4860:64:105:5:501:: \
        ipv4only.arpa,192.0.0.170,2001:4860:64:1c0:0:aa::
    knock_at home.example
    ip -n client -4 route replace unreachable 5.5.5.0/24
    for options in "" -6; do
        on server portsmithctl close --all
        own_log
        run gets_in -v $options ssh
        [ "$status" -eq 0 ]
        says "no address was signed: 2001:4860:64:105:5:501:: stands for an IPv4 host"
        wait_for_log "ssh: opened tcp/22 for $outside for 30 s$"
    done
    [ "$(asked_for AAAA ipv4only.arpa)" -eq 2 ]
    ip -n client -4 route replace 5.5.5.0/24 via 25.0.0.1
}

# bats test_tags=ipv6
@test "a resolver that makes the network's prefix up does not choose whether an address is signed" {
    local record

    [ "$FAMILY" = 6 ] || skip "IPv6 alone is signed or not"
    for record in home.example,5.5.5.1,2001:4860:5::1 home.example,2001:4860:5::1; do
        start_resolver "$record" ipv4only.arpa,192.0.0.170,2001:4860:5::192.0.0.170
        knock_at home.example
        own_log
        gets_in -6 ssh
        wait_for_log "ssh: (opened|extended) tcp/22 for $client for 30 s \(address signed\)$"
        [ "$(asked_for AAAA ipv4only.arpa)" -eq 0 ] # it takes no time
        stop_resolver
    done
    # Behind its prefix there is the name's own IPv4 address, but the prefix is not that of
    # ipv4only.arpa.
    ip -n server address add 2001:4860:5::5.5.5.1/128 dev eth1 nodad
    start_resolver home.example,5.5.5.1,2001:4860:5::5.5.5.1 \
        ipv4only.arpa,192.0.0.170,2001:4860:6::192.0.0.170
    own_log
    gets_in -6 ssh
    wait_for_log "ssh: extended tcp/22 for $client for 30 s \(address signed\)$"
    [ "$(asked_for AAAA ipv4only.arpa)" -eq 1 ]
    stop_resolver
    ip -n server address delete 2001:4860:5::5.5.5.1/128 dev eth1
}

# ---- link-local ----------------------------------------------------------------

link_local() { # HOST INTERFACE
    on "$1" ip -6 -o address show dev "$2" scope link | sed -n 's,.*inet6 \([^/]*\)/.*,\1,p'
}

# bats test_tags=ipv6
@test "no port is opened to a link-local address, observed or signed" {
    local from to

    [ "$FAMILY" = 6 ] || skip "IPv6 alone"
    from=$(link_local client eth0) to=$(link_local server eth0)
    knock_bytes "$lab/bytes" --address observed ssh
    on client socat -u "OPEN:$lab/bytes,rdonly" "UDP6-SENDTO:[$to%eth0]:$knock_port"
    wait_for_log "ssh: refused for $from: no port is opened to a link-local address"
    other_knock ssh "$lab/bytes" --address "$from"
    on client socat -u "OPEN:$lab/bytes,rdonly" "UDP6-SENDTO:[$server]:$knock_port"
    wait_for_log "ssh: refused for $from: no port is opened to a link-local .*; the knock came from $client"
    there_are_no_grants
}

# bats test_tags=ipv6
@test "portsmith-knock knocks at no link-local address, and says so" {
    [ "$FAMILY" = 6 ] || skip "IPv6 alone"
    start_resolver "home.example,fe80::1"
    knock_at home.example
    run -1 knock --wait ssh
    says "fe80::1 is link-local, and no server opens a port to such addresses"
}

# ---- addresses that no server can have -------------------------------------------

# bats test_tags=ipv4,installed,once
@test "what proxychains makes of a name is not knocked at" {
    [ "$FAMILY" = 4 ] || skip "it makes IPv4 addresses"
    ! ldd "$(command -v portsmith-knock)" | grep -q libasan || skip "a sanitizer wants to come first"
    printf '%s\n' strict_chain proxy_dns '[ProxyList]' 'socks5 127.0.0.1 1080' >"$lab/proxychains.conf"
    knock_at home.example
    capture_start "$lab/knocks.pcap" udp port "$knock_port"
    run -1 as_client proxychains4 -q -f "$lab/proxychains.conf" portsmith-knock ssh
    says "224.0.0.1 is no address that a server can have" "a SOCKS wrapper such as proxychains"
    knock_at "$server"
    knock_opens fence
    capture_stop
    [ "$(tcpdump -n -r "$lab/knocks.pcap" dst net 224.0.0.0/4 2>/dev/null | wc -l)" -eq 0 ]
}
