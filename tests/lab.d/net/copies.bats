#!/usr/bin/env bats
# Where one address stands for all members of a group: the rules that copy knocks from the member
# that such an address leads to, to its peers.
#
#   server eth0  --  client eth1  --  eth0 second
#      eth1  ---------------------------  eth1
#
# bats file_tags=backend
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"
. "$top/tests/lib/member.bash"

if [ "$FAMILY" = 6 ]; then
    shared=fd81::9
else
    shared=10.81.0.9
fi

# What the copies are sent over. As to a member on one segment with all others, which does not have
# the shared address just now, that address and the client are at the second host's link: it redirects
# whom it forwards there (RFC 4861, 8.2: to what is named by a link-local address).
join_members() {
    local host

    join_hosts server eth1 second eth1
    give_address server eth1 10.80.0.1/24 fd80::1/64 fe80::a/64
    give_address second eth1 10.80.0.2/24 fd80::2/64
    give_address server lo 10.81.0.9/32 fd81::9/128
    ip -n second route add 10.81.0.9 via 10.80.0.1
    ip -n second route add 10.77.0.0/24 dev eth1
    ip -n second -6 route add fd81::9 via fe80::a dev eth1
    ip -n second -6 route add fd77::/64 dev eth1
    # As Debian's installer has a host's own name, and as a name of the group may have them all.
    printf '%s\n' "127.0.1.1 a.lab b.lab" "10.81.0.9 a.lab b.lab" "fd81::9 a.lab b.lab" \
        "10.80.0.1 a.lab" "fd80::1 a.lab" "10.80.0.2 b.lab" "fd80::2 b.lab" >>/etc/hosts
    for host in server second; do
        on "$host" sh -c 'for switch in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$switch; done
                          for switch in /proc/sys/net/ipv4/conf/*/send_redirects; do echo 1 >$switch; done
                          echo 0 >/proc/sys/net/ipv4/icmp_ratelimit
                          echo 1 >/proc/sys/net/ipv4/ip_forward
                          echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
        on "$host" nft 'table inet watch { chain came {
            type filter hook prerouting priority -400; iifname eth1 meta l4proto != ipv6-icmp counter
        }
        }'
    done
}

setup_file() {
    lab_setup
    make_second
    join_members
    start_listener 22
    configure "MaxWindow = 60s" "Interface = eth0 eth1" "Transports = udp tcp-syn icmp"
    printf '%s\n' "Group = web" "Member = a.lab" "Peers = b.lab" \
        "SharedAddress = 10.81.0.9 fd81::9" >>"$conf"
    add_profile ssh --open tcp/22
    sed -i "/^Member/d; s/^Host = .*/Host = $shared/" "$lab/home/.config/portsmith/ssh.conf"
    join_group b.lab a.lab
    start_daemon
    start_second_daemon
    put_in_force
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    : >"$lab/log/second.log"
    lead_to server "$server"
}

teardown() {
    member_teardown
}

# Who knocks at the shared address knocks at this host, by its address ADDRESS.
lead_to() { # HOST ADDRESS
    ip -n client route replace "$shared/$host_bits" via "$2" src "$client"
}

rules_of() { # HOST
    if [ "$1" = server ]; then
        on server portsmithctl -c "$conf" group rules
    else
        on_second portsmithctl group rules
    fi
}

put_in_force() { # [SCRIPT of sed, which changes them]
    local host

    for host in server second; do
        rules_of "$host" | sed -E "${1:-}" >"$lab/rules.$host"
        on "$host" sh -e "$lab/rules.$host"
    done
}

# Nothing but knocks, and what is made of them, is sent from member to member.
came_to() { # HOST
    on "$1" nft -j list chain inet watch came | jq '[.nftables[].rule.expr[]?.counter?.packets // 0] | add'
}

# How often the hosts have got copies since `count_from_here`.
copies() { # HOST
    echo $(($(came_to "$1") - before[$1]))
}

has_got() { # HOST COUNT
    [ "$(copies "$1")" -eq "$2" ]
}

send_to() { # FILE ADDRESS PORT
    local answer

    ask_peer send "$1" "$2" "$3" "$client"
}

count_from_here() {
    declare -g -A before=([server]=$(came_to server) [second]=$(came_to second))
}

redirects_of_second() {
    if [ "$FAMILY" = 6 ]; then
        on second awk '$1 == "Icmp6OutRedirects" { print $2 }' /proc/net/snmp6
    else
        on second awk '/^Icmp:/ && !n { n = split($0, names) } /^Icmp:/ { split($0, values) }
            END { for (i in names) if (names[i] == "OutRedirects") print values[i] }' /proc/net/snmp
    fi
}

knock_at_shared() { # [ARGUMENT of portsmith-knock...]
    knock --address "$client" "$@" ssh
}

both_have_opened() {
    wait_for_log "ssh: opened tcp/22 for $client for 30 s" &&
        wait_until 5 second_says "ssh: opened tcp/22 for $client for 30 s"
}

# ---- knocks ------------------------------------------------------------------

# bats test_tags=backend,family
@test "a knock at the shared address opens at each member, whichever it comes to" {
    knock_at_shared
    both_have_opened
    port_is_open "$shared" 22
    client=$other
    lead_to second "$second"
    own_log
    : >"$lab/log/second.log"
    knock_at_shared
    both_have_opened
}

# bats test_tags=backend,family
@test "it is copied once, and the copy goes no further" {
    local redirects

    redirects=$(redirects_of_second)
    count_from_here
    for _ in 1 2 3; do
        knock_at_shared
    done
    both_have_opened
    wait_until 5 has_got second 3
    never_in_ms 100 has_got server 1
    has_got second 3
    [ "$(redirects_of_second)" -eq "$redirects" ]
}

@test "the traps are there: a copy that is not dropped is forwarded, and the client is redirected" {
    local redirects

    put_in_force 's/drop$/return/; s/DROP$/RETURN/'
    redirects=$(redirects_of_second)
    count_from_here
    knock_at_shared
    wait_until 5 has_got server 1
    has_got second 1
    wait_until 5 eval '[ "$(redirects_of_second)" -gt "$redirects" ]'
    put_in_force
}

@test "the traps are there: a copy that is copied again circles" {
    put_in_force '/ether saddr|--mac-source/d'
    on second sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv6/conf/all/forwarding'
    count_from_here
    knock_at_shared
    wait_until 5 eval '[ "$(copies server)" -ge 50 ]'
    put_in_force
    count_from_here
    never_in_ms 200 has_got server 1
    on second sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
}

@test "knocks by TCP SYN and by echo request are copied, too" {
    local transport

    on client sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_fastopen
                     echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range'
    for transport in tcp-syn icmp; do
        : >"$lab/log/second.log"
        own_log
        knock_at_shared --transport "$transport"
        wait_for_log "ssh: (opened|extended) tcp/22 for $client "
        wait_until 5 second_says "ssh: (opened|extended) tcp/22 for $client "
    done
}

@test "what cannot be a knock at the shared address is not copied" {
    knock_bytes "$lab/knock" --address "$client" ssh
    head -c 175 "$lab/knock" >"$lab/short"
    head -c 1500 /dev/zero >"$lab/long"
    count_from_here
    send_to "$lab/short" "$shared" "$knock_port"
    send_to "$lab/long" "$shared" "$knock_port"
    send_to "$lab/knock" "$shared" $((knock_port + 1))
    send_to "$lab/knock" "$server" "$knock_port"
    wait_for_log "ssh: opened tcp/22 for $client"
    never_in_ms 100 has_got second 1
    knock_at_shared
    wait_until 5 has_got second 1
}

@test "a flood of garbage is copied at its rate" {
    local most

    put_in_force # anew, with nothing of the rate used up
    count_from_here
    begin_timing
    on client python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(1000):
    s.sendto(bytes(200), (sys.argv[1], int(sys.argv[2])))' "$shared" "$knock_port"
    most=$((100 + ($(now_ms) - timed_from) / 10 + 1))
    wait_until 5 eval '[ "$(copies second)" -ge 100 ]'
    [ "$(copies second)" -le "$most" ]
}

# ---- the command, and the doctor -----------------------------------------------

# What the doctor says of it, a line each.
copies_findings() {
    on server portsmithctl -c "${1:-$conf}" --json doctor >"$lab/doctor" || [ $? -eq 4 ]
    jq -r 'if any(.checks[]; . == "copies") then .findings[] | select(.check == "copies") | .what
           else "not looked at" end' "$lab/doctor"
}

copies_say() { # PATTERN
    local all

    all=$(copies_findings)
    # shellcheck disable=SC2053 # a pattern
    [[ $all == $1 ]] || { echo "$all" && return 1; }
}

# bats test_tags=backend,family
@test "doctor finds whether the rules are in force" {
    local -A says=()

    put_in_force # again
    [ -z "$(copies_findings)" ]
    if [ "$BACKEND" = nftables ]; then
        on server nft add rule ip knock-copies send drop
        on server nft flush chain ip6 knock-copies send
        says=([4]="where '}' belongs, there is 'drop'" [6]="where 'ether saddr * drop' belongs, there is '}'")
    else
        on server "iptables-$BACKEND" -t raw -A knock-copies-send -j DROP
        on server "ip6tables-$BACKEND" -t raw -F knock-copies-send
        says=([4]="'-A knock-copies-send -j DROP' is too much" [6]="'-A knock-copies-send * -j DROP' is missing")
    fi
    copies_say "the rules that copy knocks over IPv4 are not those that are needed: ${says[4]}"$'\n'\
"the rules that copy knocks over IPv6 are not those that are needed: ${says[6]}"
    put_in_force 's/burst 100/&0/'
    if [ "$BACKEND" = nftables ]; then
        on server nft delete table ip knock-copies
    else
        on server "iptables-$BACKEND" -t raw -F
        on server "iptables-$BACKEND" -t raw -X
    fi
    copies_say "*over IPv4 to the peers are not in force: a knock at *over IPv6*where '*burst 100 *' belongs, there is '*burst 1000*"
    jq -e 'any(.findings[]; .advice | startswith("portsmithctl group rules >FILE && sh FILE;"))' "$lab/doctor"
    put_in_force
}

@test "doctor compares with what is known of a peer that does not answer" {
    on server nft 'table netdev mute { chain arriving {
        type filter hook ingress device eth1 priority 0; policy drop; }
        }'
    ip -n server neighbour flush dev eth1
    run copies_findings
    on server nft delete table netdev mute
    [[ $output == "the peer b.lab does not answer at 10.80.0.2 on eth1, so its MAC address is not known"$'\n'\
"the peer b.lab does not answer at fd80::2 on eth1, so its MAC address is not known" ]]
}

@test "doctor finds an interface by which copies come unseen, and nothing on other hosts" {
    sed 's/^Interface = .*/Interface = eth0/' "$conf" >"$lab/other.conf"
    [ "$(copies_findings "$lab/other.conf")" = \
        "what the peer b.lab copies comes in by eth1, which Interface does not name: it is not seen" ]
    sed '/SharedAddress/d' "$conf" >"$lab/other.conf"
    [ "$(copies_findings "$lab/other.conf")" = "not looked at" ]
    sed "s/^Backend = .*/Backend = auto/; \$aRunDirectory = $lab/none" "$conf" >"$lab/other.conf"
    [ "$(copies_findings "$lab/other.conf")" = "whether knocks at a shared address are copied is not known here" ]
}

refuses_rules() { # SCRIPT of sed for the configuration, STATUS, PATTERN
    sed -E "$1" "$conf" >"$lab/other.conf"
    run --separate-stderr on server portsmithctl -c "$lab/other.conf" group rules
    # shellcheck disable=SC2254 # a pattern
    case $status-$output-$stderr in
    $2--$3) ;;
    *) echo "$status: $output$stderr" && return 1 ;;
    esac
}

@test "rules that are not complete are not printed" {
    echo "10.80.0.1 myself.lab" >>/etc/hosts
    refuses_rules '/SharedAddress/d' 1 "*there is nothing to copy*name it as SharedAddress*"
    refuses_rules 's/^Peers = .*/Peers = 10.80.0.2/' 1 "*the peer 10.80.0.2 has no IPv6 address to which*"
    refuses_rules 's/^Peers = .*/Peers = b.lab none.lab/' 1 "*the peer none.lab has no IPv4 address*none.lab has no IPv6*"
    refuses_rules 's/^Peers = .*/Peers = 192.0.2.7/; s/ fd81::9//' 1 "*the peer 192.0.2.7 is on no link of this host*"
    refuses_rules 's/^Peers = .*/Peers = 10.79.0.1/; s/ fd81::9//' 1 "*the peer 10.79.0.1 is on no link of this host*"
    refuses_rules 's/^Peers = .*/Peers = myself.lab/; s/ fd81::9//' 1 "*the peer myself.lab is this host itself*"
    refuses_rules 's/^Peers = .*/Peers = 10.80.0.7/; s/ fd81::9//' 1 "*the peer 10.80.0.7 does not answer at 10.80.0.7 on eth1*"
    refuses_rules "s/^Backend = .*/Backend = auto/; \$aRunDirectory = $lab/none" 3 "*start it, or set Backend"
    refuses_rules '/^Peers/d' 78 "*SharedAddress needs a line 'Peers = ...'*"
    sed -i '/ myself.lab$/d' /etc/hosts
    run on server setpriv --reuid="$client_user" portsmithctl group rules
    [ "$status" -eq 1 ]
    run on server portsmithctl group
    [ "$status" -eq 2 ]
}

@test "with Backend = auto the rules are for the one in use, also as JSON" {
    sed 's/^Backend = .*/Backend = auto/' "$conf" >"$lab/other.conf"
    on server portsmithctl -c "$lab/other.conf" --json group rules >"$lab/rules.json"
    diff <(jq -j .script "$lab/rules.json") <(rules_of server)
    [ "$(jq -r .backend "$lab/rules.json")" = "$(backend_word "$BACKEND")" ]
    [ "$(jq -r '.peers[] | "\(.name) \(.address) \(.interface)"' "$lab/rules.json")" = \
        $'b.lab 10.80.0.2 eth1\nb.lab fd80::2 eth1' ]
    [ "$(jq -r '.peers[0].mac' "$lab/rules.json")" = \
        "$(with_mounts_on second cat /sys/class/net/eth1/address)" ]
}
