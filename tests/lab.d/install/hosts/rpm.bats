#!/usr/bin/env bats
# The server's RPM, whose scripts are to do what those of the .deb do. The host is a Debian, with a
# database of RPMs: what the package requires has other names there. Each test goes on where the
# one before ended.
# Once: a Debian is installed, and what is tried there the lab tests try in each combination.
# bats file_tags=once
# shellcheck disable=SC2154 # bats, lab.bash and tree.bash set the variables

bats_require_minimum_version 1.5.0
. "$top/tests/lib/hosts.bash"

setup_file() {
    plain_setup
}

teardown_file() {
    plain_teardown
}

server() { # COMMAND...
    in_tree server "$@"
}

rpm_there() { # OPTION of rpm...
    server true # which mounts /proc
    on server rpm --root "$(root_of server)" --nodeps "$@"
}

@test "installed, it has its users, and runs once somebody starts it" {
    rpm_there -i "$packaged"/portsmith-0*.rpm
    has_its_users
    run ! process_named portsmithd
    server portsmith-profile init --shut tcp/22
    let_client_in
    server portsmithd
    knock_and_get_in
}

@test "an upgrade starts it anew, and leaves open what is open" {
    local before

    before=$(daemon_number)
    cpack --config "$packaged/CPackConfig.cmake" -G RPM -B "$lab/newer" -D CPACK_RPM_PACKAGE_RELEASE=2
    rpm_there -U "$lab/newer"/portsmith-0*-2.*.rpm
    [ "$(daemon_number)" != "$before" ]
    is_in_and_nobody_else
    server portsmithctl close ssh
    knock_and_get_in
}

@test "erased while it runs, it runs no more and has no rules" {
    rpm_there -e portsmith
    daemon_is_gone
    server_has_no_rules
    port_is_open 10.77.0.1 22 10.77.0.3
    [ -s "$(root_of server)/etc/portsmith.conf" ]
}

# rpm goes on where a script of this kind fails, and does not count it.
@test "where its programs do not start, installing it says so" {
    mv "$(root_of server)"/usr/lib/*/libjansson.so.4 "$lab/"
    run -0 rpm_there -i "$packaged"/portsmith-0*.rpm
    [[ $output == *libjansson.so.4*"its programs do not start here: build the package on this system"* ]]
}
