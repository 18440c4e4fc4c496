#!/usr/bin/env bats
# portsmithctl's doctor and status with Backend = nftables, on a host that may lack iptables.
# bats file_tags=backend,family,nftables
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"
# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"
# shellcheck source=tests/lib/doctor.bash
. "$top/tests/lib/doctor.bash"

setup_file() {
    lab_setup
    configure "Backend = nftables"
    add_profile ssh --open tcp/22 --window 60s
    start_daemon
    start_listener 22
    start_listener 81
    prepare_timekeeping "$lab"
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
}

teardown() {
    common_teardown
    on server nft flush ruleset
    rm -f /etc/nftables.conf
}

@test "a healthy host without iptables has no findings of its firewall" {
    local check

    # shellcheck disable=SC2046 # words
    without_iptables env $(clock_that_is kept "$lab") portsmithctl doctor --json >"$lab/found.json" || [ $? -eq 4 ]
    python3 -c 'import json, sys
it = json.load(open(sys.argv[1]))
assert "iptables" not in it["checks"] and "nftables" in it["checks"], it["checks"]
found = [f for f in it["findings"] if f["check"] not in ("knocks", "interfaces")]
assert not found, found' "$lab/found.json"
}

@test "status and the metrics say that the table is owned, and by which back end" {
    run on server portsmithctl status
    grep -x "firewall *nftables, IPv4 and IPv6; no other program can change its table" <<<"$output"
    grep -x "grant store *set" <<<"$output"
    [[ $output != *"NOT OPENED"* ]]
    on server portsmithctl --json status | python3 -c 'import json, sys
it = json.load(sys.stdin)
assert it["backend"] == "nftables" and it["owned"] is True and it["grant_store"] == "set", it
assert it["dropped_elsewhere"] == [] and it["in_force"] is True, it'
}

@test "a chain that drops is found, with a line that helps, and so by status" {
    local line

    finds_nothing firewalls
    on server nft 'add table inet theirs; add chain inet theirs guard { type filter hook input priority 0; policy drop; }'
    on server nft 'add rule inet theirs guard ct state established accept; add rule inet theirs guard meta l4proto ipv6-icmp accept'
    finds firewalls "^problem the nftables chain inet theirs guard drops tcp/22, .*-> .*: nft insert rule inet theirs guard tcp dport 22 accept"
    on server portsmithctl --json status | grep "inet theirs guard drops tcp/22"
    knock_opens ssh
    port_is_shut "$server" 22
    line=$(sed -n 's/.*: \(nft insert rule .*\)/\1/p' "$lab/found")
    on server bash -c "$line"
    finds_nothing firewalls
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
}

@test "a table that another program owns is not to be changed by nft" {
    own_table inet theirs
    echo 'add chain inet theirs guard { type filter hook input priority 0; policy drop; }' >"$lab/owner.in"
    wait_until 5 on server nft list chain inet theirs guard
    finds firewalls "inet theirs guard drops tcp/22, .*-> .*: with the program that owns the table: only it"
    end_process TERM "$owner"
}

@test "rules of iptables that Portsmith left are found" {
    finds_nothing backends
    on server iptables-nft -t mangle -N portsmith
    on server iptables-nft -t mangle -A PREROUTING -j portsmith
    finds backends "^problem Portsmith's rules of an earlier start are left in iptables-nft .*-> run portsmithctl release"
    on server nft flush ruleset
    finds_nothing backends
}

@test "a profile's port that nothing shuts is found, unless another chain drops it" {
    and_reload add_profile web --open tcp/81
    finds ports "^problem tcp/81 is open without a knock .*-> name it in Shut"
    on server nft 'add table inet theirs; add chain inet theirs guard { type filter hook input priority 0; }; add rule inet theirs guard tcp dport 81 drop'
    finds_nothing ports
    finds firewalls "inet theirs guard drops tcp/81, .*-> name it in Shut first"
    and_reload on server portsmith-profile revoke web
}

@test "a saved ruleset with Portsmith's table is found at a start, by -t and by the doctor" {
    finds_nothing boot
    on server nft list ruleset >/etc/nftables.conf
    finds boot "^problem /etc/nftables.conf holds Portsmith's table .*-> take 'table inet portsmith' out of it"
    run on server portsmithd -t -c "$conf"
    [[ $output == *"/etc/nftables.conf holds Portsmith's table"* ]]
    own_log
    reload_daemon
    wait_for_log "/etc/nftables.conf holds Portsmith's table"
    # What it says: the file is not loaded, and how to save the others.
    run ! on server nft -f /etc/nftables.conf
    on server nft add table inet theirs
    on server bash -c "$(sed -n "s/.*others: //p" "$lab/found" | head -n 1)" >/etc/nftables.conf
    grep -q "table inet theirs" /etc/nftables.conf
    diff <(on server bash -c "$(sed -n '/^nft list tables/,/done$/p' "$top/man/portsmith-rules.7")") /etc/nftables.conf
    finds_nothing boot
    on server nft -f /etc/nftables.conf
}
