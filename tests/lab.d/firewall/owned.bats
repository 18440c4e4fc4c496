#!/usr/bin/env bats
# Backend = nftables beside other programs that load, flush or reload rules: nftables.service,
# saved rulesets, the real firewalld and the real ufw. Where the kernel can keep the table for its
# owner, nothing happens to it. On an older one it is put back.
# Once: it is about one back end, and a table of it holds both families.
# bats file_tags=nftables,once
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"
# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"
# shellcheck source=tests/lib/firewalld.bash
. "$top/tests/lib/firewalld.bash"
# shellcheck source=tests/lib/ufw.bash
. "$top/tests/lib/ufw.bash"

no_persist=$build_directory/tests/tools/no-persist

setup_file() {
    lab_setup
    start_listener 22
    use_iptables "$XTABLES"
    configure
    add_profile ssh --open tcp/22 --window 5m
    keep_configuration
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
    [ ! -e "$lab/firewalld.pid" ] || stop_firewalld
    [ ! -e "$lab/daemon.pid" ] || stop_daemon
    rm -f /run/portsmith/helper/grants
    on server portsmithd --release
    on server iptables-nft -P INPUT ACCEPT
    on server ip6tables-nft -P INPUT ACCEPT
    on server nft flush ruleset
}

# As on a kernel before 6.9.
start_daemon_with_plain_table() {
    own_log
    spawn server "$lab/log/portsmithd.log" "$no_persist" portsmithd -c "$conf" -f
    echo "$spawned" >"$lab/daemon.pid"
    wait_for_log " ready: " 15
    run ! table_is_owned inet portsmith
}

open_and_probe() {
    knock_opens ssh
    start_prober
}

works() {
    port_is_open "$server" 22 && port_is_shut "$server" 22 "$other"
}

never_was_open() {
    stop_prober
    [ "$(<"$lab/log/prober")" = probing ] || {
        cat "$lab/log/prober"
        return 1
    }
}

# To the table, and nobody had to put it back.
nothing_happened() {
    is_whole
    works
    never_was_open
    log_lacks "putting them back"
}

# It is another one then. That it was put back is not told each time.
is_put_back() { # HANDLE of the table before
    wait_until 15 is_another_than "$1"
    wait_until 15 is_whole
    works
    stop_prober
    [ "$(<"$lab/log/prober")" = probing ] || was_open_for_at_most 1000
    log_has "putting them back"
}

is_another_than() { # HANDLE
    local now

    now=$(table_handle) && [ -n "$now" ] && [ "$now" != "$1" ]
}

table_handle() {
    on server nft --json list tables |
        jq '.nftables[].table | select(. and .name == "portsmith") | .handle'
}

# By what systemd would run.
nftables_service() { # Start, Reload or Stop
    on server sh -ec "$(sed -n "s/^Exec$1=//p" /usr/lib/systemd/system/nftables.service)"
}

restart_nftables_service() {
    nftables_service Stop
    nftables_service Start
    on server nft list chain inet filter input
}

# ---- what flushes all --------------------------------------------------------

@test "nftables.service: a start, a reload, a restart and a stop leave an owned table as it is" {
    start_daemon
    open_and_probe
    nftables_service Start
    nftables_service Reload
    restart_nftables_service
    nftables_service Stop
    nothing_happened
}

@test "nftables.service: after each of them a table that nobody can own is put back" {
    local act before

    start_daemon_with_plain_table
    for act in "nftables_service Start" "nftables_service Reload" restart_nftables_service \
        "nftables_service Stop"; do
        open_and_probe
        before=$(table_handle)
        $act
        is_put_back "$before"
    done
}

save_ruleset() { # FILE
    { echo "flush ruleset" && on server nft list ruleset; } >"$1"
}

@test "nft -f: a ruleset that was saved without an owned table leaves it, one with it is refused whole" {
    on server nft "add table inet own; add chain inet own first"
    save_ruleset "$lab/without.nft"
    start_daemon
    open_and_probe
    save_ruleset "$lab/with.nft"
    on server nft add chain inet own second
    run ! on server nft -f "$lab/with.nft"
    on server nft list chain inet own second
    on server nft -f "$lab/without.nft"
    run ! on server nft list chain inet own second
    nothing_happened
}

@test "nft -f: a table that nobody can own is put back, whether it was saved or not" {
    local file before

    on server nft add table inet own
    save_ruleset "$lab/without.nft"
    start_daemon_with_plain_table
    save_ruleset "$lab/with.nft"
    for file in "$lab/without.nft" "$lab/with.nft"; do
        open_and_probe
        before=$(table_handle)
        on server nft -f "$file"
        is_put_back "$before"
    done
}

# ---- other firewalls ---------------------------------------------------------

reload_firewalld() { # nftables|iptables
    start_firewalld "$1"
    firewall_cmd --reload
    firewall_cmd --permanent --add-service=http
    firewall_cmd --reload
    firewall_cmd --complete-reload
    stop_firewalld
}

@test "firewalld: its start, reloads and end leave the table as it is, owned or not" {
    local start backend

    for start in start_daemon start_daemon_with_plain_table; do
        $start
        for backend in nftables iptables; do
            open_and_probe
            reload_firewalld "$backend"
            nothing_happened
        done
        stop_daemon
    done
    start_daemon
}

reload_ufw() {
    prepare_ufw
    ufw allow 22/tcp
    ufw --force enable
    ufw reload
    ufw allow 80/tcp
    ufw reload
    ufw disable
}

@test "ufw: its start, reloads and end leave the table as it is, owned or not" {
    local start

    for start in start_daemon start_daemon_with_plain_table; do
        $start
        open_and_probe
        reload_ufw
        nothing_happened
        stop_daemon
    done
    start_daemon
}

# ---- AcceptMark ----------------------------------------------------------------

# What the doctor advises for what another firewall drops.
advice() {
    local found

    found=$(on server portsmithctl --json doctor) || [ $? -eq 4 ]
    jq -r '.findings[] | select(.check == "firewalls") | "\(.what) -> \(.advice)"' <<<"$found"
}

# Not without the line that it prints, and not to strangers with it.
opens_with_the_line() { # PATTERN of the line
    local line

    start_daemon
    knock_opens ssh
    port_is_shut "$server" 22
    advice | tee "$lab/advice"
    line=$(grep -o -E -m 1 "$1" "$lab/advice")
    if [[ $line == ufw* ]]; then
        $line
    else
        PATH=$foreign/usr/bin:$PATH on server sh -ec "$line"
    fi
    works
    [ -z "$(advice)" ]
}

@test "AcceptMark: where INPUT of iptables drops, the doctor's line lets grants through" {
    configure "AcceptMark = 0x100"
    xtables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
    [ "$FAMILY" = 4 ] || xtables -A INPUT -p icmpv6 -j ACCEPT # with it, neighbours find this host
    xtables -P INPUT DROP
    opens_with_the_line "ip6?tables-nft .*ACCEPT"
}

@test "AcceptMark: where a chain of nft drops, the doctor's line lets grants through" {
    configure "AcceptMark = 0x100"
    on server nft -f - <<<'table inet own { chain input {
        type filter hook input priority 0; policy drop; ct state established,related accept;
        meta l4proto ipv6-icmp accept; }; }'
    opens_with_the_line "nft insert rule .* accept"
}

# Its own programs know no mark: what they accept by its port is safe where Portsmith shuts that.
@test "AcceptMark: where firewalld drops, the doctor's line lets grants through" {
    configure "AcceptMark = 0x100"
    start_firewalld nftables
    firewall_cmd --remove-service=ssh
    opens_with_the_line "firewall-cmd [^,]*"
}

@test "AcceptMark: where ufw drops, the doctor's line lets grants through" {
    configure "AcceptMark = 0x100"
    prepare_ufw
    ufw --force enable
    opens_with_the_line "ufw allow .*"
    ufw disable
}
