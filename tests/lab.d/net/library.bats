#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# Programs of others, which knock by libportsmith. As it is installed: a program that is built
# without sanitizers cannot load a library that is built with them.
# bats file_tags=any,installed
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

give_bundle() { # PROFILE
    install -o "$client_user" -m 600 "$lab/$1.bundle" "$keys/"
}

setup_file() {
    lab_setup
    start_listener 22
    configure
    add_profile ssh --open tcp/22 --window 1m
    export keys=$lab/ssh-keys
    install -d -o "$client_user" "$keys"
    give_bundle ssh
    libraries=$(dirname "$(find /run/lab/stage/lib* -name libportsmith.so.0)")
    export libraries
    start_daemon
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    has_no_grant "$client"
    port_is_shut "$server" 22
}

teardown() {
    common_teardown
}

with_library() { # COMMAND...
    as_client env LD_LIBRARY_PATH="$libraries" "$@"
}

in_python() { # ARGUMENT of library.py...
    with_library python3 "$top/tests/tools/library.py" "$@"
}

opens_for_client() { # PROFILE
    wait_for_log "$1: opened tcp/22 for $client "
    port_is_open "$server" 22
}

@test "a Python program knocks by a bundle, and closes" {
    in_python open "$keys/state" "$keys/ssh.bundle"
    opens_for_client ssh
    in_python close "$keys/state" "$keys/ssh.bundle"
    wait_for_log "ssh: closed"
    port_is_shut "$server" 22
    own_log
    in_python open "$keys/state" "$keys/ssh.bundle"
    opens_for_client ssh
}

@test "a Python program signs by a key of its own" {
    in_python key "$keys/own" >"$lab/own.line"
    and_reload on server portsmith-profile -c "$conf" add own --ssh-key "$(cat "$lab/own.line")" --open tcp/22 \
        --host "$server" --output "$lab/own.bundle"
    give_bundle own
    run ! in_python open "$keys/state" "$keys/own.bundle"
    [[ $output == *"portsmith_sign wants a function"* ]]
    in_python open "$keys/state" "$keys/own.bundle" "$keys/own"
    opens_for_client own
}

@test "another key than the profile's signs nothing" {
    in_python key "$keys/another" >/dev/null
    run ! in_python open "$keys/state" "$keys/own.bundle" "$keys/another"
    [[ $output == *"has not signed by the key of SSHKey"* ]]
}

# As portsmith(3) has it, word for word.
compile_example() {
    sed -n '/^\.Sh EXAMPLES/,/^\.Ed/p' "$top/man/portsmith.3" | sed '1,/^\.Bd/d; /^\.Ed/d; s/\\e/\\/g' \
        >"$BATS_TEST_TMPDIR/knock.c"
    # shellcheck disable=SC2046 # words
    cc -Wall -Wextra -Werror -o "$lab/knock-example" "$BATS_TEST_TMPDIR/knock.c" \
        $(PKG_CONFIG_PATH=$libraries/pkgconfig pkg-config --cflags --libs libportsmith)
}

@test "the manual's example is compiled and knocks" {
    local home=$lab/home/.config/portsmith

    compile_example
    with_library "$lab/knock-example" "$keys/state" "$home/ssh.conf" tcp/22
    opens_for_client ssh
    run ! with_library "$lab/knock-example" "$keys/state" "$home/missing.conf" tcp/22
    [[ $output == *missing.conf* ]]
    run ! with_library "$lab/knock-example" "$keys/state" "$home/ssh.conf" ssh
    [[ $output == *"'ssh'"* ]]
}

@test "portsmith-knock and a program that has its key and its directory go on from one counter" {
    knock_opens ssh
    in_python close "$lab/home/.local/state/portsmith" "$keys/ssh.bundle"
    wait_for_log "ssh: closed"
    knock_opens ssh
}
