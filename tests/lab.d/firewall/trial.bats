#!/usr/bin/env bats
# portsmith-firewall among other rules of a host, with real packets.
# bats file_tags=backend,family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"
. "$top/tests/lib/build.bash"

no_ipv6=$build_directory/tests/tools/no-ipv6
no_fork=$build_directory/tests/tools/no-fork
# With nftables a knock opens what portsmith-firewall shuts only by a packet mark.
marks=()
[ "$BACKEND" != nftables ] || marks=("AcceptMark = 0x100")

setup_file() {
    local program

    lab_setup
    start_listener 22
    start_listener 80
    start_listener_on "$server" 81
    start_udp_listener 5300
    start_udp_listener 5301
    # What other programs have there. Nothing of it looks at connections.
    for program in iptables ip6tables; do
        on server "$program-$XTABLES-restore" <<END
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
:f2b-sshd - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j f2b-sshd
-A FORWARD -j DOCKER-USER
-A f2b-sshd -j RETURN
COMMIT
END
    done
    saved_rules >"$lab/before"
}

teardown_file() {
    lab_teardown
}

setup() {
    write_conf
    own_log
    own_addresses
    # Of a trial up to a second is lost to rounding, and what putting it in force takes.
    soon=$(long_enough 6)
}

teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || {
        saved_rules
        cat "$lab/log/terminal.log" 2>/dev/null
    }
    firewall remove
    [ ! -e "$lab/daemon.pid" ] || { stop_daemon && on server portsmithd --release; }
    # shellcheck disable=SC2046 # words are words
    kill -KILL $(sweepers) 2>/dev/null || true
    wait_until 5 no_sweeper_is_left
}

write_conf() { # [LINE...]
    printf '%s\n' "[Portsmith]" "Port = $knock_port" "Backend = $(backend_word "$BACKEND")" \
        "${marks[@]}" "$@" >"$conf"
}

firewall() { # ARGUMENT of portsmith-firewall...
    on server portsmith-firewall "$@"
}

# The filter table in both families, without counters; and ours, where that is another one.
saved_rules() {
    others_rules
    [ "$BACKEND" != nftables ] || own_rules
}

own_rules() {
    ! on server nft list tables | grep -q -x "table inet portsmith-firewall" ||
        on server nft list table inet portsmith-firewall
}

others_rules() {
    local program

    for program in iptables ip6tables; do
        on server "$program-$XTABLES-save" -t filter | sed '/^#/d; s/ \[[0-9:]*\]$//'
    done
}

all_is_as_before() {
    diff "$lab/before" <(saved_rules)
}

# Both families' rules without what is ours are as before.
others_are_as_before() {
    diff "$lab/before" <(others_rules | grep -v portsmith-)
}

# What is on trial, of the family at least.
is_on_trial() {
    if [ "$BACKEND" = nftables ]; then
        [ -n "$(trial_chain)" ]
    else
        xtables -C portsmith-trial -j DROP
    fi
}

# Its second is in its name.
trial_chain() {
    own_rules | sed -n 's/.*jump \(trial-[0-9]*\)$/\1/p'
}

# All of what is confirmed, but not what leads there.
lose_confirmed() {
    if [ "$BACKEND" = nftables ]; then
        on server nft flush chain inet portsmith-firewall confirmed
    else
        xtables -F portsmith-firewall
    fi
}

sweepers() {
    process_named 'portsmith-firew.*'
}

no_sweeper_is_left() {
    ! sweepers
}

is_pinged() {
    local version=""

    [ "$FAMILY" = 4 ] || version=-6
    # shellcheck disable=SC2086 # one word or none
    on client nmap $version -n -sn -PE --send-ip --disable-arp-ping "$server" | grep '^Host is up'
}

@test "a scan finds the allowed ports, no others" {
    local version="" found

    [ "$FAMILY" = 4 ] || version=-6
    firewall try --allow tcp/22 --allow udp/5300
    # shellcheck disable=SC2086 # one word or none
    found=$(on client nmap $version -n -Pn -sS --max-retries 1 -p 20-25,80 -oG - "$server")
    echo "$found"
    [[ $found == *" 22/open/tcp"* ]]
    [ "$(grep -o '/open/' <<<"$found" | wc -l)" -eq 1 ]
    [[ $found == *"80/filtered/tcp"* ]]
    udp_is_open "$server" 5300
    run ! udp_is_open "$server" 5301
}

@test "connections that stand live on, also where the kernel looked at none before" {
    open_connection "$server" 80
    firewall try
    port_is_shut "$server" 80
    connection_answers
}

# Connection tracking forgets a session; the client speaks first.
session_goes_on() { # PORT
    forget_soon server
    open_connection "$server" "$1"
    firewall try
    connection_answers
    wait_until_forgotten "$1"
    connection_answers
}

@test "a session goes on that connection tracking has forgotten" {
    session_goes_on 80
    firewall remove
    session_goes_on 81
}

# Asks while all is open. Looks while the client's kernel stays out of it, which resets what
# it does not know.
cookie_outlives_the_open_port() { # gets_in|stays_out PORT [OPTION of try...]
    ask_for_cookie "$2"
    firewall try "${@:3}"
    send_cookie "$2"
    "$1" "$2"
    end_cookie
    firewall remove
}

gets_in() { # PORT
    wait_until 5 has_session "$1"
}

stays_out() { # PORT
    ! has_session "$1"
}

@test "the ACK of a SYN cookie opens nothing at a shut port" {
    forget_soon server
    cookie_outlives_the_open_port stays_out 80
    cookie_outlives_the_open_port stays_out 81
    cookie_outlives_the_open_port gets_in 80 --allow tcp/80
}

@test "where the kernel cannot tell sessions they go on, and what stays open is said" {
    on server sh -c 'echo 0 >/proc/sys/net/ipv4/tcp_early_demux'
    run firewall try
    [ "$status" -eq 0 ]
    [[ $output == *"SYN cookie"*"tcp_early_demux is 0"* ]]
    firewall remove
    session_goes_on 81
    on server sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_early_demux'
}

@test "loopback, ping and neighbours" {
    firewall try
    on server socat -u /dev/null TCP4:127.0.0.1:80,connect-timeout=3
    on server socat -u /dev/null "TCP6:[::1]:80,connect-timeout=3"
    is_pinged
    ip -n client "-$FAMILY" neighbour flush dev eth0
    ip -n server "-$FAMILY" neighbour flush dev eth0
    is_pinged
}

# Behind the client, which has to send on less at once than either end thinks.
make_far_host() {
    make_host far
    join_hosts client far0 far eth0
    ip -n client link set far0 mtu 1300
    give_address client far0 10.79.0.1/24 fd79::1/64
    give_address far eth0 10.79.0.2/24 10.79.0.3/24 fd79::2/64 fd79::3/64
    ip -n far route add default via 10.79.0.1
    ip -n far -6 route add default via fd79::1
    ip -n server route add 10.79.0.0/24 via 10.77.0.2
    ip -n server -6 route add fd79::/64 via fd77::2
    on client sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
                     echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
}

# Sends the service much, and counts what comes back.
echoed_to_far() { # NUMBER of its address, SECONDS to wait for more
    local from=10.79.0.$1

    [ "$FAMILY" = 4 ] || from=fd79::$1
    head -c 20000 /dev/zero |
        on far socat -t "$2" - "$(socat_address TCP "$server" 80 "$from"),connect-timeout=5" | wc -c
}

# Removes the rule that accepts it.
forget_icmp() { # MATCH of iptables...
    local rule=icmp4

    if [ "$BACKEND" != nftables ]; then
        xtables -D portsmith-trial "$@" -j ACCEPT
        return
    fi
    [ "$FAMILY" = 4 ] || rule=icmp6
    rule=$(on server nft -a list chain inet portsmith-firewall "$(trial_chain)" |
        sed -n "s/.* @$rule accept # handle //p")
    on server nft delete rule inet portsmith-firewall "$(trial_chain)" handle "$rule"
}

# By what belongs to no connection that is known.
@test "what is too big for the path is told to the host" {
    local too_big=(-p icmp -m icmp --icmp-type 3)

    [ "$FAMILY" = 4 ] || too_big=(-p ipv6-icmp -m icmp6 --icmpv6-type 2)
    make_far_host
    xtables -t raw -A PREROUTING "${too_big[@]}" -j CT --notrack
    firewall try --allow tcp/80
    [ "$(echoed_to_far 2 5)" -eq $((20000 + ${#greeting} + 1)) ]
    forget_icmp "${too_big[@]}" # it is what does it
    [ "$(echoed_to_far 3 1)" -lt 20000 ]
    xtables -t raw -D PREROUTING "${too_big[@]}" -j CT --notrack
}

@test "it rolls back by itself" {
    firewall try --timeout "${soon}s"
    port_is_shut "$server" 80
    wait_until $((soon + 14)) port_is_open "$server" 80
    wait_until $((soon + 14)) all_is_as_before
    [[ $(firewall show) == "nothing is shut"* ]]
    run firewall confirm
    [ "$status" -eq 1 ]
    all_is_as_before
}

@test "it rolls back when every process of it is killed" {
    firewall try --timeout "${soon}s"
    # shellcheck disable=SC2046 # words are words
    kill -KILL $(sweepers)
    wait_until 5 no_sweeper_is_left
    port_is_shut "$server" 80
    wait_until $((soon + 14)) port_is_open "$server" 80
    # The rules are dead, and there until somebody looks after them.
    saved_rules | grep -q -E "$trial_rules"
    [[ $(firewall show) == "nothing is shut"* ]]
    firewall enforce
    all_is_as_before
}

@test "it rolls back where its file is gone" {
    firewall try --allow tcp/80
    firewall confirm
    firewall try --timeout "${soon}s"
    rm /run/portsmith/firewall
    port_is_shut "$server" 80
    wait_until $((soon + 14)) no_trial_is_left
    port_is_open "$server" 80
}

@test "what cannot roll back by itself says so" {
    run -0 --separate-stderr on server "$no_fork" portsmith-firewall try
    echo "$stderr"
    [[ $stderr == *"no process can be started"*"portsmith-firewall enforce"* ]]
    no_sweeper_is_left
    is_on_trial
}

@test "it rolls back when the terminal dies" {
    spawn server "$lab/log/terminal.log" script -q -e \
        -c "portsmith-firewall try --timeout ${soon}s; sleep 600" /dev/null
    wait_until 10 grep -q confirm "$lab/log/terminal.log"
    end_process KILL "$spawned"
    port_is_shut "$server" 80
    wait_until $((soon + 14)) port_is_open "$server" 80
    wait_until $((soon + 14)) all_is_as_before
}

@test "what is confirmed stays" {
    firewall try --allow tcp/22 --timeout "${soon}s"
    firewall confirm
    grep -q -x 'Allow = tcp/22' /var/lib/portsmith/firewall
    wait_until $((soon + 14)) no_sweeper_is_left
    port_is_open "$server" 22
    port_is_shut "$server" 80
    [ "$(firewall show)" = "confirmed: all shut but tcp/22" ]
}

@test "remove leaves all as before, whatever there was; its old word, too" {
    firewall try --allow tcp/22
    firewall confirm
    firewall try --allow tcp/80
    run ! all_is_as_before
    firewall remove
    all_is_as_before
    [ ! -e /var/lib/portsmith/firewall ]
    [ ! -e /run/portsmith/firewall ]
    run -0 firewall restore
    [[ $output == *"warning: restore is the old word for remove, and is still taken: write remove"* ]]
    all_is_as_before
}

@test "foreign chains and policies are left alone" {
    firewall try --allow tcp/22
    others_are_as_before
    firewall confirm
    others_are_as_before
    # Ours comes last, and what others drop is dropped.
    comes_last
    xtables -I f2b-sshd -s "$client" -j DROP
    port_is_shut "$server" 22
    xtables -D f2b-sshd -s "$client" -j DROP
    port_is_open "$server" 22
}

comes_last() {
    if [ "$BACKEND" = nftables ]; then
        own_rules | grep "hook input priority 200;"
    else
        [ "$(xtables -S INPUT | tail -n 1)" = "-A INPUT -j portsmith-firewall" ]
    fi
}

@test "a second try takes the place of the first" {
    firewall try --allow tcp/22 --timeout 2s
    firewall try --allow tcp/80
    wait_until $((soon + 14)) one_sweeper_is_left
    port_is_open "$server" 80
    port_is_shut "$server" 22
    firewall confirm
    port_is_open "$server" 80
}

one_sweeper_is_left() {
    [ "$(sweepers | wc -l)" -eq 1 ]
}

@test "after a trial that failed, what was confirmed is in force again" {
    firewall try --allow tcp/80
    firewall confirm
    firewall try --allow tcp/22 --timeout "${soon}s"
    port_is_open "$server" 22
    port_is_shut "$server" 80
    wait_until $((soon + 14)) port_is_open "$server" 80
    port_is_shut "$server" 22
    wait_until $((soon + 14)) no_trial_is_left
    port_is_open "$server" 80
}

trial_rules='portsmith-trial|chain trial-'

no_trial_is_left() {
    ! saved_rules | grep -q -E "$trial_rules"
}

# With a script in place of one of the programs, which has its name with .real then.
with_program() { # NAME SCRIPT COMMAND...
    with_mounts_on server bash -c '
        rm -rf "$lab/sbin"
        mkdir -p "$lab/sbin"
        cp -a /usr/sbin/*tables* "$lab/sbin/"
        cp "/usr/sbin/$1" "$lab/sbin/$1.real"
        rm "$lab/sbin/$1"
        printf "#!/bin/bash\n%s\n" "$2" >"$lab/sbin/$1"
        chmod 755 "$lab/sbin/$1"
        mount --bind "$lab/sbin" /usr/sbin
        shift 2
        "$@"' bash "$@"
}

# With an ip6tables-restore that fails.
without_ip6tables() { # COMMAND...
    with_program "ip6tables-$XTABLES-restore" "exit 2" "$@"
}

# bats test_tags=iptables
@test "where IPv6 fails, nothing changes in IPv4" {
    [ "$BACKEND" != nftables ] || skip "one table shuts both"
    export lab
    run without_ip6tables portsmith-firewall try --allow tcp/22
    echo "$output"
    [ "$status" -eq 1 ]
    all_is_as_before
    [ ! -e /run/portsmith/firewall ]
    firewall try --allow tcp/80
    firewall confirm
    saved_rules >"$lab/confirmed"
    run without_ip6tables portsmith-firewall try --allow tcp/22
    [ "$status" -eq 1 ]
    diff "$lab/confirmed" <(saved_rules)
    [ "$(firewall show)" = "confirmed: all shut but tcp/80" ]
}

# bats test_tags=iptables
@test "a host without IPv6 is shut all the same" {
    [ "$BACKEND" != nftables ] || skip "one table shuts both"
    xtables_4() {
        on server "iptables-$XTABLES" -w 5 "$@"
    }
    on server "$no_ipv6" portsmith-firewall try
    xtables_4 -C portsmith-trial -j DROP
    on server "$no_ipv6" portsmith-firewall confirm
    xtables_4 -C portsmith-firewall -j DROP
    on server "$no_ipv6" portsmith-firewall show
    run ! on server "ip6tables-$XTABLES" -C INPUT -j portsmith-firewall
    on server "$no_ipv6" portsmith-firewall remove
    all_is_as_before
}

@test "a boot puts in force what was confirmed, and nothing else" {
    local program

    firewall enforce
    all_is_as_before
    firewall try --allow tcp/22
    firewall confirm
    kill_keeper
    [ "$BACKEND" != nftables ] || on server nft flush ruleset
    for program in iptables ip6tables; do # as after a boot
        on server "$program-$XTABLES-restore" <<<$'*filter\n:INPUT ACCEPT [0:0]\nCOMMIT'
    done
    rm -rf /run/portsmith
    port_is_open "$server" 80
    run firewall show
    [ "$status" -eq 1 ]
    [[ $output == *"not in force"* ]]
    firewall enforce
    firewall show
    port_is_shut "$server" 80
    port_is_open "$server" 22
    load_before
}

# What would put the rules back.
kill_keeper() {
    local keepers

    wait_until 5 process_named portsmith-keep
    mapfile -t keepers < <(process_named portsmith-keep) # what it forks has its name at first
    kill_all "${keepers[@]}"
}

# What portsmith-firewall made is gone, too.
load_before() {
    local program

    firewall remove
    for program in iptables ip6tables; do
        on server "$program-$XTABLES-restore" < <(of_family "$program")
    done
    all_is_as_before
}

# Its part of what there was before.
of_family() { # iptables|ip6tables
    if [ "$1" = iptables ]; then
        sed '/^COMMIT/q' "$lab/before"
    else
        sed '1,/^COMMIT/d' "$lab/before"
    fi
}

# bats test_tags=iptables
@test "a boot tries again where the firewall is busy" {
    [ "$BACKEND" != nftables ] || skip "the kernel alone is never busy"
    local program=iptables-$XTABLES-restore

    export lab
    firewall try --allow tcp/22
    firewall confirm
    flush_both
    printf '%s\n' 1 2 3 4 >"$lab/busy" # more than one change tries
    with_program "$program" "
        if [ -s '$lab/busy' ]; then
            sed -i 1d '$lab/busy'
            echo 'somebody holds the lock'
            exit 4
        fi
        exec -a $program /usr/sbin/$program.real \"\$@\"" portsmith-firewall enforce
    [ ! -s "$lab/busy" ]
    [ "$(firewall show)" = "confirmed: all shut but tcp/22" ]
}

# bats test_tags=nft,once
@test "what the kernel refuses is not tried for a minute" {
    [ "$BACKEND" = nft ] || skip "iptables-legacy has a lock, and ends otherwise where the kernel refuses"
    local start

    firewall try --allow tcp/22
    firewall confirm
    on server nft flush ruleset
    own_table ip6 filter
    start=$(now_ms)
    run -1 firewall enforce
    end_process TERM "$owner"
    [[ $output == *"refused by the kernel"*"Operation not permitted"* ]]
    [[ $output != *"trying again"* ]]
    [ $(($(now_ms) - start)) -lt 30000 ]
    load_before
}

flush_both() {
    local program

    for program in iptables ip6tables; do
        on server "$program-$XTABLES-restore" --noflush <<<$'*filter\n-F portsmith-firewall\nCOMMIT'
    done
}

# Without the programs of iptables and nft, whatever the configuration says.
# bats test_tags=nftables,once
@test "on a host without iptables the kernel alone does it" {
    [ "$BACKEND" = nftables ] || skip "its own table is tried with nftables"
    local shut

    printf '%s\n' "[Portsmith]" "Port = $knock_port" >"$conf"
    without_programs portsmith-firewall try --allow tcp/22
    port_is_shut "$server" 80
    without_programs portsmith-firewall confirm
    kill_keeper
    shut=$(own_rules)
    without_programs portsmith-firewall show
    on server nft flush ruleset
    run -1 without_programs portsmith-firewall show
    [[ $output == *"not in force"* ]]
    without_programs portsmith-firewall enforce
    [ "$(own_rules)" = "$shut" ]
    port_is_shut "$server" 80
    port_is_open "$server" 22
    without_programs portsmith-firewall remove
    port_is_open "$server" 80
    load_before
}

without_programs() { # COMMAND...
    with_mounts_on server bash -c '
        for program in /usr/sbin/*tables-*restore /usr/sbin/*tables-save /usr/sbin/nft; do
            mount --bind /dev/null "$(readlink -f "$program")"
        done
        exec "$@"' bash "$@"
}

# bats test_tags=nftables,once
@test "without AcceptMark no knock opens what is shut, and that is said" {
    [ "$BACKEND" = nftables ] || skip "with iptables what one rule accepts no later one drops"
    local connection="SSH_CONNECTION=192.0.2.1 50000 192.0.2.2 22"

    marks=()
    configure "Shut = tcp/22"
    start_daemon
    run -1 on server env "$connection" portsmith-firewall try
    [[ $output == *"this is an ssh login to tcp/22"*"set AcceptMark"*"--force"* ]]
    all_is_as_before
    run -0 on server portsmith-firewall try
    [[ $output == *"a knock opens a port that is shut here only if AcceptMark is set"* ]]
    [[ $output == *"Shut now, though programs listen: tcp/22,"* ]]
}

@test "a boot that cannot read its configuration shuts what it finds, or fails" {
    printf '%s\n' "[Portsmith]" "StateDirectory = /var/lib/elsewhere" >"$conf"
    printf '%s\n' "Port = $knock_port" >>"$conf"
    firewall try --allow tcp/22
    firewall confirm
    sed -i '2i rubbish' "$conf"
    run -78 firewall enforce
    echo "$output"
    [[ $output == *"nothing is shut"*"StateDirectory"* ]]
    sed -i 2d "$conf"
    firewall remove
    sed -i '2i rubbish' "$conf"
    echo '[Firewall]' >/var/lib/portsmith/firewall
    firewall enforce
    port_is_shut "$server" 80
}

# bats test_tags=iptables
@test "remove does not claim what another program's rule prevents" {
    [ "$BACKEND" != nftables ] || skip "nothing leads from one table into another"
    firewall try --allow tcp/22
    firewall confirm
    xtables -D INPUT -j portsmith-firewall
    xtables -I INPUT -i eth0 -j portsmith-firewall
    run -1 firewall remove
    echo "$output"
    [[ $output == *"another program leads to the chain portsmith-firewall"*"remove that rule"* ]]
    port_is_open "$server" 80
    xtables -D INPUT -i eth0 -j portsmith-firewall
    firewall remove
    all_is_as_before
}

refuses_login() { # PORT COMMAND...
    local port=$1

    shift
    run "$@"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"this is an ssh login to tcp/$port"*"--force"* ]]
    all_is_as_before
}

# bats test_tags=iptables
@test "remove does not claim what it has no program for" {
    [ "$BACKEND" != nftables ] || skip "no program is needed"
    firewall try --allow tcp/22
    firewall confirm
    run -1 ip netns exec server sh -c '
        for program in nft legacy; do
            mount --bind /dev/null "$(readlink -f "/usr/sbin/iptables-$program-restore")"
        done
        exec portsmith-firewall remove'
    [[ $output == *"is not installed"* ]]
    [[ $output != *"as it was before"* ]]
    port_is_shut "$server" 80
    firewall remove
    all_is_as_before
}

@test "it refuses to cut off the next ssh login" {
    local connection="SSH_CONNECTION=192.0.2.1 50000 192.0.2.2 2222"

    refuses_login 2222 on server env "$connection" portsmith-firewall try --allow tcp/22
    # As sudo does.
    refuses_login 2222 on server env "$connection" \
        bash -c 'env -u SSH_CONNECTION portsmith-firewall try; exit $?'
    cp /bin/bash "$lab/sshd"
    refuses_login 22 on server "$lab/sshd" -c 'portsmith-firewall try --allow tcp/80; exit $?'
    on server env "$connection" portsmith-firewall try --allow tcp/2222
    firewall remove
    on server env "$connection" portsmith-firewall try --force
}

@test "a running portsmithd that lets ssh in is a way" {
    local connection="SSH_CONNECTION=192.0.2.1 50000 192.0.2.2 22"

    configure "Shut = tcp/22" "${marks[@]}"
    refuses_login 22 on server env "$connection" portsmith-firewall try
    start_daemon
    on server env "$connection" portsmith-firewall try
}

@test "a portsmithd on trial that lets ssh in is no way until it is kept" {
    local connection="SSH_CONNECTION=192.0.2.1 50000 192.0.2.2 22"

    configure "Shut = tcp/22" "${marks[@]}"
    add_profile tried --open tcp/22
    daemon_options=(--trial 10m)
    start_daemon
    daemon_options=()
    saved_rules >"$lab/on-trial"
    run -1 on server env "$connection" portsmith-firewall try
    [[ $output == *"this is an ssh login to tcp/22"*"is itself on trial; keep that first"*"--force"* ]]
    diff "$lab/on-trial" <(saved_rules)
    on server portsmithd -c "$conf" 3>&-
    cat /run/portsmith/portsmithd.pid >"$lab/daemon.pid"
    on server env "$connection" portsmith-firewall try
}

@test "a knock opens through both" {
    start_server_daemon "Shut = tcp/22" "${marks[@]}"
    and_reload add_profile both --open tcp/22,tcp/80 --window 1m
    firewall try
    port_is_shut "$server" 22
    port_is_shut "$server" 80
    knock_opens both tcp/22
    port_is_open "$server" 22
    port_is_shut "$server" 80
    knock_opens both tcp/80
    port_is_open "$server" 80
}

# ---- what portsmithd shuts -------------------------------------------------

# By both commands that could, naming the service and the way out.
release_is_refused() { # SERVICE
    local command

    saved_rules >"$lab/before-release"
    for command in "portsmithctl release" "portsmithd --release"; do
        # shellcheck disable=SC2086 # words
        run -1 on server $command
        echo "$command: $output"
        [[ $output == *"$1 would be shut to everybody"*"portsmith-firewall remove first"* ]] ||
            [[ $command == portsmithd* && $output == *"already running"* ]]
    done
    diff "$lab/before-release" <(saved_rules)
}

@test "no release while nobody could get in then" {
    start_server_daemon "Shut = tcp/22" "${marks[@]}"
    and_reload add_profile way --open tcp/22 --window 1m
    firewall try --allow tcp/80
    release_is_refused tcp/22
    firewall confirm
    release_is_refused tcp/22
    knock_opens way
    port_is_open "$server" 22
    stop_daemon
    port_is_shut "$server" 22 "$other"
    release_is_refused tcp/22
    # With the rules gone, the next boot would bring them back.
    kill_keeper
    lose_confirmed
    release_is_refused tcp/22
    run -0 firewall remove
    [ "${lines[1]}" = "portsmithd still shuts these until portsmithctl release: tcp/22" ]
    port_is_shut "$server" 22 "$other"
    on server portsmithd --release
    port_is_open "$server" 22 "$other"
    run -0 firewall remove
    [ "${#lines[@]}" -eq 1 ]
}

@test "a release says what stays shut" {
    start_server_daemon "Shut = tcp/22" "${marks[@]}"
    firewall try --allow tcp/22
    firewall confirm
    run -0 on server portsmithctl release
    [[ $output == *"what portsmith-firewall shuts stays shut: all but tcp/22"* ]]
    [[ $output == *"portsmithd does not run, and shuts no port any more"* ]]
    port_is_open "$server" 22
    port_is_shut "$server" 80
    run -0 on server portsmithd --release
    [ "$output" = "portsmithd: what portsmith-firewall shuts stays shut: all but tcp/22" ]
    firewall remove
    run -0 on server portsmithctl release
    [ "${lines[0]}" = "portsmithd does not run, and shuts no port any more" ]
    [ "${lines[1]}" = "its next start, which may be the next boot, shuts again: tcp/22" ]
    all_is_as_before
    rm "$lab/daemon.pid"
}

@test "a release goes on where it cannot be known what is shut" {
    start_server_daemon "Shut = tcp/22" "${marks[@]}"
    firewall try --allow tcp/80
    firewall confirm
    echo rubbish >/var/lib/portsmith/firewall
    run -0 on server portsmithctl release
    [[ $output == *"what portsmith-firewall shuts is not known (/var/lib/portsmith/firewall:1"* ]]
    [[ $(xtables -t mangle -S) != *portsmith* ]]
    rm "$lab/daemon.pid"
}

@test "try names what programs listen on and it shuts" {
    write_conf "Shut = udp/5301"
    spawn server "$lab/log/listener.log" socat TCP4-LISTEN:8181,bind=127.0.0.1 -
    wait_until 5 host_listens server tcp 8181
    run -0 firewall try --allow udp/5300
    [ "${lines[1]}" = "Shut now, though programs listen: tcp/22, tcp/80, tcp/81." ]
    [ "${#lines[@]}" -eq 3 ]
    run -0 firewall try --allow tcp/22,tcp/80,tcp/81,udp/5300
    [ "${#lines[@]}" -eq 2 ]
}

@test "bad input is refused, and changes nothing" {
    run -2 firewall try --allow ssh
    [[ $output == *"--allow: "* ]]
    run -2 firewall try --timeout 0
    run -2 firewall try tcp/22
    run -2 firewall
    run -2 firewall shut
    run -1 as_client portsmith-firewall show
    [[ $output == *"must be run as root"* ]]
    echo rubbish >"$conf"
    run -78 firewall try --allow tcp/22
    rm "$conf"
    [[ $(firewall show) == "nothing is shut"* ]]
    all_is_as_before
}

@test "the unit is one that systemd takes" {
    systemd-analyze verify --man=no /run/lab/stage/lib/systemd/system/portsmith-firewall.service
}
