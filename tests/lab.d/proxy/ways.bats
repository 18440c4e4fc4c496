#!/usr/bin/env bats
# What the proxy says of a server that it finds no way to, or cannot knock at.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031,SC2119 # proxy.bash and bats set the variables

. "$top/tests/lib/proxy.bash"

setup_file() {
    lab_setup
    configure
    add_profile door --open tcp/22
}

teardown_file() {
    lab_teardown
}

teardown() {
    proxy_is_well
    stop_proxy
    rm -rf "${known:?}/other.conf" "$counter"
}

known=$lab/home/.config/portsmith
counter=$lab/home/.local/state/portsmith/counter

# A server besides, which only its Host tells from the other.
know_other() { # HOST
    sed "s/^Host = .*/Host = $1/" "$known/door.conf" |
        install -o "$client_user" -m 600 /dev/stdin "$known/other.conf"
}

# The code of SOCKS5's reply to who wants to go there.
code_for() { # NAME PORT
    local name reply

    name=$(printf %s "$1" | od -A n -t x1 | tr -d ' \n')
    reply=$(talk answer 050100 "$(printf '05010003%02x%s%04x' $((${#name} / 2)) "$name" "$2")")
    [[ $reply =~ ^050005([0-9a-f]{2})00 ]]
    echo "${BASH_REMATCH[1]}"
}

@test "a server whose name has no address is named, once for many who ask" {
    know_other gone.example.net
    start_proxy
    [ "$(code_for gone.example.net 22)" = 04 ]
    [ "$(code_for gone.example.net 22)" = 04 ]
    [ "$(proxy_log | grep -c 'other: gone.example.net: no address found')" -eq 1 ]
}

@test "a name that nobody has is refused once it was looked up, long before the time to connect ends" {
    start_proxy "ConnectTimeout = 10m"
    [ "$(code_for nobody.example.net 22)" = 04 ]
}

@test "an address is refused as that of others, though one server has none yet" {
    know_other gone.example.net
    start_proxy "Others = refuse"
    [ "$(code_for 192.0.2.9 22)" = 02 ]
    proxy_says 'other: gone.example.net: no address found'
}

@test "a server that there is no way to is named" {
    know_other 198.51.100.1
    ip -n client route replace unreachable 198.51.100.1
    start_proxy
    [ "$(code_for 198.51.100.1 22)" = 03 ]
    proxy_says 'other: no knock was sent to 198.51.100.1: '
}

@test "a counter that cannot be kept, or that is far ahead, is told" {
    know_other 198.51.100.1
    start_proxy "ConnectTimeout = 1s"
    install -d -o "$client_user" "$counter"
    [ "$(code_for 198.51.100.1 22)" = 01 ]
    proxy_says 'other: .*/counter: '
    rmdir "$counter"
    printf '%020d\n' $((($(date +%s) + 7200) * 1000000)) |
        install -o "$client_user" -m 600 /dev/stdin "$counter"
    code_for 198.51.100.1 22
    proxy_says 'other: the clock is far behind that of your last knock'
}

@test "where no server is known and others are refused, no name is looked up" {
    mv "$known/door.conf" "$lab"
    start_proxy "Others = refuse"
    mv "$lab/door.conf" "$known"
    [ "$(code_for gone.example.net 22)" = 02 ]
    proxy_lacks 'no address found'
}
