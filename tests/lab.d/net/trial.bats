#!/usr/bin/env bats
# portsmithd --trial: ports are shut until a moment, unless they are kept.
# bats file_tags=backend
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0
. "$top/tests/lib/net.bash"

marker=/var/lib/portsmith/trial

setup_file() {
    lab_setup
    start_listener 22
    start_listener 23
    configure
    add_profile ssh --open tcp/22 --window 2m
    keep_configuration
}

teardown_file() {
    lab_teardown
}

setup() {
    restore_configuration
    common_setup
}

teardown() {
    common_teardown
    stop_probe
    kill_daemon
    on server portsmithd --release -c "$conf"
    rm -rf "$marker"
}

# ---- on trial --------------------------------------------------------------

# In the foreground, as start_daemon does.
start_trial() { # SPAN
    daemon_options=(--trial "$1")
    start_daemon
    daemon_options=()
}

# In the background; what it prints is in $output.
start_trial_in_background() { # SPAN
    run -0 on server portsmithd -c "$conf" --trial "$1" 3>&-
    note_daemon
}

note_daemon() {
    cat /run/portsmith/portsmithd.pid >"$lab/daemon.pid"
}

# The rule by which the kernel ends it, of a chain in each table.
end_rules() {
    if [ "$BACKEND" = nftables ]; then
        portsmith_table | grep "meta time"
        return
    fi
    { xtables -t mangle -S portsmith && xtables -S portsmith; } 2>/dev/null |
        grep -e --datestart
}

is_kept() {
    run ! end_rules
    [ ! -e "$marker" ]
    port_is_shut "$server" 22
}

# Of both families, as nobody is to be kept out.
has_no_rules() {
    local program

    ! on server nft list tables | grep "inet portsmith" || return 1
    for program in iptables ip6tables; do
        ! on server "$program-$XTABLES-save" | grep portsmith || return 1
    done
}

all_is_undone() {
    port_is_open "$server" 22 && has_no_rules
}

# ---- its end ---------------------------------------------------------------

@test "nobody confirms it: it ends by itself, with all rules gone and exit status 0" {
    local status=0 start span

    span=$(long_enough 10)
    start=$(now_ms)
    ip netns exec server portsmithd -c "$conf" -f --trial "${span}s" >>"$lab/log/portsmithd.log" 2>&1 3>&- &
    echo $! >"$lab/daemon.pid"
    wait_for_log ready
    port_is_shut "$server" 22
    knock_opens ssh
    port_is_open "$server" 22
    wait_until $((span + 10)) process_is_gone "$(daemon_pid)"
    wait "$(daemon_pid)" || status=$?
    [ "$status" -eq 0 ]
    [ $(($(now_ms) - start)) -ge $((span * 1000 - 100)) ]
    all_is_undone
    log_has "the trial was not kept: nothing is shut any more"
    [ ! -s /run/portsmith/portsmithd.pid ]
    is_refused -f # whoever starts it, the next boot or an upgrade
}

# Its processes gone, all at one stroke, and nobody there who would end it.
kernel_ends_trial() { # 'KEY = VALUE'...
    local start span

    configure "$@"
    span=$(long_enough 10)
    start=$(now_ms)
    start_trial_in_background "${span}s"
    kill_daemon
    port_is_shut "$server" 22
    wait_until $((span + 5)) port_is_open "$server" 22
    [ $(($(now_ms) - start)) -ge $((span * 1000 - 500)) ]
    port_is_open "$server" 22 "$other"
}

@test "all its processes are killed: the kernel ends it" {
    kernel_ends_trial
}

@test "all its processes are killed, with ShutWith = reset: the kernel ends it" {
    kernel_ends_trial "ShutWith = reset"
}

@test "SIGTERM and SIGINT undo it" {
    local signal

    for signal in TERM INT; do
        start_trial 10m
        port_is_shut "$server" 22
        end_process "$signal" "$(daemon_pid)"
        log_has "the trial was not kept: nothing is shut any more"
        all_is_undone
    done
}

@test "SIGQUIT leaves it shut, with the deadline" {
    local before

    start_trial 10m
    knock_opens ssh
    before=$(end_rules)
    end_process QUIT "$(daemon_pid)"
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
    [ "$(end_rules)" = "$before" ]
    start_daemon
    log_has "took over 1 live grant"
    is_shut_but_to_the_grant
}

is_shut_but_to_the_grant() {
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
    run ! end_rules
}

# ---- keeping it ------------------------------------------------------------

# From the other address, so that the probe's is a stranger's.
let_the_other_in() {
    ip -n client "-$FAMILY" route replace "$server/$host_bits" dev eth0 src "$other"
    knock_until "ssh: opened tcp/22 for $other" ssh
    open_connection "$server" 22
    ip -n client "-$FAMILY" route replace "$server/$host_bits" dev eth0 src "$client"
}

@test "started for good it takes over: never open in between, the grant and its session live, no deadline" {
    local before

    start_trial 10m
    let_the_other_in
    start_probe
    before=$(daemon_pid)
    own_log
    on server portsmithd -c "$conf" 3>&-
    note_daemon
    [ "$(daemon_pid)" != "$before" ]
    process_is_gone "$before"
    wait_until 5 probed_at_least 100
    stop_probe
    [ "$(captured src host "$server" and dst host "$client")" -eq 0 ]
    is_kept
    port_is_open "$server" 22 "$other"
    connection_answers
    knock ssh
    wait_until 5 port_is_open "$server" 22
}

@test "one whose configuration is broken leaves it on trial" {
    local before

    start_trial 10m
    before=$(end_rules)
    echo "Nonsense = yes" >>"$conf"
    run -78 on server portsmithd -c "$conf"
    on server kill -0 "$(daemon_pid)"
    [ "$(end_rules)" = "$before" ]
    [ -e "$marker" ]
}

@test "a second daemon is refused, which was, is or would be on trial, and told what to do" {
    start_trial_in_background 10m
    run -1 on server portsmithd -c "$conf" --trial 1m
    [[ $output == *"already running as pid $(daemon_pid)"*"to keep it: portsmithd;"*"portsmithctl release"* ]]
    on server portsmithd -c "$conf" 3>&-
    note_daemon
    run -1 on server portsmithd -c "$conf"
    [[ $output == *"already running as pid $(daemon_pid)"* ]]
    run -1 on server portsmithd -c "$conf" --trial 1m
    [[ $output == *"already running as pid $(daemon_pid)"*"nothing to try"*"portsmithctl release"* ]]
    is_kept
}

# A marker that is left over must not end a daemon that is for good.
@test "one that runs for good is not taken for one on trial" {
    start_daemon
    echo "$(cat /proc/sys/kernel/random/boot_id) 1" >"$marker"
    chmod 600 "$marker"
    run -1 on server portsmithd -c "$conf"
    [[ $output == *"already running as pid $(daemon_pid)"* ]]
    on server kill -0 "$(daemon_pid)"
}

# ---- staying on trial ------------------------------------------------------

@test "a reload keeps the deadline, and shuts what the new configuration says" {
    local before

    start_trial 10m
    before=$(end_rules)
    sed -i "s/^Shut = .*/&,tcp\/23/" "$conf"
    reload_daemon
    port_is_shut "$server" 23
    [ "$(end_rules)" = "$before" ]
    echo "ShutWith = reset" >>"$conf"
    on server portsmithctl -c "$conf" reload
    [ "$(tcp_answer "$server" 23)" = reset ]
    [ "$(end_rules | wc -l)" -eq "$(wc -l <<<"$before")" ]
    [ "$(end_rules)" = "$before" ]
    [[ $(on server portsmithctl -c "$conf" status) == *"on trial"* ]]
}

@test "helper and sniffer are killed: it stays on trial, with its deadline" {
    local before name

    start_trial 10m
    before=$(end_rules)
    for name in portsmith-helpe portsmith-sniff; do
        own_log
        kill_all "$(process_named "$name")"
        wait_for_log "ready: .* on trial, for"
        [ "$(end_rules)" = "$before" ]
    done
}

rule_is_back() { # RULES
    [ "$(end_rules)" = "$1" ]
}

# bats test_tags=iptables
@test "another program removes the rule by which the kernel ends it: it is put back" {
    local before

    [ "$BACKEND" != nftables ] || skip "nobody can take its rules away"
    configure "ShutWith = reset"
    start_trial 10m
    before=$(end_rules)
    xtables -t mangle -D portsmith 1
    wait_until 10 rule_is_back "$before"
    xtables -D portsmith 1
    wait_until 10 rule_is_back "$before"
}

# ---- the next boot ---------------------------------------------------------

is_refused() {
    own_log
    run -78 on server timeout 60 portsmithd -c "$conf" "$@"
    [[ $output == *"a trial has ended without being kept"*"portsmithd --trial 15m"*"remove $marker"* ]]
    [ -e "$marker" ] || [ -L "$marker" ]
    all_is_undone
}

@test "the host was started anew in the middle of it: starts are refused until it is tried again, or the marker is gone" {
    start_trial 10m
    kill_daemon
    on server portsmithd --release # as the boot of a container leaves it
    is_refused -f
    printf '%s %s\n' 0a1b2c3d-edec-43ca-b57e-ed1b90906383 "$(daemon_pid)" >"$marker"
    chmod 600 "$marker"
    is_refused -f
    is_refused # in the background it says so in the log and to whoever started it
    start_trial_in_background 10m
    on server portsmithd -c "$conf" 3>&-
    note_daemon
    is_kept
    kill_daemon
    on server portsmithd --release
    for break in "echo garbled >$marker" "ln -s nowhere $marker" "mkdir $marker"; do
        bash -c "umask 077; $break"
        is_refused -f
        rm -r "$marker"
    done
    start_daemon
    is_kept
}

@test "a release ends it, by whomever, and does not keep it: the next boot shuts nothing" {
    start_trial 10m
    run -0 on server portsmithctl -c "$conf" release
    [ "$output" = "portsmithd does not run, and shuts no port any more" ]
    wait_until 5 process_is_gone "$(daemon_pid)"
    [ -e "$marker" ]
    all_is_undone
    for release in "portsmithctl release" "portsmithd --release"; do
        start_trial 10m
        kill_daemon
        # shellcheck disable=SC2086 # words are words
        on server $release
        [ -e "$marker" ]
        all_is_undone
    done
}

# ---- what it says ----------------------------------------------------------

@test "it says what is shut, until when, and how to keep it; so does status, until it is kept" {
    local left

    rm -rf /var/lib/portsmith # it makes what is missing
    start_trial_in_background 15m
    [[ $output == "On trial until "*": tcp/22"$'\n'*"Then keep it: portsmithd"$'\n'* ]]
    [ "$(stat -c %a "$marker")" = 600 ]
    [[ $(on server portsmithctl status) =~ "on trial      "1[45]" min "[0-9]+" s left, then nothing is shut any more; to keep it: portsmithd" ]]
    left=$(on server portsmithctl --json status | sed -n 's/.*"trial_seconds_left": \([0-9]*\),/\1/p')
    [ "$left" -gt 800 ]
    [ "$left" -le 900 ]
    run on server portsmithctl doctor
    [[ $output == *"note: what it shuts is on trial: in "*"then keep it: portsmithd"* ]]
    on server portsmithd -c "$conf" 3>&-
    note_daemon
    [[ $(on server portsmithctl status) != *trial* ]]
    [[ $(on server portsmithctl --json status) == *'"trial_seconds_left": null'* ]]
}

@test "what cannot be tried is refused, and nothing is shut" {
    local span

    for span in 9s 25h 0 -5m 15x ""; do
        run -2 on server portsmithd -c "$conf" --trial "$span"
        [[ $output == *"--trial: expected a time span from 10s to 24h, such as 15m"* ]]
    done
    mkdir -p "$lab/set-aside" && mv /etc/portsmith.d/*.conf "$lab/set-aside"
    run -78 on server portsmithd -c "$conf" --trial 1m
    mv "$lab"/set-aside/*.conf /etc/portsmith.d/
    [[ $output == *"there is no profile, so nobody could knock: add one first"* ]]
    sed -i "/^Shut/d" "$conf"
    run -78 on server portsmithd -c "$conf" --trial 1m
    [[ $output == *"shuts no port, so there is nothing to try"* ]]
    [ ! -e "$marker" ]
    all_is_undone
}
