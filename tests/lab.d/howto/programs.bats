#!/usr/bin/env bats
# portsmith-recipes(7), PROGRAMS THAT KNOCK, with the real mosh, cron and Ansible; and the first
# steps of portsmith(7).
# Once: whether the pages' words are right; what they use is tried in each combination elsewhere.
# bats file_tags=once
# shellcheck disable=SC2154,SC2030,SC2031 # recipes.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/recipes.bash"

setup_file() {
    howto_setup
    rm -f /etc/crontab /etc/cron.d/* # this machine's own
}

teardown_file() {
    lab_teardown
}

setup() {
    [ "$BATS_TEST_DESCRIPTION" != "FIRST STEPS" ] || page=$top/man/portsmith.7
    howto_begin "Shut = tcp/22 udp/60001"
}

teardown() {
    end_program cron
    howto_end
}

# As portsmith(7) has them.
knock_by_ssh() {
    take "file ~/.ssh/config"$'\n'"$(block_of "$top/man/portsmith.7" "Host home $server_name")"
}

@test "FIRST STEPS" {
    end_portsmith
    forget_portsmith
    rm -r "$home/.config"
    follow "profile add"
    port_is_open "$server" 22
    paste_as "$client_user" .config/portsmith/home.conf
    follow "--trial 15m"
    port_is_shut "$server" 22
    follow diagnose
    [[ $said == *"ok: the server lets you in"* ]]
    on server portsmithctl close --all
    follow systemctl
    [[ $(on server portsmithctl status) != *"on trial"* ]]
    port_is_shut "$server" 22
    follow_all
    has_grant laptop "$client" tcp/22
}

# ---- mosh --------------------------------------------------------------------

@test "mosh" {
    local mosh

    knock_by_ssh
    follow "home udp/60001"
    next_step
    rm -f "$lab/keys" "$lab/$account/typed"
    mkfifo "$lab/keys"
    as_client env LC_ALL=C.UTF-8 TERM=xterm script -qefc \
        "stty rows 24 columns 80; ${step#laptop\$ }" /dev/null <>"$lab/keys" >"$lab/log/mosh" 2>&1 3>&- &
    mosh=$!
    wait_until 15 host_listens server udp 60001
    printf 'echo in >typed; exit\r' >"$lab/keys"
    wait_until 15 grep -q in "$lab/$account/typed" || { cat -v "$lab/log/mosh" && return 1; }
    wait "$mosh"
}

# ---- jobs --------------------------------------------------------------------

# With a clock of its own, so that nobody waits for the night.
start_cron() { # HH:MM:SS
    start_program cron client env LD_PRELOAD="$fake_clock" FAKETIME="@$(date +%F) $1" cron -f
}

@test "cron" {
    follow "profile add backup"
    paste_as job .config/portsmith/home.conf
    on server portsmithctl reload
    follow_all
    sed -i "1iPATH=/run/lab/stage/bin:/usr/bin:/bin" /etc/cron.d/backup
    printf '%s\n' '#!/bin/bash' "read -r line </dev/tcp/$server/22 && echo \"\$line\" >heard" \
        >"$lab/job/backup"
    chmod 755 "$lab/job/backup"
    rm -f "$lab/job/heard"
    start_cron 03:16:58
    wait_until 30 test -s "$lab/job/heard"
    grep SSH "$lab/job/heard"
    has_grant backup "$client" tcp/22
}

@test "CI" {
    rm -rf "$lab/job/.config"
    take "job\$ portsmith-knock keygen ci.key"
    take "server# portsmith-profile add ci --public-key KEY --open tcp/22 --host $server_name"
    paste_as job home.conf
    on server portsmithctl reload
    follow_all
    has_grant ci "$client" tcp/22
    on server portsmith-profile revoke ci
    on server portsmithctl reload
    run -3 type_at job$ "portsmith-knock --config home.conf --identity ci.key --wait --timeout 1s"
    chmod 644 "$lab/job/ci.key"
    run -78 type_at job$ "portsmith-knock --config home.conf --identity ci.key --wait"
}

@test "Ansible" {
    knock_by_ssh
    follow "-m ping"
    [[ $said == *"home | SUCCESS"*pong* ]]
    has_grant laptop "$client" tcp/22
    take "colleague\$ portsmith-knock keygen"
    follow creates=
    [[ $said == *"home | CHANGED"* ]]
    [[ $(on server portsmith-profile list) == *bob* ]]
    take "$step" # again, as the next run of the playbook does
    [[ $said == *"home | SUCCESS"*"skipped"* ]]
}
