#!/usr/bin/env bats
# portsmithctl doctor: each cause is there for real, is found, and goes. What a user meets
# shows whether the doctor is right.
# bats file_tags=backend,family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"
# shellcheck source=tests/lib/firewalld.bash
. "$top/tests/lib/firewalld.bash"
# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"
# shellcheck source=tests/lib/doctor.bash
. "$top/tests/lib/doctor.bash"

# As a daemon that does not run has it, for what a running one need not be troubled with.
elsewhere=$lab/elsewhere

setup_file() {
    lab_setup
    make_backend_host
    configure
    add_profile ssh --open tcp/22 --window 60s
    start_daemon
    start_listener 22
    prepare_timekeeping "$lab"
}

teardown_file() {
    lab_teardown
    rm -rf "$elsewhere"
}

setup() {
    common_setup
}

teardown() {
    [ -z "${mounted:-}" ] || umount "$mounted"
    [ ! -e "$lab/firewalld.pid" ] || stop_firewalld
    common_teardown
}

# A configuration of its own, with what `configure` makes; its lines come first.
configure_elsewhere() { # 'KEY = VALUE'...
    mkdir -p "$elsewhere"
    {
        printf '[Portsmith]\n'
        printf '%s\n' "$@"
        printf '%s\n' "Port = $knock_port" "Backend = $(backend_word "$BACKEND")" "ProfileDirectory = $elsewhere/profiles" \
            "StateDirectory = $elsewhere/state" "RunDirectory = $elsewhere/run"
    } >"$elsewhere/conf"
    on server portsmith-profile -c "$elsewhere/conf" init >/dev/null
}

# Everything that doctor could have changed.
everything() {
    on server cat /proc/net/ip_tables_names /proc/net/ip6_tables_names
    on server sh -c 'for program in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do
        $program-save | sed -e "/^#/d" -e "s/ \[[0-9:]*\]//"
    done'
    on server nft -s list ruleset 2>/dev/null
    find /etc /var/lib /run/portsmith -path /var/lib/counts -prune -o -printf '%p %m %U %s %T@\n' | sort
}

# ---- the frame -------------------------------------------------------------

@test "a healthy host has no findings; nothing seen yet is a note" {
    [ "$(found knocks | cut -c-45)" = "note no packet that could be a knock has come" ]
    finds knocks "port $knock_port in the router"
    knock_opens ssh
    run -0 doctor
    [ "$(grep -c -E ' ok$' <<<"$output")" -eq 19 ]
    grep -q -x "No problem was found." <<<"$output"
    finds_nothing knocks
}

@test "the clock is as the kernel says, and does not matter with MaxSkew = off" {
    finds_nothing clock
    clock=lost
    finds clock "^problem nothing keeps this host's clock right.* 5m .*-> run chronyd"
    run -4 doctor
    grep -q -x "1 problem." <<<"$output"
    configure_elsewhere "MaxSkew = off"
    finds_nothing clock -c "$elsewhere/conf"
}

@test "it changes nothing" {
    everything >"$lab/before"
    doctor || [ $? -eq 4 ]
    everything | diff "$lab/before" -
}

@test "only root may ask" {
    run -1 on server setpriv --reuid=nobody --regid=nogroup --clear-groups portsmithctl doctor
    [ "$output" = "portsmithctl: must be run as root" ]
}

# ---- configuration and daemon ----------------------------------------------

@test "a daemon that does not run is found" {
    configure_elsewhere
    finds daemon '^problem portsmithd does not run .*-> portsmithd --trial 15m .*systemctl enable' -c "$elsewhere/conf"
    run -4 doctor -c "$elsewhere/conf"
    finds_nothing daemon
}

# bats test_tags=nft
@test "rules that another program keeps removing are found, and the log that names it" {
    local remover

    finds_nothing daemon
    spawn server "$lab/log/remover" bash -c 'while sleep 0.02; do nft flush ruleset; done'
    remover=$spawned
    wait_until 20 finds daemon '^problem its rules are not in force'
    wait_for_log "keeps removing Portsmith.s rules" 60
    end_process TERM "$remover"
    wait_until 20 finds daemon '^problem another program keeps removing its rules.*-> find that program'
    stop_daemon
    start_daemon
    finds_nothing daemon
}

@test "a configuration that changed is not in force until it is reloaded" {
    echo "# nothing but a comment" >>"$conf"
    finds_nothing configuration
    sed -i 's/^Window *=.*/Window = 61s/' /etc/portsmith.d/ssh.conf
    finds configuration '^problem it has changed since .*-> run portsmithctl reload'
    on server portsmithctl reload
    finds_nothing configuration
    cp "$conf" "$lab/good.conf"
    echo "Windwo = 3s" >>"$conf"
    finds configuration "^problem $conf:[0-9]*: .*-> fix it, check with portsmithd -t"
    cp "$lab/good.conf" "$conf"
    finds_nothing configuration
}

@test "key files that others can read are found" {
    chmod 644 /etc/portsmith.d/server.key
    finds configuration '^problem /etc/portsmith.d/server.key: .*chmod'
    chmod 600 /etc/portsmith.d/server.key
    finds_nothing configuration
}

@test "a state directory that others get at, or that cannot be written to, is found" {
    configure_elsewhere
    finds_nothing state -c "$elsewhere/conf"
    chmod 755 "$elsewhere/state"
    finds state "^problem $elsewhere/state: is not root's alone -> run: .*chmod 700" \
        -c "$elsewhere/conf"
    mount -t tmpfs -o mode=700,size=4k tmpfs "$elsewhere/state"
    mounted=$elsewhere/state
    finds_nothing state -c "$elsewhere/conf"
    head -c 4096 /dev/zero >"$elsewhere/state/file"
    finds state "no space is left" -c "$elsewhere/conf"
    mount -o remount,ro "$elsewhere/state"
    finds state "read-only" -c "$elsewhere/conf"
}

# ---- interfaces and knocks -------------------------------------------------

# The kernel says so a moment after both ends are up.
has_carrier() { # INTERFACE
    ip -n server link show dev "$1" up | grep -q LOWER_UP
}

@test "interfaces that are missing, down or without traffic are found" {
    configure_elsewhere "Interface = quiet0"
    finds interfaces '^problem quiet0 does not exist' -c "$elsewhere/conf"
    ip link add quiet0 netns server type veth peer name quiet1 netns client
    on client sh -c 'echo 1 >/proc/sys/net/ipv6/conf/quiet1/disable_ipv6'
    finds interfaces '^problem quiet0 is down' -c "$elsewhere/conf"
    ip -n client link set quiet1 up
    ip -n server link set quiet0 up
    wait_until 5 has_carrier quiet0
    finds interfaces '^problem quiet0 has not received a single packet' -c "$elsewhere/conf"
    finds_nothing interfaces
    ip -n server "-$FAMILY" route add default dev quiet0
    finds interfaces '^problem the default route goes by quiet0, which Interface does not name'
    ip -n server link delete quiet0
    finds_nothing interfaces
}

@test "an interface that the daemon has lost is found" {
    ip -n server link set eth0 down
    finds interfaces '^problem eth0 is down'
    ip -n server link set eth0 up
    give_address server eth0 fd77::1/64
    wait_until 10 finds_nothing interfaces
}

@test "packets that are no knocks for this server are told of until one is" {
    stop_daemon
    start_daemon
    head -c 200 /dev/urandom >"$lab/noise"
    send_bytes "$lab/noise"
    wait_until 5 finds knocks '^note 1 packets came to the knock port, and none was a knock'
    other_knock ssh "$lab/late" --counter "$(microseconds -3600)"
    send_bytes "$lab/late"
    wait_until 5 finds knocks '^note 1 knocks were refused, as the clock'
    [[ $(<"$lab/found") != *"none was a knock"* ]]
}

counter_is() { # NAME VALUE
    [ "$(on server portsmithctl --json status | jq ".counters.$1")" -eq "$2" ]
}

send_noise_to() { # ADDRESS
    on client socat -u "OPEN:$lab/noise,rdonly" "$(socat_address UDP-SENDTO "$1" "$knock_port")"
}

@test "packets that only pass through are not taken for knocks for this server" {
    local late=10.77.0.250

    [ "$FAMILY" = 4 ] || late=fd77::250
    stop_daemon
    start_daemon
    head -c 200 /dev/urandom >"$lab/noise"
    send_noise_to "$backend"
    wait_until 5 counter_is foreign 1
    counter_is garbage 1
    finds knocks '^note no packet that could be a knock has come in'
    [[ $(<"$lab/found") != *"none was a knock"* ]]
    on server portsmithctl status | grep -q "1 garbage (1 for other hosts)"
    give_address server eth0 "$late/$host_bits" # which it has not had yet
    ip -n client "-$FAMILY" route add "$late/$host_bits" dev eth0
    send_noise_to "$late"
    wait_until 5 counter_is garbage 2
    counter_is foreign 1
    finds knocks '^note 1 packets came to the knock port, and none was a knock'
}

# ---- the firewall ----------------------------------------------------------

# bats test_tags=iptables
@test "a shut port that a rule before Portsmith's opens is found" {
    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    port_is_shut "$server" 22
    finds_nothing ports
    xtables -t mangle -I PREROUTING -p tcp -m tcp --dport 22 -m comment --comment 'the boss' -j ACCEPT
    port_is_open "$server" 22
    finds ports "^problem tcp/22 is open without a knock \(IPv$FAMILY, eth0\).*-> delete the rule\
 '-t mangle -A PREROUTING -p tcp -m tcp --dport 22 -m comment --comment \"the boss\" -j ACCEPT'"
    xtables -t mangle -R PREROUTING 1 -s "$other" -p tcp -m tcp --dport 22 -j ACCEPT
    finds_nothing ports # one host's exception is the admin's
    xtables -t mangle -D PREROUTING 1
    port_is_shut "$server" 22
    finds_nothing ports
}

# bats test_tags=iptables
@test "a shut port that is open where another table has the address is found" {
    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    xtables -t mangle -I INPUT 1 -p tcp --dport 22 -j ACCEPT
    finds ports "tcp/22 is open without .*, at addresses of a VRF or of policy routing.*delete .*INPUT -p tcp"
    xtables -t mangle -D INPUT 1
    finds_nothing ports
}

# bats test_tags=iptables
@test "sessions that can be cut, and ACKs that get in by a SYN cookie, are found" {
    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    finds_nothing sessions
    on server sh -c 'echo 0 >/proc/sys/net/ipv4/ip_early_demux'
    finds sessions "^problem sessions at shut ports can be cut.*ip_early_demux is 0 -> .*restart"
    reload_daemon
    finds sessions "^note a valid SYN cookie opens shut ports.*ip_early_demux is 0"
    on server sh -c 'echo 1 >/proc/sys/net/ipv4/ip_early_demux'
    reload_daemon
    finds_nothing sessions
}

# bats test_tags=iptables
@test "a profile's port that nothing shuts is found" {
    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    sed -i 's/^Open *=.*/Open = tcp\/22 tcp\/81/' /etc/portsmith.d/ssh.conf
    finds ports "^problem tcp/81 is open without a knock \(IPv$FAMILY, eth0\): the policy of INPUT.*\
-> add Shut = tcp/81"
    finds services '^note nothing listens on tcp/81'
    xtables -I INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    xtables -P INPUT DROP
    [[ $(found ports) != *"IPv$FAMILY"* ]]
    finds_nothing established
    xtables -A INPUT -p tcp -m multiport --dports 80:82,443 -j ACCEPT
    finds ports "IPv$FAMILY.*the rule '-t filter -A INPUT -p tcp -m multiport --dports 80:82,443"
    xtables -F INPUT
    xtables -P INPUT ACCEPT
    sed -i 's/^Open *=.*/Open = tcp\/22/' /etc/portsmith.d/ssh.conf
    finds_nothing ports
}

# bats test_tags=iptables
@test "a rule that keeps grants from counting is found, and the advice helps" {
    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    wait_until 10 eval 'rules | grep -q -x -e "-A INPUT -j portsmith"'
    xtables -I INPUT -p tcp -m tcp --dport 22 --syn -j DROP
    knock_opens ssh
    port_is_shut "$server" 22
    finds grants "^problem a knock for tcp/22 opens nothing \(IPv$FAMILY, eth0\): the rule \
'-t filter -A INPUT -p tcp .*--dport 22 .*-j DROP'.*-D INPUT -j portsmith: "
    finds_nothing established
    xtables -D INPUT -j portsmith
    wait_until 10 finds_nothing grants
    port_is_open "$server" 22
    xtables -D INPUT -p tcp -m tcp --dport 22 --syn -j DROP
}

# bats test_tags=iptables
@test "established connections that are dropped are found" {
    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    # Not the other firewalls: they would be asked for later and later.
    [ "$FAMILY" = 4 ] || xtables -A INPUT -p ipv6-icmp -j ACCEPT
    xtables -P INPUT DROP
    knock_opens ssh
    [ "$(tcp_greeting "$server" 22)" != "$greeting" ]
    finds established "^problem connections to tcp/22 do not live \(IPv$FAMILY, eth0\): the policy of \
INPUT .*-> accept them first: ip6?tables-$XTABLES -I INPUT -m conntrack"
    xtables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    finds_nothing established
    wait_until 5 port_is_open "$server" 22
    xtables -P OUTPUT DROP
    xtables -A OUTPUT -o lo -j ACCEPT
    finds established "IPv$FAMILY.*: the policy of OUTPUT "
    xtables -A OUTPUT -o eth0 -p tcp -m tcp --sport 22 -m conntrack --ctstate ESTABLISHED -j ACCEPT
    finds_nothing established
    xtables -F OUTPUT
    xtables -P OUTPUT ACCEPT
    xtables -P INPUT ACCEPT
    xtables -D INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    [ "$FAMILY" = 4 ] || xtables -D INPUT -p ipv6-icmp -j ACCEPT
}

# bats test_tags=iptables
@test "rules in both back ends are found" {
    local other_backend=legacy

    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    [ "$BACKEND" = nft ] || other_backend=nft
    finds_nothing backends
    XTABLES=$other_backend xtables -A INPUT -p tcp --dport 9999 -j DROP
    finds backends "^problem iptables-$other_backend has rules, while Portsmith uses \
iptables-$XTABLES \(IPv$FAMILY\)"
    XTABLES=$other_backend xtables -F INPUT
    finds_nothing backends
    XTABLES=$other_backend xtables -t mangle -N portsmith
    XTABLES=$other_backend xtables -t mangle -A PREROUTING -j portsmith
    finds backends "^problem Portsmith's rules of an earlier start are left in \
iptables-$other_backend .*-> run portsmithctl release"
    XTABLES=$other_backend xtables -t mangle -F
    XTABLES=$other_backend xtables -t mangle -X portsmith
    finds_nothing backends
}

firewall() { # ARGUMENT of portsmith-firewall...
    on server portsmith-firewall "$@" >/dev/null
}

# bats test_tags=iptables
@test "what portsmith-firewall shuts is told, and it is found where nobody gets in" {
    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    finds_nothing firewall
    firewall try --allow tcp/80
    finds firewall '^note portsmith-firewall shuts all but tcp/80 \(on trial for [0-9]+ s\)'
    firewall confirm
    finds firewall '^note portsmith-firewall shuts all but tcp/80 \(confirmed\)'
    everything >"$lab/before"
    doctor || [ $? -eq 4 ]
    everything | diff "$lab/before" -
    # Of a daemon that does not run.
    printf '%s\n' "[Portsmith]" "Port = $knock_port" "Backend = $(backend_word "$BACKEND")" "Shut = tcp/22" \
        "RunDirectory = $elsewhere/run" >"$lab/stopped.conf"
    finds firewall '^problem tcp/22 is shut to everybody: .* all but tcp/80 \(confirmed\).*-> start portsmithd' \
        -c "$lab/stopped.conf"
    wait_until 5 process_named portsmith-keep
    kill -STOP "$(process_named portsmith-keep)" # which puts it back
    xtables -D INPUT -j portsmith-firewall
    finds firewall "^problem what portsmith-firewall shuts is not shut \\(IPv$FAMILY\\).*-> run portsmith-firewall enforce"
    [ "$(found firewall | wc -l)" -eq 2 ] # the other family is as it should be
    firewall enforce
    finds firewall '^note '
    # Where another StateDirectory was confirmed in.
    mv /var/lib/portsmith/firewall "$lab/firewall"
    finds firewall '^problem portsmith-firewall shuts ports .* is not in /var/lib/portsmith -> run portsmith-firewall remove'
    echo rubbish >/var/lib/portsmith/firewall
    finds firewall '^problem what portsmith-firewall was told cannot be read: /var/lib/portsmith/firewall:1'
    firewall remove
    finds_nothing firewall
}

# bats test_tags=iptables
@test "a match that iptables lacks is found" {
    local library

    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    library=$(find /usr/lib /lib -name libxt_time.so -print -quit)
    [ -n "$library" ]
    echo "GrantStore = rules" >>"$conf" # else the helper would do without
    finds_nothing iptables
    mount --bind /dev/null "$library"
    mounted=$library
    finds iptables "^problem the time match does not work here .*: install all of iptables.*-> do that"
    sed -i '/^GrantStore/d' "$conf"
}

# bats test_tags=iptables
@test "an nftables chain of another program that drops is found" {
    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    finds_nothing firewalls
    on server nft -f - <<'END'
table inet own {
    chain guard { type filter hook input priority 0; policy drop; }
}
END
    finds firewalls "^problem a knock for tcp/22 opens nothing \(IPv4, eth0\): the nftables chain inet \
own guard drops it -> .*: nft insert rule inet own guard tcp dport 22 accept"
    on server nft insert rule inet own guard tcp dport 22 accept
    finds_nothing firewalls
    on server nft -f - <<'END'
flush chain inet own guard
add chain inet own guard { policy accept; }
add rule inet own guard ct state established,related accept
add rule inet own guard iifname lo accept
add rule inet own guard icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
add rule inet own guard reject with icmpx admin-prohibited
END
    knock_opens ssh
    [ "$(tcp_greeting "$server" 22)" != "$greeting" ]
    finds firewalls 'the nftables chain inet own guard drops it'
    mount --bind /dev/null /usr/sbin/nft
    mounted=/usr/sbin/nft
    finds_nothing firewalls # its policy is to accept
    umount /usr/sbin/nft
    mounted=
    on server nft add chain inet own guard '{ policy drop; }'
    mount --bind /dev/null /usr/sbin/nft
    mounted=/usr/sbin/nft
    finds firewalls '^note the nftables chain inet own guard drops by default'
    umount /usr/sbin/nft
    mounted=
    on server nft delete table inet own
    finds_nothing firewalls
}

# The chain of a table that is somebody's own drops.
drop_in_own_table() { # TABLE
    own_table inet "$1"
    echo "add chain inet $1 guard { type filter hook input priority 10; policy drop; }" >"$lab/owner.in"
    wait_until 5 on server nft list chain inet "$1" guard
}

# bats test_tags=iptables
@test "where a table is another program's own, it is not nft that is advised" {
    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    drop_in_own_table theirs
    run -1 on server nft insert rule inet theirs guard tcp dport 22 accept
    [[ $output == *"Operation not permitted"* ]]
    finds firewalls "inet theirs guard drops it -> .*: with the program that owns the table: only it"
    run -0 on server portsmithd -t -c "$conf"
    [[ $output == *"inet theirs guard drops by default"*"with the program that owns the table"* ]]
    end_process TERM "$owner"
    drop_in_own_table firewalld
    finds firewalls "inet firewalld guard drops it -> .*: firewall-cmd --add-port=22/tcp, and the same with --permanent"
    end_process TERM "$owner"
    finds_nothing firewalls
}

# Of those that firewalld removes: the jumps come last.
rules_are_back() {
    is_in_place && chain filter INPUT | grep -q -x -e "-A INPUT -j portsmith"
}

# bats test_tags=iptables
@test "firewalld is found, and what is advised helps" {
    local advice

    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    start_firewalld nftables
    firewall_cmd --remove-service=ssh
    wait_until 10 rules_are_back
    knock_opens ssh
    port_is_shut "$server" 22
    finds firewalls "^problem a knock for tcp/22 opens nothing .* the nftables chain inet firewalld filter_INPUT drops it"
    advice=$(sed -n '1s/.*: \(firewall-cmd [^,]*\),.*/\1/p' "$lab/found")
    # shellcheck disable=SC2086 # several words
    PATH=$foreign/usr/bin:$PATH on server $advice
    finds_nothing firewalls
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
    stop_firewalld
    wait_until 10 rules_are_back
}

# Fifteen chains, each of which leads to the next in three ways: some five million in all,
# of which a stranger's packet may go any.
deep_rules() { # FORMAT of a chain, of a rule, its jump, its end, and the way in
    local i j verdict

    for i in {0..14}; do
        # shellcheck disable=SC2059 # they are formats
        printf -- "$1\n" "c$i"
    done
    for i in {14..0}; do
        for j in 1 2 3; do
            verdict="$3 c$((i + 1))"
            [ "$i" -lt 14 ] || verdict=$4
            # shellcheck disable=SC2059
            printf -- "$2\n" "c$i" "192.0.2.$j" "$verdict"
        done
    done
    echo "$5"
}

# bats test_tags=iptables
@test "rules with millions of ways through them are not looked at for ever" {
    local program=iptables

    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    deep_rules "add chain inet deep %s" "add rule inet deep %s th sport %.0s1 %s" jump continue \
        "add rule inet deep guard th sport 1 jump c0" >"$lab/deep"
    {
        echo "add table inet deep"
        echo "add chain inet deep guard { type filter hook input priority 0; }"
        cat "$lab/deep"
        echo "add rule inet deep guard reject"
    } | on server nft -f -
    on server timeout 60 portsmithctl doctor || [ $? -eq 4 ]
    finds_nothing firewalls # what is not known is not said
    on server nft delete table inet deep
    {
        echo "*filter"
        deep_rules ":%s - [0:0]" "-A %s -s %s %s" -j "-j RETURN" "-A OUTPUT -s 192.0.2.1 -j c0"
        printf '%s\n' "-A OUTPUT -o eth0 -p tcp -j DROP" COMMIT
    } >"$lab/deep"
    [ "$FAMILY" = 4 ] || { sed -i 's/192\.0\.2\./2001:db8::/' "$lab/deep" && program=ip6tables; }
    on server "$program-$XTABLES-restore" -w 5 --noflush <"$lab/deep"
    on server timeout 60 portsmithctl doctor || [ $? -eq 4 ]
    finds_nothing established
    xtables -F OUTPUT
}

# bats test_tags=iptables
@test "a port that goes on to a container is found, shut or not" {
    local restore

    [ "$BACKEND" != nftables ] || skip "its rules are not iptables': nftables.bats looks at that"
    publish 22 80
    restore=$(xtables -t nat -S PREROUTING | sed -n 's/^-A/-D/p')
    finds_nothing ports # it is shut before that
    finds_nothing forwarding
    xtables -P FORWARD DROP
    finds forwarding "^problem a knock for tcp/22 opens nothing \(IPv$FAMILY, eth0\): it goes on to \
$backend, by FORWARD and not INPUT, and the policy of FORWARD .*-> set Forward = yes"
    echo "ShutWith = reset" >>"$conf" # portsmith-gateway is there then, but no grant is in it
    reload_daemon
    finds forwarding "^problem a knock for tcp/22 opens nothing .*-> set Forward = yes"
    sed -i "/^ShutWith = reset/d" "$conf"
    reload_daemon
    xtables -P FORWARD ACCEPT
    xtables -t mangle -I PREROUTING -p tcp --dport 22 -j ACCEPT
    finds ports "^problem tcp/22 is open without a knock \(IPv$FAMILY, eth0\): the policy of FORWARD"
    xtables -t mangle -D PREROUTING 1
    # shellcheck disable=SC2086 # several words
    xtables -t nat $restore
    finds_nothing ports
}
