#!/usr/bin/env bats
# One server key on two hosts, as a copied disk leaves it: noted, and told of. Another
# machine id makes the lab's server another host.
# bats file_tags=any
# shellcheck disable=SC2154 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

note=/etc/portsmith.d/server.host
key=/etc/portsmith.d/server.key

setup_file() {
    lab_setup
    be_host a
    configure
    add_profile ssh --open tcp/22 --window 60s
}

teardown_file() {
    lab_teardown
}

setup() {
    be_host a
    rm -f "$note"
    on server portsmith-profile init
}

teardown() {
    [ -z "${mounted:-}" ] || umount "$mounted"
    [ ! -e "$lab/daemon.pid" ] || stop_daemon
}

# /etc is the lab's own. One digit makes a host of a name.
be_host() { # DIGIT
    head -c 32 /dev/zero | tr '\0' "$1" >/etc/machine-id
    echo >>/etc/machine-id
}

check_says() { # PATTERN
    run -0 on server portsmithd -t
    [[ $output == *"$1"* ]] || { echo "said: $output"; return 1; }
}

init_says() { # PATTERN
    run -0 on server portsmith-profile init
    [[ $output == *"$1"* ]] || { echo "said: $output"; return 1; }
}

is_content() {
    run -0 on server portsmithd -t
    [ -z "$output" ]
    run -0 on server portsmith-profile init
    [[ $output != *warning* ]]
    start_daemon
    ! log_has "server.key|server.host|another host" || { daemon_log; return 1; }
    run on server portsmithctl doctor
    [[ $output != *"$key"* ]]
    stop_daemon
}

@test "the host is noted beside the key, and its id does not stand there" {
    [ "$(stat -c %a "$note")" = 600 ]
    [[ $(<"$note") =~ ^[0-9a-f]{32}$ ]]
    run ! grep -q aaaa "$note"
    is_content
}

@test "another host with the key is told of by start, -t, init and doctor, and starts" {
    be_host b
    check_says "portsmithd: warning: $key is of another host"
    init_says "portsmith-profile: warning: $key is of another host"
    start_daemon
    log_has "$key is of another host, .*make this host a key of its own: rm $key; portsmith-profile init"
    knock_opens ssh
    run -4 on server portsmithctl doctor
    [[ $output == *"$key is of another host"* ]]
}

@test "the same host, installed anew, says so" {
    be_host b
    check_says "rm $note; portsmith-profile init"
    rm "$note"
    on server portsmith-profile init
    is_content
}

@test "a key of its own ends it" {
    local before

    be_host b
    before=$(<"$key")
    check_says "rm $key; portsmith-profile init"
    rm "$key"
    on server portsmith-profile init
    [ "$(<"$key")" != "$before" ]
    is_content
}

@test "a key from before there were notes gets its own at the first start" {
    rm "$note"
    run -0 on server portsmithd -t
    [ ! -e "$note" ]
    start_daemon
    [[ $(<"$note") =~ ^[0-9a-f]{32}$ ]]
    stop_daemon
    is_content
    be_host b
    check_says "of another host"
}

@test "where nothing can be written it starts, and says what is missing" {
    rm "$note"
    mount --bind /etc/portsmith.d /etc/portsmith.d
    mounted=/etc/portsmith.d
    mount -o remount,bind,ro /etc/portsmith.d
    start_daemon
    log_has "this host is not noted beside the server key, .*$note.*Read-only file system; .*portsmith-profile init"
    init_says "warning: this host is not noted beside the server key: $note"
    [ ! -e "$note" ]
}

@test "a host without a machine id notes nothing and says nothing" {
    rm -f "$note" /etc/machine-id
    is_content
    [ ! -e "$note" ]
    be_host a
    on server portsmith-profile init
    rm /etc/machine-id
    is_content
    echo uninitialized >/etc/machine-id
    is_content
}

@test "a note that is damaged, or that others can write, is told of" {
    echo "not a note" >"$note"
    check_says "is of another host"
    head -c 100 /dev/zero >"$note"
    check_says "which host the server key is of cannot be read: $note"
    rm "$note"
    on server portsmith-profile init
    chmod 666 "$note"
    check_says "$note: mode 0666 is too open; run: chmod go-w $note"
    rm "$note"
    is_content
}
