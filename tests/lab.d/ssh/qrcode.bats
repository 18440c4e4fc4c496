#!/usr/bin/env bats
# An app that scans the QR code of portsmith-profile create --qr, makes its own key, and answers by one
# line: the client plays it, and what it reads is what zbarimg sees.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/ssh.bash"

setup_file() {
    ssh_setup "Shut = tcp/22"
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    rm -f "$home/.config/portsmith"/{bastion.conf,without.conf,identity}
    mkfifo "$BATS_TEST_TMPDIR/answer"
    shown=$BATS_TEST_TMPDIR/shown scanned=$BATS_TEST_TMPDIR/scanned
}

teardown() {
    exec {answer}>&-
    common_teardown
}

# Shows a code, and waits for the answer. Sets `waiting`, its pid.
show_code() { # NAME [OPTION of portsmith-profile create...]
    on server portsmith-profile -c "$conf" create "$1" --qr --open tcp/22 --host "$server" \
        --server bastion "${@:2}" <"$BATS_TEST_TMPDIR/answer" >"$shown" 2>"$shown.complaints" 3>&- &
    waiting=$!
    exec {answer}>"$BATS_TEST_TMPDIR/answer"
    wait_until 10 grep -q "^Scan this code" "$shown"
    "$top/tests/tools/qrcode.py" <"$shown" >"$scanned"
}

# What the client does is all that the app has to.
take_code() {
    as_client portsmith-knock import - < <(cat "$scanned") # a pipe, which nobody else can read
    as_client portsmith-knock keygen
    as_client portsmith-knock pubkey >&"$answer"
    wait "$waiting"
}

@test "an app that scans the code, and whose line comes back, is let in" {
    show_code phone
    run ! grep -e PrivateKey -e PresharedKey "$scanned"
    [ ! -e /etc/portsmith.d/phone.conf ]
    and_reload take_code
    port_is_shut "$server" 22
    config_for pass
    [ "$(as_client ssh bastion echo in)" = in ]
    wait_for_log "phone: opened tcp/22 for $client"
}

@test "with a pre-shared key in the code, knocks without that key open nothing" {
    show_code guarded --with-psk
    grep "warning: the code holds the pre-shared key" "$shown.complaints"
    and_reload take_code
    sed '/^PresharedKey/d' "$home/.config/portsmith/bastion.conf" |
        as_client tee "$home/.config/portsmith/without.conf" >/dev/null
    run -3 knock --wait --timeout 1s without tcp/22
    fence
    has_no_grant_but_fence
    knock --wait bastion tcp/22
    wait_for_log "guarded: opened tcp/22 for $client"
}
