#!/usr/bin/env bats
# Processes killed at random instants while knocks go on; which and when follows from
# FAULTS_SEED.
# Once: it kills for a minute; the other back end is for tests/run platforms.
# bats file_tags=once:nft
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/drills.bash"

crowd=(ann ben cleo dan eve flo gus hal)

setup_file() {
    local name

    lab_setup
    route_crowd
    start_listener 22
    configure
    add_profile honest --open tcp/22 --window 2s
    for name in "${crowd[@]}"; do
        add_profile "$name" --open tcp/22 --window 2s --max-grants 200
    done
    add_profile ivy --open tcp/22 --window 2s --max-grants 200 --connections 2
}

teardown_file() {
    lab_teardown
}

@test "whatever is killed at whatever instant: no replay opens, no door stays open, the next knock works" {
    run on client "$top/tests/tools/kills.py" "$FAULTS_SEED" "$kill_seconds" "$most_kills" 2 \
        honest "${crowd[@]}" ivy
    echo "# $output" >&3
    [ "$status" -eq 0 ] || {
        echo "$output"
        tail -n 60 "$lab/log/portsmithd.log"
        false
    }
}
