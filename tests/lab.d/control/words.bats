#!/usr/bin/env bats
# What is said when something is missing: the cause that is there, and what whoever reads it
# can do. Each is brought about for real.
# bats file_tags=any
# shellcheck disable=SC2154 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    configure
    add_profile ssh --open tcp/22 --window 60s
}

teardown_file() {
    lab_teardown
}

teardown() {
    [ ! -e "$lab/daemon.pid" ] || stop_daemon
    on client ip route flush dev eth0 proto 99
    on client ip -6 route flush dev eth0 proto 99
}

# Root without one capability, as in a container.
without() { # CAPABILITY COMMAND...
    local capability=$1

    shift
    on server setpriv "--bounding-set=-$capability" "--inh-caps=-$capability" "$@"
}

says() { # TEXT
    [[ $output == *"$1"* ]] || { echo "status $status, said: $output"; return 1; }
}

@test "a capability that root lacks is named, before anything is done" {
    local capability

    for capability in net_admin net_raw setuid setgid setpcap sys_chroot; do
        run -1 without "$capability" timeout 60 portsmithd -c "$conf" -f
        says "portsmithd: root lacks CAP_${capability^^} here: "
        [ "${#lines[@]}" -eq 1 ]
    done
    run -1 on server setpriv --bounding-set=-all --inh-caps=-all portsmithd -c "$conf" -f
    says "root lacks CAP_NET_ADMIN, CAP_NET_RAW, CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_SYS_CHROOT here"
    run -1 without net_admin portsmith-firewall try --timeout 1m
    says "portsmith-firewall: root lacks CAP_NET_ADMIN here: "
    run -1 without net_admin portsmithctl doctor
    says "portsmithctl: root lacks CAP_NET_ADMIN here: "
    run -1 without net_admin portsmithctl release
    says "portsmithctl: root lacks CAP_NET_ADMIN here: "
    run ! grep portsmith <<<"$(rules)"
    run -1 on server setpriv --reuid=nobody --regid=nogroup --clear-groups portsmithd -c "$conf"
    says "must be run as root"
}

@test "root of a user namespace has no rights over another's network, and is told so" {
    run -1 on server unshare --user --map-root-user timeout 60 portsmithd -c "$conf" -f
    says "portsmithd: root of this user namespace has no rights over this network namespace"
    run -1 on server unshare --user --map-root-user portsmith-firewall try --timeout 1m
    says "portsmith-firewall: root of this user namespace has no rights over this network"
}

@test "a user whom the user namespace does not map is named as the cause" {
    run -1 on server unshare --user --map-root-user --net timeout 60 portsmithd -c "$conf" -f
    says "cannot become user $(id -u portsmith) and group $(id -g portsmith): this user namespace does not map them"
}

@test "a daemon in another PID namespace is told of without a pid" {
    start_daemon
    run -1 on server unshare --pid --fork --mount-proc timeout 60 portsmithd -c "$conf" -f
    says "/run/portsmith/portsmithd.pid: locked by a process that cannot be seen from here"
    [[ $output != *"pid 0"* ]]
}

@test "a state or run directory that is a symbolic link, or another user's, is told of" {
    mv /var/lib/portsmith /var/lib/elsewhere
    ln -s elsewhere /var/lib/portsmith
    run -1 on server timeout 60 portsmithd -c "$conf" -f
    says "/var/lib/portsmith is no directory itself: put one in its place, or, if it is a symbolic link,"
    rm /var/lib/portsmith
    mv /var/lib/elsewhere /var/lib/portsmith
    chown nobody /run/portsmith
    run -1 on server timeout 60 portsmithd -c "$conf" -f
    says "/run/portsmith must belong to root and be writable by nobody else: run: chown root /run/portsmith"
    bash -c "$(sed -n 's/.*run: //p' <<<"$output")" # what it says is what helps
    start_daemon
}

@test "who may not ask, though it is root, is not told to be root" {
    start_daemon
    chmod 000 /run/portsmith/control
    run -1 without dac_override portsmithctl status
    says "permission denied, though this is root"
    chmod 660 /run/portsmith/control
}

doctor_names_the_journal() {
    on server portsmithctl doctor | grep -q 'in the log: journalctl -t portsmithd .* -t portsmith-witness'
}

@test "root that may not read another user's file, as under the unit, is not told to be its user" {
    chown nobody /etc/portsmith.d/ssh.conf
    chmod 600 /etc/portsmith.d/ssh.conf
    run -78 without dac_override,-dac_read_search portsmithd -t
    chown root /etc/portsmith.d/ssh.conf
    says "/etc/portsmith.d/ssh.conf: Permission denied, though this is root: it, or a directory above, belongs to another user,"
}

@test "what doctor advises has the names that are meant" {
    ip link add quiet0 netns server type veth peer name quiet1 netns client
    sed 's/^Interface.*/Interface = quiet0/; $a StateDirectory = /var/lib/missing' "$conf" >"$lab/elsewhere.conf"
    run -4 on server portsmithctl -c "$lab/elsewhere.conf" doctor
    ip -n server link delete quiet0
    says "ip link set dev quiet0 up"
    says "/var/lib/missing: No such file or directory"
    says "-> run portsmith-profile -c $lab/elsewhere.conf init"
    # Of one that was started by hand a unit's log says nothing.
    start_daemon
    spawn server "$lab/log/remover" bash -c 'while sleep 0.02; do nft flush ruleset; iptables-legacy -t mangle -F; done'
    wait_until 20 doctor_names_the_journal
    end_process TERM "$spawned"
}

# bats test_tags=ipv4
@test "a knock that does not fit into a SYN is not sent in half, and the cause is told" {
    [ "$FAMILY" = 4 ] || skip "IPv6 has no such small packets"
    add_profile syn --open tcp/22
    echo "Transport = tcp-syn" >>"$lab/home/.config/portsmith/syn.conf"
    on client ip route replace "$server/32" dev eth0 proto 99 mtu lock 200
    capture_start "$lab/syns" tcp
    run -1 knock syn
    says "no TCP SYN with data: a SYN that holds the knock is larger than packets on this route may be"
    capture_stop
    [ "$(stat -c %s "$lab/syns")" -eq 24 ] # the file's header alone
}
