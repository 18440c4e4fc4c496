#!/usr/bin/env bats
# The server's package on a Debian without systemd: first without any manager, then
# with OpenRC. Each test goes on where the one before ended.
# Once: a Debian is installed, and what is tried there the lab tests try in each combination.
# bats file_tags=once
# shellcheck disable=SC2154 # bats, lab.bash and tree.bash set the variables

bats_require_minimum_version 1.5.0
. "$top/tests/lib/hosts.bash"

setup_file() {
    plain_setup
    inventory >"$lab/before"
}

teardown_file() {
    plain_teardown
}

server() { # COMMAND...
    in_tree server "$@"
}

install_package() {
    server apt-get install -y "/root/$(basename "$packaged"/portsmith_*.deb)"
}

@test "installed, it has its users, and runs once somebody starts it" {
    install_package
    has_its_users
    run ! process_named portsmithd
    server portsmith-profile init --shut tcp/22
    let_client_in
    server portsmithd
    knock_and_get_in
    # There is no nft.
    [[ $(server portsmithctl status) == *"firewall      iptables-nft, IPv4 and IPv6"* ]]
}

@test "an upgrade starts it anew, and leaves open what is open" {
    upgrade_and_stay_in
}

@test "one that runs in the foreground is left to whoever started it" {
    local before

    server sh -c 'kill -QUIT $(cat /run/portsmith/portsmithd.pid)'
    wait_until 10 daemon_is_gone
    spawn server "$lab/log/foreground.log" chroot "$(root_of server)" /usr/sbin/portsmithd -f
    wait_until 10 client_has_a_grant
    before=$(daemon_number)
    run -0 server apt-get install -y --allow-downgrades "/root/$(basename "$packaged"/portsmith_*.deb)"
    [[ $output == *"runs in the foreground"* ]]
    [ "$(daemon_number)" = "$before" ]
    is_in_and_nobody_else
    end_process TERM "$before"
}

# One that it is not: named so, by a user who got the number of a daemon that was killed.
@test "an upgrade leaves alone another user's process that has the name and the old pid" {
    local root impostor

    root=$(root_of server)
    daemon_is_gone
    install -m 755 "$root/bin/sleep" "$root/tmp/portsmithd"
    # What a shell starts in the background ignores the signal otherwise.
    spawn server "$lab/log/impostor.log" env --default-signal=QUIT \
        chroot --userspec=65534:65534 "$root" /tmp/portsmithd 300
    impostor=$spawned
    wait_until 5 process_named portsmithd
    mkdir -p "$root/run/portsmith"
    echo "$impostor" >"$root/run/portsmith/portsmithd.pid"
    server dpkg -i "/root/$(basename "$packaged"/portsmith_*.deb)"
    [ "$(process_named portsmithd)" = "$impostor" ]
    end_process KILL "$impostor"
    rm "$root/tmp/portsmithd" "$root/run/portsmith/portsmithd.pid"
}

# As OpenRC leaves it after a boot, so far as a service needs it. `localmount` comes
# with it on distributions that boot by it.
pretend_to_have_booted() {
    server sh -c 'mkdir -p /run/openrc/exclusive && : >/run/openrc/softlevel
        printf "%s\n" "#!/sbin/openrc-run" "start() { true; }" >/etc/init.d/localmount
        chmod 755 /etc/init.d/localmount'
}

@test "under OpenRC: a start keeps what is on trial" {
    local on_trial

    pretend_to_have_booted
    server install -m 755 /usr/share/doc/portsmith/examples/portsmithd.openrc /etc/init.d/portsmithd
    server portsmithd --trial 10m
    on_trial=$(daemon_number)
    knock_and_get_in
    server rc-service portsmithd start
    [ "$(daemon_number)" != "$on_trial" ]
    is_in_and_nobody_else
    [[ $(server portsmithctl status) != *trial* ]]
    server rc-service portsmithd stop
    daemon_is_gone
}

@test "under OpenRC: start, reload, restart and an upgrade with what is open, stop" {
    local before

    server rc-service portsmithd start
    knock_and_get_in
    server rc-service portsmithd reload
    before=$(daemon_number)
    server rc-service portsmithd restart
    [ "$(daemon_number)" != "$before" ]
    is_in_and_nobody_else
    upgrade_and_stay_in
    server rc-service portsmithd stop
    daemon_is_gone
    port_is_shut 10.77.0.1 22 10.77.0.2
    server rc-service portsmithd start
}

@test "removed under OpenRC, it runs no more and has no rules" {
    server apt-get remove -y portsmith
    daemon_is_gone
    server_has_no_rules
    port_is_open 10.77.0.1 22 10.77.0.3
    server rm -r /etc/init.d/portsmithd /etc/init.d/localmount /run/openrc
}

@test "purged while it runs without a manager, with a broken configuration, it leaves nothing" {
    install_package
    server portsmithd
    port_is_shut 10.77.0.1 22 10.77.0.3
    echo "Nonsense" >>"$(root_of server)/etc/portsmith.conf"
    server apt-get purge -y portsmith
    daemon_is_gone
    has_nothing_of_ours
}
