#!/usr/bin/env bats
# The programs as they are installed, by OpenRC and the script for it.
# shellcheck disable=SC2154 # net.bash and build.bash set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"
# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"

setup_file() {
    lab_setup
    start_listener 22
    start_listener 23
    configure "Shut = tcp/22"
    add_profile ssh --open tcp/22 --window 5m
    install -m 755 "$stage/share/doc/portsmith/examples/portsmithd.openrc" /etc/init.d/portsmithd
    seem_booted
}

teardown_file() {
    on server rc-service portsmithd stop || true
    on server portsmithd --release -c "$conf"
    lab_teardown
}

setup() {
    common_setup
}

# As OpenRC leaves it after a boot, so far as a service needs it; systems that boot by it have the
# service that mounts.
seem_booted() {
    mount -t tmpfs tmpfs /sys/fs/cgroup # in the machine's own it would make groups
    mkdir -p /run/openrc/exclusive
    : >/run/openrc/softlevel
    printf '%s\n' '#!/sbin/openrc-run' 'start() { true; }' >/etc/init.d/localmount
    chmod 755 /etc/init.d/localmount
}

service() { # COMMAND of the script
    on server rc-service portsmithd "$1"
}

running() {
    cat /run/portsmith/portsmithd.pid
}

@test "a configuration that is wrong is refused, and nothing is started" {
    echo "Nonsense" >>"$conf"
    run ! service checkconfig
    run ! service start
    run ! process_named portsmithd
    configure "Shut = tcp/22"
    service checkconfig
}

@test "it starts, and a knock opens" {
    run ! service status
    service start
    service status
    wait_until 5 port_is_shut "$server" 22
    knock ssh
    wait_until 5 port_is_open "$server" 22
}

@test "a reload takes up what has changed, by the same process" {
    local before

    before=$(running)
    port_is_open "$server" 23
    configure "Shut = tcp/22 tcp/23"
    service reload
    wait_until 5 port_is_shut "$server" 23
    [ "$(running)" = "$before" ]
}

@test "after a restart what was open is open, and shut what was shut" {
    local before

    before=$(running)
    knock ssh
    wait_until 5 port_is_open "$server" 22
    service restart
    [ "$(running)" != "$before" ]
    service status
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
}

@test "stopped, nothing runs, and what was shut stays shut" {
    service stop
    run ! service status
    run ! process_named 'portsmith.*'
    port_is_shut "$server" 22
}
