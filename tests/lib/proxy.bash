# shellcheck shell=bash
# What the tests of portsmith-proxy share: the client's user runs one on the client's host,
# at 127.0.0.1:1080 and [::1]:1080; the server's ports are shut.
# shellcheck disable=SC2034,SC2154 # `top` is the lab's, `status` and `output` are bats'
. "$top/tests/lib/net.bash"

proxy=127.0.0.1:1080
page="<p id=secret>behind the shut port</p>"
ini=$lab/home/.config/portsmith/proxy.ini

# The server's names, which the lab alone knows.
name_hosts() {
    printf '%s door.example.net www.example.net\n' "$server" >>/etc/hosts
}

# A page behind tcp/80, and a service behind tcp/22, both shut.
serve_pages() {
    mkdir -p "$lab/pages"
    echo "$page" >"$lab/pages/index.html"
    head -c 30000000 /dev/urandom >"$lab/pages/large"
    spawn server "$lab/log/http.log" python3 -c '
import functools, http.server, socket, sys
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 128
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[2])
Server(("::", int(sys.argv[1])), handler).serve_forever()
' 80 "$lab/pages"
    wait_until 5 host_listens server tcp 80
}

proxy_log() { # what the proxy said since it was last started
    cat "$lab/log/proxy.log"
}

proxy_says() { # PATTERN
    proxy_log | grep -q -E -e "$1"
}

proxy_lacks() { # PATTERN
    ! proxy_says "$1"
}

# With proxy.ini as given; none without an argument.
start_proxy() { # 'KEY = VALUE'...
    rm -f "$ini"
    [ $# -eq 0 ] || { echo "[Proxy]" && printf '%s\n' "$@"; } |
        install -o "$client_user" -m 600 /dev/stdin "$ini"
    rm -f "$lab/log/proxy.log"
    ulimit -n "$(ulimit -H -n)"
    spawn client "$lab/log/proxy.log" setpriv --reuid="$client_user" \
        --regid="$client_group" --clear-groups --no-new-privs \
        env HOME="$lab/home" portsmith-proxy -v
    echo "$spawned" >"$lab/proxy.pid"
    wait_until 10 proxy_says ' ready: ' || { proxy_log && return 1; }
}

stop_proxy() {
    [ -e "$lab/proxy.pid" ] || return 0
    end_process TERM "$(cat "$lab/proxy.pid")"
    rm -f "$lab/proxy.pid"
    proxy_lacks 'AddressSanitizer|runtime error:'
}

proxy_is_well() {
    ! process_is_gone "$(cat "$lab/proxy.pid")"
}

fetch() { # URL [OPTION of curl...]: what a page holds
    as_client curl --silent --show-error --max-time 60 --noproxy '' "${@:2}" "$1"
}

knocks_counted() { # honest ones, by the helper
    log_count ': (opened|extended) '
}

talk() { # COMMAND of talk.py...
    # Read by root: the checkout may be in a home that is closed to others.
    as_client python3 - "$@" <"$top/tests/tools/talk.py"
}

connections_to() { # PORT
    on client ss -H -n -t state established "dport = :$1" | wc -l
}

there_are_connections() { # COUNT PORT
    [ "$(connections_to "$2")" -eq "$1" ]
}

# So many of the client's, which stay until end_held.
hold_connections() { # COUNT PORT
    spawn client "$lab/log/held.log" python3 -c '
import sys, time
sys.path.insert(0, sys.argv[1])
import talk
held = [talk.connect() for _ in range(int(sys.argv[2]))]
for peer in held:
    peer.sendall(b"\5\1\0" + talk.request("door.example.net", int(sys.argv[3])))
for peer in held:
    assert talk.read_exactly(peer, 12)[3] == 0
time.sleep(1000)
' "$top/tests/tools" "$1" "$2"
    held=$spawned
    wait_until 20 there_are_connections "$1" "$2"
}

end_held() {
    end_process KILL "$held"
}
