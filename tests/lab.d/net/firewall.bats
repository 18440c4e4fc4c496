#!/usr/bin/env bats
# Portsmith among the other rules of a host, and what other programs do to it.
# bats file_tags=backend,family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    make_backend_host
    start_listener 22
    start_listener 8022 backend
    start_udp_listener 5300
    configure "Shut = tcp/22 tcp/8080 udp/5300"
    add_fence
    add_profile all --open tcp/22,tcp/8080,udp/5300 --window 1m
    keep_configuration
    # Nothing but what a knock asks for: no rules, no tables, no conntrack.
}

teardown_file() {
    lab_teardown
}

setup() {
    restore_configuration
    common_setup
}

teardown() {
    common_teardown
    [ ! -e "$lab/daemon.pid" ] || stop_daemon
    clean_firewall
    rm -f /run/portsmith/helper/grants
}

clean_firewall() {
    local six table program

    on server nft flush ruleset
    for six in "" 6; do
        program=ip${six}tables-legacy
        for table in $(legacy_tables "$six"); do
            on server "$program" -w 5 -t "$table" -F
            on server "$program" -w 5 -t "$table" -X
        done
        [ -z "$(legacy_tables "$six")" ] || on server "$program" -w 5 -P INPUT ACCEPT
    done
}

legacy_tables() { # "" or 6
    on server cat "/proc/net/ip${1}_tables_names" 2>/dev/null
}

set_option() { # KEY VALUE
    sed -i "/^$1 = /d" "$conf"
    echo "$1 = $2" >>"$conf"
}

restore() { # OPTION...: reads rules
    local program=iptables

    [ "$FAMILY" = 4 ] || program=ip6tables
    on server "$program-$XTABLES-restore" -w 5 "$@"
}

saved() { # what the host's firewall is, but for the counters
    local program=iptables

    [ "$FAMILY" = 4 ] || program=ip6tables
    on server "$program-$XTABLES-save" | sed -e '/^#/d' -e 's/\[[0-9:]*\]//'
}

is_dropped() { # tcp PORT: in silence
    [ "$(tcp_answer "$server" "$1")" = silent ]
}

# ---- beginnings ------------------------------------------------------------

@test "a live session survives the start on a host without conntrack" {
    open_connection "$server" 22
    [ "$(on server cat /proc/sys/net/netfilter/nf_conntrack_count)" -eq 0 ]
    start_daemon
    connection_answers
    port_is_shut "$server" 22
    connection_answers
    reload_daemon
    stop_daemon
    connection_answers
}

@test "the host's other rules are the same after start, stop and release" {
    publish 8443 8022
    xtables -N theirs
    xtables -A theirs -p tcp --dport 9999 -j DROP
    xtables -A INPUT -j theirs
    xtables -t mangle -A PREROUTING -p tcp --dport 9999 -j MARK --set-mark 7
    saved >"$lab/before"
    start_daemon
    knock_opens all
    [ "$BACKEND" = nftables ] || run -1 diff "$lab/before" <(saved)
    diff "$lab/before" <(saved | grep -v portsmith)
    stop_daemon
    on server portsmithd --release -c "$conf"
    diff "$lab/before" <(saved)
    ! on server nft list tables | grep portsmith || false
}

greeting_on_server() { # ADDRESS
    local line=""

    read -r -t 20 line < <(on server socat -u "$(socat_address TCP "$1" 22)" - 2>/dev/null 3>&-) || true
    echo "$line"
}

@test "the loopback interface is never shut" {
    start_daemon
    [ "$(greeting_on_server 127.0.0.1)" = "$greeting" ]
    [ "$(greeting_on_server ::1)" = "$greeting" ]
    [ "$(greeting_on_server "$server")" = "$greeting" ]
    port_is_shut "$server" 22
}

# ---- where a port may lead -------------------------------------------------

@test "a port published by DNAT is shut, opened, and shut again" {
    publish 8080 8022
    [ "$(tcp_greeting "$server" 8080)" = "$greeting" ]
    start_daemon
    is_dropped 8080
    knock_opens all tcp/8080
    [ "$(tcp_greeting "$server" 8080)" = "$greeting" ]
    port_is_shut "$server" 8080 "$other"
    knock_until "all: closed" --close all tcp/8080
    is_dropped 8080
}

@test "what only passes through the host is not shut" {
    start_listener 22 backend
    ip -n client "-$FAMILY" route add "$backend/$host_bits" via "$server"
    start_daemon
    port_is_shut "$server" 22
    [ "$(tcp_greeting "$backend" 22)" = "$greeting" ]
}

# As a rule of policy routing makes it: table `local` does not know the address.
route_address_here() {
    elsewhere=10.79.0.9
    [ "$FAMILY" = 4 ] || elsewhere=fd79::9
    ip -n server "-$FAMILY" rule add iif eth0 to "$elsewhere" lookup 100
    ip -n server "-$FAMILY" route add local "$elsewhere/$host_bits" dev lo table 100
    ip -n client "-$FAMILY" route add "$elsewhere/$host_bits" via "$server" src "$client"
}

# IPv4 answers from an address that is not in table `local` only so.
start_transparent_listener() { # PORT
    spawn server "$lab/log/listener.log" socat \
        "TCP6-LISTEN:$1,ipv6only=0,reuseaddr,fork,ip-transparent" "SYSTEM:echo $greeting; cat"
    wait_until 5 host_listens server tcp "$1"
}

@test "an address that is local by another table is shut, and opens" {
    local kind

    route_address_here
    start_transparent_listener 2299
    set_option Shut "tcp/22 tcp/2299 udp/5300"
    add_profile elsewhere --open tcp/2299 --window 1m
    [ "$(tcp_greeting "$elsewhere" 2299)" = "$greeting" ]
    for kind in drop reset; do
        set_option ShutWith "$kind"
        start_daemon
        port_is_shut "$elsewhere" 2299
        [ "$kind" = drop ] || [ "$(tcp_answer "$elsewhere" 2299)" = reset ]
        knock_opens elsewhere
        [ "$(tcp_greeting "$elsewhere" 2299)" = "$greeting" ]
        knock_until "elsewhere: closed" --close elsewhere
        port_is_shut "$elsewhere" 2299
        stop_daemon
    done
    ip -n server "-$FAMILY" rule del lookup 100
}

# bats test_tags=iptables
@test "where INPUT drops by itself and nothing is in Shut, a knock opens" {
    local window start

    [ "$BACKEND" != nftables ] || skip "a table of Portsmith's own accepts for nobody else"

    sed -i '/^Shut = /d' "$conf"
    xtables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
    xtables -A INPUT -i lo -j ACCEPT
    [ "$FAMILY" = 4 ] || xtables -A INPUT -p ipv6-icmp -j ACCEPT
    xtables -P INPUT DROP
    start_daemon
    port_is_shut "$server" 22
    knock_opens_briefly all tcp/22
    open_connection "$server" 22
    port_is_shut "$server" 22 "$other"
    wait_until $((window + 5)) has_no_grant "$client"
    port_is_shut "$server" 22
    connection_answers
}

# nftables rules of the admin's own, as nftables.conf(5) begins: all dropped but
# what is named.
drop_in_nftables() {
    on server nft -f - <<'END'
table inet filter {
    chain input {
        type filter hook input priority 0; policy drop;
        ct state established,related accept
        iif lo accept
        meta l4proto { icmp, ipv6-icmp } accept
    }
}
END
}

@test "an nftables chain that drops is named, with the line that helps" {
    local line="nft insert rule inet filter input tcp dport 22 accept"

    drop_in_nftables
    run on server portsmithd -t -c "$conf"
    [ "$status" -eq 0 ]
    [[ $output == *"$line"* ]]
    start_daemon
    wait_for_log "inet filter input drops .*$line"
    knock_opens all tcp/22
    port_is_shut "$server" 22
    on server bash -c "$line"
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
}

# bats test_tags=nftables
@test "what INPUT of iptables drops is named, by status and doctor as well, and the line helps" {
    local line

    [ "$BACKEND" = nftables ] || skip "rules of iptables accept in INPUT"
    xtables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
    [ "$FAMILY" = 4 ] || xtables -A INPUT -p ipv6-icmp -j ACCEPT
    xtables -P INPUT DROP
    start_daemon
    knock_opens all tcp/22
    port_is_shut "$server" 22
    run on server portsmithctl -c "$conf" status
    [[ $output == *"NOT OPENED"*"iptables-nft's INPUT (IPv$FAMILY) drops tcp/22"* ]]
    run on server portsmithctl -c "$conf" doctor
    [[ $output == *"PROBLEM: the policy of iptables-nft's INPUT (IPv$FAMILY) drops tcp/22"* ]]
    line=$(sed -n 's/^ *-> accept it there.*: \(ip6\{0,1\}tables-nft .* 22 -j ACCEPT\)$/\1/p' <<<"$output")
    on server bash -c "$line"
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
    run on server portsmithctl -c "$conf" status
    [[ $output != *"drops tcp/22"* ]]
}

# bats test_tags=nftables
@test "AcceptMark: another firewall lets through what has the mark, and nothing else" {
    local page="$top/man/portsmith.conf.5" line rule

    [ "$BACKEND" = nftables ] || skip "rules of iptables accept"
    drop_in_nftables
    set_option AcceptMark 0x100
    start_daemon
    line=$(grep -x 'nft insert rule .* accept' "$page")
    wait_for_log "inet filter input drops .*$line"
    on server bash -c "$line"
    port_is_shut "$server" 22
    knock_opens all tcp/22
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
    run on server portsmithd -t -c "$conf"
    [ -z "$output" ]
    # Of iptables, with the page's line.
    xtables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
    [ "$FAMILY" = 4 ] || xtables -A INPUT -p ipv6-icmp -j ACCEPT
    xtables -P INPUT DROP
    port_is_shut "$server" 22
    read -r -a rule < <(sed -n 's/^iptables \(-I INPUT .*\)/\1/p' "$page")
    xtables "${rule[@]}"
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
}

# bats test_tags=nftables
@test "nobody else can change an owned table: a flush of all rules leaves grants and shut ports" {
    [ "$BACKEND" = nftables ] || skip "iptables' tables are everybody's"
    start_daemon
    knock_opens all tcp/22
    run on server portsmithctl -c "$conf" status
    [[ $output == *"no other program can change its table"* ]]
    on server nft flush ruleset
    is_whole
    run ! on server nft delete table inet portsmith
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
    [ "$(log_count 'removed')" -eq 0 ]
}

# bats test_tags=nftables
@test "a reload leaves the table with the socket that owns it" {
    local owner

    [ "$BACKEND" = nftables ] || skip "iptables' tables are everybody's"
    start_daemon
    owner=$(readlink "/proc/$(helper_pid)/fd/10")
    [[ $owner == socket:* ]]
    reload_daemon
    [ "$(readlink "/proc/$(helper_pid)/fd/10")" = "$owner" ]
    run -0 on server portsmithd -t -c "$conf"
    [ -z "$output" ]
}

everything() {
    local program

    on server nft -s list ruleset
    for program in iptables ip6tables; do
        on server "$program-legacy-save" | sed -e '/^#/d' -e 's/ \[[0-9:]*\]//'
    done
    on server ipset list -n
    cksum /run/portsmith/helper/grants
}

@test "a check while the daemon serves leaves all as it is, and is in nobody's way" {
    start_daemon
    knock_opens all tcp/22
    own_log
    everything >"$lab/before"
    run -0 on server portsmithd -t -c "$conf"
    [ -z "$output" ]
    everything | diff "$lab/before" -
    knock_opens all tcp/22 # whatever was to be said is said by now
    [ "$(daemon_log | wc -l)" -eq 1 ]
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
}

@test "a back end that cannot answer for the other one's INPUT is named" {
    on server iptables-nft -P INPUT DROP
    run on server portsmithd -t -c "$conf"
    case $BACKEND in
    legacy) [[ $output == *"set Backend = iptables-nft"* ]] ;;
    nft) [ -z "$output" ] ;;
    nftables) [[ $output == *"iptables-nft's INPUT (IPv4) drops tcp/22"*"-I INPUT -p tcp --dport 22 -j ACCEPT"* ]] ;;
    esac
}

# ---- ShutWith = reset -----------------------------------------------------

udp_is_refused() { # PORT
    (echo hello; sleep 1) | on client socat -t 1 - "$(socat_address UDP "$server" "$1")" 2>&1 |
        grep -q refused
}

@test "ShutWith = reset: shut ports answer as ports where nobody listens" {
    publish 8080 8022
    set_option ShutWith reset
    start_daemon
    [ "$(tcp_answer "$server" 22)" = reset ]
    [ "$(tcp_answer "$server" 8080)" = reset ]
    udp_is_refused 5300
    knock_opens all
    port_is_open "$server" 22
    [ "$(tcp_greeting "$server" 8080)" = "$greeting" ]
    udp_is_open "$server" 5300
    [ "$(tcp_answer "$server" 22 "$other")" = reset ]
    knock_until "all: closed" --close all
    [ "$(tcp_answer "$server" 22)" = reset ]
}

@test "ShutWith can be changed there and back" {
    set_option ShutWith reset
    start_daemon
    [ "$(tcp_answer "$server" 22)" = reset ]
    set_option ShutWith drop
    reload_daemon
    is_dropped 22
    ! rules | grep -q -e REJECT -e portsmith-gateway -e portsmith-through || false
    set_option ShutWith reset
    reload_daemon
    [ "$(tcp_answer "$server" 22)" = reset ]
    knock_opens all tcp/22
    port_is_open "$server" 22
}

@test "ShutWith = reset: a grant lets nobody in by another shut port that leads to its own" {
    set_option ShutWith reset
    xtables -t nat -A PREROUTING -i eth0 -p tcp --dport 8080 -j REDIRECT --to-ports 22
    start_daemon
    knock_opens all tcp/22
    port_is_open "$server" 22
    [ "$(tcp_answer "$server" 8080)" = reset ]
    knock_opens all tcp/8080
    [ "$(tcp_greeting "$server" 8080)" = "$greeting" ]
}

# What is above the jump harms nothing while mangle drops.
# bats test_tags=iptables
@test "ShutWith = reset: what a rule above the jump accepts is refused once it is set" {
    [ "$BACKEND" != nftables ] || skip "its table has no jump in iptables' chains"
    start_daemon
    xtables -I INPUT 1 -p tcp --dport 22 -j ACCEPT
    is_dropped 22
    set_option ShutWith reset
    reload_daemon
    [ "$(tcp_answer "$server" 22)" = reset ]
    [ "$(chain filter INPUT | grep -c -e "-j portsmith\$")" -eq 1 ]
    knock_opens all tcp/22
    port_is_open "$server" 22
}

# Each table changes by itself.
@test "while ShutWith changes there and back nothing gets in" {
    local value

    start_daemon
    on client nft -f - <<RULES
table inet seen {
    chain input {
        type filter hook input priority 0
        tcp sport 22 tcp flags & (syn | ack) == syn | ack counter
    }
}
RULES
    spawn client "$lab/log/syns.log" "$top/tests/tools/syns.py" "$server" 22 5000 1000000 "$client"
    for value in reset drop reset; do
        set_option ShutWith "$value"
        reload_daemon
    done
    kill -0 "$spawned"
    end_process TERM "$spawned"
    run on client nft list table inet seen
    on client nft delete table inet seen
    [[ $output == *"counter packets 0 "* ]]
}

# As 0.1.0 wrote them.
leave_earlier_rules() {
    xtables -N portsmith-reset
    xtables -A portsmith-reset -p tcp -m tcp --dport 22 --tcp-flags ACK,RST NONE \
        -j REJECT --reject-with tcp-reset
    xtables -A INPUT -j portsmith-reset
    xtables -N portsmith-forward
    xtables -A portsmith-forward -m mark --mark 0x10000000/0x10000000 -j REJECT
    xtables -A FORWARD -j portsmith-forward
}

has_no_earlier_rules() {
    ! rules | grep -e portsmith-reset -e portsmith-forward
}

@test "what an earlier version left of its rules is gone once the daemon runs, and after a release" {
    leave_earlier_rules
    start_daemon
    has_no_earlier_rules
    knock_opens all tcp/22
    port_is_open "$server" 22
    stop_daemon
    leave_earlier_rules
    on server portsmithctl -c "$conf" release
    ! rules | grep portsmith || false
}

# ---- what other programs do ------------------------------------------------

# With a grant of $client before.
grant_first() {
    start_daemon
    knock_opens all tcp/22
    own_log
}

# Everything is as it was, without a new knock. Each table of another program's ruleset
# is a transaction of its own, so that there may be two healings.
is_healed() {
    wait_for_log "putting them back" 10
    wait_until 5 port_is_open "$server" 22
    wait_until 5 port_is_shut "$server" 22 "$other"
    wait_until 5 is_whole
}

# bats test_tags=iptables
@test "iptables -F in all tables is healed, live grants kept" {
    [ "$BACKEND" != nftables ] || skip "nobody can take its rules away"
    grant_first
    xtables -t filter -F
    xtables -t mangle -F
    is_healed
}

# bats test_tags=iptables
@test "the deletion of Portsmith's chains is healed" {
    [ "$BACKEND" != nftables ] || skip "nobody can take its rules away"
    grant_first
    restore --noflush <<'RULES'
*mangle
-D PREROUTING -j portsmith
-D INPUT -j portsmith-input
-D FORWARD -j portsmith-translated
-F portsmith
-F portsmith-input
-F portsmith-translated
-F portsmith-close
-F portsmith-shut
-X portsmith
-X portsmith-input
-X portsmith-translated
-X portsmith-close
-X portsmith-shut
COMMIT
*filter
-D INPUT -j portsmith
-F portsmith
-F portsmith-open
-X portsmith
-X portsmith-open
COMMIT
RULES
    is_healed
}

# bats test_tags=iptables
@test "another program's whole ruleset is healed and kept" {
    [ "$BACKEND" != nftables ] || skip "nobody can take its rules away"
    grant_first
    restore <<'RULES'
*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp --dport 9999 -j MARK --set-mark 7
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -p tcp --dport 9999 -j DROP
COMMIT
RULES
    is_healed
    chain mangle PREROUTING | grep -e "--dport 9999"
    chain filter INPUT | grep -e "--dport 9999"
}

# bats test_tags=nft
@test "nft flush ruleset is healed" {
    [ "$BACKEND" = nft ] || skip "iptables-legacy does not know nft"
    grant_first
    on server nft flush ruleset
    is_healed
}

# bats test_tags=iptables
@test "rules that are removed eight times in a minute are back within 2 s each time, and who did it is logged once" {
    [ "$BACKEND" != nftables ] || skip "nobody can take its rules away"
    start_daemon
    start_prober
    for _ in {1..8}; do
        remove_rules
        wait_until 10 is_in_place
        port_is_shut "$server" 22 "$other" # for as long as the prober needs to see it
    done
    stop_prober
    was_open_for_at_most 2000
    wait_until 5 log_counts "another program removed Portsmith's rules.*: putting them back" 3
    wait_until 5 log_counts "another program keeps removing Portsmith's rules" 1
    [ "$BACKEND" = legacy ] ||
        wait_for_log "keeps removing .*(the last to change nftables was nft, pid [1-9][0-9]*)"
    on server portsmithctl status | grep -x "rules *in force, but another program keeps .*"
}

first_rule() { # TABLE CHAIN
    chain "$1" "$2" | grep -m 1 -e ^-A
}

# bats test_tags=iptables
@test "an admin's rule above the jump stays above it" {
    [ "$BACKEND" != nftables ] || skip "its table has no jump in iptables' chains"
    start_daemon
    xtables -t mangle -I PREROUTING 1 -s "$other" -j DROP
    xtables -I INPUT 1 -s "$other" -j DROP
    knock_opens all tcp/22
    knock_until "all: closed" --close all tcp/22
    reload_daemon
    [[ $(first_rule mangle PREROUTING) == *"$other"* ]]
    [[ $(first_rule filter INPUT) == *"$other"* ]]
    knock_opens all --address "$other"
    port_is_shut "$server" 22 "$other"
}

@test "a ban that an admin adds holds although a grant is live" {
    grant_first
    port_is_open "$server" 22
    xtables -I INPUT 1 -s "$client" -p tcp --dport 22 -j DROP
    fence
    port_is_shut "$server" 22
    [ "$(grant_count "$client")" -ge 2 ]
}

# bats test_tags=legacy
@test "while another program holds the xtables lock nothing is reported open" {
    [ "$BACKEND" = legacy ] || skip "iptables-nft has no lock"
    start_daemon
    own_log
    spawn server "$lab/log/lock" flock /run/xtables.lock sleep 3
    wait_until 5 lock_is_held
    knock all
    while lock_is_held; do
        log_lacks "all: opened" || { lock_is_held && false; }
    done
    wait_for_log "all: opened" 10
    port_is_open "$server" 22
}

# bats test_tags=legacy
@test "a grant ends on time although another program holds the xtables lock" {
    [ "$BACKEND" = legacy ] || skip "iptables-nft has no lock"
    local window start

    start_daemon
    knock_opens_briefly all tcp/22
    spawn server "$lab/log/lock" bash -c 'exec 9>/run/xtables.lock; flock 9; exec sleep 600'
    wait_until 5 lock_is_held
    shuts_in_time "$window" "$start"
    lock_is_held
    end_process TERM "$spawned"
    wait_until 15 has_no_grant "$client"
}

# bats test_tags=nft
@test "a table that another program owns is named as the reason, not a match" {
    [ "$BACKEND" = nft ] || skip "iptables-legacy does not know nft"
    local option

    own_table ip6 mangle
    for option in -f -t; do
        run -1 on server portsmithd -c "$conf" "$option" # may be tried again
        [[ $output == *"another program keeps a table of iptables-nft for itself"*"refused by the kernel"*"Operation not permitted"*"): end it"* ]]
        [[ $output != *"does not work here"* ]]
    done
    end_process TERM "$owner"
}

# ---- back ends -------------------------------------------------------------

rules_of() { # BACKEND
    local BACKEND=$1 XTABLES=$1

    rules
}

@test "a switch to the other back end and back leaves nothing behind" {
    set_option Backend "$(backend_word "$(other_backend)")"
    start_daemon
    rules_of "$(other_backend)" | grep -q portsmith
    is_dropped 22
    stop_daemon
    set_option Backend "$(backend_word "$BACKEND")"
    start_daemon
    ! rules_of "$(other_backend)" | grep portsmith || false
    is_dropped 22
    knock_opens all tcp/22
    port_is_open "$server" 22
}

@test "a switch by a reload keeps the port shut and the grants open" {
    start_daemon
    knock_opens all tcp/22
    set_option Backend "$(backend_word "$(other_backend)")"
    reload_daemon
    ! rules | grep portsmith || false
    rules_of "$(other_backend)" | grep -q portsmith
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
}

@test "Backend = auto takes what iptables is on this host" {
    local here=legacy

    [[ $(readlink -f /usr/sbin/iptables) != *nft* ]] || here=nft
    set_option Backend auto
    start_daemon
    rules_of "$here" | grep -q portsmith
    is_dropped 22
    knock_opens all tcp/22
    port_is_open "$server" 22
}
