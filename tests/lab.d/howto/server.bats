#!/usr/bin/env bats
# portsmith-recipes(7), THE SERVER: each entry is followed, on a second server where it names one.
# Once: whether the page's words are right; what they use is tried in each combination elsewhere.
# bats file_tags=once
# shellcheck disable=SC2154,SC2030,SC2031 # recipes.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/recipes.bash"
# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"
# shellcheck source=tests/lib/timekeeping.bash
. "$top/tests/lib/timekeeping.bash"

second=10.78.0.2

setup_file() {
    howto_setup
    make_backend_host
    start_sshd 22 backend
    echo "$spawned" >"$lab/sshd.pid"
    prepare_timekeeping "$lab"
}

teardown_file() {
    lab_teardown
}

setup() {
    howto_begin "Shut = tcp/22"
}

teardown() {
    end_program exporter
    howto_end
    rm -rf /etc/netns
}

# ---- another host ----------------------------------------------------------

# All hosts of the lab have the same files, so those of a new host are those that it did not have
# before; it has a machine id of its own.
be_new_host() {
    forget_portsmith
    tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
}

# What is copied to the new host is in the home of the account there; root works there, too.
be_root_there() {
    mv "$lab/$account/portsmith.tgz" "$lab/root/"
}

@test "Move to a new server" {
    local used=$lab/used

    keep_name $second new.example.net
    knock_bytes "$used" home
    send_until "laptop: opened" "$used"
    follow "portsmithctl release"
    port_is_open "$server" 22 # to everybody
    follow "scp portsmith.tgz"
    [ "$(stat -c %a "$lab/root/portsmith.tgz")" = 600 ]
    be_new_host
    be_root_there
    follow "portsmith-profile init"
    run ! grep "another host" "$lab/complaints"
    host_of[server]=backend
    follow "--trial 15m"
    port_is_shut $second 22
    follow "Host = "
    server=$second send_bytes "$used"
    follow "--wait home"
    [ "$(on backend portsmithctl list --json | jq length)" -eq 1 ]
    [ "$(on backend portsmithctl status --json | jq .counters.granted.opened)" -eq 1 ] # not by $used
    follow_all
    knocks_are_heard home
    [[ $(on backend portsmithctl status) != *"on trial"* ]]
}

@test "Back up and restore" {
    follow backup.tgz
    [ "$(stat -c %a "$lab/root/backup.tgz")" = 600 ]
    rm -r "$conf" /etc/portsmith.d
    follow_all
    run ! grep "another host" "$lab/complaints"
    knocks_are_heard home
}

# ---- looking after it ------------------------------------------------------

@test "Monitor it" {
    local line metrics=/var/lib/prometheus/node-exporter

    mkdir -p "$metrics"
    follow "file /etc/cron.d/portsmith"
    line=$(sed -n 's/^7 6 \* \* \* root //p' /etc/cron.d/portsmith)
    [ -z "$(mailed_by "$line" kept)" ]
    [[ $(mailed_by "$line" lost) == *"problem"* ]]
    follow "file /etc/systemd/system/portsmithd.service.d/metrics.conf"
    unit_is_right /etc/systemd/system/portsmithd.service.d
    follow_all
    wait_until 20 grep -q portsmith_up "$metrics/portsmith.prom"
    start_program exporter server prometheus-node-exporter --collector.disable-defaults \
        --collector.textfile --web.listen-address=127.0.0.1:9100
    wait_until 10 host_listens server tcp 9100
    on server curl --silent http://127.0.0.1:9100/metrics >"$lab/metrics"
    grep -x "portsmith_up 1" "$lab/metrics"
    grep -x "portsmith_rules_in_force 1" "$lab/metrics"
    grep "^node_textfile_mtime_seconds{file=\"$metrics/portsmith.prom\"} " "$lab/metrics"
    rm -r /etc/systemd/system/portsmithd.service.d
}

# As cron runs it, with the file's PATH, where the lab's programs are in /usr/sbin.
mailed_by() { # COMMAND kept|lost
    # shellcheck disable=SC2046 # words
    on server env -i PATH="$(sed -n 's/^PATH=//; T; s|:/usr/sbin|:/run/lab/stage/sbin|p' /etc/cron.d/portsmith)" \
        $(clock_that_is "$2" "$lab") sh -c "$1" 2>&1
}

unit_is_right() { # DIRECTORY of what is added to it
    rm -rf "$lab/unit"
    mkdir -p "$lab/unit"
    cp /run/lab/stage/lib/systemd/system/portsmithd.service "$lab/unit/"
    cp -r "$1" "$lab/unit/"
    run -0 systemd-analyze verify --man=no "$lab/unit/portsmithd.service"
    [[ $output != *metrics.conf* ]]
}

@test "Several admins" {
    usermod --append --groups adm alice
    add_profile alice-laptop --open tcp/22
    follow "systemctl restart"
    as_client portsmith-knock --wait alice-laptop
    follow "portsmithctl list"
    [[ $said == *alice-laptop*"$client"* ]]
    follow_all
    [ "$(on server portsmithctl list --json | jq length)" -eq 0 ]
    run ! as_user alice server "portsmithctl reload"
    run ! as_user bob server "portsmithctl list"
}

# web1 is the server; web2 has files of its own in /etc.
@test "Many servers" {
    keep_name "$server" web1.example.net
    keep_name $second web2.example.net
    make_web2
    on server portsmith-profile revoke laptop # which has that identity
    on server portsmithctl release # as before the ports are shut
    follow "ssh root@"
    type_at server# portsmithd
    on backend portsmithd 3>&-
    follow "portsmith-knock list"
    [[ $said == *web1*usable*web2*usable* ]]
    follow_all
    port_is_open "$server" 22
    port_is_open $second 22
    [[ $(on backend portsmithctl list) == *alice-laptop* ]]
    end_process TERM "$(cat /run/portsmith2/portsmithd.pid)"
    on backend portsmithd --release
}

# Its sshd sees these, too.
make_web2() {
    mkdir -p /etc/netns/backend/portsmith.d
    sed '/^Interface/d' "$conf" >/etc/netns/backend/portsmith.conf
    printf '%s\n' "StateDirectory = /var/lib/portsmith2" "RunDirectory = /run/portsmith2" \
        >>/etc/netns/backend/portsmith.conf
    rm -rf /var/lib/portsmith2 /run/portsmith2
    on backend portsmith-profile init
    end_process TERM "$(cat "$lab/sshd.pid")"
    start_sshd 22 backend
}

@test "Uninstall without packages" {
    mount -t tmpfs -o mode=755 tmpfs /usr/local
    mkdir -p "$lab/root/build"
    install_to /usr/local
    PATH=/usr/local/bin:/usr/local/sbin:$PATH
    follow "portsmithctl release"
    port_is_open "$server" 22
    follow "xargs rm"
    [ -z "$(find /usr/local ! -type d)" ]
    follow_all
    [ ! -e "$conf" ] && [ ! -e /etc/portsmith.d ] && [ ! -e /var/lib/portsmith ]
    run -2 getent passwd portsmith
    run -2 getent passwd portsmith-witness
    run ! grep -i portsmith <<<"$(on server sh -c "iptables-save; ip6tables-save")"
    umount /usr/local
    rm -f "$lab/daemon.pid"
}

# As `cmake --install build` does, from a directory `build` below root's.
install_to() { # PREFIX
    local manifest=$build_directory/install_manifest.txt

    cp "$manifest" "$lab/install_manifest.txt"
    cmake --install "$build_directory" --prefix "$1" >/dev/null
    cp "$manifest" "$lab/root/build/"
    cp "$lab/install_manifest.txt" "$manifest"
}
