#!/usr/bin/env bats
# portsmith-firewall, and portsmithd, beside other firewalls of a host: the real firewalld
# and netfilter-persistent.
# bats file_tags=backend,family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"
# shellcheck source=tests/lib/firewalld.bash
. "$top/tests/lib/firewalld.bash"

setup_file() {
    lab_setup
    prepare_netfilter_persistent
    start_listener 22
    start_listener 80
    use_iptables "$XTABLES"
}

teardown_file() {
    lab_teardown
    use_iptables nft
}

setup() {
    own_log
    own_addresses
    configure
}

teardown() {
    common_teardown
    firewall remove
    [ ! -e "$lab/firewalld.pid" ] || stop_firewalld
    [ ! -e "$lab/daemon.pid" ] || { stop_daemon && on server portsmithd --release; }
    on server nft flush ruleset
    rm -f /etc/iptables/rules.v[46]
    wait_until 20 nobody_keeps
}

firewall() { # ARGUMENT of portsmith-firewall...
    on server portsmith-firewall "$@"
}

close_the_rest() {
    firewall try --allow tcp/443
    firewall confirm
    wait_until 10 one_keeps
}

is_in_force() {
    firewall show >/dev/null
}

keepers() {
    parent_named portsmith-keep
}

nobody_keeps() {
    ! keepers
}

# And can be found, by its lock.
one_keeps() {
    local keeper

    keeper=$(keepers)
    [ "$(wc -w <<<"$keeper")" -eq 1 ] && grep -q " POSIX *ADVISORY *WRITE $keeper " /proc/locks
}

# Both families, for whatever `iptables` is.
flush_filter() {
    local program

    [ "$BACKEND" != nftables ] || on server nft flush ruleset
    for program in iptables ip6tables; do
        on server "$program-$XTABLES-restore" -w 5 <<<$'*filter\n:INPUT ACCEPT [0:0]\nCOMMIT'
    done
}

# It is not installed, and has its files elsewhere than it looks for them.
prepare_netfilter_persistent() {
    mkdir -p /etc/iptables
    cp "$foreign/etc/default/netfilter-persistent" /etc/default/
    sed "s|^PLUGINS=|&$foreign|" "$foreign/usr/sbin/netfilter-persistent" \
        >"$lab/netfilter-persistent"
    chmod 755 "$lab/netfilter-persistent"
}

netfilter_persistent() { # start|save
    on server "$lab/netfilter-persistent" "$1"
}

# ---- what is put back --------------------------------------------------------

@test "what is confirmed is put back, whoever removes it, and again" {
    close_the_rest
    port_is_shut "$server" 80
    for _ in 1 2 3; do
        flush_filter
        wait_until 20 is_in_force
    done
    port_is_shut "$server" 80
    [ "$BACKEND" = nftables ] ||
        [ "$(xtables -S INPUT | grep -c -e '-j portsmith-firewall')" -eq 1 ]
    if [ "$BACKEND" = nft ]; then
        on server nft flush ruleset
        wait_until 20 is_in_force
    fi
    one_keeps
}

# bats test_tags=nft,once
@test "the one that keeps it sleeps as long as nobody changes anything" {
    [ "$BACKEND" = nft ] || skip "iptables-legacy tells of nothing: it is looked at"
    local before

    close_the_rest
    wait_until 20 keeper_sleeps
    before=$(switches)
    sleep 3 # not for an event: that there is none is the point
    [ "$(switches)" = "$before" ]
}

# The third argument of poll(2), where it waits, in /proc/PID/syscall: for ever. It is an int, and what
# the upper half of its register holds is the compiler's choice.
keeper_sleeps() {
    [[ $(awk '{ print $4 }' "/proc/$(keepers)/syscall") =~ ^0x(f{8}){1,2}$ ]]
}

switches() {
    grep ctxt_switches "/proc/$(keepers)/status"
}

@test "what is only on trial is not put back, and ends as it would" {
    firewall try --allow tcp/443 --timeout 8s
    nobody_keeps
    flush_filter
    port_is_open "$server" 80
    run ! is_in_force
    wait_until 20 no_trial_is_left
    port_is_open "$server" 80
    nobody_keeps
}

@test "a trial beside what is confirmed ends in time, put back or not" {
    local before last span

    close_the_rest
    span=$(long_enough 12)
    before=$(date +%s)
    firewall try --allow tcp/22 --timeout "${span}s"
    last=$(last_second_of_trial)
    [ "$((last + 1))" -ge $((before + span)) ]
    flush_filter
    wait_until 10 is_in_force
    port_is_open "$server" 22
    port_is_shut "$server" 80
    [ "$(last_second_of_trial)" -eq "$last" ]
    wait_until $((span + 8)) port_is_shut "$server" 22
    [ "$(date +%s)" -gt "$last" ]
    wait_until 20 no_trial_is_left
    flush_filter
    wait_until 20 is_in_force
    port_is_shut "$server" 22
    no_trial_is_left
}

# By the kernel's rule, since the epoch.
last_second_of_trial() {
    if [ "$BACKEND" = nftables ]; then
        echo $(($(on server nft list chain inet portsmith-firewall input |
            sed -n 's/.*jump trial-//p') - 1))
        return
    fi
    date -u +%s -d "$(xtables -S portsmith-firewall | sed -n 's/.*--datestop \([^ ]*\).*/\1Z/p')"
}

no_trial_is_left() {
    ! xtables -S portsmith-trial && ! on server nft list ruleset | grep "chain trial-" &&
        [[ $(firewall show) != *"on trial"* ]]
}

@test "remove ends it, wherever the configuration had it" {
    printf '%s\n' "RunDirectory = /run/elsewhere" "StateDirectory = /var/lib/elsewhere" >>"$conf"
    close_the_rest
    one_keeps
    sed -i '2i rubbish' "$conf"
    firewall remove
    wait_until 20 nobody_keeps
    port_is_open "$server" 80
    rm -r /run/elsewhere /var/lib/elsewhere
}

@test "remove ends it, even where nobody finds it, nor what was confirmed" {
    printf '%s\n' "StateDirectory = /var/lib/elsewhere" >>"$conf"
    close_the_rest
    rm -r /run/portsmith
    sed -i '2i rubbish' "$conf"
    firewall remove
    wait_until 20 nobody_keeps
    port_is_open "$server" 80
    rm -r /var/lib/elsewhere
}

@test "of two that would keep it the later one does" {
    local before

    close_the_rest
    before=$(keepers)
    firewall enforce
    wait_until 5 process_is_gone "$before"
    wait_until 10 one_keeps
    kill "$(keepers)"
    wait_until 20 nobody_keeps
    on server portsmithctl doctor >"$lab/doctor" || [ $? -eq 4 ]
    grep -q "no process is there to put them back" "$lab/doctor"
    firewall enforce
    wait_until 10 one_keeps
}

# bats test_tags=nftables,once
@test "while a table is not put back, status, doctor and show say so" {
    [ "$BACKEND" = nftables ] || skip "its own table is tried with nftables"
    configure "AcceptMark = 0x100"
    start_daemon
    close_the_rest
    on server flock /run/portsmith/firewall.lock kill -STOP "$(keepers)"
    on server nft delete table inet portsmith-firewall
    run -1 firewall show
    [[ $output == *"not in force: another program has changed the rules of IPv$FAMILY"* ]]
    on server portsmithctl status | grep "^the rest *shut by portsmith-firewall: NOT IN FORCE"
    [ "$(on server portsmithctl --json status | jq .rest_in_force)" = false ]
    run -4 on server portsmithctl doctor
    [[ $output == *"what portsmith-firewall shuts is not shut (IPv$FAMILY)"* ]]
    kill -CONT "$(keepers)"
    wait_until 20 is_in_force
    [ "$(on server portsmithctl --json status | jq .rest_in_force)" = true ]
    run on server portsmithctl doctor
    [[ $output != *"opens nothing"* ]]
    sed -i /^AcceptMark/d "$conf"
    run -4 on server portsmithctl doctor
    echo "$output"
    [[ $output == *"no knock opens tcp/22: portsmith-firewall shuts all but tcp/443"* ]]
    [[ $output == *"set AcceptMark in portsmith.conf"* ]]
    firewall remove
    [ "$(on server portsmithctl --json status | jq .rest_in_force)" = null ]
}

# ---- firewalld ---------------------------------------------------------------

# By what iptables makes its rules with, too.
start_firewalld_alike() {
    if [ "$BACKEND" = legacy ]; then
        start_firewalld iptables
    else
        start_firewalld nftables
    fi
}

@test "firewalld: what is shut is shut again after its start and each reload" {
    start_daemon
    close_the_rest
    start_firewalld_alike
    wait_until 20 is_in_force
    wait_until 20 is_in_place
    firewall_cmd --reload
    wait_until 20 is_in_force
    wait_until 20 is_in_place
    firewall_cmd --permanent --add-service=http
    firewall_cmd --reload
    wait_until 20 is_in_force
    on server portsmithctl status | grep -x "the rest *shut by portsmith-firewall: in force"
}

# bats test_tags=iptables
@test "firewalld: while it is not put back, status, doctor and show say so" {
    [ "$BACKEND" != nftables ] || skip "firewalld leaves the tables of others"
    start_daemon
    close_the_rest
    start_firewalld_alike
    wait_until 20 is_in_force
    [ "$BACKEND" = legacy ] || [[ $(firewall_cmd --version) == 1.* ]] ||
        skip "firewalld 2 leaves what iptables-nft made as it is"
    # Not while it has the lock, which show wants.
    on server flock /run/portsmith/firewall.lock kill -STOP "$(keepers)"
    firewall_cmd --reload
    wait_until 20 is_in_place
    run -1 firewall show
    [[ $output == *"not in force: another program has changed the rules of IPv$FAMILY"* ]]
    on server portsmithctl status | grep "^the rest *shut by portsmith-firewall: NOT IN FORCE"
    [ "$(on server portsmithctl --json status | jq .rest_in_force)" = false ]
    run -4 on server portsmithctl doctor
    [[ $output == *"what portsmith-firewall shuts is not shut (IPv$FAMILY)"* ]]
    kill -CONT "$(keepers)"
    wait_until 20 is_in_force
    [ "$(on server portsmithctl --json status | jq .rest_in_force)" = true ]
    firewall remove
    [ "$(on server portsmithctl --json status | jq .rest_in_force)" = null ]
}

# ---- what is loaded at boot ----------------------------------------------------

# In a host's own words: what is not named is dropped.
drop_by_default() {
    xtables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
    [ "$FAMILY" = 4 ] || xtables -A INPUT -p ipv6-icmp -j ACCEPT
    xtables -A INPUT -p tcp --dport 80 -j ACCEPT
    xtables -P INPUT DROP
}

# The kernel has none of all that; the files are there.
lose_rules() {
    local program

    stop_daemon
    on server nft flush ruleset
    for program in iptables ip6tables; do
        on server "$program-$XTABLES-restore" -w 5 \
            <<<$'*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n*mangle\nCOMMIT'
    done
    ! on server ipset list "portsmith$FAMILY"
}

policy_is() { # POLICY
    xtables -S INPUT | grep -x -e "-P INPUT $1"
}

advice_of_boot() {
    local found

    found=$(on server portsmithctl --json doctor) || [ $? -eq 4 ] || echo "the doctor fails"
    jq -r 'if .checks | index("boot") then .findings[] | select(.check == "boot") |
        "\(.level) \(.what) -> \(.advice)" else "it does not look at that" end' <<<"$found"
}

# As jobs of systemd's, by the order that the unit asks for.
boot_in_order() {
    grep -q '^Before=.*netfilter-persistent\.service' \
        /run/lab/stage/lib/systemd/system/portsmithd.service && start_daemon
    netfilter_persistent start
    [ -e "$lab/daemon.pid" ] || start_daemon
}

# bats test_tags=iptables
@test "netfilter-persistent: saved rules that name a set are loaded at boot, after the daemon has made it" {
    [ "$BACKEND" != nftables ] || skip "it keeps no grants in sets of ipset"
    configure "GrantStore = set"
    add_profile me --open tcp/22 --window 1m
    start_daemon
    drop_by_default
    netfilter_persistent save
    grep -q -e "--match-set portsmith$FAMILY" "/etc/iptables/rules.v$FAMILY"
    lose_rules
    boot_in_order
    wait_until 20 is_in_place
    policy_is DROP
    port_is_open "$server" 80
    port_is_shut "$server" 22
    knock_opens me
    port_is_open "$server" 22
}

# bats test_tags=iptables
@test "netfilter-persistent: what it would not load without the daemon is named, and what the doctor says helps" {
    [ "$BACKEND" != nftables ] || skip "it keeps no grants in sets of ipset"
    configure "GrantStore = set"
    start_daemon
    [ -z "$(advice_of_boot)" ]
    drop_by_default
    netfilter_persistent save
    [[ $(advice_of_boot) == *"note /etc/iptables/rules.v$FAMILY names a set of Portsmith's"* ]]
    lose_rules
    netfilter_persistent start # succeeds
    policy_is ACCEPT
    on server bash -c "$(advice_of_boot | sed -n "/rules\.v$FAMILY/s/.*: sed/sed/p")"
    netfilter_persistent start
    policy_is DROP
    xtables -C INPUT -p tcp --dport 80 -j ACCEPT
    run ! grep portsmith <<<"$(xtables -S)"
    [[ $(advice_of_boot) != *"rules.v$FAMILY"* ]]
}

# bats test_tags=nft,once
@test "nftables.conf: a ruleset that nft cannot load again is told, before and after it is saved" {
    [ "$BACKEND" = nft ] || skip "nft does not list the rules of iptables-legacy"
    local before

    cp /etc/nftables.conf "$lab/nftables.conf"
    configure "GrantStore = ${GRANT_STORE:-set}"
    start_daemon
    printf '#!/usr/sbin/nft -f\nflush ruleset\ntable inet own {\n chain input {\n%s\n }\n}\n' \
        'type filter hook input priority 0; tcp dport 9 drop' >/etc/nftables.conf
    [ -z "$(advice_of_boot)" ]
    on server nft -f /etc/nftables.conf
    wait_until 20 is_in_place
    before=$(advice_of_boot)
    [[ $before == "note nft list ruleset also prints Portsmith's rules"*": nft list table inet own" ]]
    on server nft list ruleset >/etc/nftables.conf
    run ! on server nft -f /etc/nftables.conf
    [[ $(advice_of_boot) == "problem /etc/nftables.conf holds Portsmith's rules"* ]]
    on server bash -c "${before##*: }" >/etc/nftables.conf
    on server nft -f /etc/nftables.conf
    [[ $(advice_of_boot) == note* ]]
    cp "$lab/nftables.conf" /etc/nftables.conf
}
