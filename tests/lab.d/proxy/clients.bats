#!/usr/bin/env bats
# The programs that people use, through the proxy, to what is behind shut ports.
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031,SC2119 # proxy.bash and bats set the variables

. "$top/tests/lib/proxy.bash"

setup_file() {
    lab_setup
    name_hosts
    serve_pages
    start_listener 22
    configure "Shut = tcp/22 tcp/80"
    add_profile door --open tcp/22,tcp/80 --window 2s
    sed -i 's/^Host = .*/Host = door.example.net/' "$lab/home/.config/portsmith/door.conf"
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

# The port is shut before, and each test's client has an address without a grant.
@test "curl --socks5-hostname: the proxy knows the server by its name" {
    [ "$(tcp_answer "$server" 80)" = silent ]
    [ "$(fetch http://Door.Example.NET/ --socks5-hostname "$proxy")" = "$page" ]
}

@test "curl --socks5: the proxy knows the server by its address" {
    [ "$(tcp_answer "$server" 80)" = silent ]
    [ "$(fetch http://door.example.net/ --socks5 "$proxy")" = "$page" ]
}

@test "curl --socks4a, and --socks4 where it can" {
    [ "$(fetch http://door.example.net/ --socks4a "$proxy")" = "$page" ]
    [ "$FAMILY" = 6 ] || [ "$(fetch http://door.example.net/ --socks4 "$proxy")" = "$page" ]
}

@test "another name of the server leads through the same door" {
    [ "$(tcp_answer "$server" 80)" = silent ]
    [ "$(fetch http://www.example.net/ --socks5-hostname "$proxy")" = "$page" ]
}

@test "the proxy listens on IPv6, too" {
    [ "$(fetch http://door.example.net/ --socks5-hostname "[::1]:1080")" = "$page" ]
}

@test "a large file arrives as it is" {
    fetch http://door.example.net/large --socks5-hostname "$proxy" | cmp - "$lab/pages/large"
}

@test "ncat" {
    local line

    line=$(as_client timeout 60 ncat --proxy "$proxy" --proxy-type socks5 \
        "$server" 22 --recv-only 2>/dev/null | head -n 1)
    [ "$line" = "$greeting" ]
}

@test "proxychains4, which also has the name resolved" {
    cat >"$lab/proxychains.conf" <<'ENDCONF'
strict_chain
proxy_dns
[ProxyList]
socks5 127.0.0.1 1080
ENDCONF
    [ "$(as_client proxychains4 -q -f "$lab/proxychains.conf" curl --silent --max-time 60 \
        http://door.example.net/)" = "$page" ]
}

@test "Chromium shows the page" {
    local home="$lab/home/chromium"

    [ "$(tcp_answer "$server" 80)" = silent ]
    install -d -o "$client_user" "$home"
    as_client env HOME="$home" timeout 240 chromium --headless --no-sandbox --disable-gpu \
        --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --disable-dev-shm-usage \
        --proxy-server=socks5://127.0.0.1:1080 \
        --user-data-dir="$home/data" --dump-dom http://door.example.net/ \
        >"$lab/dom" 2>"$lab/log/chromium.log"
    grep -q 'id="secret">behind the shut port' "$lab/dom"
}
