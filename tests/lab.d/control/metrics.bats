#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# The file for node_exporter's textfile collector.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    metrics=$lab/metrics
    export metrics
    rm -rf "$metrics"
    mkdir "$metrics"
    configure "MetricsFile = $metrics/portsmith.prom"
    add_profile ssh --open tcp/22
    start_daemon
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
}

metric() { # NAME
    sed -n "s/^portsmith_$1 //p" "$metrics/portsmith.prom"
}

metric_is() { # NAME VALUE
    grep -q -x "portsmith_$1 $2" "$metrics/portsmith.prom"
}

@test "the daemon writes its counters once it serves, and again" {
    wait_until 5 metric_is up 1
    metric_is granted_knocks_total 0
    knock_until "ssh: opened tcp/22 for $client" ssh
    wait_until 20 metric_is granted_knocks_total 1
    knock_until "ssh: closed tcp/22" --close ssh
    [ "$(ls -A "$metrics")" = portsmith.prom ]
}

@test "live grants and refusals by reason are told, over a reload, too" {
    local denied

    denied=$(metric 'refusals_total{reason="service_denied"}')
    knock_until "ssh: (opened|extended) tcp/22 for $client" ssh
    knock_until "ssh: refused for $client: tcp/80 is not in this profile" ssh tcp/80
    wait_until 20 metric_is 'refusals_total{reason="service_denied"}' $((denied + 1))
    metric_is live_grants 1
    metric_is 'refusals_total{reason="ahead"}' 0
    reload_daemon
    knock_until "ssh: closed tcp/22" --close ssh
    wait_until 20 metric_is live_grants 0
    metric_is 'refusals_total{reason="service_denied"}' $((denied + 1))
}

# bats test_tags=nft
@test "whether the rules are in force is told" {
    local remover

    metric_is rules_in_force 1
    spawn server "$lab/log/remover" bash -c 'while sleep 0.02; do nft flush ruleset; done'
    remover=$spawned
    wait_until 50 metric_is rules_in_force 0
    end_process TERM "$remover"
    wait_until 20 metric_is rules_in_force 1
}

@test "a helper that does not answer is no word for it" {
    local helper

    helper=$(helper_pid)
    kill -STOP "$helper"
    wait_until 40 metric_is rules_in_force NaN
    kill -CONT "$helper"
    wait_until 20 metric_is rules_in_force 1
}

@test "a directory that cannot be written to is told once, and nothing else suffers" {
    mv "$metrics" "$metrics.away"
    reload_daemon
    wait_for_log "no metrics are written: $metrics/: No such file or directory"
    knock_until "ssh: (opened|extended) tcp/22 for $client" ssh
    mv "$metrics.away" "$metrics"
    reload_daemon
    wait_until 5 metric_is up 1
}

@test "a stop leaves word that nobody listens, and of what came last" {
    local denied

    denied=$(metric 'refusals_total{reason="service_denied"}')
    knock_until "ssh: (opened|extended) tcp/22 for $client" ssh
    knock_until "ssh: refused for $client: tcp/80 is not in this profile" ssh tcp/80
    stop_daemon
    metric_is up 0
    metric_is rules_in_force NaN
    metric_is live_grants 0
    metric_is 'refusals_total{reason="service_denied"}' $((denied + 1))
}

@test "another kind of file is refused" {
    configure "MetricsFile = /run/metrics.txt" || true
    run -78 on server portsmithd -t -c "$conf"
    [[ $output == *"MetricsFile"*".prom"* || $output == *"ends in .prom"* ]]
}
