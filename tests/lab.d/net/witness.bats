#!/usr/bin/env bats
# A hostile program that takes the witness's place in a whole daemon: see
# tests/tools/hostile-witness.c. It words nothing, so the log tells of no knock here: what is
# open is seen in the rules.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"
# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"

witness=$stage/libexec/portsmith/portsmith-witness

setup_file() {
    lab_setup
    start_listener 22
    mkfifo "$lab/witness"
    mount --bind "$build_directory/tests/tools/hostile-witness" "$witness"
    configure
    add_profile ssh --open tcp/22 --window 1m
    add_profile brief --open tcp/22 --window 4s
    add_profile two --open tcp/22 --window 1m --connections 2
    keep_configuration
}

teardown_file() {
    umount "$witness"
    lab_teardown
    rm -f "$lab/witness"
}

setup() {
    common_setup
    start_daemon
    wait_for_log "a hostile witness has begun"
}

teardown() {
    common_teardown
    stop_daemon
}

# Does not wait for what comes of it.
has_it() { # ACT [NUMBER]
    echo "$*" >"$lab/witness"
}

grants_are() { # ADDRESS COUNT: in both tables together
    [ "$(grant_count "$1")" -eq "$2" ]
}

# Of whoever, with a line in either table, or an element.
has_no_other_grant_than() { # ADDRESS...
    local address others

    others=$(rules | grep -E -e ' -s [^ ]+ .*--datestop|^-s ' || true)
    for address; do
        others=$(grep -v -F -e "-s $address/" <<<"$others" || true)
    done
    [ -z "$others" ] || { echo "there is: $others" && false; }
}

opens() { # NAME ADDRESS [OPTION...]
    knock --address "$2" "${@:3}" "$1" && wait_until 5 grants_are "$2" 2
}

# A grant that does not count connections lives through what the witness does.
lives_on() { # ADDRESS
    grants_are "$1" 2 && port_is_open "$server" 22 "$1" && has_no_other_grant_than "$1" "${@:2}"
}

@test "a grant that any number of connections may use is not for it to end" {
    opens ssh "$client"
    has_it ends
    wait_for_log "ends: [0-9]+ words were taken" 60
    lives_on "$client"
}

@test "a flood of words: a grant ends on time, and knocks are served" {
    opens ssh "$other"
    has_it words 15
    begin_timing
    knock --address "$client" brief
    wait_until 3 grants_are "$client" 2
    wait_until 5 has_no_grant "$client"
    took_at_most 7000
    [ $(($(now_ms) - timed_from)) -ge 3000 ] # the kernel counts whole seconds
    port_is_shut "$server" 22
    opens ssh "$client"
    log_lacks "words: [0-9]+ words were taken" # all that was in the flood
    wait_for_log "words: [0-9]+ words were taken" 30
    lives_on "$other" "$client"
}

# Each look writes to a standing iptables-restore: what is asked, for each family, and at most once
# more, so that nothing stays that has ended.
writes() { # of the helper, so far
    sed -n 's/^syscw: //p' "/proc/$(helper_pid)/io"
}

# bats test_tags=iptables
@test "told to look all the time, the helper looks once a second" {
    local before start written

    before=$(writes)
    start=$(now_ms)
    has_it looks 5
    wait_for_log "looks: [0-9]+ words were taken" 30
    written=$(($(writes) - before))
    echo "$written transactions"
    [ "$written" -ge 4 ]
    [ "$written" -le $((4 * (($(now_ms) - start) / 1000 + 2))) ]
}

# Whoever cannot count has no grant that counts; the helper hears no more of it.
@test "what is no word: grants that count connections end, others live on, and it is heard no more" {
    local variant

    for ((variant = 0; variant < 11; variant++)); do
        opens ssh "$client"
        opens two "$other"
        has_it unsound "$variant"
        wait_until 5 has_no_grant "$other"
        lives_on "$client"
        reload_daemon
        lives_on "$client"
    done
}

@test "a descriptor that it passes is not kept" {
    local before helper

    helper=$(helper_pid)
    before=$(readlink "/proc/$helper/fd"/* | sort)
    has_it descriptor
    opens ssh "$client"
    [ "$(readlink "/proc/$helper/fd"/* | sort)" = "$before" ]
    [ "$(helper_pid)" = "$helper" ]
}

@test "it reads nothing: the daemon serves knocks, is told to reload, and stops" {
    opens ssh "$client"
    reload_daemon
    opens ssh "$other"
    lives_on "$client" "$other"
}

@test "it does not end with the daemon: that goes on without it" {
    local old

    opens ssh "$client"
    has_it stay
    old=$(process_named portsmith-witne)
    kill -HUP "$(daemon_pid)"
    wait_for_log " reloaded" 30
    process_is_gone "$old"
    lives_on "$client"
}

cuts() {
    process_named portsmith-cut | wc -l
}

@test "a flood of questions: the supervisor answers, and asks one at a time" {
    local most=0 now

    opens two "$client"
    has_it questions 5
    on server portsmithctl list >"$lab/list"
    grep -q -F "$client" "$lab/list"
    while log_lacks "questions: [0-9]+ were taken"; do
        now=$(cuts)
        [ "$now" -le "$most" ] || most=$now
    done
    [ "$most" -le 1 ]
    opens ssh "$other"
    [ "$(daemon_log | wc -l)" -lt 100 ]
}

@test "what is no question: it is replaced, and grants live on" {
    opens ssh "$client"
    own_log
    has_it nonsense
    wait_for_log "a hostile witness has begun" 20
    wait_for_log " ready: "
    lives_on "$client"
}

@test "it writes nonsense into the file of uses, and cuts it: grants are listed, and the daemon goes on" {
    opens two "$client"
    has_it scribble
    wait_for_log "scribble: all is written over"
    on server portsmithctl list | grep -q -F "$client"
    on server portsmithctl list --json | jq . >/dev/null
    reload_daemon
    opens ssh "$other"
    on server portsmithctl list | grep -q -F "$other"
}

is_shut_in_rules() {
    chain mangle portsmith-shut | grep -q -e '-j DROP'
}

is_told_of() {
    on server portsmithctl --json status | jq -e '.in_force == false'
}

# bats test_tags=nft
@test "it keeps to itself that rules were removed: who asks for the status has them put back" {
    [ "$BACKEND" = nft ] || skip "with iptables-legacy the helper looks by itself"
    on server nft flush ruleset
    wait_until 10 is_told_of
    wait_until 5 is_shut_in_rules
}

@test "the kernel lets it do nothing else" {
    has_it powers
    wait_for_log "powers: all were tried" 20
    [ "$(log_count 'powers: .*: refused')" -eq 13 ]
    log_lacks "powers: .*: DONE"
}
