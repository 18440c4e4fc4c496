# shellcheck shell=bash
# What the lab tests share. Each file sets one pair of hosts up; each test in it
# gets client addresses of its own, so that grants of other tests do not matter.
# shellcheck disable=SC2034,SC2154 # `top` is the lab's, `status` and `output` are bats'
. "$top/tests/lib/lab.bash"

if [ "$FAMILY" = 6 ]; then
    client_prefix=fd77::a: other_prefix=fd77::b: other_range=fd77::b:0/112 no_dad=" nodad"
else
    client_prefix=10.77.0. other_prefix=10.77.0. other_range=10.77.0.128/25 no_dad=""
fi

# The client speaks from $client; $other is a second address of it.
own_addresses() {
    client=$client_prefix$((BATS_TEST_NUMBER + 10))
    other=$other_prefix$((BATS_TEST_NUMBER + 130))
    speak_from "$client" "$other"
}

# An IPv6 address can be found by others once the kernel has joined its group, a moment after
# it is there (RFC 4291, 2.7.1).
can_be_found() { # ADDRESS...
    local groups address

    groups=$(ip -n client -6 maddress show dev eth0)
    for address; do
        [[ $groups =~ ff02::1:ff0${address:6:1}:${address##*:}($|[[:space:]]) ]] || return 1
    done
}

# From the first of these addresses, which are new: client_prefix and a number, or other_prefix.
speak_from() { # ADDRESS...
    local address commands=""

    for address; do
        commands+="address add $address/$host_bits dev eth0$no_dad"$'\n'
    done
    ip -n client -batch - <<<"${commands}route replace $server/$host_bits dev eth0 src $1"
    [ "$FAMILY" = 4 ] || wait_ms 2000 can_be_found "$@"
}

# For a test that changes it, and those after that.
keep_configuration() {
    cp "$conf" "$lab/conf.good"
}

restore_configuration() {
    cp "$lab/conf.good" "$conf"
}

common_setup() {
    own_log
    own_addresses
}

# Shows what the daemon said if the test failed.
common_teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || {
        echo "--- log"
        daemon_log
        echo "--- rules"
        rules
    }
    # What a sanitizer finds ends the process: 99 says so of those that are silent. A
    # forbidden system call does so, too, and is only right where a test forces it.
    log_lacks 'AddressSanitizer|runtime error:|exited with status 99' || return
    [ -n "${forces_calls:-}" ] || log_lacks 'ended by signal 31|forbidden system call'
}

# ---- grants ----------------------------------------------------------------

chain() { # TABLE CHAIN, one that has rules of grants
    [ "$BACKEND" = nftables ] || xtables -t "$1" -S "$2" 2>/dev/null | without_litter
    elements
}

# The rules of an address's grants in one table: mangle or filter.
grant_rules() { # TABLE ADDRESS
    if [ "$1" = mangle ]; then
        chain mangle portsmith-shut
    else
        chain filter portsmith-open
    fi | grep -F -e "-s $2/"
}

grant_count() { # ADDRESS: in both tables together
    local listing line count=0

    listing=$(rules) || return
    while read -r line; do
        case $line in
        "-A portsmith-shut -s $1/"* | "-A portsmith-open -s $1/"* | "-s $1/"*) count=$((count + 1)) ;;
        esac
    done <<<"$listing"
    echo "$count"
}

has_no_grant() { # ADDRESS
    [ "$(grant_count "$1")" -eq 0 ]
}

# Of the fence's there may be one.
has_no_grant_but_fence() {
    ! grant_rules mangle "$client" | grep -v -e "--dport 9 "
}

# All that lives, whoever has it.
there_are_no_grants() {
    local listing

    listing=$(rules) && [[ $listing != *--datestop* ]]
}

log_lacks() { # PATTERN
    ! log_has "$1"
}

# Knocks and waits until the helper says what came of it.
knock_until() { # PATTERN ARGUMENT of portsmith-knock...
    local pattern=$1 before

    shift
    before=$(log_count "$pattern")
    knock "$@" || return 1
    wait_until 5 log_count_exceeds "$pattern" "$before" || {
        echo "after the knock the log does not say '$pattern'"
        return 1
    }
}

knock_opens() { # NAME ARGUMENT...
    knock_until "$1: (opened|extended) " "$@"
}

send_until() { # PATTERN FILE [FROM [PORT]]
    local pattern=$1 before

    shift
    before=$(log_count "$pattern")
    send_bytes "$@"
    wait_until 5 log_count_exceeds "$pattern" "$before" || {
        echo "after the knock the log does not say '$pattern'"
        return 1
    }
}

# What `iptables` is on the hosts, by the lab's own /etc.
use_iptables() { # BACKEND
    local name

    for name in iptables ip6tables; do
        ln -sf "/usr/sbin/$name-$1" "/etc/alternatives/$name"
        ln -sf "/usr/sbin/$name-$1-restore" "/etc/alternatives/$name-restore"
        ln -sf "/usr/sbin/$name-$1-save" "/etc/alternatives/$name-save"
    done
}

other_backend() {
    case $BACKEND in
    nft) echo legacy ;;
    legacy | nftables) echo nft ;;
    esac
}

# As on a host without the package.
without_iptables() { # COMMAND...
    [ -d "$lab/sbin.bare" ] || { cp -a /usr/sbin "$lab/sbin.bare" &&
        rm "$lab"/sbin.bare/{iptables,ip6tables,xtables,arptables,ebtables}*; }
    on server unshare --mount sh -c 'mount --bind "$0" /usr/sbin && exec "$@"' "$lab/sbin.bare" "$@"
}

# ---- rules that are removed -------------------------------------------------

lock_is_held() { # of xtables
    ! flock --nonblock /run/xtables.lock true
}

# As an admin does who edits the ruleset and loads it: nothing of what was is left.
remove_rules() {
    local six=""

    [ "$FAMILY" = 4 ] || six=6
    if [ "$BACKEND" != legacy ]; then
        echo "flush ruleset" >"$lab/nftables.conf"
        on server nft -f "$lab/nftables.conf"
    else
        printf '*%s\nCOMMIT\n' mangle filter | on server "ip${six}tables-legacy-restore" -w 5
    fi
}

# A program takes the table for itself: the kernel refuses it to everybody else until $owner
# has ended.
own_table() { # FAMILY TABLE of nft
    rm -f "$lab/owner.in"
    mkfifo "$lab/owner.in"
    spawn server "$lab/log/owner.log" sh -c "exec nft -i <>'$lab/owner.in'"
    owner=$spawned
    echo "add table $1 $2; delete table $1 $2; add table $1 $2 { flags owner; }" >"$lab/owner.in"
    wait_until 5 table_is_owned "$1" "$2"
}

table_is_owned() { # FAMILY TABLE
    on server nft list table "$1" "$2" | grep -q 'flags owner'
}

# The ports are shut.
is_in_place() {
    if [ "$BACKEND" = nftables ]; then
        on server nft list chain inet portsmith prerouting | grep -q -F @shut
    else
        chain mangle PREROUTING | grep -q -x -e "-A PREROUTING -j portsmith"
    fi
}

# And so is the grant of $client, each rule once.
is_whole() {
    [ "$(grant_count "$client")" -eq 2 ] || return
    if [ "$BACKEND" = nftables ]; then
        is_in_place
        return
    fi
    [ "$(chain mangle PREROUTING | grep -c -e "-j portsmith")" -eq 1 ] &&
        [ "$(chain filter INPUT | grep -c -e "-j portsmith")" -eq 1 ]
}

# From $other, which has no grant, to the shut port.
start_prober() {
    rm -f "$lab/log/prober"
    spawn client "$lab/log/prober" "$top/tests/tools/prober.py" "$server" 22 "$other"
    prober=$spawned
    wait_until 5 grep -q probing "$lab/log/prober"
}

stop_prober() {
    end_process TERM "$prober"
}

# What a slow machine may add to what is promised, in milliseconds: so much in any case, and more by
# how long it takes just now to look at the rules.
slack() { # MILLISECONDS
    local start

    start=$(now_ms)
    rules >/dev/null
    is_in_place || true
    echo $(($1 + 20 * ($(now_ms) - start)))
}

# So long each time, and what the machine adds, which is busy: where processes wait for it all the
# time, everything may take twice as long. It was open at all.
was_open_for_at_most() { # MILLISECONDS
    local slack since last waited spans=0

    slack=$(slack 1500)
    while read -r since last waited; do
        [ "$since" != probing ] || continue
        spans=$((spans + 1))
        [ $((last - since)) -le $(($1 + slack + waited / 2)) ] || {
            echo "open for $((last - since)) ms; processes waited for $waited ms"
            return 1
        }
    done <"$lab/log/prober"
    [ "$spans" -gt 0 ]
}

# When this knock of another profile has been honoured, whatever was sent
# before it has been dealt with.
fence() {
    knock_opens fence
}

add_fence() {
    add_profile fence --open tcp/9 --window 1s
}

microseconds() { # SECONDS FROM NOW
    echo $(($(now_ms) * 1000 + $1 * 1000000))
}

# Connects until it fails, which it must for whatever begins after the window.
# START is when the knock was known to be honoured, so later than the window's.
shuts_in_time() { # WINDOW IN SECONDS, START
    local now=${EPOCHREALTIME/[.,]/}

    while port_is_open "$server" 22; do
        [ $((now / 1000 - $2)) -lt $(($1 * 1000)) ] || {
            echo "still open $((now / 1000 - $2)) ms after the knock"
            return 1
        }
        pause 0.1 # the processor is for what is looked at
        now=${EPOCHREALTIME/[.,]/}
    done
    port_is_shut "$server" 22
}

# The seconds of a window in which a test does something and looks before its end: so many where
# the machine is idle, and longer by as much as it is slower just now, up to four times. What waits for
# the end of a longer one would itself keep the machine busy.
long_enough() { # SECONDS
    local start usual=80 took

    start=$(now_ms)
    for _ in 1 2; do
        rules
        knock --version
    done >/dev/null
    took=$(($(now_ms) - start))
    [ "$took" -gt "$usual" ] || took=$usual
    [ "$took" -le $((4 * usual)) ] || took=$((4 * usual))
    echo $((($1 * took + usual - 1) / usual))
}

# Knocks for a window of $window seconds, in which the test does something and looks: so many as
# $brief says, and longer where the machine is slow. It began before $start.
knock_opens_briefly() { # NAME ARGUMENT...
    window=$(long_enough "${brief:-5}")
    knock_opens "$@" --window "${window}s"
    start=$(now_ms)
}

reload_daemon() { # waits until it serves again
    local before

    before=$(log_count ' reloaded')
    kill -HUP "$(daemon_pid)"
    wait_until 15 log_count_exceeds ' reloaded' "$before"
}

# ---- accidents -------------------------------------------------------------

# Kills them at one stroke.
kill_all() { # PID...
    local pid

    kill -KILL "$@"
    for pid; do
        wait_until 10 process_is_gone "$pid"
    done
}

sniffer_pid() {
    parent_named portsmith-sniff
}

helper_pid() {
    parent_named portsmith-helpe
}

witness_pid() {
    process_named portsmith-witne
}

# On its host, in mounts that `ip netns exec` gave the daemon alone.
in_daemon_mounts() { # COMMAND...
    nsenter --mount --net --target "$(daemon_pid)" "$@"
}

kill_daemon() {
    local pids

    mapfile -t pids < <(daemon_processes)
    [ "${#pids[@]}" -eq 0 ] || kill_all "${pids[@]}"
}

# ---- probing all the time --------------------------------------------------

start_probe() {
    local ipv6=()

    [ "$FAMILY" = 4 ] || ipv6=(-6)
    capture_start "$lab/probe.pcap" tcp port 22
    spawn client "$lab/log/probe" nping "${ipv6[@]}" -e eth0 --source-mac "$(mac client)" \
        --dest-mac "$(mac server)" --source-ip "$client" --tcp --flags syn -p 22 --rate 300 -c 0 \
        -H -q "$server"
    echo "$spawned" >"$lab/probe.pid"
    wait_until 5 probed_at_least 20
}

mac() { # HOST
    with_mounts_on "$1" cat /sys/class/net/eth0/address
}

stop_probe() {
    [ -e "$lab/probe.pid" ] || return 0
    end_process TERM "$(cat "$lab/probe.pid")"
    capture_stop
    rm "$lab/probe.pid"
}

captured() { # FILTER
    tcpdump -n -r "$lab/probe.pcap" "$@" 2>/dev/null | wc -l
}

probed_at_least() { # COUNT
    [ "$(captured dst host "$server")" -ge "$1" ]
}

# ---- ACKs that belong to no connection ---------------------------------------

# Every SYN is answered with a cookie, nothing is kept of it, and connection tracking
# forgets within a second or two.
forget_soon() { # HOST...
    local host

    for host; do
        on "$host" sh -c 'echo 2 >/proc/sys/net/ipv4/tcp_syncookies
            for state in syn_sent syn_recv established; do
                echo 1 >/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_$state
            done'
    done
}

# Who reads the table removes what has ended.
has_forgotten() { # ADDRESS as the table has it, PORT
    ! on server grep -q -e " src=$1 .* dport=$2 src=" /proc/net/nf_conntrack
}

# Of the client's connection.
wait_until_forgotten() { # PORT
    local address=$client

    [ "$FAMILY" = 4 ] || address=$(python3 -c '
import ipaddress, sys
print(ipaddress.ip_address(sys.argv[1]).exploded)' "$client")
    wait_until 20 has_forgotten "$address" "$1"
}

# Its kernel knows of no connection, and stays out of it.
client_resets() { # -A: are dropped, -D: no longer
    local program=iptables

    [ "$FAMILY" = 4 ] || program=ip6tables
    on client "$program-$XTABLES" -w 5 "$1" OUTPUT -p tcp --tcp-flags RST RST -j DROP
}

# The client sends a SYN and keeps the answer, with the ACK that belongs to it.
ask_for_cookie() { # PORT
    rm -f "$lab/cookie.in" "$lab/cookie.out"
    mkfifo "$lab/cookie.in"
    client_resets -A
    ip netns exec client "$top/tests/tools/frames.py" cookie eth0 "$(mac server)" "$client" \
        "$server" "$1" <>"$lab/cookie.in" >"$lab/cookie.out" 2>&1 3>&- &
    cookie_process=$!
    disown
    wait_until 5 grep -q cookie "$lab/cookie.out"
}

# When connection tracking has forgotten the SYN.
send_cookie() { # PORT
    wait_until_forgotten "$1"
    echo >"$lab/cookie.in"
    wait_until 5 grep -q sent "$lab/cookie.out"
}

end_cookie() {
    kill "$cookie_process"
    client_resets -D
}

has_session() { # PORT [HOST]: of the client
    on "${2:-server}" ss -H -t -n state established "sport = :$1" | grep -q -F -e ":40000"
}

# As start_listener, on one address alone.
start_listener_on() { # ADDRESS PORT
    local kind=TCP4

    [ "$FAMILY" = 4 ] || kind=TCP6
    spawn server "$lab/log/listener.log" socat "$kind-LISTEN:$2,bind=$1,reuseaddr,fork" \
        "SYSTEM:echo $greeting; cat"
    wait_until 5 host_listens server tcp "$2"
}
