#!/usr/bin/env bats
# -DPORTSMITH_SERVER=OFF, where pkg-config sees nothing that only the server needs.
# Once: programs on their own; nothing is sent to a daemon.
# bats file_tags=once
# shellcheck disable=SC2154 # lab.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/lab.bash"

libraries=(libsodium jansson libuv)

# As linked and installed it is the same; not optimised, it takes half as long.
install_client() { # PREFIX OPTION of cmake...
    local build=$BATS_FILE_TMPDIR/build-${1##*/}

    cmake -S "$top" -B "$build" -DCMAKE_INSTALL_PREFIX="$1" -DPORTSMITH_SERVER=OFF \
        -DPORTSMITH_WERROR=ON -DCMAKE_BUILD_TYPE=Debug "${@:2}" &&
        cmake --build "$build" --parallel "$(nproc)" && cmake --install "$build"
}

setup_file() {
    export prefix=$lab/client-only
    export PKG_CONFIG_LIBDIR=$BATS_FILE_TMPDIR/pkgconfig
    local library

    mkdir "$PKG_CONFIG_LIBDIR"
    for library in "${libraries[@]}"; do
        cp "$(env -u PKG_CONFIG_LIBDIR pkg-config --variable=pcfiledir "$library")/$library.pc" \
            "$PKG_CONFIG_LIBDIR"
    done
    install_client "$prefix"
    lab_setup
    start_listener 22
    configure "Shut = tcp/22"
    start_daemon
    and_reload add_profile laptop --open tcp/22
}

# The lab's /etc is as it was before, for the tests that make the user themselves.
teardown_file() {
    lab_teardown
    rm -rf "$conf" /etc/portsmith.d
    userdel portsmith
    userdel portsmith-witness
}

needed() { # PROGRAM
    readelf --dynamic --wide "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

@test "what only the server needs is not there to be found" {
    for library in libpcap libcap-ng libseccomp libqrencode; do
        run ! pkg-config --exists "$library"
    done
    run ! cmake -S "$top" -B "$BATS_TEST_TMPDIR/whole"
    [[ $output == *libpcap* ]]
}

@test "the client is installed, with all that goes with it, and nothing else" {
    diff <(cd "$prefix" && find . -type f | sed 's:^\./lib/[^/]*-linux-[^/]*/:./lib/:' | LC_ALL=C sort) - <<'END'
./bin/portsmith-knock
./bin/portsmith-proxy
./include/portsmith.h
./lib/libportsmith.so.0.2.0
./lib/pkgconfig/libportsmith.pc
./lib/systemd/user/portsmith-proxy.service
./share/bash-completion/completions/portsmith-knock
./share/bash-completion/completions/portsmith-proxy
./share/fish/vendor_completions.d/portsmith-knock.fish
./share/fish/vendor_completions.d/portsmith-proxy.fish
./share/man/man1/portsmith-knock.1
./share/man/man1/portsmith-proxy.1
./share/man/man3/portsmith.3
./share/man/man5/portsmith-servers.5
./share/man/man7/portsmith-protocol.7
./share/zsh/site-functions/_portsmith-knock
./share/zsh/site-functions/_portsmith-proxy
END
}

@test "its programs need nothing that only the server needs" {
    for program in "$prefix"/bin/*; do
        [ -n "$(needed "$program")" ]
        run ! grep -E 'pcap|cap-ng|seccomp' <(needed "$program")
    done
}

knock_opens_by() { # PROGRAM
    on server portsmithctl close --all
    wait_until 5 port_is_shut "$server" 22
    as_client "$1" laptop
    wait_until 5 port_is_open "$server" 22
}

@test "its knock opens a port" {
    knock_opens_by "$prefix/bin/portsmith-knock"
}

@test "the client that knows POSIX alone, as on other systems, opens a port and says what it lacks" {
    install_client "$lab/posix" -DPORTSMITH_LINUX=OFF
    knock_opens_by "$lab/posix/bin/portsmith-knock"
    as_client "$lab/posix/bin/portsmith-knock" --wait laptop tcp/22
    for transport in tcp-syn icmp; do
        run as_client "$lab/posix/bin/portsmith-knock" --transport "$transport" laptop
        [ "$status" -ne 0 ]
        [[ $output == *"the transport $transport: only the client for Linux has it; knock by udp"* ]]
    done
}

@test "the tests want the server, too" {
    run ! cmake -S "$top" -B "$BATS_TEST_TMPDIR/tests" -DPORTSMITH_SERVER=OFF -DPORTSMITH_TESTS=ON
    [[ $output == *"PORTSMITH_TESTS and PORTSMITH_FUZZ need PORTSMITH_SERVER=ON"* ]]
}
