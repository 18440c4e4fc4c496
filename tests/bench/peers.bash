# shellcheck shell=bash
# Portsmith, fwknopd and knockd, each behind the same functions:
#
#   PEER_start PROFILES      on the server; returns once it serves
#   PEER_fill HOW-MANY       so many grants are live, as rules or elements of its own kind;
#                            false if they do not become so many
#   PEER_knocks FROM COUNT   what probe.c reads, for clients FROM and on
#   PEER_forget CLIENT       takes away what the client's last knock opened; Portsmith's
#                            by a knock of `closes`
#   PEER_processes           the ids of all that belongs to it
#   PEER_noise               the port and the kind of garbage that it has to look into
#   PEER_lines               how many lines it has logged
#
# Client I comes from 10.96.0.0 + I, or fd96:: + I. All have their default settings but for what
# is said here. Their state is where the lab has it, on a tmpfs, unless tests/bench/run is to put it
# on a disk: on a tmpfs, Portsmith's fdatasync(2) before it opens anything costs no disk's time.
# shellcheck disable=SC2154,SC2034 # lab.bash and measure set the variables, or use them

tools=$build_directory/tests/bench
portsmith_max_grants=1000 # the default
portsmith_profile=()      # lines of each profile, besides what crowd.py writes
right_of_way=()           # before its command
fwknop_sleep=100000       # microseconds between two looks at what came in: the default

if [ "$FAMILY" = 6 ]; then
    client_network=fd96::/64 away_network=fd88::/64 away=fd88::1
else
    client_network=10.96.0.0/12 away_network=10.88.0.0/16 away=10.88.0.1
fi

client_address() { # CLIENT
    if [ "$FAMILY" = 6 ]; then
        printf 'fd96::%x\n' "$1" # as it is listed, to the 65,535th
    else
        echo "10.$((96 + ($1 >> 16))).$((($1 >> 8) & 255)).$(($1 & 255))"
    fi
}

# The programs that have no other name, for whoever calls them by these: the lab's /etc is its own.
use_backend() {
    local program

    for program in {iptables,ip6tables}{,-save,-restore}; do
        ln -sf "/usr/sbin/${program/tables/tables-$XTABLES}" "/etc/alternatives/$program"
    done
}

# Takes connections, and ends them at once.
serve_on() { # HOST
    spawn "$1" "$lab/log/service.log" python3 -c '
import socket
with socket.create_server(("::", 22), family=socket.AF_INET6, dualstack_ipv6=True,
                          backlog=4096) as service:
    while True:
        service.accept()[0].close()'
    wait_until 5 host_listens "$1" tcp 22
}

# Hosts, a service, and the firewall that a host may have before any of this: the port
# is shut, established connections go on. Any address of $client_network is the client's. With nftables
# the port is left to Portsmith's own table, which could let nothing in that these rules drop.
bench_hosts() {
    lab_setup
    make_backend_host
    ip -n client route add local "$client_network" dev lo
    on client sh -c 'echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind' # as IPv4 does without
    ip -n server route add "$client_network" via "$client"
    ip -n server route add "$away_network" via "$backend"
    xtables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
    [ "$store" = nftables ] || xtables -A INPUT -p tcp --dport 22 -j DROP
    xtables -A INPUT -p udp --dport 9 -j DROP
    serve_on server
}

# A moment, without a process. The descriptor is one that nothing ever comes from.
pause() { # SECONDS
    read -r -t "$1" -u "$silence" || true
}

pause_for() { # MILLISECONDS: less than 1000
    local padded=00$1

    pause "0.${padded: -3}"
}

log_says() { # FILE WORDS
    [[ $(<"$1") == *"$2"* ]]
}

# At most so many seconds; in $took, how many milliseconds that was.
wait_until_it_says() { # SECONDS FILE WORDS
    local start=${EPOCHREALTIME/[.,]/} now

    until log_says "$2" "$3"; do
        now=${EPOCHREALTIME/[.,]/}
        [ $((now - start)) -lt $(($1 * 1000000)) ] || return 1
        process_is_gone "$spawned" && return 1
        pause 0.003
    done
    took=$(((${EPOCHREALTIME/[.,]/} - start) / 1000))
}

kill_and_wait() { # PID...
    local pid

    for pid; do
        end_process TERM "$pid" || end_process KILL "$pid"
    done
}

# ---- Portsmith -------------------------------------------------------------

# Where grants are kept comes from $store. A build of before 0.2.0 has other words.
portsmith_configure() { # PROFILES
    local lines=("MaxGrants = $portsmith_max_grants") shut_word=Shut xtables

    xtables=$(backend_word "$XTABLES")
    [[ $(portsmithd --version) != *" 0.1."* ]] || shut_word=Close xtables=$XTABLES
    case $store in
    nftables) lines+=("Backend = nftables") ;;
    rules) lines+=("Backend = $xtables") ;;
    *) lines+=("Backend = $xtables" "GrantStore = $store") ;;
    esac
    rm -rf /etc/portsmith.d
    mkdir -p /etc/portsmith.d
    configure "${lines[@]}"
    "$top/tests/bench/crowd.py" profiles "$1" /etc/portsmith.d "${portsmith_profile[@]}"
    portsmith_key=$(portsmithd -T -c "$conf" | sed -n 's/^# the server.s public key: //p')
}

# The same, started by the words before.
portsmith_start_by() { # COMMAND...
    : >"$lab/log/portsmithd.log"
    log_start=1
    spawn server "$lab/log/portsmithd.log" "${right_of_way[@]}" "$@" portsmithd -c "$conf" -f \
        "${daemon_options[@]}"
    echo "$spawned" >"$lab/daemon.pid"
    wait_until_it_says 60 "$lab/log/portsmithd.log" ready
}

portsmith_start() { # PROFILES
    portsmith_configure "$1"
    portsmith_filled=0
    portsmith_start_by env
}

portsmith_stop() {
    stop_daemon
}

portsmith_knocks() { # FROM COUNT [close]
    "$top/tests/bench/crowd.py" knocks "$1" "$2" "$portsmith_key" "$knock_port" "${@:3}"
}

portsmith_live() {
    on server portsmithctl --json status | sed -n 's/^ *"grants": \([0-9]*\),*$/\1/p'
}

portsmith_has() { # HOW-MANY
    [ "$(portsmith_live)" -eq "$1" ]
}

# Some knocks at once. Those that were lost on the way come again: a knock counts once.
portsmith_add() { # FIRST COUNT
    local i

    portsmith_knocks "$1" "$2" >"$lab/fill"
    for ((i = 0; i < 5; i++)); do
        on client "$tools/probe" send "$server" <"$lab/fill"
        ! wait_until 10 portsmith_has $((portsmith_filled + $2)) || return 0
    done
    return 1
}

# Clients from $samples_max + 1 on, a knock each.
portsmith_fill() { # HOW-MANY
    local count

    wait_until 10 portsmith_has "$portsmith_filled" || return 1
    while [ "$portsmith_filled" -lt "$1" ]; do
        count=$(($1 - portsmith_filled))
        [ "$count" -le 500 ] || count=500
        portsmith_add $((samples_max + portsmith_filled + 1)) "$count" || return 1
        portsmith_filled=$((portsmith_filled + count))
    done
}

portsmith_forget() { # CLIENT
    on client "$tools/probe" send "$server" <<<"${closes[$1 - 1]}"
}

portsmith_processes() {
    daemon_processes
}

portsmith_noise() {
    echo "$knock_port noise"
}

portsmith_lines() {
    wc -l <"$lab/log/portsmithd.log"
}

# What its sniffer has looked at: the supervisor's count.
portsmith_seen() {
    local before matched

    match_log 'seen [0-9]+:'
    before=$matched
    kill -USR1 "$(daemon_pid)"
    wait_until 5 log_count_exceeds 'seen [0-9]+:' "$before"
    sed -n 's/.* seen \([0-9]*\):.*/\1/p' "$lab/log/portsmithd.log" | tail -n 1
}

# ---- fwknopd ---------------------------------------------------------------

fwknop_port=62201

fwknopd_configure() { # PROFILES
    python3 -c '
import base64, os, sys
for i in range(int(sys.argv[1])):
    print("SOURCE ANY")
    print("KEY_BASE64", base64.b64encode(os.urandom(32)).decode())
    print("HMAC_KEY_BASE64", base64.b64encode(os.urandom(64)).decode())
' "$1" >/etc/fwknop/access.conf
    chmod 600 /etc/fwknop/access.conf
    fwknop_key=$(sed -n 's/^KEY_BASE64 //p;T;q' /etc/fwknop/access.conf)
    fwknop_hmac=$(sed -n 's/^HMAC_KEY_BASE64 //p;T;q' /etc/fwknop/access.conf)
}

fwknopd_start() { # PROFILES
    fwknopd_configure "$1"
    mkdir -p /run/fwknop /var/lib/fwknop
    rm -f /run/fwknop/*
    : >"$lab/log/fwknopd.log"
    echo "PCAP_LOOP_SLEEP $fwknop_sleep;" >"$lab/fwknopd.conf"
    spawn server "$lab/log/fwknopd.log" fwknopd -f -i eth0 -O "$lab/fwknopd.conf"
    fwknopd_pid=$spawned fwknopd_filled=0
    wait_until_it_says 60 "$lab/log/fwknopd.log" "Starting fwknopd main event loop"
}

fwknopd_stop() {
    kill_and_wait "$fwknopd_pid"
    on server iptables -D INPUT -j FWKNOP_INPUT 2>/dev/null || true
    on server iptables -F FWKNOP_INPUT 2>/dev/null || true
}

# As it writes them itself, but for the minutes that it would need.
fwknopd_fill() { # HOW-MANY
    local i end

    end=$(($(now_ms) / 1000 + 3600))
    {
        echo "*filter"
        for ((i = fwknopd_filled + 1; i <= $1; i++)); do
            echo "-A FWKNOP_INPUT -s $(client_address $((samples_max + i)))/32 -p tcp" \
                "--dport 22 -m comment --comment _exp_$end -j ACCEPT"
        done
        echo COMMIT
    } >"$lab/fill"
    on server iptables-restore --noflush <"$lab/fill" || return 1
    fwknopd_filled=$1
}

fwknopd_knock() { # CLIENT FILE
    rm -f "$2"
    fwknop -A tcp/22 -a "$(client_address "$1")" -D "$server" --test --save-packet "$2" \
        --no-save-args --key-base64-rijndael "$fwknop_key" --use-hmac \
        --key-base64-hmac "$fwknop_hmac" >"$lab/log/fwknop.log" 2>&1
    # The client ends the file with a newline, and the packet without.
    echo "$(client_address "$1") $fwknop_port:$(tr -d '\n' <"$2" | xxd -p | tr -d '\n')"
}

fwknopd_knocks() { # FROM COUNT
    local i

    for ((i = $1; i < $1 + $2; i++)); do
        fwknopd_knock "$i" "$lab/packet"
    done
}

fwknopd_forget() { # CLIENT
    on server iptables -D FWKNOP_INPUT $((fwknopd_filled + 1)) 2>/dev/null || true
}

fwknopd_processes() {
    process_named fwknopd
}

fwknopd_noise() {
    echo "$fwknop_port text"
}

fwknopd_lines() {
    wc -l <"$lab/log/fwknopd.log"
}

# ---- knockd ----------------------------------------------------------------

# Its first sequence is for tcp/22; UDP, so that nothing answers.
knockd_configure() { # PROFILES
    local i

    {
        printf '[options]\n logfile = /dev/stdout\n'
        for ((i = 0; i < $1; i++)); do
            printf '[door%d]\n sequence = %d:udp,8000:udp,9000:udp\n seq_timeout = 5\n' \
                "$i" $((7000 + i + (i > 999) * 2001))
            printf ' start_command = /sbin/iptables -I INPUT -s %%IP%% -p tcp --dport 22 -j ACCEPT\n'
            printf ' cmd_timeout = 600\n'
            printf ' stop_command = /sbin/iptables -D INPUT -s %%IP%% -p tcp --dport 22 -j ACCEPT\n'
        done
    } >/etc/knockd.conf
}

knockd_start() { # PROFILES
    knockd_configure "$1"
    : >"$lab/log/knockd.log"
    spawn server "$lab/log/knockd.log" knockd -i eth0 -v
    knockd_pid=$spawned knockd_filled=0
    wait_until_it_says 20 "$lab/log/knockd.log" "listening on"
}

knockd_stop() {
    # Those of it that wait to shut a door: children of its own.
    process_named knockd | xargs --no-run-if-empty kill -TERM 2>/dev/null || true
    kill_and_wait "$knockd_pid"
}

knockd_fill() { # HOW-MANY
    local i

    {
        echo "*filter"
        for ((i = knockd_filled + 1; i <= $1; i++)); do
            echo "-I INPUT -s $(client_address $((samples_max + i)))/32 -p tcp --dport 22 -j ACCEPT"
        done
        echo COMMIT
    } >"$lab/fill"
    on server iptables-restore --noflush <"$lab/fill" || return 1
    knockd_filled=$1
}

knockd_knocks() { # FROM COUNT
    local i

    for ((i = $1; i < $1 + $2; i++)); do
        echo "$(client_address "$i") 7000:00 8000:00 9000:00"
    done
}

knockd_forget() { # CLIENT
    on server iptables -D INPUT -s "$(client_address "$1")/32" -p tcp --dport 22 -j ACCEPT \
        2>/dev/null || true
}

knockd_processes() {
    process_named knockd
}

knockd_noise() {
    echo "7000 noise"
}

knockd_lines() {
    wc -l <"$lab/log/knockd.log"
}
