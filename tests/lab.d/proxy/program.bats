#!/usr/bin/env bats
# How the proxy starts, refuses to start, is confined and ends.
# Once: no packet is sent.
# bats file_tags=once
# shellcheck disable=SC2154,SC2030,SC2031,SC2119 # proxy.bash and bats set the variables

. "$top/tests/lib/proxy.bash"

setup_file() {
    lab_setup
    configure
    add_profile door --open tcp/22
    start_daemon
}

teardown_file() {
    stop_proxy
    lab_teardown
}

teardown() {
    stop_proxy
    rm -f "$ini"
}

# Runs it to its end, which comes at once where it cannot start.
proxy_ends() { # STATUS PATTERN [OPTION...]
    local expected=$1 pattern=$2

    shift 2
    run as_client timeout 60 portsmith-proxy "$@"
    echo "$output"
    [ "$status" -eq "$expected" ] && grep -q -E -e "$pattern" <<<"$output"
}

write_ini() { # LINE...
    printf '%s\n' "$@" | install -o "$client_user" -m 600 /dev/stdin "$ini"
}

@test "a wrong configuration is named with file, line and what to do" {
    write_ini "[Proxy]" "Others = maybe"
    proxy_ends 78 "proxy.ini:2: Others: 'maybe' is neither refuse nor direct"
    write_ini $'\xef\xbb\xbf[Proxy]' "Others = maybe"
    proxy_ends 78 "proxy.ini:2: Others: 'maybe' is neither refuse nor direct"
    write_ini $'\xef\xbb\xbf[Nonsense]' "Others = refuse"
    proxy_ends 78 "proxy.ini:1: expected the section \[Proxy\], not \[Nonsense\]"
    write_ini "[Proxy]" "Listen = 0.0.0.0:1080"
    proxy_ends 78 "set Username and Password, or listen only on 127.0.0.1"
    write_ini "[Proxy]" "Users = all"
    proxy_ends 78 "proxy.ini:2: Users: 'all' is neither any nor own"
    write_ini "[Proxy]" "Username = ann" "Password = x"
    chmod 644 "$ini"
    proxy_ends 78 "run: chmod"
    proxy_ends 78 "missing.ini" --config "$lab/home/missing.ini"
    proxy_ends 2 "'door' is unexpected" door
    proxy_ends 2 "Try 'portsmith-proxy --help'" --bogus
}

@test "a server file that is wrong keeps it from starting" {
    local file=$lab/home/.config/portsmith/other.conf

    printf '[Server]\nHost = 192.0.2.1\n' | install -o "$client_user" -m 600 /dev/stdin "$file"
    proxy_ends 78 "other.conf: Port is missing"
    rm "$file"
}

@test "a port that another program has is named" {
    spawn client "$lab/log/taken.log" socat TCP4-LISTEN:1080,bind=127.0.0.1 -
    wait_until 5 host_listens client tcp 1080
    proxy_ends 1 "cannot listen at 127.0.0.1:1080: address already in use"
    end_process KILL "$spawned"
}

@test "it leaves no core, gains no privileges, and nobody may look into it" {
    local pid

    start_proxy
    pid=$(cat "$lab/proxy.pid")
    grep -q '^NoNewPrivs:.*1$' "/proc/$pid/status"
    grep -q '^CapEff:.*0000000000000000$' "/proc/$pid/status"
    grep -q -E '^Max core file size +0 +0 ' "/proc/$pid/limits"
    [ "$(stat -c %u "/proc/$pid/mem")" -eq 0 ] # not dumpable: root's
}

@test "SIGTERM ends it, with status 0" {
    local log=$lab/log/ended.log

    as_client portsmith-proxy >"$log" 2>&1 3>&- &
    wait_until 10 grep -q " ready: " "$log"
    kill "$(process_named portsmith-proxy)"
    wait "$!"
    grep -q "ended by signal 15" "$log"
}

@test "as root it warns" {
    local log=$lab/log/root.log

    spawn client "$log" env HOME="$lab/nowhere" portsmith-proxy
    wait_until 10 grep -q " ready: " "$log"
    end_process TERM "$spawned"
    grep -q "running as root" "$log"
    grep -q "no server is known" "$log"
}

@test "systemd accepts the unit" {
    local unit=$lab/portsmith-proxy.service

    sed "s|^ExecStart=.*|ExecStart=/run/lab/stage/bin/portsmith-proxy|; /^Documentation/d" \
        "/run/lab/stage/lib/systemd/user/portsmith-proxy.service" >"$unit"
    run env XDG_RUNTIME_DIR="$lab" systemd-analyze verify --user "$unit"
    echo "$output"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

@test "--version and --help, and nowhere to print them" {
    proxy_ends 0 '^portsmith-proxy [0-9.]+$' --version
    proxy_ends 0 '^usage: portsmith-proxy ' --help
    run sh -c 'portsmith-proxy --help >/dev/full'
    [ "$status" -eq 1 ]
    [[ $output == *"standard output: No space left on device"* ]]
}

@test "too few open files, and a port that is root's, keep it from starting" {
    run as_client sh -c 'ulimit -n 40; exec timeout 60 portsmith-proxy'
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"only 40 open files are allowed, which is too few; raise the limit (ulimit -n)"* ]]
    write_ini "[Proxy]" "Listen = 127.0.0.1:80"
    proxy_ends 1 "cannot listen at 127.0.0.1:80: permission denied; choose a port above 1023"
}
