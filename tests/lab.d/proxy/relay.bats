#!/usr/bin/env bats
# What the proxy does for each connection, and for all of them together.
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031,SC2119 # proxy.bash and bats set the variables

. "$top/tests/lib/proxy.bash"

setup_file() {
    lab_setup
    name_hosts
    serve_pages
    start_listener 22
    start_echo 7
    configure "Shut = tcp/7 tcp/22 tcp/23 tcp/80"
    add_profile door --open tcp/7,tcp/22,tcp/23,tcp/80 --window 1m --max-grants 500
    sed -i 's/^Host = .*/Host = door.example.net/' "$lab/home/.config/portsmith/door.conf"
    start_daemon
}

teardown_file() {
    stop_proxy
    lab_teardown
}

setup() {
    common_setup
    set_window ""
}

teardown() {
    common_teardown
    proxy_is_well
    stop_proxy
}

# Says everything back, for thousands at one time.
start_echo() { # PORT
    spawn server "$lab/log/echo.log" python3 -c '
import asyncio, resource, sys
async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
async def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = await asyncio.start_server(echo, ["0.0.0.0", "::"], int(sys.argv[1]), backlog=4096)
    await server.serve_forever()
asyncio.run(main())
' "$1"
    wait_until 5 host_listens server tcp "$1"
}

set_window() { # SPAN, or nothing for the profile's own
    local file=$lab/home/.config/portsmith/door.conf

    sed -i '/^Window/d' "$file"
    [ -z "$1" ] || echo "Window = $1" >>"$file"
}

grants_are() { # COUNT
    [ "$(grant_count "$client")" -eq "$1" ]
}

@test "twenty connections at one time share one knock" {
    start_proxy
    hold_connections 20 22
    [ "$(knocks_counted)" -eq 1 ]
    end_held
}

@test "while a connection lasts the grant is renewed, and its end closes nothing" {
    set_window 4s
    start_proxy
    hold_connections 1 22
    wait_until 20 log_count_exceeds 'door: extended ' 1
    end_held
    wait_until 5 there_are_connections 0 22
    log_lacks 'door: closed '
}

@test "CloseAfter: the end of the last connection closes the door" {
    start_proxy "CloseAfter = yes"
    hold_connections 2 22
    grants_are 8
    end_held
    wait_until 5 has_no_grant "$client"
    [ "$(fetch http://door.example.net/ --socks5-hostname "$proxy")" = "$page" ] # and again
    wait_until 5 has_no_grant "$client"
}

@test "a grant that the server has lost is asked for again" {
    set_window 1m # so that no renewal does it
    start_proxy
    hold_connections 1 22
    knock --close door
    wait_until 5 has_no_grant "$client"
    [ "$(fetch http://door.example.net/ --socks5-hostname "$proxy")" = "$page" ]
    end_held
}

@test "handshakes byte by byte, and all at once with the first words behind" {
    start_proxy
    [ "$(talk bytewise door.example.net 22)" = "$greeting" ]
    [ "$(talk pipelined door.example.net 22)" = "$greeting"$'\nearly words' ]
}

@test "one side ends its direction and hears the other out" {
    start_proxy
    [ "$(talk half_close door.example.net 22)" = "$greeting" ]
}

@test "who reads nothing costs no memory, and gets everything later" {
    start_proxy
    on client python3 "$top/tests/tools/talk.py" slow door.example.net 80 \
        "$(cat "$lab/proxy.pid")" |
        cmp - "$lab/pages/large"
}

@test "2000 connections at one time, every byte looked at" {
    start_proxy
    on client python3 "$top/tests/tools/talk.py" crowd door.example.net 7 2000 20000 \
        "$(cat "$lab/proxy.pid")" >"$lab/crowd"
    cat "$lab/crowd"
    echo "# $(cat "$lab/crowd")" >&3
    [ "$(knocks_counted)" -le 3 ] # the knock, and its renewals
}

@test "beyond MaxConnections they wait for their turn" {
    start_proxy "MaxConnections = 3"
    hold_connections 3 22
    fetch http://door.example.net/ --socks5-hostname "$proxy" >"$lab/late" 3>&- &
    wait_until 5 proxy_says "all 3 connections are in use"
    [ ! -s "$lab/late" ]
    end_held
    wait_until 10 grep -q -F "$page" "$lab/late"
}

reply_is() { # REPLY REQUEST...
    local expected=$1 got

    shift
    got=$(talk answer "$@")
    [ "$got" = "$expected" ] || { echo "to $*: $got, not $expected" && return 1; }
}

@test "replies say what went wrong" {
    local rest=0001000000000000 server_hex

    server_hex=01$(printf '%02x' 10 77 0 1)
    [ "$FAMILY" = 4 ] || server_hex=04fd770000000000000000000000000001
    ip -n client route replace throw 198.51.100.0/24
    ip -n client route replace unreachable 203.0.113.0/24
    start_proxy "ConnectTimeout = 20s"
    reply_is "05000507$rest" 050100 "050200${server_hex}0016"       # BIND
    reply_is "05000507$rest" 050100 "050300${server_hex}0000"       # UDP ASSOCIATE
    reply_is "05000508$rest" 050100 "050100020016"                  # address type
    reply_is "05ff" 0500
    reply_is "05ff" 050102
    reply_is "05000505$rest" 050100 "050100${server_hex}03e7"       # nothing listens at 999
    reply_is "05000505$rest" 050100 "050100${server_hex}0017"       # nor behind tcp/23
    reply_is "05000503$rest" 050100 "05010001c63364010050"          # no way to this network
    reply_is "05000504$rest" 050100 "05010001cb0071010050"          # nor to this host
    reply_is "05000504$rest" 050100 "05010003077869782e7a7a7a0050"  # xix.zzz: no such name
    reply_is "05000501$rest" 050100 05010003036100620050        # a zero in a name
    reply_is "005b000000000000" 04020016000000010000              # SOCKS4 BIND
}

@test "who says nothing, or too little, is let go; so is an idle connection" {
    # Not before their time; how late is the machine's affair. What never ends fails talk.py.
    start_proxy "HandshakeTimeout = 1s"
    [ "$(talk silent)" -ge 1 ]
    [ "$(talk silent 0501)" -ge 1 ]
    [ "$(talk silent 05010005)" -ge 1 ]
    stop_proxy
    start_proxy "IdleTimeout = 2s"
    [ "$(talk idle door.example.net 7)" -ge 2 ]
}

@test "others are refused where that is configured, and servers are not" {
    start_listener 8080
    start_proxy "Others = refuse"
    [ "$(fetch http://door.example.net/ --socks5 "$proxy")" = "$page" ]
    [ "$(fetch http://www.example.net/ --socks5-hostname "$proxy")" = "$page" ]
    reply_is 050005020001000000000000 050100 050100010a4e00010050 # 10.78.0.1
    reply_is 050005020001000000000000 050100 050100030a6c6f63616c686f73742e0050
}

client_tables() { # ARGUMENT...
    local six=""

    [ "$FAMILY" = 4 ] || six=6
    on client "ip${six}tables-$XTABLES" -w 5 "$@"
}

# A router's port 8080 leads to the server's 80, which the client does not reach itself.
@test "ConnectPort: either port leads to the service behind a router" {
    local file=$lab/home/.config/portsmith/door.conf to="$server:80"

    [ "$FAMILY" = 4 ] || to="[$server]:80"
    client_tables -t nat -A OUTPUT -d "$server" -p tcp --dport 8080 -j DNAT --to-destination "$to"
    client_tables -A OUTPUT -p tcp -m conntrack --ctorigdstport 80 -j REJECT --reject-with tcp-reset
    echo "ConnectPort = tcp/80 8080" >>"$file"
    start_proxy "Others = refuse"
    run fetch http://door.example.net/ --socks5-hostname "$proxy"
    [ "$output" = "$page" ]
    run fetch http://door.example.net:8080/ --socks5-hostname "$proxy"
    [ "$output" = "$page" ]
    run fetch "http://${to%:*}:8080/" --socks5-hostname "$proxy"
    [ "$output" = "$page" ]
    sed -i '/^ConnectPort/d' "$file"
    client_tables -t nat -F OUTPUT
    client_tables -F OUTPUT
}

as_other() { # COMMAND...
    on client setpriv --reuid=daemon --regid=daemon --clear-groups --no-new-privs "$@"
}

fetch_as_other() { # OPTION of curl...
    as_other curl --silent --show-error --max-time 60 --noproxy '' http://door.example.net/ \
        "$@" --socks5-hostname "$proxy"
}

@test "another user of this machine is refused, unless Users = any or the password is given" {
    start_proxy
    run fetch_as_other
    echo "$output"
    [ "$status" -ne 0 ]
    proxy_says "a connection was refused: user 1 is neither this one nor root; .*Users = any"
    run as_other curl --silent --max-time 60 --noproxy '' http://door.example.net/ \
        --socks5-hostname "[::1]:1080"
    [ "$status" -ne 0 ]
    [ "$(knocks_counted)" -eq 0 ]
    [ "$(fetch http://door.example.net/ --socks5-hostname "$proxy")" = "$page" ]
    [ "$(on client curl --silent --noproxy '' http://door.example.net/ --socks5-hostname "$proxy")" = "$page" ]
    [ "$(grep -c "was refused" "$lab/log/proxy.log")" -eq 1 ]
    stop_proxy
    start_proxy "Users = any"
    [ "$(fetch_as_other)" = "$page" ]
    stop_proxy
    start_proxy "Username = ann" "Password = s3cret"
    [ "$(fetch_as_other --proxy-user ann:s3cret)" = "$page" ]
}

# Its socket is nobody's by the time that the proxy looks, and some kernels call that root's.
@test "another user who has hung up is refused all the same" {
    local pid

    start_proxy
    pid=$(cat "$lab/proxy.pid")
    kill -STOP "$pid"
    as_other python3 -c '
import socket
s = socket.create_connection(("127.0.0.1", 1080))
s.sendall(b"\x04\x01\x00\x50\x00\x00\x00\x01\x00door.example.net\x00GET / HTTP/1.0\r\n\r\n")'
    kill -CONT "$pid"
    wait_until 5 proxy_says "was refused: no process holds its other end any more"
    [ "$(fetch http://door.example.net/ --socks5-hostname "$proxy")" = "$page" ]
    [ "$(knocks_counted)" -eq 1 ]
}

@test "a password is asked for, and a wrong one gets nothing" {
    start_proxy "Username = ann" "Password = s3cret"
    [ "$(fetch http://door.example.net/ --proxy "socks5h://ann:s3cret@$proxy")" = "$page" ]
    run fetch http://door.example.net/ --proxy "socks5h://ann:wrong@$proxy"
    [ "$status" -ne 0 ]
    run fetch http://door.example.net/ --socks5-hostname "$proxy"
    [ "$status" -ne 0 ]
    run fetch http://door.example.net/ --socks4a "$proxy"
    [ "$status" -ne 0 ]
}

@test "from elsewhere only with the password, and never to this machine's own loopback" {
    local at="0.0.0.0:1080" to="$client"

    [ "$FAMILY" = 4 ] || { at="[::]:1080" && to="[$client]"; }
    start_proxy "Listen = $at" "Username = ann" "Password = s3cret"
    proxy_says "is not loopback: everybody who knows the password"
    run on server curl --silent --show-error --max-time 60 --noproxy '' http://127.0.0.1:1080/ \
        --proxy "socks5h://ann:s3cret@$to:1080"
    grep -q -F '(2)' <<<"$output" # not allowed
    [ "$(on server curl --silent --max-time 60 --noproxy '' http://door.example.net/ \
        --proxy "socks5h://ann:s3cret@$to:1080")" = "$page" ]
}

@test "a thousand broken handshakes later it serves as before" {
    start_proxy "HandshakeTimeout = 1s" "ConnectTimeout = 2s"
    talk fuzz door.example.net 22 1000
    [ "$(fetch http://door.example.net/ --socks5-hostname "$proxy")" = "$page" ]
}
