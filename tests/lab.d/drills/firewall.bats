#!/usr/bin/env bats
# What other programs do to the firewall while grants live, and an iptables that
# fails, hangs or is killed half way.
# bats file_tags=backend,iptables
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/drills.bash"

setup_file() {
    lab_setup
    start_listener 22
    configure
    add_fence
    add_profile ssh --open tcp/22 --window 1m
    add_profile short --open tcp/22 --window 4s
}

teardown_file() {
    lab_teardown
}

setup() {
    start_daemon
    common_setup
}

teardown() {
    drill_teardown
    process_is_gone "$(daemon_pid)" || in_daemon_mounts umount -q "$(program)" || true
    kill_daemon
    forget_grants
}

# ---- rules removed ---------------------------------------------------------

# What the design promises, in milliseconds.
promised() {
    [ "$BACKEND" = nft ] && echo 1000 || echo 2000
}

# Whatever the command does to the rules is mended in time, live grants and all.
heals_after() { # COMMAND...
    local slack

    knock_opens ssh
    slack=$(slack 3000)
    begin_timing
    "$@"
    wait_until 15 is_whole
    took_at_most $(($(promised) + slack))
    tell "$BACKEND, IPv$FAMILY: healed $(($(now_ms) - timed_from)) ms after: $*"
    port_is_open "$server" 22
    port_is_shut "$server" 22 "$other"
    wait_for_log "putting them back"
}

flush_all() {
    xtables -t filter -F
    xtables -t mangle -F
}

restore_foreign() {
    local six=""

    [ "$FAMILY" = 4 ] || six=6
    on server "ip${six}tables-$XTABLES-restore" -w 5 <<'RULES'
*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp --dport 9999 -j MARK --set-mark 7
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -p tcp --dport 9999 -j DROP
COMMIT
RULES
}

@test "iptables -F: healed within a second with nft, two with legacy, live grants kept" {
    heals_after flush_all
}

@test "another ruleset restored: healed within a second with nft, two with legacy, live grants kept" {
    heals_after restore_foreign
    chain filter INPUT | grep -e "--dport 9999"
}

# bats test_tags=nft,once
@test "nft flush ruleset: healed within a second, live grants kept" {
    [ "$BACKEND" = nft ] || skip "iptables-legacy does not know nft"
    heals_after on server nft flush ruleset
}

# ---- again and again -------------------------------------------------------

# A value of the status, as JSON has it.
status_says() { # KEY VALUE
    on server portsmithctl --json status | grep -q -E "\"$1\": $2,?\$"
}

# In a loop, as fast as it goes, until $remover is ended.
keep_removing() {
    export -f on remove_rules
    export lab
    spawn server "$lab/log/remover" bash -c 'on() { "${@:2}"; }
        while sleep 0.02; do remove_rules; done'
    remover=$spawned
}

@test "rules are removed in a loop: nothing says that they are in force, and when it ends they are" {
    keep_removing
    wait_for_log "another program keeps removing Portsmith's rules" 20
    wait_until 10 status_says in_force false
    wait_until 10 eval 'on server portsmithctl status | grep "^rules *NOT IN FORCE: "'
    wait_until 10 eval 'on server portsmithctl status | grep "^shut ports *tcp/22 (NOT IN FORCE)$"'
    wait_until 10 eval 'on server portsmithctl doctor | grep "its rules are not in force"'
    end_process TERM "$remover"
    wait_until 5 is_in_place
    port_is_shut "$server" 22
    wait_until 5 status_says in_force true
    status_says contested true
    wait_for_log "nobody has removed Portsmith's rules for 60 s; .* put back [0-9]+ times" 70
    status_says contested false
    status_says in_force true
    wait_until 5 log_counts "keeps removing Portsmith's rules" 1
    wait_until 5 log_counts "putting them back" 3
}

# Whoever is started again is started soon, as nobody else puts them back.
@test "rules are removed while the helper keeps dying: back within 2 s and the start" {
    local began

    for _ in {1..5}; do
        began=$(log_count " ready: ")
        kill_all "$(helper_pid)"
        wait_until 10 log_count_exceeds " ready: " "$began"
    done
    start_prober
    kill_all "$(helper_pid)"
    remove_rules
    wait_until 10 is_in_place
    port_is_shut "$server" 22 "$other"
    stop_prober
    was_open_for_at_most 3000
    log_has "starting again in 2 s"
}

# ---- the lock --------------------------------------------------------------

# Whoever does not look at the lock can do that.
remove_unlocked() {
    local six=""

    [ "$FAMILY" = 4 ] || six=6
    on server env XTABLES_LOCKFILE="$lab/other.lock" "ip${six}tables-legacy" -t mangle -F
}

# bats test_tags=legacy,once
@test "rules are removed while the xtables lock is held: that is not known, and mended at once when it is let go" {
    [ "$BACKEND" = legacy ] || skip "iptables-nft has no lock"
    local slack

    slack=$(slack 3000)
    spawn server "$lab/log/lock" bash -c 'exec 9>/run/xtables.lock; flock 9; exec sleep 60'
    wait_until 5 lock_is_held
    remove_unlocked
    port_is_open "$server" 22 "$other"
    wait_until 30 status_says in_force null
    on server portsmithctl status | grep "^rules *NOT KNOWN to be in force: "
    lock_is_held
    end_process TERM "$spawned"
    begin_timing
    wait_until 10 is_in_place
    took_at_most $((2000 + slack))
    port_is_shut "$server" 22 "$other"
    wait_until 5 status_says in_force true
    log_has "whether Portsmith's rules are in force cannot be seen, .* xtables lock"
}

# bats test_tags=legacy,once
@test "the xtables lock held for 8 s: retried, reported open only then, and an end is not skipped" {
    [ "$BACKEND" = legacy ] || skip "iptables-nft has no lock"
    local start

    knock_opens short --address "$other"
    start=$(now_ms)
    spawn server "$lab/log/lock" flock /run/xtables.lock sleep 8
    wait_until 5 lock_is_held
    knock ssh
    while lock_is_held; do
        ! opened_for "$client" || { lock_is_held && false; }
        [ $(($(now_ms) - start)) -lt 4000 ] || port_is_shut "$server" 22 "$other"
        port_is_shut "$server" 22 || { lock_is_held && false; }
    done
    wait_until 20 opened_for "$client"
    port_is_open "$server" 22
    wait_until 10 has_no_grant "$other"
}

# ---- an iptables that goes wrong -------------------------------------------

program() { # the binary behind all the names
    readlink -f "/usr/sbin/iptables-$XTABLES-restore"
}

@test "iptables hangs: ended and run again; nothing is reported open that is not, no door outlives its window" {
    local start hung

    knock_opens short
    start=$(now_ms)
    hung=$(restore_pid)
    freeze "$hung"
    knock ssh --address "$other"
    shuts_in_time 4 "$start"
    ! opened_for "$other" || process_is_gone "$hung"
    port_is_shut "$server" 22 "$other" || process_is_gone "$hung"
    wait_until 30 opened_for "$other"
    process_is_gone "$hung"
    port_is_open "$server" 22 "$other"
    wait_until 5 has_no_grant "$client"
}

@test "iptables is killed with a transaction on its way: done anew, and then reported" {
    local hung

    hung=$(restore_pid)
    freeze "$hung"
    knock ssh
    never_in_ms 300 opened_for "$client"
    has_no_grant "$client"
    kill_all "$hung"
    wait_until 5 opened_for "$client"
    is_whole
    port_is_open "$server" 22
}

# Each writes two tables: between the two a grant is in one of them.
@test "iptables is killed again and again in transactions: in the end all is as reported" {
    local i before

    RANDOM=$FAULTS_SEED
    tell "seed $FAULTS_SEED"
    add_profile many --open tcp/22 --window 10m --max-grants 200
    wait_for_log " reloaded"
    for i in {1..20}; do
        before=$(log_count "many: opened tcp/22 for")
        knock many --address "${client_prefix}$((i + 150))"
        sleep "0.00$((RANDOM % 5))" # not for an event: the moments of the kill are the point
        kill -KILL "$(restore_pid)" || true
        wait_until 10 log_count_exceeds "many: opened tcp/22 for" "$before"
        [ "$(rules | grep -c -e '--dport 22 .*--datestop')" -eq $((2 * (before + 1))) ]
    done
    ! log_has "refused" || false
}

# By now. One that finds no helper may be lost.
knocks_are_heard() { # NAME ARGUMENT...
    LAB_PATIENCE=1 knock_opens "$@"
}

break_iptables() {
    in_daemon_mounts mount --bind /bin/false "$(program)"
    kill_all "$(restore_pid)"
}

# The helper refuses the knock; or, where it may run nothing but the program that was
# there when it started, it ends, and is started again until that works.
@test "iptables fails: nothing opens, the log says why, an end is kept, and mended it works again" {
    local start

    knock_opens short
    start=$(now_ms)
    break_iptables
    knock ssh --address "$other"
    wait_for_log "tables-$XTABLES-restore (refused|may not be run)" 10
    shuts_in_time 4 "$start"
    ! opened_for "$other" || false
    port_is_shut "$server" 22 "$other"
    in_daemon_mounts umount "$(program)"
    wait_until 40 knocks_are_heard ssh --address "$other"
    port_is_open "$server" 22 "$other"
    wait_until 20 has_no_grant "$client"
}

@test "iptables fails at the start: it does not start, ports stay shut" {
    kill_daemon
    run timeout 60 ip netns exec server sh -c "
        mount --bind /bin/false $(program) && exec portsmithd -c $conf -f"
    [ "$status" -eq 1 ] || [ "$status" -eq 78 ]
    [[ $output == *"tables-$XTABLES-restore"* ]]
    port_is_shut "$server" 22
    start_daemon
    knock_opens ssh
}
