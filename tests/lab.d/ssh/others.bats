#!/usr/bin/env bats
# What other programs make of it, as Debian has them: fail2ban, mosh.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/ssh.bash"

mosh_port=60001

setup_file() {
    ssh_setup "Shut = tcp/22 udp/$mosh_port"
    add_profile roaming --open "tcp/22,udp/$mosh_port"
    reload_daemon
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    config_for pass
    : >"$lab/log/sshd.log"
}

teardown() {
    common_teardown
}

# ---- fail2ban --------------------------------------------------------------

# What sshd has said, as it stands in the system's log.
sshd_log() {
    tr -d '\r' <"$lab/log/sshd.log" | sed 's/^/Nov 29 18:00:00 server sshd[123]: /'
}

sshd_has_said() { # PATTERN
    grep -q -e "$1" "$lab/log/sshd.log"
}

# How many connections fail2ban holds against their sender, in its strictest mode.
count_failures() {
    sshd_log >"$lab/log/auth.log"
    fail2ban-regex "$lab/log/auth.log" 'sshd[mode=aggressive]' |
        sed -n 's/^Lines: .* \([0-9]*\) matched,.*/\1/p'
}

@test "--wait and --diagnose leave nothing that fail2ban could count" {
    for _ in 1 2 3 4 5 6; do
        knock --wait bastion
    done
    knock --diagnose bastion | grep "after *ok"
    # What comes later is logged later.
    [ "$(as_client ssh bastion echo in)" = in ]
    wait_until 5 sshd_has_said "Accepted publickey"
    cat "$lab/log/sshd.log"
    [ "$(count_failures)" -eq 0 ]
    # One that sends what is no banner: fail2ban can count.
    on client socat -t 1 - "$(socat_address TCP "$server" 22)" <<<"no banner" >/dev/null
    wait_until 5 sshd_has_said "banner exchange"
    [ "$(count_failures)" -gt 0 ]
}

# ---- mosh ------------------------------------------------------------------

# The second command of the manual's recipe, for this server, with a command behind.
mosh_command() { # COMMAND...
    local recipe

    recipe=$(sed -n 's/^\$ \(mosh .*\) bastion$/\1/p' "$top/man/portsmith-knock.1")
    echo "$recipe roaming -- $*"
}

# In a terminal; what is written to $lab/keys is typed.
start_mosh() {
    rm -f "$lab/keys" "$lab/$account/typed"
    mkfifo "$lab/keys"
    chown "$client_user" "$lab/keys"
    as_client env LC_ALL=C.UTF-8 TERM=xterm script -qefc \
        "stty rows 24 columns 80; $(mosh_command sh -c "'echo ready >$lab/$account/typed; cat >>$lab/$account/typed'")" \
        /dev/null <>"$lab/keys" >"$lab/log/mosh" 2>&1 3>&- &
    mosh=$!
    wait_until 15 typed ready || { cat -v "$lab/log/mosh" && return 1; }
}

typed() { # WORD
    grep -q -x "$1" "$lab/$account/typed"
}

@test "mosh, as the manual has it, and on from another network after a knock" {
    grep -q '^\$ portsmith-knock bastion udp/60001$' "$top/man/portsmith-knock.1"
    sed -i 's/^Host bastion/Host roaming/' "$home/.ssh/config"
    knock roaming udp/$mosh_port
    start_mosh
    echo one >"$lab/keys"
    wait_until 5 typed one
    ip -n client "-$FAMILY" route replace "$server/$host_bits" dev eth0 src "$other"
    echo two >"$lab/keys"
    never_in_ms 4000 typed two # mosh sends it again and again; the port is shut for $other
    knock roaming udp/$mosh_port
    wait_until 15 typed two
    wait_for_log "roaming: opened udp/$mosh_port for $other"
    printf '\004' >"$lab/keys"
    wait "$mosh"
}
