#!/usr/bin/env bats
# README's way from a clean server to one that keeps its ports shut, and back, line by
# line: after `#` as root on the server, in the ssh session in which a newcomer begins;
# after `$` as a user of the laptop. Both are a Debian of their own, the server with
# systemd. The laptop reaches the server by ssh and by knocking; the server does not reach
# the laptop. After each line that first session still answers, and there is a way back in.
# Once: a Debian is installed, and what is tried there the lab tests try in each combination.
# bats file_tags=once
# shellcheck disable=SC2154 # bats, lab.bash and tree.bash set the variables

bats_require_minimum_version 1.5.0
. "$top/tests/lib/hosts.bash"
. "$top/tests/lib/documents.bash"

address=10.77.0.1 stranger=10.77.0.3
laptop_root=$(root_of client)
root_is=in_first_session
clipboard=$lab/clipboard # what the reader copies from one host to the other

setup_file() {
    systemd_setup
    mkdir -p "$lab/shown"
    plant_tree server
    plant_tree client
    meet
    boot server
    start_listener 8080
    inventory >"$lab/before"
    open_first_session
}

teardown_file() {
    halt_host
    lab_teardown
    uproot_trees
}

server() { # COMMAND...
    in_host "$@"
}

# ---- the two hosts ---------------------------------------------------------

# Somebody, who has an account on both, may use sudo, and has the packages at hand. What
# a newcomer knows of the server, ssh knows: its name and key.
meet() {
    local root

    for root in "$(root_of server)" "$laptop_root"; do
        chroot "$root" useradd --create-home --shell /bin/sh --password '*' me
        echo "me ALL = (ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/me"
        printf '%s\n' "$address server.example.net" "127.0.1.1 $(uname -n)" >>"$root/etc/hosts"
        install -d -m 700 "$root/home/me/.ssh"
    done
    printf '%s\n' "StrictHostKeyChecking no" "LogLevel ERROR" "BatchMode yes" "ConnectTimeout 10" \
        >"$laptop_root/etc/ssh/ssh_config.d/lab.conf"
    ssh-keygen -q -t ed25519 -N "" -f "$laptop_root/home/me/.ssh/id_ed25519"
    cp "$laptop_root/home/me/.ssh/id_ed25519.pub" "$(root_of server)/home/me/.ssh/authorized_keys"
    mv "$laptop_root"/root/*.deb "$laptop_root/home/me/"
    rm "$(root_of server)"/root/*.deb
    for root in "$(root_of server)" "$laptop_root"; do
        chroot "$root" chown -R me /home/me
    done
    let_only_answers_in
}

let_only_answers_in() {
    on client sh -c 'iptables -A INPUT -i lo -j ACCEPT
        iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
        iptables -P INPUT DROP && ip6tables -P INPUT DROP'
}

on_laptop() { # COMMAND, as a shell takes it
    in_tree client timeout 120 setpriv --reuid me --regid me --init-groups sh -c "export HOME=/home/me; cd; $1"
}

# One connection, over which goes all that is done on the server. It ends within a minute
# if it is cut in silence: what waits for it would wait for ever.
open_first_session() {
    on_laptop "ssh -M -S ~/.ssh/first -o ServerAliveInterval=20 -f -N server.example.net"
}

# Where that connection has ended, it is not made again.
in_first_session() { # COMMAND, as a shell takes it
    on_laptop "ssh -S ~/.ssh/first -o ProxyCommand=false server.example.net $(printf %q "$1")"
}

at_console() { # COMMAND, as a shell takes it
    server sh -c "$1"
}

# ---- after each line -------------------------------------------------------

first_session_answers() {
    [ "$(in_first_session "echo here" </dev/null)" = here ]
}

is_open_to_all() {
    port_is_open $address 22 $stranger && on_laptop "ssh server.example.net true" </dev/null
}

is_silent_to_strangers() {
    [ "$(tcp_answer $address 22 $stranger)" = silent ]
}

is_on_trial() {
    [[ $(server portsmithctl status) == *"on trial"* ]]
}

# What it opened is shut again, so that the next line does not live on it.
knock_lets_in() {
    local grants

    grants=$(server portsmithctl list)
    on_laptop "portsmith-knock home" </dev/null
    wait_until 10 on_laptop "ssh server.example.net true" </dev/null || return 1
    [[ $grants == *tcp/22* ]] || server portsmithctl close --all
}

tell_way_back() {
    if is_open_to_all; then
        echo "way back: the port is open"
    elif is_on_trial; then
        echo "way back: it is on trial"
    elif knock_lets_in; then
        echo "way back: a knock"
    else
        echo "no way back"
        return 1
    fi
}

# ---- the lines -------------------------------------------------------------

# `y` is what a newcomer answers to apt. KEY stands for what keygen printed.
run_line() { # LINE of extract
    local line=${1// KEY / $(sed -n 's/^Its public key: //p' "$clipboard") }

    case $line in
    '# '*) "$root_is" "sudo sh -c $(printf %q "${line#??}")" <<<y ;;
    '$ sudo '*) on_laptop "${line#??}" <<<y ;;
    '$ '*) on_laptop "${line#??}" </dev/null ;;
    'paste '*) on_laptop "cat >${line#* }" <"$clipboard" ;;
    'file '*' ~/.ssh/config') # shellcheck disable=SC2086 # words
        set -- $line
        on_laptop "cat >~/.ssh/config && ssh home true" <"$2"
        ;;
    *) return 1 ;;
    esac
}

# What is to have happened by then.
check_after() { # LINE
    case $1 in
    '# apt install'* | '# portsmith-profile '*) is_open_to_all ;;
    '$ portsmith-knock show'*) [[ $output == *"Host = server.example.net"* ]] ;;
    '# portsmithd --trial'*) is_silent_to_strangers && is_on_trial ;;
    '$ portsmith-knock --diagnose'*) [[ $output == *"ok: the server lets you in"* ]] ;;
    'file '*) is_silent_to_strangers ;;
    '# systemctl enable --now portsmithd') is_silent_to_strangers && ! is_on_trial ;;
    '# portsmith-firewall try'*) rest_is_shut && on_laptop "ssh home true" </dev/null ;;
    '# portsmith-firewall confirm') rest_is_shut && [[ $(server portsmith-firewall show) == *onfirmed* ]] ;;
    esac
}

rest_is_open() {
    port_is_open $address 8080 $stranger
}

rest_is_shut() {
    port_is_shut $address 8080 $stranger && is_silent_to_strangers
}

take() { # LINE
    echo "--- $1"
    run --separate-stderr run_line "$1"
    printf '%s\n' "$output" "$stderr"
    [ "$status" -eq 0 ]
    check_after "$1"
    case $1 in
    *keygen | *"profile add"*) echo "$output" >"$clipboard" ;;
    esac
    first_session_answers
    tell_way_back
}

take_section() { # PATTERN NUMBER of lines that it has at least
    local line count=0

    while IFS= read -r line <&4; do
        take "$line"
        count=$((count + 1))
    done 4< <(extract "$top/README.md" "$1")
    [ "$count" -ge "$2" ]
}

@test "README's Install, line by line: the port is shut, the session lives, there is a way back" {
    : >"$clipboard"
    take_section '^## Install$' 15
}

@test "Shut the rest: on trial, a second login, and kept" {
    take_section '^## Shut the rest$' 2
}

@test "Locked out?: both lines open everything, at the console" {
    root_is=at_console
    take_section '^## Locked out.$' 2
    is_open_to_all
    rest_is_open
}

@test "More, with everything shut again: the purge opens all and leaves nothing" {
    take '# systemctl enable --now portsmithd'
    take_section '^## Shut the rest$' 2
    take_section '^## More$' 1
    is_open_to_all
    rest_is_open
    rm "$(root_of server)"/home/me/*.deb # which is the reader's own copy
    has_nothing_of_ours
}
