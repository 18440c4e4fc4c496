#!/usr/bin/env bats
# Where marks and grants are kept: a disk that is full or read-only, power that fails, files
# that are removed or torn.
# Once: a mark is on the disk before any rule is made.
# bats file_tags=once:legacy
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/drills.bash"

run_files=/run/portsmith/helper

setup_file() {
    lab_setup
    start_listener 22
    mkdir -p "$lab/state"
    mount -t tmpfs -o size=64k,mode=700 tmpfs "$lab/state"
    mkdir -p "$run_files"
    mount -t tmpfs -o size=128k,mode=700 tmpfs "$run_files"
    configure "StateDirectory = $lab/state" "MaxGrants = 200"
    add_profile ssh --open tcp/22 --window 1m
    keep_configuration
}

teardown_file() {
    lab_teardown
    umount "$lab/state" "$run_files"
}

setup() {
    mount -o remount,rw "$lab/state"
    rm -f "$lab/state/filler" "$run_files/filler"
    start_daemon
    common_setup
}

teardown() {
    drill_teardown
    kill_daemon
    forget_grants
}

@test "the disk is full while a client knocks: refused with the reason, nothing opens; with room it does" {
    truncate -s 0 "$lab/state/marks" # else the page that is there already does
    head -c 1M /dev/zero >"$lab/state/filler" 2>/dev/null || true
    for _ in 1 2 3; do
        knock_until "ssh: refused for $client: its mark could not be stored" ssh
    done
    log_has "knocks are refused: .*No space left"
    has_no_grant "$client"
    port_is_shut "$server" 22
    rm "$lab/state/filler"
    knock_opens ssh
    port_is_open "$server" 22
}

# A file that is open for writing keeps its file system writable, so the helper
# that has it open must go first.
make_read_only() {
    local helper

    helper=$(helper_pid)
    freeze "$(daemon_pid)"
    kill_all "$helper"
    mount -o remount,ro "$lab/state"
    kill -CONT "$(daemon_pid)"
}

@test "the state directory becomes read-only: ports stay shut, the log says why; mended, it goes on by itself" {
    knock_bytes "$lab/lost" ssh
    make_read_only
    wait_for_log "Read-only file system"
    send_bytes "$lab/lost"
    wait_for_log "starting again in 2 s" 10
    has_no_grant "$client"
    port_is_shut "$server" 22
    own_log
    mount -o remount,rw "$lab/state"
    wait_for_log " ready: " 20
    knock_opens ssh
    port_is_open "$server" 22
}

# Of the machine before: the rules, and whatever is in /run.
forget_boot() {
    on server nft flush ruleset
    xtables -t mangle -F
    xtables -t mangle -X
    xtables -t filter -F
    xtables -t filter -X
    rm -f "$run_files/grants"
    find /run/portsmith -mindepth 1 -maxdepth 1 ! -name helper -exec rm -rf {} +
}

# Neither a deadline nor a look: its timer is not set, or for a second or more from now, as it always
# is with iptables-legacy.
helper_plans_nothing_soon() {
    grep -q -x -E 'it_value: \((0, 0|[1-9][0-9]*, [0-9]+)\)' "/proc/$(helper_pid)/fdinfo/"*
}

# The helper may look at its rules once the witness has heard of its own start, and would meet what is
# frozen before it meets the knock. The witness has heard of it when it tells of a knock, and the
# helper has heard the witness when it answers.
let_helper_rest() {
    knock_opens ssh
    knock_until "ssh: closed" --close ssh
    on server portsmithctl status
    wait_until 20 helper_plans_nothing_soon
}

@test "power fails between mark and rule: the knock is spent, the door shut, the next knock works" {
    let_helper_rest
    knock_bytes "$lab/interrupted" ssh
    freeze "$(restore_pid)"
    cp "$lab/state/marks" "$lab/marks.before"
    send_bytes "$lab/interrupted"
    wait_until 5 mark_is_stored
    kill_daemon
    has_no_grant "$client"
    forget_boot
    start_daemon
    port_is_shut "$server" 22
    send_until "ssh: refused for $client: already used" "$lab/interrupted"
    send_bytes "$lab/interrupted" "$other"
    knock_opens ssh --address "$other"
    has_no_grant "$client"
    port_is_shut "$server" 22
    port_is_open "$server" 22 "$other"
}

mark_is_stored() {
    ! cmp -s "$lab/state/marks" "$lab/marks.before"
}

# ---- the table of grants -----------------------------------------------------

@test "/run is full when a helper starts: all doors are shut, the log says why; with room it goes on" {
    knock_opens ssh
    port_is_open "$server" 22
    head -c 1M /dev/zero >"$run_files/filler" 2>/dev/null || true
    own_log
    kill_all "$(helper_pid)"
    wait_for_log "cannot make the table of grants: No space left"
    wait_for_log "starting again in 2 s" 10
    has_no_grant "$client"
    port_is_shut "$server" 22
    own_log
    rm "$run_files/filler"
    wait_for_log " ready: " 20
    log_has "took over 1 live grant"
    port_is_open "$server" 22
}

@test "the table of grants is removed: the helper ends, the next one has none, and goes on" {
    knock_opens ssh
    port_is_open "$server" 22
    own_log
    rm "$run_files/grants"
    on server portsmithctl -c "$conf" list || true # something to do
    wait_for_log "the table of grants was removed or replaced: starting again"
    wait_for_log " ready: " 20
    has_no_grant "$client"
    port_is_shut "$server" 22
    knock_opens ssh
    port_is_open "$server" 22
    [[ $(on server portsmithctl -c "$conf" list) == *"$client"* ]]
}

# As one that was being changed when its helper was killed: here a byte of the address.
tear_first_record() {
    local head=88 # struct granttable

    printf '\377' | dd of="$run_files/grants" bs=1 seek=$((head + 10)) conv=notrunc status=none
}

@test "a record is torn: its door is shut by the next helper, and no other" {
    knock_opens ssh
    knock_opens ssh --address "$other"
    port_is_open "$server" 22
    port_is_open "$server" 22 "$other"
    own_log
    freeze "$(daemon_pid)"
    kill_all "$(helper_pid)"
    tear_first_record
    kill -CONT "$(daemon_pid)"
    wait_for_log " ready: " 20
    log_has "took over 1 live grant"
    has_no_grant "$client"
    port_is_shut "$server" 22
    port_is_open "$server" 22 "$other"
    knock_opens ssh
    port_is_open "$server" 22
}
