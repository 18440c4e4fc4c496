#!/usr/bin/env bats
# The server's package on a Debian with systemd: each test goes on where the one before
# ended.
# shellcheck disable=SC2154 # bats, lab.bash and tree.bash set the variables

bats_require_minimum_version 1.5.0
. "$top/tests/install/hosts/hosts.bash"

setup_file() {
    systemd_setup
    plant_tree server
    boot server
    start_listener 22
    inventory >"$lab/before"
}

teardown_file() {
    halt_host
    lab_teardown
    uproot_trees
}

server() { # COMMAND...
    in_host "$@"
}

@test "installed, it has its user, and starts at boot, but not yet" {
    server apt-get install -y "/root/$(basename "$packaged"/portsmith_*.deb)"
    [[ $(server getent passwd portsmith) == portsmith:x:*:/nonexistent:/usr/sbin/nologin ]]
    server systemctl is-enabled portsmithd portsmith-firewall
    run ! server systemctl is-active portsmithd
    server_has_no_rules
}

@test "configured and started, it lets a knock in" {
    server portsmith-profile init --close tcp/22
    let_client_in
    server systemctl start portsmithd
    knock_and_get_in
}

@test "an upgrade leaves open what is open" {
    upgrade_and_stay_in
    server systemctl is-active portsmithd
}

@test "removed, it runs no more and has no rules, but its configuration" {
    server portsmith-firewall try --timeout 5m
    server portsmith-firewall confirm
    port_is_shut 10.77.0.1 22 10.77.0.3
    server apt-get remove -y portsmith
    port_is_open 10.77.0.1 22 10.77.0.3
    server_has_no_rules
    run ! process_named portsmithd
    [ -s "$(root_of server)/etc/portsmith.conf" ]
    [ -s "$(root_of server)/var/lib/portsmith/marks" ]
}

@test "installed again, it starts as it was configured" {
    server apt-get install -y "/root/$(basename "$packaged"/portsmith_*.deb)"
    server systemctl is-active portsmithd
    knock_and_get_in
}

@test "purged, it leaves nothing" {
    server apt-get purge -y portsmith
    port_is_open 10.77.0.1 22 10.77.0.3
    has_nothing_of_ours
}
