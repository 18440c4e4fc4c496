#!/usr/bin/env bats
# portsmithctl doctor: each cause is there for real, is found, and goes. What a user meets
# shows whether the doctor is right.
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/net/net.bash"

# As a daemon that does not run has it, for what a running one need not be troubled with.
elsewhere=$lab/elsewhere

setup_file() {
    lab_setup
    make_backend_host
    configure
    add_profile ssh --open tcp/22 --window 60s
    start_daemon
    start_listener 22
    python3 -c 'import ctypes
# struct timex of adjtimex(2) on 64 bits: modes, offset, freq, maxerror, esterror, status
state = ctypes.create_string_buffer(512)
error = ctypes.CDLL(None).adjtimex(state) == 5
print("unsynchronised" if error or state.raw[40] & 0x40 else "synchronised")' >"$lab/clock.state"
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
    common_teardown
}

doctor() { # OPTION of portsmithctl...
    on server portsmithctl "$@" doctor
}

# What one check finds, as "LEVEL WHAT -> ADVICE" lines.
found() { # CHECK [OPTION of portsmithctl...]
    local check=$1

    shift
    doctor "$@" --json >"$lab/found.json" || [ $? -eq 4 ]
    python3 -c 'import json, sys
it = json.load(open(sys.argv[1]))
assert sys.argv[2] in it["checks"], it["checks"]
assert it["problems"] == sum(f["level"] == "problem" for f in it["findings"])
for f in it["findings"]:
    if f["check"] == sys.argv[2]:
        print(f["level"], f["what"], "->", f["advice"])' "$lab/found.json" "$check" |
        tee "$lab/found"
}

finds() { # CHECK PATTERN [OPTION of portsmithctl...]
    found "$1" "${@:3}" | grep -q -E -e "$2" || {
        echo "$1 does not find '$2':"
        cat "$lab/found"
        return 1
    }
}

finds_nothing() { # CHECK [OPTION of portsmithctl...]
    [ -z "$(found "$@")" ] || {
        echo "$1 finds:"
        cat "$lab/found"
        return 1
    }
}

# Of the clock, which is this machine's.
clock_problems() {
    grep -c -x unsynchronised "$lab/clock.state" || true
}

# A configuration of its own, with what `configure` makes; its lines come first.
configure_elsewhere() { # 'KEY = VALUE'...
    mkdir -p "$elsewhere"
    {
        printf '[Portsmith]\n'
        printf '%s\n' "$@"
        printf '%s\n' "Port = $knock_port" "Backend = $BACKEND" "ProfileDirectory = $elsewhere/profiles" \
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
    find /etc /var/lib /run/portsmith -printf '%p %m %U %s %T@\n' | sort
}

# ---- the frame -------------------------------------------------------------

@test "a healthy host has no findings; nothing seen yet is a note" {
    [ "$(found knocks | cut -c-45)" = "note no packet that could be a knock has come" ]
    finds knocks "port $knock_port in the router"
    knock_opens ssh
    run -"$(($(clock_problems) * 4))" doctor
    [ "$(grep -c -E ' ok$' <<<"$output")" -eq $((14 - $(clock_problems))) ]
    if [ "$(clock_problems)" -eq 0 ]; then
        grep -q -x "No problem was found." <<<"$output"
    else
        grep -q -x "1 problem." <<<"$output"
    fi
    finds_nothing knocks
}

@test "the clock is as the kernel says, and does not matter with MaxSkew = off" {
    if [ "$(clock_problems)" -gt 0 ]; then
        finds clock "^problem nothing keeps this host's clock right.* 5m .*-> run chronyd"
    else
        finds_nothing clock
    fi
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
    [ "$output" = "portsmithctl: permission denied: be root" ]
}

# ---- configuration and daemon ----------------------------------------------

@test "a daemon that does not run is found" {
    configure_elsewhere
    finds daemon '^problem portsmithd does not run .*-> systemctl enable' -c "$elsewhere/conf"
    run -4 doctor -c "$elsewhere/conf"
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
    finds configuration "^problem $conf:[0-9]*: .*-> mend it until portsmithd -t says nothing"
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

@test "interfaces that are missing, down or without traffic are found" {
    configure_elsewhere "Interface = quiet0"
    finds interfaces '^problem quiet0 does not exist' -c "$elsewhere/conf"
    ip link add quiet0 netns server type veth peer name quiet1 netns client
    on client sh -c 'echo 1 >/proc/sys/net/ipv6/conf/quiet1/disable_ipv6'
    finds interfaces '^problem quiet0 is down' -c "$elsewhere/conf"
    ip -n client link set quiet1 up
    ip -n server link set quiet0 up
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

# ---- the firewall ----------------------------------------------------------

@test "a shut port that a rule before Portsmith's opens is found" {
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

@test "a profile's port that nothing shuts is found" {
    sed -i 's/^Open *=.*/Open = tcp\/22 tcp\/81/' /etc/portsmith.d/ssh.conf
    finds ports "^problem tcp/81 is open without a knock \(IPv$FAMILY, eth0\): the policy of INPUT.*\
-> add Close = tcp/81"
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

@test "a rule that keeps grants from counting is found, and the advice helps" {
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

@test "established connections that are dropped are found" {
    # Not the neighbours: they would be asked for later and later.
    [ "$FAMILY" = 4 ] || xtables -A INPUT -p ipv6-icmp -j ACCEPT
    xtables -P INPUT DROP
    knock_opens ssh
    [ "$(tcp_greeting "$server" 22)" != "$greeting" ]
    finds established "^problem connections to tcp/22 do not live \(IPv$FAMILY, eth0\): the policy of \
INPUT .*-> accept them first: ip6?tables-$BACKEND -I INPUT -m conntrack"
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

@test "rules in both back ends are found" {
    local other_backend=legacy

    [ "$BACKEND" = nft ] || other_backend=nft
    finds_nothing backends
    BACKEND=$other_backend xtables -A INPUT -p tcp --dport 9999 -j DROP
    finds backends "^problem iptables-$other_backend has rules, while Portsmith uses \
iptables-$BACKEND \(IPv$FAMILY\)"
    BACKEND=$other_backend xtables -F INPUT
    finds_nothing backends
    BACKEND=$other_backend xtables -t mangle -N portsmith
    BACKEND=$other_backend xtables -t mangle -A PREROUTING -j portsmith
    finds backends "^problem Portsmith's rules of an earlier start are left in \
iptables-$other_backend .*-> run portsmithctl release"
    BACKEND=$other_backend xtables -t mangle -F
    BACKEND=$other_backend xtables -t mangle -X portsmith
    finds_nothing backends
}

@test "a match that iptables lacks is found" {
    local library

    library=$(find /usr/lib /lib -name libxt_time.so -print -quit)
    [ -n "$library" ]
    echo "GrantStore = rules" >>"$conf" # else the helper would do without
    finds_nothing iptables
    mount --bind /dev/null "$library"
    mounted=$library
    finds iptables "^problem iptables-$BACKEND cannot do what Portsmith needs .*time.*-> .*xt_time"
    sed -i '/^GrantStore/d' "$conf"
}

@test "an nftables chain of another program that drops is found" {
    finds_nothing neighbours
    on server nft -f - <<'END'
table inet own {
    chain guard { type filter hook input priority 0; policy drop; }
}
END
    finds neighbours "^problem a knock for tcp/22 opens nothing \(IPv4, eth0\): the nftables chain inet \
own guard drops it -> .*: nft insert rule inet own guard tcp dport 22 accept"
    on server nft insert rule inet own guard tcp dport 22 accept
    finds_nothing neighbours
    on server nft -f - <<'END'
flush chain inet own guard
add chain inet own guard { policy accept; }
add rule inet own guard ct state established,related accept
add rule inet own guard iifname lo accept
add rule inet own guard reject with icmpx admin-prohibited
END
    knock_opens ssh
    [ "$(tcp_greeting "$server" 22)" != "$greeting" ]
    finds neighbours 'the nftables chain inet own guard drops it'
    mount --bind /dev/null /usr/sbin/nft
    mounted=/usr/sbin/nft
    finds_nothing neighbours # its policy is to accept
    umount /usr/sbin/nft
    mounted=
    on server nft add chain inet own guard '{ policy drop; }'
    mount --bind /dev/null /usr/sbin/nft
    mounted=/usr/sbin/nft
    finds neighbours '^note the nftables chain inet own guard drops by default'
    umount /usr/sbin/nft
    mounted=
    on server nft delete table inet own
    finds_nothing neighbours
}

@test "a port that goes on to a container is found, shut or not" {
    local restore

    publish 22 80
    restore=$(xtables -t nat -S PREROUTING | sed -n 's/^-A/-D/p')
    finds_nothing ports # it is shut before that
    finds_nothing forwarding
    xtables -P FORWARD DROP
    finds forwarding "^problem a knock for tcp/22 opens nothing \(IPv$FAMILY, eth0\): it goes on to \
$backend, by FORWARD and not INPUT, and the policy of FORWARD .*-> set Forward = yes"
    xtables -P FORWARD ACCEPT
    xtables -t mangle -I PREROUTING -p tcp --dport 22 -j ACCEPT
    finds ports "^problem tcp/22 is open without a knock \(IPv$FAMILY, eth0\): the policy of FORWARD"
    xtables -t mangle -D PREROUTING 1
    # shellcheck disable=SC2086 # several words
    xtables -t nat $restore
    finds_nothing ports
}
