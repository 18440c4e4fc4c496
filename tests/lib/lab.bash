# shellcheck shell=bash
# The lab's hosts and what can be done with them. Only inside `tests/lab`,
# where the namespaces, /run, /etc and /var/lib are the lab's own.
#
#   client  10.77.0.2 and .3, fd77::2 and ::3  --eth0-----eth0--  server  10.77.0.1, fd77::1
#   backend 10.78.0.2, fd78::2                 --eth0-----eth1--  server  10.78.0.1, fd78::1
#
# BACKEND (nft, legacy: of iptables; nftables) and FAMILY (4, 6) choose what the functions use.

# shellcheck disable=SC2154 # tests/lab sets `top`
if [ "${PORTSMITH_LAB:-}" != inside ]; then
    echo "This belongs into the lab: tests/lab run COMMAND" >&2
    exit 2
fi

unset XDG_CONFIG_HOME XDG_STATE_HOME
export BACKEND=${BACKEND:-nft} FAMILY=${FAMILY:-4}
XTABLES=${BACKEND/nftables/nft} # the iptables that tests use, whatever Portsmith uses
lab=/run/lab                    # everything that the tests write
conf=/etc/portsmith.conf        # a private /etc: see tests/lab
knock_port=47000
# shellcheck disable=SC2034 # the group is for the tests
client_user=nobody client_group=nogroup client_id=65534 # of both, in Debian
greeting="SSH-2.0-lab"
daemon_options=()

# shellcheck disable=SC2034 # for the tests
if [ "$FAMILY" = 6 ]; then
    server=fd77::1 client=fd77::2 other=fd77::3 backend=fd78::2 host_bits=128
else
    server=10.77.0.1 client=10.77.0.2 other=10.77.0.3 backend=10.78.0.2 host_bits=32
fi

# ---- bats ------------------------------------------------------------------

# bats notes down each command before it is run, which took half of the time of all tests.
# Once the test's own file has been read, it does so in the functions of that file, not in
# those of tests/lib: what fails there is told by the line that called it.
trace_own_lines() {
    local name names file

    [[ " ${BASH_SOURCE[*]} " != *" $BATS_TEST_SOURCE "* ]] || return 0
    trap - RETURN
    mapfile -t names < <(compgen -A function)
    while read -r name _ file; do
        [[ $file == "$top/tests/lib/"* ]] || declare -f -t "$name"
    done < <(shopt -s extdebug && declare -F "${names[@]}")
    set +T
}

[ -z "${BATS_TEST_SOURCE:-}" ] || trap trace_own_lines RETURN

# ---- time ------------------------------------------------------------------

# What is done again and again here starts no process that it can do without.

[ -p "$lab/pause" ] || mkfifo "$lab/pause" # nobody ever writes into it

pause() { # SECONDS
    read -r -t "$1" <>"$lab/pause" || true
}

now_ms() {
    local now=${EPOCHREALTIME/[.,]/}

    echo "${now%???}"
}

# Until the command succeeds. What comes at all comes in so many milliseconds on an idle machine;
# LAB_PATIENCE times that are allowed, for one that is slow and busy.
wait_ms() { # MILLISECONDS COMMAND...
    local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000 * ${LAB_PATIENCE:-4}))
    local steps=(0.05 0.05 0.1 0.1 0.2 0.2 0.2)

    shift
    until "$@" >/dev/null 2>&1; do
        [ "${EPOCHREALTIME/[.,]/}" -lt "$end" ] || return 1
        pause "${steps[0]:-0.4}"
        steps=("${steps[@]:1}")
    done
}

# That the command fails all the while. What must not come has this time to come, and no more.
never_in_ms() { # MILLISECONDS COMMAND...
    ! LAB_PATIENCE=1 wait_ms "$@"
}

wait_until() { # SECONDS COMMAND...
    wait_ms $(($1 * 1000)) "${@:2}"
}

# For how long, since the boot, some process waited for a processor; 0 where the kernel does not
# tell.
waited_ms() {
    local line=""

    read -r line 2>/dev/null </proc/pressure/cpu || true
    line=${line##*total=}
    echo $((${line:-0} / 1000))
}

begin_timing() {
    timed_from=$(now_ms) waited_from=$(waited_ms)
}

# Since begin_timing. Where processes wait for a processor all the time, what has to be done may
# take twice as long.
took_at_most() { # MILLISECONDS
    local took waited

    took=$(($(now_ms) - timed_from)) waited=$(($(waited_ms) - waited_from))
    [ "$took" -le $(($1 + waited / 2)) ] || {
        echo "it took $took ms; processes waited for $waited ms"
        return 1
    }
}

# ---- hosts -----------------------------------------------------------------

on() { # HOST COMMAND...
    if [ -e "$lab/mounts.$1" ]; then
        nsenter --mount --net "--wdns=$PWD" --target "$(<"$lab/mounts.$1")" "${@:2}"
    elif [ -e "/etc/netns/$1" ]; then
        ip netns exec "$@"
    else
        nsenter --net="/run/netns/$1" "${@:2}"
    fi
}

# The same with mounts that end with the command, among them the host's own /sys.
with_mounts_on() { # HOST COMMAND...
    ip netns exec "$@"
}

# In the background; the process's id in $spawned. Output goes to a file.
spawn() { # HOST FILE COMMAND...
    local host=$1 file=$2

    shift 2
    # 3: bats waits for whoever holds it.
    ip netns exec "$host" "$@" </dev/null >>"$file" 2>&1 3>&- &
    spawned=$!
    disown
}

process_is_gone() { # PID
    local stat

    ! read -r stat 2>/dev/null <"/proc/$1/stat" || [[ $stat == *") Z "* ]]
}

# Sends a signal and waits for the end.
end_process() { # SIGNAL PID
    kill "-$1" "$2" 2>/dev/null || true
    wait_until 10 process_is_gone "$2"
}

# A disk of its own (/etc, /var/lib), which a host of this name finds again, and /run, which ends with
# it: for daemons of which there are two. /run/lab is that of all.
give_mounts() { # HOST
    local disk=$lab/disk/$1

    [ -e "$disk" ] || { mkdir -p "$disk/lib" && cp -a /etc "$disk/" && echo "$1" >"$disk/etc/hostname"; }
    : >"$lab/log/mounts.$1"
    spawn "$1" "$lab/log/mounts.$1" unshare --mount sh -c '
        mount --bind "$0/etc" /etc && mount --bind "$0/lib" /var/lib &&
            mount -t tmpfs -o mode=755 tmpfs /mnt && mkdir /mnt/lab /mnt/lock &&
            mount --rbind /run/lab /mnt/lab && mount -n --move /mnt /run && echo ready &&
            exec sleep infinity' "$disk"
    echo "$spawned" >"$lab/mounts.$1"
    wait_until 10 grep -q ready "$lab/log/mounts.$1"
}

make_host() { # NAME
    ip netns add "$1"
    on "$1" sh -c '
        for kind in all default; do
            echo 0 > /proc/sys/net/ipv6/conf/$kind/disable_ipv6
            echo 0 > /proc/sys/net/ipv6/conf/$kind/accept_dad
            echo 0 > /proc/sys/net/ipv6/conf/$kind/accept_ra
        done
        ip link set lo up'
}

join_hosts() { # HOST INTERFACE HOST INTERFACE
    ip link add "$2" netns "$1" type veth peer name "$4" netns "$3"
    ip -n "$1" link set "$2" up
    ip -n "$3" link set "$4" up
}

give_address() { # HOST INTERFACE ADDRESS/LENGTH...
    local host=$1 interface=$2 address commands=""

    shift 2
    for address; do
        commands+="address add $address dev $interface"
        [[ $address != *:* ]] || commands+=" nodad"
        commands+=$'\n'
    done
    ip -n "$host" -batch - <<<"$commands"
}

make_hosts() {
    make_host server
    make_host client
    join_hosts server eth0 client eth0
    give_address server eth0 10.77.0.1/24 fd77::1/64
    # One is deprecated, so that it is never chosen as a source by itself.
    ip -n client -batch - <<'END'
address add 10.77.0.2/24 dev eth0
address add 10.77.0.3/24 dev eth0
address add fd77::2/64 dev eth0 nodad
address add fd77::3/64 dev eth0 nodad preferred_lft 0
route add default via 10.77.0.1
route add default via fd77::1
END
}

# A third host behind the server, which forwards to it.
make_backend_host() {
    make_host backend
    join_hosts server eth1 backend eth0
    give_address server eth1 10.78.0.1/24 fd78::1/64
    give_address backend eth0 10.78.0.2/24 fd78::2/64
    ip -n backend route add default via 10.78.0.1
    ip -n backend -6 route add default via fd78::1
    on server sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward
                     echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'
}

host_is_empty() { # HOST
    local pid

    for pid in $(ip netns pids "$1"); do
        process_is_gone "$pid" || return 1
    done
}

# Whatever still runs on the hosts ends with them.
remove_hosts() {
    local host

    for host in $(ip netns list | cut -d' ' -f1); do
        ip netns pids "$host" | xargs --no-run-if-empty kill -KILL 2>/dev/null || true
        wait_until 5 host_is_empty "$host"
        ip netns delete "$host"
    done
}

# Two new hosts, with nothing left of the ones before.
lab_setup() {
    remove_hosts
    rm -rf "${lab:?}/log" "${lab:?}/home" "$lab/disk" "$lab"/*.pid "$lab"/mounts.* /run/portsmith /var/lib/portsmith /etc/portsmith.d \
        "$conf"
    mkdir -p "$lab/log"
    install -d -o "$client_user" -m 700 "$lab/home"
    log_start=1
    make_hosts
    start_peer
}

lab_teardown() {
    [ ! -e "$lab/daemon.pid" ] || stop_daemon
    remove_hosts
}

# ---- the server ------------------------------------------------------------

# What portsmith.conf and `portsmithctl status` call it.
backend_word() { # BACKEND
    case $1 in
    nft | legacy) echo "iptables-$1" ;;
    *) echo "$1" ;;
    esac
}

# Writes the configuration: the lab's lines unless a line here has the same
# key. Makes what else is missing: directories, key, user.
configure() { # 'KEY = VALUE'...
    local line standard=("Interface = eth0" "Port = $knock_port" "Backend = $(backend_word "$BACKEND")"
        "${shut_word:-Shut} = tcp/22" ${GRANT_STORE:+"GrantStore = $GRANT_STORE"}) IFS=$'\n'

    {
        echo "[Portsmith]"
        for line in "${standard[@]}"; do
            [[ $'\n'"$*" == *$'\n'"${line%% *}"[\ =]* ]] || echo "$line"
        done
        [ $# -eq 0 ] || printf '%s\n' "$@"
    } >"$conf"
    on server portsmith-profile init >"$lab/log/init.log" 2>&1 || {
        cat "$lab/log/init.log" >&2
        return 1
    }
}

daemon_log() { # what the daemon said since it was last started
    tail -n "+$log_start" "$lab/log/portsmithd.log"
}

# From here on the log is that of what follows.
own_log() {
    local lines

    : >>"$lab/log/portsmithd.log"
    mapfile lines <"$lab/log/portsmithd.log"
    log_start=$((${#lines[@]} + 1))
}

# How many lines of the log match, in $matched.
match_log() { # PATTERN
    local line lines

    matched=0
    mapfile -t -s $((log_start - 1)) lines <"$lab/log/portsmithd.log"
    for line in "${lines[@]}"; do
        [[ ! $line =~ $1 ]] || matched=$((matched + 1))
    done
}

log_has() { # PATTERN
    local matched

    match_log "$1"
    [ "$matched" -gt 0 ]
}

log_count() { # PATTERN
    local matched

    match_log "$1"
    echo "$matched"
}

log_counts() { # PATTERN COUNT
    local matched

    match_log "$1"
    [ "$matched" -eq "$2" ]
}

log_count_exceeds() { # PATTERN COUNT
    local matched

    match_log "$1"
    [ "$matched" -gt "$2" ]
}

wait_for_log() { # PATTERN [SECONDS]
    wait_until "${2:-5}" log_has "$1" || {
        echo "the log has no line with '$1':" >&2
        daemon_log >&2
        return 1
    }
}

daemon_is_ready_or_gone() {
    log_has ready || process_is_gone "$(daemon_pid)"
}

# With the configuration as it is, and daemon_options.
start_daemon() {
    own_log
    spawn server "$lab/log/portsmithd.log" portsmithd -c "$conf" -f "${daemon_options[@]}"
    echo "$spawned" >"$lab/daemon.pid"
    wait_until 15 daemon_is_ready_or_gone
    log_has ready || {
        echo "portsmithd did not get ready:" >&2
        daemon_log >&2
        return 1
    }
}

start_server_daemon() { # 'KEY = VALUE'...
    configure "$@" && start_daemon
}

daemon_pid() {
    echo "$(<"$lab/daemon.pid")"
}

stop_daemon() {
    end_process TERM "$(daemon_pid)" || return 1
    rm -f "$lab/daemon.pid"
}

# All processes of the daemon: the supervisor, what it starts, iptables-restore.
daemon_processes() {
    process_named 'portsmithd|portsmith-(sniff|witne|prepa|helpe|cut).*|(xtables|iptables|ip6tables).*'
}

# Wherever in the lab: the sniffer has a network namespace of its own.
process_named() { # PATTERN of the name in /proc/PID/comm
    local file stat pid found=""

    for file in /proc/[0-9]*/stat; do
        read -r stat 2>/dev/null <"$file" || continue
        [[ $stat != *") Z "* ]] || continue
        pid=${stat%% *} stat=${stat#*(}
        [[ ! ${stat%)*} =~ ^($1)$ ]] || found+=$pid$'\n'
    done
    printf %s "$found"
    [ -n "$found" ]
}

xtables() { # ARGUMENT... of iptables, for XTABLES and FAMILY
    local program=iptables

    [ "$FAMILY" = 4 ] || program=ip6tables
    on server "$program-$XTABLES" -w 5 "$@"
}

# Without what such a process has forked, which has its name until it becomes another program.
parent_named() { # PATTERN
    local pids stat parent pid

    mapfile -t pids < <(process_named "$1")
    for pid in "${pids[@]}"; do
        read -r stat 2>/dev/null <"/proc/$pid/stat" || continue
        read -r _ parent _ <<<"${stat##*) }"
        [[ " ${pids[*]} " == *" $parent "* ]] || echo "$pid"
    done
    [ "${#pids[@]}" -gt 0 ]
}

# Of rules that are listed those that let anything through: a rule whose second is over stays until
# it is swept out, as does the older one of a grant that was extended, below the newer.
without_litter() {
    local line now before rest pattern='(.*)--datestop ([0-9][^ ]*)(.*)'
    local -A listed=()

    TZ=UTC printf -v now '%(%FT%T)T' -1
    while IFS= read -r line; do
        if [[ $line =~ $pattern ]]; then
            before=${BASH_REMATCH[1]} rest=${BASH_REMATCH[3]}
            [[ ! ${BASH_REMATCH[2]} < "$now" && -z ${listed[$before|$rest]:-} ]] || continue
            listed[$before|$rest]=yes
        fi
        printf '%s\n' "$line"
    done
}

# Of all tables; an element is listed as often as there are rules for a grant.
rules() {
    local program=iptables

    [ "$FAMILY" = 4 ] || program=ip6tables
    if [ "$BACKEND" = nftables ]; then
        portsmith_table && elements && elements
    else
        on server "$program-$XTABLES-save" >"$lab/rules" && without_litter <"$lab/rules" &&
            elements && elements
    fi
}

# Portsmith's own table, or nothing where it is not there.
portsmith_table() {
    on server nft list table inet portsmith 2>/dev/null || ! on server nft list tables | grep -q portsmith
}

# Of the family: those with GRANT_STORE=set, or of Portsmith's own table, as the rules that they
# stand for.
elements() {
    if [ "$BACKEND" = nftables ]; then
        own_elements "grants$FAMILY" "counted$FAMILY"
    elif [ "${GRANT_STORE:-}" = set ]; then
        on server ipset save "portsmith$FAMILY" 2>/dev/null |
            sed -n -E "s|^add [^ ]* ([^,]*),(tcp\|udp):([0-9]+) .*|-s \1/$host_bits -p \2 --dport \3 --datestop in-the-set|p"
    fi
}

own_elements() { # SET...
    local set

    for set; do
        on server nft list set inet portsmith "$set" 2>/dev/null | tr ',{' '\n' |
            sed -n -E "s|^[[:space:]]*([0-9a-f.:]+) \. (tcp\|udp) \. ([0-9]+) .*|-s \1/$host_bits -p \2 --dport \3 --datestop in-the-set|p"
    done
}

# As a container's published port: PORT of the server is SERVICE_PORT of backend.
publish() { # PORT SERVICE_PORT
    local to="$backend:$2"

    [ "$FAMILY" = 4 ] || to="[$backend]:$2"
    xtables -t nat -A PREROUTING -i eth0 -p tcp --dport "$1" -j DNAT --to-destination "$to"
}

# ---- services --------------------------------------------------------------

host_listens() { # HOST tcp|udp PORT
    [ -n "$(on "$1" ss -H -l -n "--$2" "sport = :$3")" ]
}

# A service that greets and then repeats what it hears.
start_listener() { # PORT [HOST]
    start_service tcp "$@"
}

start_udp_listener() { # PORT [HOST]
    start_service udp "$@"
}

start_service() { # tcp|udp PORT [HOST]
    spawn "${3:-server}" "$lab/log/listener.log" "$top/tests/tools/service.py" "$1" "$2" "$greeting"
    wait_until 5 host_listens "${3:-server}" "$1" "$2"
}

socat_address() { # KIND ADDRESS PORT [FROM]: KIND is TCP, UDP or UDP-SENDTO
    local bind=""

    case $2 in
    *:*) [ -z "${4:-}" ] || bind=",bind=[$4]"
        echo "${1/[UT][DC]P/&6}:[$2]:$3$bind" ;;
    *) [ -z "${4:-}" ] || bind=",bind=$4"
        echo "${1/[UT][DC]P/&4}:$2:$3$bind" ;;
    esac
}

# tests/tools/peer.py, on the client's host.
start_peer() {
    [ -p "$lab/peer.in" ] || mkfifo "$lab/peer.in" "$lab/peer.out"
    spawn client "$lab/log/peer.log" "$top/tests/tools/peer.py" "$lab"
}

# Asks it; what it says is in $answer. One at a time, as all read the same answers.
ask_peer() { # KIND WORD...
    local question=$BASHPID-${EPOCHREALTIME/[.,]/} number=""

    {
        echo "$question $*" >&6
        until [ "$number" = "$question" ]; do # another's is for one who gave up
            read -r -t $((10 * ${LAB_PATIENCE:-4})) number answer || break
        done
    } 6<>"$lab/peer.in" <>"$lab/peer.out"
    if [ "$number" != "$question" ] || [[ $answer == "error: "* ]]; then
        echo "peer.py: ${answer:-does not answer}"
        return 1
    fi
}

# What a TCP connection from the client meets: open, reset or silent.
tcp_answer() { # ADDRESS PORT [FROM]
    local answer

    ask_peer tcp "$@" && echo "$answer"
}

port_is_open() { # ADDRESS PORT [FROM]
    local answer

    ask_peer tcp "$@" && [ "$answer" = open ]
}

port_is_shut() { # ADDRESS PORT [FROM]
    local answer

    ask_peer tcp "$@" && [ "$answer" != open ]
}

# What the service says to the client, or nothing.
tcp_greeting() { # ADDRESS PORT [FROM]
    local answer

    ask_peer tcp-greeting "$@" && echo "$answer"
}

udp_greeting() { # ADDRESS PORT [FROM]
    local answer

    ask_peer udp-greeting "$@" && echo "$answer"
}

udp_is_open() { # ADDRESS PORT [FROM]
    [ "$(udp_greeting "$@")" = "$greeting" ]
}

# A connection that stays. Speak into it with `connection_answers`.
open_connection() { # ADDRESS PORT
    rm -f "$lab/connection.in" "$lab/connection.out"
    mkfifo "$lab/connection.in"
    ip netns exec client socat - "$(socat_address TCP "$1" "$2")" \
        <>"$lab/connection.in" >"$lab/connection.out" 2>&1 3>&- &
    disown
    wait_until 3 grep -q "$greeting" "$lab/connection.out"
}

connection_answers_within() { # SECONDS
    local word="word-$RANDOM-$RANDOM"

    # For reading, too: where nobody reads any more, opening it to write would wait for ever.
    echo "$word" 1<>"$lab/connection.in"
    wait_until "$1" grep -q "$word" "$lab/connection.out"
}

connection_answers() {
    connection_answers_within 3
}

# ---- the client ------------------------------------------------------------

# As a user without any privilege, with a home of its own.
as_client() { # COMMAND...
    local enter=(nsenter --net=/run/netns/client)

    [ ! -e /etc/netns/client ] || enter=(with_mounts_on client nsenter)
    HOME=$lab/home "${enter[@]}" --setuid="$client_id" --setgid="$client_id" "$@"
}

# Makes a profile on the server and gives the client its bundle; the client
# knows the server by the profile's name.
add_profile() { # NAME [OPTION of portsmith-profile create...]
    local name=$1

    shift
    [ ! -e "$lab/$name.bundle" ] || rm "$lab/$name.bundle"
    on server portsmith-profile -c "$conf" create "$name" --host "$server" --server "$name" \
        --output "$lab/$name.bundle" "$@" >>"$lab/log/profile.log" 2>&1 || {
        cat "$lab/log/profile.log" >&2
        return 1
    }
    as_client portsmith-knock import - <"$lab/$name.bundle" >>"$lab/log/profile.log"
}

# What tells a running daemon to reload returns before the daemon has done so.
and_reload() { # COMMAND...
    local before

    before=$(log_count ' reloaded')
    "$@"
    wait_until 15 log_count_exceeds ' reloaded' "$before"
}

knock() { # ARGUMENT of portsmith-knock...
    as_client portsmith-knock "$@"
}

# Makes a knock and sends nothing.
knock_bytes() { # FILE ARGUMENT...
    local file=$1

    shift
    as_client portsmith-knock --output - "$@" >"$file"
}

send_bytes() { # FILE [FROM [PORT]]
    local answer

    ask_peer send "$1" "$server" "${3:-$knock_port}" "${2:-}"
}

# A knock by the other implementation, which can also make wrong ones.
other_knock() { # NAME FILE [OPTION of other_client.py knock...]
    local name=$1 file=$2 home=$lab/home/.config/portsmith

    shift 2
    "$top/tests/deep/vectors/other_client.py" knock --key "$home/$name.key" \
        --server "$(sed -n 's/^PublicKey *= *//p' "$home/$name.conf")" "$@" >"$file"
}

# ---- the wire --------------------------------------------------------------

capture_is_running() {
    grep -q "listening on" "$lab/log/tcpdump.log"
}

# On the server's side of the wire.
capture_start() { # FILE [FILTER...]
    local file=$1

    shift
    rm -f "$lab/log/tcpdump.log" "$file"
    spawn server "$lab/log/tcpdump.log" tcpdump -n -i eth0 --immediate-mode -U -Z root -w "$file" "$@"
    echo "$spawned" >"$lab/tcpdump.pid"
    wait_until 5 capture_is_running
}

capture_stop() {
    end_process INT "$(cat "$lab/tcpdump.pid")"
}

# The payload of the first packet of a capture, which is UDP over FAMILY.
captured_payload() { # FILE
    local headers=42 length

    [ "$FAMILY" = 4 ] || headers=62
    length=$(od -A n -t u4 -j 32 -N 4 "$1" | tr -d ' ')
    tail -c "+$((24 + 16 + headers + 1))" "$1" | head -c "$((length - headers))"
}
