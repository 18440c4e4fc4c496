#!/usr/bin/env bats
# portsmith-knock --diagnose against a server, what it finds and what it does not.
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

counter=$lab/home/.local/state/portsmith/counter

setup_file() {
    lab_setup
    configure
    add_profile ssh --open tcp/22 --window 60s
    start_daemon
    start_listener 22
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
}

teardown() {
    on server portsmithctl close --all >/dev/null || true
    common_teardown
}

diagnoses() { # STATUS ARGUMENT of portsmith-knock...
    run --separate-stderr "-$1" knock --diagnose "${@:2}"
    [ -z "$stderr" ] || {
        echo "$stderr"
        return 1
    }
}

says() { # PATTERN of a whole line
    grep -q -x -E -e "$1" <<<"$output" || {
        echo "no line '$1' in:"
        echo "$output"
        return 1
    }
}

@test "where all is well each step is told, and there is no problem" {
    diagnoses 0 ssh tcp/22
    says "server    ok: $server port $knock_port, by udp"
    says "clock     (ok|note): $(date +%Y)-.*"
    says "name      ok: $server is an address"
    says "route     ok: $server, from $client"
    says "identity  ok: $lab/home/.config/portsmith/ssh.key"
    says "counter   ok: this is the first knock"
    says "before    ok: tcp/22 is shut: nothing answers"
    says "knock     ok: [0-9]+ bytes were sent by udp to $server"
    says "after     ok: the server lets you in"
    says "No problem was found\."
    [ "$(grep -c PROBLEM <<<"$output")" -eq 0 ]
    wait_for_log 'ssh: opened tcp/22'
    diagnoses 0 ssh tcp/22
    says "counter   ok: the last knock was [0-9]+ s ago"
    says "before    note: tcp/22 at $server is open without this knock, perhaps by an earlier one"
}

@test "a port that is open without a knock is found" {
    rm "$counter"
    xtables -t mangle -I PREROUTING -p tcp --dport 22 -j ACCEPT
    diagnoses 4 ssh tcp/22
    says "before    PROBLEM: tcp/22 at $server is open without a knock"
    says "          -> .*portsmithctl doctor.*"
    xtables -t mangle -D PREROUTING 1
    says "1 problem\."
}

@test "where it stays shut, the likely causes are told" {
    diagnoses 4 --timeout 1s ssh tcp/23
    says "after     PROBLEM: the port is still shut 1s after the knock"
    says "          -> connections were refused: .*nothing listens there"
    says "          -> .* try --transport tcp-syn, .*"
    says "          -> ask the server's admin what portsmithctl doctor reports there"
    says "before    ok: tcp/23 is shut: connections are refused"
    wait_for_log 'ssh: refused .* tcp/23 is not in this profile'
}

@test "a knock without a TCP service is sent, and no more" {
    diagnoses 0 ssh udp/53
    says "after     note: no TCP service is named, so nothing can be connected to"
    wait_for_log 'ssh: refused .* udp/53 is not in this profile'
}

@test "a knock that cannot be sent is found, for each transport" {
    local limit=/proc/sys/net/ipv4/ping_group_range range program=iptables-nft

    range=$(on client cat $limit)
    on client sh -c "echo 1 0 >$limit"
    diagnoses 4 --transport icmp ssh tcp/22
    says "knock     PROBLEM: not sent by icmp to $server: no privilege .*ping_group_range.*"
    on client sh -c "echo '$range' >$limit"
    [ "$FAMILY" = 4 ] || program=ip6tables-nft
    on client $program -A OUTPUT -p udp --dport "$knock_port" -j DROP
    diagnoses 4 ssh tcp/22
    says "knock     PROBLEM: not sent by udp to $server: .* by a firewall on this machine.*"
    [[ $output != *"after "* ]]
}
