# shellcheck shell=bash
# The main job, on the real programs, told step by step. Reads lab.bash first.
# shellcheck disable=SC2154 # lab.bash sets what is used here

demo_steps=0

step() { # WHAT HAPPENS NOW
    demo_steps=$((demo_steps + 1))
    printf '\n%d. %s\n\n' "$demo_steps" "$*"
}

# Runs a command on a host and shows both as on a terminal.
show() { # HOST COMMAND...
    local host=$1 status

    shift
    if [ "$host" = server ]; then
        echo "    server# $*"
        on server "$@" >"$lab/log/show" 2>&1
    else
        echo "    client\$ $*"
        as_client "$@" >"$lab/log/show" 2>&1
    fi
    status=$?
    sed 's/^/            /' "$lab/log/show"
    return "$status"
}

# What was told must be so; the demo ends here if it is not.
expect() { # WHAT COMMAND...
    local what=$1

    shift
    if "$@" >/dev/null 2>&1; then
        echo "    -> $what"
        return
    fi
    echo "    -> NOT SO: $what"
    [ ! -e "$lab/log/portsmithd.log" ] || sed 's/^/    log: /' "$lab/log/portsmithd.log"
    exit 1
}

# A scan from the client, as root for nmap's sake.
scan() {
    local six=()

    [ "$FAMILY" = 4 ] || six=(-6)
    echo "    client# nmap -sS -p 22 $server"
    on client nmap "${six[@]}" -n -Pn -sS -p 22 --max-retries 1 "$server" | grep ^22/tcp |
        tee "$lab/log/scan" | sed 's/^/            /'
}

scan_found() { # STATE
    grep -q " $1 " "$lab/log/scan"
}

greeted() { # [FROM]
    [ "$(tcp_greeting "$server" 22 "${1:-}")" = "$greeting" ]
}

show_connect() { # [FROM]
    local from=${1:-$client} line

    echo "    client\$ nc -s $from $server 22"
    line=$(tcp_greeting "$server" 22 "$from")
    echo "            ${line:-(silence)}"
}

demo_open_to_all() {
    step "Two hosts. On the server a service like sshd listens on tcp/22, open to all."
    start_listener 22
    scan
    expect "the port is open, and everybody can see it" scan_found open
}

demo_set_up() {
    step "The server is set up: tcp/22 is to be shut; one client, 'laptop', may open it for 6 s."
    show server portsmith-profile init --interface eth0 --port "$knock_port" --shut tcp/22 ||
        expect "portsmith-profile init works" false
    sed -i "s/^#Backend = .*/Backend = $(backend_word "$BACKEND")/" "$conf"
    show server portsmith-profile create laptop --open tcp/22 --window 6s --host "$server" \
        --server web --output "$lab/laptop.bundle" ||
        expect "portsmith-profile create works" false
}

demo_shut() {
    step "The daemon starts. Nobody can tell any more that something listens on tcp/22."
    echo "    server# portsmithd -c $conf -f &"
    start_daemon || expect "portsmithd is ready" false
    daemon_log | sed 's/^/            /'
    scan
    expect "the scan meets silence" scan_found filtered
}

demo_knock() {
    step "The client, a user without privileges, imports the bundle that was carried over."
    install -o "$client_user" -m 600 "$lab/laptop.bundle" "$lab/home/laptop.bundle"
    show client portsmith-knock import "$lab/home/laptop.bundle" ||
        expect "portsmith-knock import works" false
    step "It knocks, and connects. On the wire, an eavesdropper keeps a copy of the knock."
    capture_start "$lab/knock.pcap" udp port "$knock_port"
    show client portsmith-knock -v web || expect "portsmith-knock works" false
    wait_until 2 greeted
    show_connect
    expect "the port is open to the client" greeted
    open_connection "$server" 22
    show_connect "$other"
    expect "it stays shut to any other address" port_is_shut "$server" 22 "$other"
    capture_stop
}

demo_window_over() {
    step "Six seconds later the window is over, and the kernel itself has shut the door."
    wait_until 10 port_is_shut "$server" 22
    show_connect
    expect "the port is shut to the client too" port_is_shut "$server" 22
    expect "the connection made in the window goes on" connection_answers
}

demo_replay() {
    local from

    step "The eavesdropper sends the recorded knock again, from both addresses."
    captured_payload "$lab/knock.pcap" >"$lab/replay"
    expect "$(wc -c <"$lab/replay") bytes were recorded" test -s "$lab/replay"
    for from in "$client" "$other"; do
        echo "    client# socat -u knock UDP-SENDTO:$server:$knock_port,bind=$from"
        send_bytes "$lab/replay" "$from"
        show_connect "$from"
        expect "a knock counts once: shut" port_is_shut "$server" 22 "$from"
    done
    step "The client itself just knocks again."
    show client portsmith-knock web || expect "portsmith-knock works" false
    expect "open" wait_until 2 greeted
}

demo() {
    lab_setup
    demo_open_to_all
    demo_set_up
    demo_shut
    demo_knock
    demo_window_over
    demo_replay
    stop_daemon
    printf '\nThat is all there is to it. For yourself: tests/lab shell\n'
    echo "It took: ${LAB_TOOK:-}demo $SECONDS s."
}
