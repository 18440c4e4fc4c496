#!/usr/bin/env bats
# The server's package on a Debian without any firewall program: the kernel alone must do.
# Once: a Debian is installed, and what is tried there the lab tests try in each combination.
# bats file_tags=once,release
# shellcheck disable=SC2154 # bats, lab.bash and tree.bash set the variables

bats_require_minimum_version 1.5.0
. "$top/tests/lib/hosts.bash"

setup_file() {
    plain_setup
}

teardown_file() {
    plain_teardown
}

server() { # COMMAND...
    in_tree server "$@"
}

has_no_table() {
    ! on server nft list tables | grep portsmith
}

@test "with neither iptables nor nft it is installed, shuts the port, and a knock opens it" {
    server apt-get purge -y iptables
    run ! server sh -c 'command -v iptables nft'
    server apt-get install -y --no-install-recommends "/root/$(basename "$packaged"/portsmith_*.deb)"
    run ! server sh -c 'command -v iptables nft'
    server portsmith-profile init --shut tcp/22
    let_client_in
    server portsmithd
    [[ $(server portsmithctl status) == *"firewall      nftables, IPv4 and IPv6"* ]]
    port_is_shut 10.77.0.1 22 10.77.0.2
    knock_and_get_in
}

@test "its doctor misses no program" {
    run server portsmithctl doctor
    [[ $output == *$'\n'"nftables      ok"$'\n'* ]]
    [[ $output != *iptables* ]]
}

@test "an upgrade starts it anew, and leaves open what is open" {
    upgrade_and_stay_in
}

@test "purged, it leaves no table" {
    server apt-get purge -y portsmith
    has_no_table
    port_is_open 10.77.0.1 22 10.77.0.3
}
