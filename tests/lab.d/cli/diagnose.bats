#!/usr/bin/env bats
# portsmith-knock --diagnose where it is this machine that is not as it should be. Nobody
# answers; tests/lab.d/control has a server.
# Once: programs on their own; nothing is sent to a daemon.
# bats file_tags=once
# shellcheck disable=SC2154 # bats sets the variables

bats_require_minimum_version 1.5.0

# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"
# shellcheck source=tests/lib/timekeeping.bash
. "$top/tests/lib/timekeeping.bash"

KEY=hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    export HOME=$PWD/home
    unset XDG_CONFIG_HOME XDG_STATE_HOME POSIXLY_CORRECT
    umask 022
    mkdir home
    config=$HOME/.config/portsmith
    counter=$HOME/.local/state/portsmith/counter
    portsmith-knock keygen >/dev/null
    printf '%s\n' '[Server]' 'Host = 5.5.5.2' 'Port = 62201' "PublicKey = $KEY" "Service = tcp/22" \
        >"$config/bastion.conf"
}

# In a network of its own, with one link to 5.5.5.0/24, which nobody is at. Whatever is in
# ./hosts is in force as /etc/hosts.
diagnoses() { # STATUS ARGUMENT of portsmith-knock...
    touch hosts
    run --separate-stderr "-$1" unshare -nm sh -ec '
        mount --make-rprivate /
        mount --bind hosts /etc/hosts
        ip link set lo up
        ip link add near type veth peer name far
        ip addr add 5.5.5.1/24 dev near
        ip link set near up
        ip link set far up
        exec portsmith-knock --diagnose --timeout 1s "$@"' sh "${@:2}"
}

says() { # PATTERN of a whole line
    grep -q -x -E -e "$1" <<<"$output" || {
        echo "no line '$1' in:"
        echo "$output $stderr"
        return 1
    }
}

@test "the clock is as the kernel says" {
    local today

    today=$(date +%Y-%m-%d)
    prepare_timekeeping .
    # shellcheck disable=SC2046 # words
    export $(clock_that_is kept .)
    diagnoses 4 bastion
    says "clock     ok: $today .*, synchronised"
    export TEST_CLOCK_IS=lost
    diagnoses 4 bastion
    says "clock     note: $today .*, and nothing keeps it synchronised"
    says "          -> .*run chronyd.*"
}

@test "a name without an address is found" {
    sed -i 's/^Host.*/Host = bastion.invalid/' "$config/bastion.conf"
    diagnoses 4 bastion
    says "name      PROBLEM: bastion.invalid: no address found: .*"
    says "          -> .* whether Host .*"
    [[ $output != *"knock "* ]]
}

@test "addresses without a route are found; none at all is a problem" {
    printf '%s\n' '5.5.5.2 bastion.example' '2001:db8::2 bastion.example' >hosts
    sed -i 's/^Host.*/Host = bastion.example/' "$config/bastion.conf"
    diagnoses 4 bastion
    says "name      ok: bastion.example is .*5\.5\.5\.2.*"
    says "route     note: there is no way to 2001:db8::2 from here: .*unreachable"
    says "route     ok: 5\.5\.5\.2, from 5\.5\.5\.1"
    says "knock     ok: .* by udp to 5\.5\.5\.2"
    diagnoses 4 -6 bastion
    says "route     PROBLEM: no address of the server can be reached"
    says "1 problem\."
}

@test "an identity that is missing, or that others can read, is found" {
    chmod 644 "$config/identity"
    diagnoses 4 bastion
    says "identity  PROBLEM: .*identity: .*chmod.*"
    [[ $output != *"bytes were sent"* ]]
    rm "$config/identity"
    diagnoses 4 bastion
    says "identity  PROBLEM: .*/identity: .*"
    says "          -> .*keygen.*"
}

@test "a counter that cannot be kept, or that is far ahead, is found" {
    mkdir -p "$counter"
    diagnoses 4 bastion
    says "counter   PROBLEM: .*/counter: .*"
    [[ $output != *"bytes were sent"* ]]
    rmdir "$counter"
    printf '%020d\n' $((($(date +%s) + 7200) * 1000000)) >"$counter"
    diagnoses 4 bastion
    says "counter   PROBLEM: the clock is far behind that of your last knock.*"
}

@test "a server file that cannot be used ends it with the reason" {
    echo "Prot = 1" >>"$config/bastion.conf"
    diagnoses 78 bastion
    [[ -z $output && $stderr == *"bastion.conf:6: "* ]]
}

@test "what does not go with it is refused" {
    local option

    for option in --wait --close "--output x"; do
        # shellcheck disable=SC2086 # two words
        diagnoses 2 $option bastion
        [[ $stderr == *"--diagnose takes no ${option%% *}"* ]]
    done
}
