# shellcheck shell=bash
# What the lab tests share. Each file sets one pair of hosts up; each test in it
# gets client addresses of its own, so that grants of other tests do not matter.
# shellcheck disable=SC2034,SC2154 # `top` is the lab's, `status` and `output` are bats'
. "$top/tests/lib/lab.bash"

if [ "$FAMILY" = 6 ]; then
    client_prefix=fd77::a: other_prefix=fd77::b: other_range=fd77::b:0/112
else
    client_prefix=10.77.0. other_prefix=10.77.0. other_range=10.77.0.128/25
fi

# The client speaks from $client; $other is a second address of it.
own_addresses() {
    client=$client_prefix$((BATS_TEST_NUMBER + 10))
    other=$other_prefix$((BATS_TEST_NUMBER + 130))
    give_address client eth0 "$client/$host_bits" "$other/$host_bits"
    ip -n client "-$FAMILY" route replace "$server/$host_bits" dev eth0 src "$client"
}

common_setup() {
    own_log
    own_addresses
}

# Shows what the daemon said if the test failed.
common_teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || {
        echo "--- log"
        daemon_log
        echo "--- rules"
        rules
    }
    # What a sanitizer finds ends the process: 99 says so of those that are silent. A
    # forbidden system call does so, too, and is only right where a test forces it.
    log_lacks 'AddressSanitizer|runtime error:|exited with status 99' || return
    [ -n "${forces_calls:-}" ] || log_lacks 'ended by signal 31|forbidden system call'
}

# ---- grants ----------------------------------------------------------------

chain() { # TABLE CHAIN, one that has rules of grants
    xtables -t "$1" -S "$2" 2>/dev/null
    elements
}

# The rules of an address's grants in one table: mangle or filter.
grant_rules() { # TABLE ADDRESS
    if [ "$1" = mangle ]; then
        chain mangle portsmith-shut
    else
        chain filter portsmith
    fi | grep -F -e "-s $2/"
}

grant_count() { # ADDRESS: in both tables together
    local lines line count=0

    mapfile -t lines < <(chain mangle portsmith-shut; chain filter portsmith)
    for line in "${lines[@]}"; do
        [[ $line != *"-s $1/"* ]] || count=$((count + 1))
    done
    echo "$count"
}

has_no_grant() { # ADDRESS
    [ "$(grant_count "$1")" -eq 0 ]
}

# All that lives, whoever has it.
there_are_no_grants() {
    ! rules | grep -q -e --datestop
}

log_lacks() { # PATTERN
    ! log_has "$1"
}

# Knocks and waits until the helper says what came of it.
knock_until() { # PATTERN ARGUMENT of portsmith-knock...
    local pattern=$1 before

    shift
    before=$(log_count "$pattern")
    knock "$@" || return 1
    wait_until 5 log_count_exceeds "$pattern" "$before" || {
        echo "after the knock the log does not say '$pattern'"
        return 1
    }
}

knock_opens() { # NAME ARGUMENT...
    knock_until "$1: (opened|extended) " "$@"
}

send_until() { # PATTERN FILE [FROM [PORT]]
    local pattern=$1 before

    shift
    before=$(log_count "$pattern")
    send_bytes "$@"
    wait_until 5 log_count_exceeds "$pattern" "$before" || {
        echo "after the knock the log does not say '$pattern'"
        return 1
    }
}

server_mac() {
    on server cat /sys/class/net/eth0/address
}

# When this knock of another profile has been honoured, whatever was sent
# before it has been dealt with.
fence() {
    knock_opens fence
}

add_fence() {
    add_profile fence --open tcp/9 --window 1s
}

microseconds() { # SECONDS FROM NOW
    echo $(($(now_ms) * 1000 + $1 * 1000000))
}

# Connects until it fails, which it must for whatever begins after the window.
# START is when the knock was known to be honoured, so later than the window's.
shuts_in_time() { # WINDOW IN SECONDS, START
    local now

    while now=$(now_ms) && port_is_open "$server" 22; do
        [ $((now - $2)) -lt $(($1 * 1000)) ] || {
            echo "still open $((now - $2)) ms after the knock"
            return 1
        }
    done
    port_is_shut "$server" 22
}

reload_daemon() { # waits until it serves again
    local before

    before=$(log_count ' reloaded')
    kill -HUP "$(daemon_pid)"
    wait_until 15 log_count_exceeds ' reloaded' "$before"
}
