#!/usr/bin/env bats
# The server's package on a Debian with systemd: each test goes on where the one before
# ended.
# Once: a Debian is installed, and what is tried there the lab tests try in each combination.
# bats file_tags=once,release
# shellcheck disable=SC2154 # bats, lab.bash and tree.bash set the variables

bats_require_minimum_version 1.5.0
. "$top/tests/lib/hosts.bash"

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

@test "installed, it has its users, and starts at boot, but not yet" {
    server apt-get install -y "/root/$(basename "$packaged"/portsmith_*.deb)"
    has_its_users
    server systemctl is-enabled portsmithd portsmith-firewall
    run ! server systemctl is-active portsmithd
    server_has_no_rules
}

@test "on trial it lets a knock in, and stays so at an upgrade; systemctl enable --now keeps it and who is in" {
    local on_trial

    server portsmith-profile init --shut tcp/22
    let_client_in
    run -0 server portsmithd --trial 10m
    [[ $output == *"Then keep it: systemctl enable --now portsmithd"* ]]
    on_trial=$(daemon_number)
    knock_and_get_in
    run ! server systemctl is-active portsmithd
    run -0 server apt-get install -y --reinstall "/root/$(basename "$packaged"/portsmith_*.deb)"
    [[ $output == *"on trial, and is not started again"* ]]
    [ "$(daemon_number)" = "$on_trial" ]
    is_in_and_nobody_else
    server systemctl enable --now portsmithd
    [ "$(daemon_number)" != "$on_trial" ]
    [ "$(daemon_number)" = "$(server systemctl show -P MainPID portsmithd)" ]
    is_in_and_nobody_else
    server systemctl is-active portsmithd
    [[ $(server portsmithctl status) != *trial* ]]
}

@test "what was stopped stays so at an upgrade" {
    server systemctl stop portsmithd
    server portsmithctl release
    server apt-get install -y --reinstall "/root/$(basename "$packaged"/portsmith_*.deb)"
    run ! server systemctl is-active portsmithd
    port_is_open 10.77.0.1 22 10.77.0.3
}

@test "starts at boot after a trial that nobody confirmed are refused" {
    local _

    server sh -c 'umask 077 && echo 0a1b2c3d-edec-43ca-b57e-ed1b90906383 1 >/var/lib/portsmith/trial'
    for _ in 1 2; do
        run ! server systemctl start portsmithd
        [ "$(server systemctl show -P ExecMainStatus portsmithd)" -eq 78 ]
        [ "$(server systemctl show -P NRestarts portsmithd)" -eq 0 ]
    done
    run server journalctl --unit portsmithd --output cat
    [[ $output == *"a trial has ended without being kept"* ]]
    port_is_open 10.77.0.1 22 10.77.0.3
}

@test "a start with a broken configuration is in vain, and is not tried again" {
    server sh -c 'rm /var/lib/portsmith/trial && cp /etc/portsmith.conf /root && echo "Colour = blue" >>/etc/portsmith.conf'
    run ! server systemctl start portsmithd
    [ "$(server systemctl show -P ActiveState portsmithd)" = failed ] # and not activating
    [ "$(server systemctl show -P ExecMainStatus portsmithd)" -eq 78 ]
    server cp /root/portsmith.conf /etc/portsmith.conf
}

@test "tried again and kept, it lets a knock in" {
    server portsmithd --trial 10m
    server systemctl enable --now portsmithd
    port_is_shut 10.77.0.1 22 10.77.0.3
    knock_and_get_in
}

@test "an upgrade leaves open what is open, and notes the host beside a key from before" {
    server rm -f /etc/portsmith.d/server.host
    upgrade_and_stay_in
    server systemctl is-active portsmithd
    server sh -c '[ "$(wc -c </etc/machine-id)" -eq 33 ] && [ -e /etc/portsmith.d/server.host ]'
}

rest_is_shut() {
    port_is_shut 10.77.0.1 8080 10.77.0.3
}

rest_is_open() {
    port_is_open 10.77.0.1 8080 10.77.0.3
}

# The processes of the unit, by name.
kept_by_unit() {
    server sh -c 'ps -o comm= -p "$(paste -s -d , /sys/fs/cgroup/system.slice/portsmith-firewall.service/cgroup.procs)"'
}

# As after a boot, which leaves no rules and no process.
forget_what_is_closed() {
    server systemctl stop portsmith-firewall
    server sh -c 'cd /var/lib/portsmith && cp firewall firewall.kept && portsmith-firewall remove && mv firewall.kept firewall'
    rest_is_open
}

# Within the unit's confinement.
unit_shuts_and_keeps() { # BACKEND COMMAND that opens what is shut...
    server sed -i "s/^#*Backend = .*/Backend = $1/" /etc/portsmith.conf
    forget_what_is_closed
    server systemctl start portsmith-firewall
    rest_is_shut
    [ "$(kept_by_unit)" = portsmith-keep ]
    on server "${@:2}"
    wait_until 10 rest_is_shut
}

@test "portsmith-firewall.service shuts what was confirmed, and puts it back, with each back end" {
    start_listener 8080
    server portsmith-firewall try --timeout 5m
    server portsmith-firewall confirm
    unit_shuts_and_keeps iptables-nft iptables-nft -F INPUT
    unit_shuts_and_keeps iptables-legacy iptables-legacy -F INPUT
    unit_shuts_and_keeps nftables nft delete table inet portsmith-firewall
    [[ $(server journalctl --identifier portsmith-firewall --output cat) == *"they are put back"* ]]
    server sed -i "s/^Backend = .*/#Backend = auto/" /etc/portsmith.conf
    forget_what_is_closed
    server rm /var/lib/portsmith/firewall
}

# Replaces the roster as a program does that fetches it; with more BYTES it is no roster.
bring_roster() { # VERSION [BYTES]
    printf '%s\n' "[Roster]" "Version = $1" "NotAfter = 2099-12-31" >"$(root_of server)/root/text"
    server sh -c 'cd /root && rm -f roster && portsmith-profile roster sign text && printf %s "$1" >>roster &&
        mv roster /etc/portsmith.d/' sh "${2:-}"
}

roster_in_force() { # VERSION
    [ "$(server portsmithctl --json status | jq .roster.version)" = "$1" ]
}

# A reload whose end takes so long that another roster comes meanwhile.
end_reloads_late() {
    server mv /usr/sbin/portsmithctl /root
    server sh -c 'cat >/usr/sbin/portsmithctl && chmod 755 /usr/sbin/portsmithctl' <<'END'
#!/bin/sh
/root/portsmithctl "$@" || exit
[ "$1" != reload ] || timeout 20 sh -c 'until [ -e /root/may-end ]; do sleep 0.1; done'
END
}

@test "the example units put a roster in force once it is replaced, and say why they could not" {
    server cp /etc/portsmith.conf /root
    server sh -c 'cd /root && portsmith-profile roster init >init.log && cp fleet.secret /etc/portsmith.d/ &&
        grep "^ *Roster" init.log >>/etc/portsmith.conf'
    bring_roster 1
    server portsmithctl reload
    server sh -c 'cp /usr/share/doc/portsmith/examples/portsmith-roster.* /etc/systemd/system/'
    server systemctl enable --now portsmith-roster.path
    bring_roster 2
    wait_until 10 roster_in_force 2
    bring_roster 3 changed
    wait_until 10 server systemctl is-failed portsmith-roster.service
    [[ $(server journalctl --unit portsmith-roster --output cat) == *"cut short or changed since"* ]]
    roster_in_force 2
    bring_roster 4
    wait_until 10 roster_in_force 4
    end_reloads_late
    bring_roster 5
    wait_until 10 roster_in_force 5
    bring_roster 6
    server touch /root/may-end
    wait_until 10 roster_in_force 6
    server sh -c "rm /root/may-end && mv /root/portsmithctl /usr/sbin/"
    server systemctl disable --now portsmith-roster.path
    server sh -c 'rm /etc/systemd/system/portsmith-roster.* /etc/portsmith.d/fleet.secret /etc/portsmith.d/roster &&
        cp /root/portsmith.conf /etc/'
    server portsmithctl reload
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
