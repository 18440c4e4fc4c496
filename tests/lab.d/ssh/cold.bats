#!/usr/bin/env bats
# Done means: ssh is in on the first try, from a cold start, each time.
# bats file_tags=family
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/ssh.bash"

times=50
[ "${LONG:-no}" = no ] || times=200

setup_file() {
    ssh_setup "Shut = tcp/22"
}

teardown_file() {
    lab_teardown
}

setup() {
    own_log
}

teardown() {
    common_teardown
}

# Addresses that have never knocked, one for each try.
address_of() { # NUMBER
    if [ "$FAMILY" = 6 ]; then echo "fd77::c:$1"; else echo "10.77.0.$((50 + $1))"; fi
}

give_addresses() {
    local number

    for ((number = 1; number <= times; number++)); do
        echo "address add $(address_of "$number")/$host_bits dev eth0"
    done | on client ip "-$FAMILY" -batch -
}

# From one address after another; in a shell on the client's host, which is quicker.
ssh_from_each() { # ADDRESS...
    on client env HOME="$home" user="$client_user" group="$client_group" server="$server" \
        route="-$FAMILY" bash -c 'for address; do
            ip "$route" route replace "$server" dev eth0 src "$address" &&
                setpriv --reuid="$user" --regid="$group" --clear-groups \
                    --no-new-privs ssh bastion true </dev/null || {
                echo "not in from $address"
                exit 1
            }
        done' - "$@"
}

# Of what one profile does the log has 60 lines a minute.
opened() {
    on server portsmithctl status --json | jq .counters.granted.opened
}

@test "ssh is in at the first try, $times times, each from a shut port" {
    local before number addresses=()

    config_for pass
    give_addresses
    for ((number = 1; number <= times; number++)); do
        addresses+=("$(address_of "$number")")
    done
    before=$(opened)
    ssh_from_each "${addresses[@]}"
    [ $(($(opened) - before)) -eq "$times" ]
    log_lacks "extended|refused"
}
