# shellcheck shell=bash
# What the tests of portsmith-fleet(7) share: two gateways between a client's network and an ssh
# server, made by the steps of the page. Wants `top`.
# shellcheck disable=SC2034,SC2154 # recipes.bash and lab.bash set the variables, and read some
. "$top/tests/lib/recipes.bash"

page=$top/man/portsmith-fleet.7
host_of[a]=a host_of[b]=b
members=(a b)
if [ "$FAMILY" = 6 ]; then
    outside=2001:db8:: behind=2001:db8:1::20
else
    outside=192.0.2. behind=10.1.0.20
fi
shared=${outside}10

# ---- the network -------------------------------------------------------------

#   client --- server, here the provider's router --- a and b --- backend, the ssh server
#
# The router is also the switch between a and b, whose links stay up when the other one dies.
make_fleet() {
    make_host backend
    make_switch server outside
    make_switch server between
    make_switch backend inside
    give_address server outside 192.0.2.1/24 2001:db8::1/64
    give_address backend inside 10.1.0.20/24 2001:db8:1::20/64
    ip -n backend route add default via 10.1.0.1
    ip -n backend -6 route add default via 2001:db8:1::1
    on server sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
                     echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
    keep_name "$shared" gateway.example.net
    keep_name "${outside}11" a.example.net
    keep_name "${outside}12" b.example.net
    make_member a
    make_member b
}

# With a hardware address that does not follow those of its ports, which come and go.
make_switch() { # HOST NAME
    ip -n "$1" link add "$2" address 02:00:00:00:00:01 type bridge
    ip -n "$1" link set "$2" up
}

plug_in() { # MEMBER INTERFACE HOST SWITCH
    join_hosts "$1" "$2" "$3" "$1-$4"
    ip -n "$3" link set "$1-$4" master "$4"
}

make_member() { # a or b
    local number=11

    [ "$1" = a ] || number=12
    make_host "$1"
    plug_in "$1" eth0 server outside
    plug_in "$1" eth1 backend inside
    plug_in "$1" eth2 server between
    give_address "$1" eth0 "192.0.2.$number/24" "2001:db8::$number/64"
    give_address "$1" eth1 "10.1.0.$number/24" "2001:db8:1::$number/64"
    give_address "$1" eth2 "10.2.0.$number/24"
    ip -n "$1" route add default via 192.0.2.1
    ip -n "$1" -6 route add default via 2001:db8::1
    give_mounts "$1"
}

# As if somebody pulled the plug: nothing that it does as it ends is heard. Its disk stays.
kill_member() { # MEMBER
    ip -n server link delete "$1-outside"
    ip -n server link delete "$1-between"
    ip -n backend link delete "$1-inside"
    ip netns pids "$1" | xargs kill -KILL 2>/dev/null || true # some end with others
    wait_until 10 host_is_empty "$1"
    ip netns delete "$1"
    rm "$lab/mounts.$1"
}

start_member() { # MEMBER that has died
    make_member "$1"
    on "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
                   echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
    on "$1" nft --file /etc/nftables.conf
    on "$1" systemctl enable --now conntrackd portsmithd keepalived
}

# ---- following the page ------------------------------------------------------

fleet_setup() {
    lab_setup
    rm -rf "$sshd_directory" "$home/.config" "$home/.local"
    make_root_home
    make_ssh_keys
    prepare_client
    make_fleet
    start_sshd 22 backend
    make_member_tools
}

# No systemd runs in the lab, nor an sshd on the gateways that rsync could go by.
make_member_tools() {
    mkdir -p "$lab/bin"
    cat >"$lab/bin/systemctl" <<'END'
#!/bin/bash
start() { # PROGRAM WORDS ARGUMENT...
    local log=$lab/log/$1.$(</etc/hostname)

    "$1" "${@:3}" </dev/null >"$log" 2>&1 &
    until grep -q -e "$2" "$log"; do
        kill -0 $! || exit 1
        sleep 0.1
    done
}
[ "$*" != "enable nftables" ] || exit 0
[ "$1 $2" = "enable --now" ] || { echo "systemctl: what is '$*'?" >&2 && exit 1; }
for name in "${@:3}"; do
    case $name in
    conntrackd) conntrackd -d ;;
    keepalived) start keepalived "Entering BACKUP STATE" --dont-fork --log-console ;;
    portsmithd) start portsmithd ready -f ;;
    esac
done
END
    cat >"$lab/bin/rsh" <<'END'
#!/bin/bash
exec nsenter --mount --target "$(<"$lab/mounts.$1")" "${@:2}"
END
    chmod 755 "$lab/bin/systemctl" "$lab/bin/rsh"
    PATH=$lab/bin:$PATH
    export lab RSYNC_RSH=$lab/bin/rsh
}

# A file of both, or of the one that the path begins with; of the client if it begins with `~`.
put_lines() { # "file PATH" and LINES
    local path=${1%%$'\n'*} text=${1#*$'\n'} member

    path=${path#file }
    case $path in
    "~"*) as_client sh -c "cat >'$home/${path#??}'" <<<"$text" ;;
    [ab]:*) put_on "${path%%:*}" "${path#*:}" "$text" ;;
    *) for member in "${members[@]}"; do put_on "$member" "$path" "$text"; done ;;
    esac
}

put_on() { # MEMBER PATH TEXT
    case $2 in
    /etc/portsmith.conf)
        while read -r line; do
            on "$1" bash -c "$(declare -f set_key)"'; set_key "$@"' set_key "$2" "$line"
        done <<<"$3"
        ;;
    *)
        # The lab's programs are elsewhere.
        on "$1" sh -c "mkdir -p $(dirname "$2") && cat >$2" <<<"${3//\/usr\/sbin\/portsmithctl/$(command -v portsmithctl)}"
        ;;
    esac
}

follow_section() { # HEADING
    read_steps "$page" "$1"
    follow_all
}

# As the text between the steps says.
set_up_fleet() {
    on a sh -c "printf '%s\n' [Portsmith] 'Interface = eth0' 'Port = $knock_port' \
        'Backend = $(backend_word "$BACKEND")' >$conf && portsmith-profile init"
    on a cat "$conf" | on b tee "$conf" >/dev/null
    read_steps "$page" "Portsmith on both"
    follow Group
    on a cat "$conf" | on b tee "$conf" >/dev/null
    follow "Member = b"
    on b portsmith-profile init >"$lab/log/init.log" 2>&1 || grep "group join" "$lab/log/init.log"
    follow "portsmith-profile add"
    paste_as "$client_user" .config/portsmith/gateway.conf
    follow_all
    follow_section Forwarding
    read_steps "$page" Connections
    follow IPv4_Destination_Address
    put_on b /etc/conntrackd/conntrackd.conf "$(on a sed \
        's/2\.0\.11$/2.0.x/; s/2\.0\.12$/2.0.11/; s/2\.0\.x$/2.0.12/' /etc/conntrackd/conntrackd.conf)"
    follow_all
    follow_section "The address"
    follow_section "A client"
}

# ---- what is looked at -------------------------------------------------------

has_address() { # MEMBER
    ip -n "$1" address show dev eth0 | grep -q -F " $shared/"
}

# In `master` and `standby`, once that is settled.
find_master() {
    wait_until 20 one_is_master
}

one_is_master() {
    local member

    master="" standby=""
    for member in "${members[@]}"; do
        if has_address "$member"; then master+=$member; else standby+=$member; fi
    done
    [[ $master == [ab] && $standby == [ab] ]]
}

# By ssh, as the page has it, and a session that stays: connection_answers speaks into it.
open_session() {
    rm -f "$lab/connection.in" "$lab/connection.out"
    mkfifo "$lab/connection.in"
    as_client ssh inner "echo $greeting; exec cat" <>"$lab/connection.in" >"$lab/connection.out" 2>&1 3>&- &
    disown
    wait_until 10 grep -q -x -e "$greeting" "$lab/connection.out"
    connection_answers
}

# What the client sends before the gateway that took over has heard of the session is dropped in
# silence, and each time it waits twice as long before it sends that again.
session_lives_on() {
    connection_answers_within 20
}

# Without a knock.
gets_in_again() {
    as_client ssh -p 2222 gateway.example.net true
}

has_a_grant() { # MEMBER
    [ "$(on "$1" portsmithctl --json list | jq length)" -eq 1 ]
}

# What conntrackd on the one has heard from the other.
knows_the_session() { # MEMBER
    on "$1" conntrackd -e | grep -q ESTABLISHED
}

# For a test that failed.
tell_state() {
    local member

    tail -n 30 "$lab"/log/{keepalived,portsmithd}.? "$lab/connection.out"
    for member in "${members[@]}"; do
        [ -e "$lab/mounts.$member" ] || continue
        echo "--- $member: what it tracks, and what conntrackd has heard"
        on "$member" sh -c 'grep tcp /proc/net/nf_conntrack; conntrackd -e'
    done
    on backend ip neigh
    on backend ss -tn
    on client ss -tnoi
    on server ip neigh
}
