#!/usr/bin/env bats
# OpenSSH through the proxy, with the lines that the manual page shows.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031,SC2119 # proxy.bash and bats set the variables

. "$top/tests/lib/proxy.bash"

setup_file() {
    lab_setup
    name_hosts
    mkdir -p /run/sshd "$lab/sshd"
    start_sshd
    configure
    add_profile door --open tcp/22 --window 2s
    start_daemon
    start_proxy
}

teardown_file() {
    stop_proxy
    lab_teardown
}

setup() {
    common_setup
}

teardown() {
    common_teardown
    proxy_is_well
}

# The lab's own, with keys of its own, and with an account whose home is empty.
start_sshd() {
    useradd --home-dir "$lab/visitor" --shell /bin/sh --password '*' visitor
    install -d -o visitor "$lab/visitor"
    ssh-keygen -q -t ed25519 -N "" -f "$lab/sshd/host"
    install -d -o "$client_user" -m 700 "$lab/home/.ssh"
    as_client ssh-keygen -q -t ed25519 -N "" -f "$lab/home/.ssh/key"
    cp "$lab/home/.ssh/key.pub" "$lab/sshd/authorized_keys"
    cat >"$lab/sshd/config" <<ENDCONF
HostKey $lab/sshd/host
AuthorizedKeysFile $lab/sshd/authorized_keys
StrictModes no
UsePAM no
PidFile none
ENDCONF
    spawn server "$lab/log/sshd.log" /usr/sbin/sshd -D -e -f "$lab/sshd/config"
    wait_until 5 host_listens server tcp 22
}

ssh_to() { # COMMAND...
    as_client timeout 120 ssh -F /dev/null -i "$lab/home/.ssh/key" -o BatchMode=yes \
        -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
        -o "ProxyCommand nc -X 5 -x 127.0.0.1:1080 %h %p" visitor@door.example.net "$@"
}

@test "ssh through nc -X 5, from a shut port" {
    [ "$(tcp_answer "$server" 22)" = silent ]
    [ "$(ssh_to echo through)" = through ]
}

@test "three megabytes through ssh, both ways" {
    head -c 3000000 /dev/urandom >"$lab/large"
    ssh_to cat <"$lab/large" >"$lab/back"
    cmp "$lab/back" "$lab/large"
}
