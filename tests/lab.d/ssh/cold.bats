#!/usr/bin/env bats
# Done means: ssh is in on the first try, from a cold start, each time.
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/ssh.bash"

times=20
[ "$FAMILY" = 4 ] || times=10
[ "${LONG:-no}" = no ] || times=200

setup_file() {
    ssh_setup "Shut = tcp/22"
}

teardown_file() {
    lab_teardown
}

setup() {
    own_log
}

teardown() {
    common_teardown
}

@test "ssh is in at the first try, $times times, each from a shut port" {
    config_for pass
    logs_in_from_shut_ports bastion "$times" 50
}
