#!/usr/bin/env bats
# portsmith-recipes(7), KEYS AND CLIENTS: each entry is followed on two hosts.
# Once: whether the page's words are right; what they use is tried in each combination elsewhere.
# bats file_tags=once
# shellcheck disable=SC2154,SC2030,SC2031 # recipes.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/recipes.bash"

setup_file() {
    howto_setup
    start_listener 8443
    start_journal
}

teardown_file() {
    end_program journald
    rm -rf /run/systemd /run/log
    lab_teardown
}

setup() {
    howto_begin "Shut = tcp/22"
}

teardown() {
    howto_end
}

# ---- the journal -----------------------------------------------------------

# systemd's own, which is not systemd's child here. It lives one day behind, so that what happens
# is of yesterday.
start_journal() {
    printf '%s\n' "[Journal]" Storage=volatile ReadKMsg=no Audit=no >/etc/systemd/journald.conf
    [ -s /etc/machine-id ] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
    start_program journald server env LD_PRELOAD="$fake_clock" FAKETIME=-1d \
        FAKETIME_DONT_FAKE_MONOTONIC=1 /lib/systemd/systemd-journald
    wait_until 10 test -S /run/systemd/journal/socket
}

# In the background, as a boot starts it: then it is the journal that it logs to.
log_to_journal() {
    type_at server# "systemctl restart portsmithd"
}

journal_has() { # FIELD=VALUE...
    [ -n "$(on server journalctl --quiet "$@")" ]
}

# ---- keys ------------------------------------------------------------------

@test "Rotate a client's key" {
    local old=$home/.config/portsmith/old

    follow "profile add laptop2"
    knocks_are_heard home # with the old key: both count
    cp "$home/.config/portsmith/identity" "$old"
    chown "$client_user" "$old"
    follow "file "
    on server portsmithctl close --all
    follow "--wait home"
    has_grant laptop2 "$client" tcp/22
    follow_all
    [ ! -e "$home/.config/portsmith/identity" ]
    on server portsmithctl reload
    knocks_are_in_vain --identity "$old" home
    knocks_are_heard home
}

start_agent() {
    rm -rf "$lab/agent"
    install -d -o "$client_user" "$lab/agent"
    export SSH_AUTH_SOCK=$lab/agent/socket
    start_program agent client setpriv --reuid="$client_user" --regid="$(id -g "$client_user")" \
        --clear-groups ssh-agent -D -a "$SSH_AUTH_SOCK"
    wait_until 5 test -S "$SSH_AUTH_SOCK"
}

@test "Knock with the ssh key that you have" {
    start_agent
    follow "id_ed25519.pub"
    line_of_key=$said
    follow "profile add laptop2"
    paste_as "$client_user" .config/portsmith/home.conf
    follow "--wait home"
    has_grant laptop2 "$client" tcp/22
    follow_all
    [ ! -e "$home/.config/portsmith/identity" ]
    on server portsmithctl reload
    knocks_are_heard home
    end_program agent
    run -1 as_client portsmith-knock home
    [[ $output == *"$SSH_AUTH_SOCK: "*"start the agent"* ]]
}

@test "Rotate the server's key" {
    local before

    before=$(key_in_force)
    follow "portsmithctl reload"
    [ "$(key_in_force)" != "$before" ]
    knocks_are_in_vain home
    follow "--wait home"
    follow_all
    knocks_are_in_vain home # which has the new key still
    on server portsmithctl close --all
    take "file ~/.config/portsmith/home.conf"$'\n'"PublicKey = $before"
    knocks_are_heard home
    [ "$(stat -c %a /etc/portsmith.d/server.key)" = 600 ]
}

key_in_force() {
    on server portsmithd -T | sed -n "s/^# the server's public key: //p"
}

@test "Change the knock port" {
    add_profile other --open tcp/22
    on server portsmithctl reload
    follow "portsmithctl reload"
    knocks_are_in_vain home
    knocks_are_heard other
    on server portsmithctl close --all # or --wait would find the port open
    follow "--wait home"
    wait_until 5 has_grant laptop "$client" tcp/22
    follow_all
    knocks_are_heard home
    knocks_are_in_vain other
    [[ $(on server portsmithd -T) == *"Port = 28800"* ]]
}

@test "Open another port, or several" {
    [[ $(tcp_greeting "$server" 8443) == "$greeting" ]]
    set_key "$conf" "Shut = tcp/22 tcp/8443"
    on server portsmithctl reload
    port_is_shut "$server" 8443
    follow "--wait home tcp/8443"
    [ "$(tcp_greeting "$server" 8443)" = "$greeting" ]
    on server portsmithctl close --all
    follow_all
    wait_until 10 has_grant laptop "$client" tcp/22
    has_grant laptop "$client" tcp/8443
    sed -i 's/^Open.*/Open = nonsense/' /etc/portsmith.d/laptop.conf
    run -78 on server bash -c "portsmithd -t && portsmithctl reload"
    [[ $output == *"/etc/portsmith.d/laptop.conf:"[0-9]* ]]
    sed -i 's/^Open.*/Open = tcp\/22/' /etc/portsmith.d/laptop.conf
    several_from_the_start
}

# The words of the last paragraph, on a server that is new.
several_from_the_start() {
    end_portsmith
    forget_portsmith
    on server portsmith-profile init --shut tcp/22,tcp/8443
    on server portsmith-profile add new --open tcp/22,tcp/8443 --public-key "$client_key" \
        --host $server_name
    [[ $(on server portsmithd -T) == *"Shut = tcp/22 tcp/8443"*"Open = tcp/22 tcp/8443"* ]]
}

# ---- clients ---------------------------------------------------------------

@test "Lost laptop" {
    local session

    log_to_journal
    knocks_are_heard home
    as_client ssh $server_name sleep 1000 </dev/null 3>&- &
    session=$!
    wait_until 10 has_session_of "$client"
    as_client portsmith-knock --close home
    wait_until 10 no_grant_is_listed # so the session is of an older grant
    wait_until 10 journal_has PORTSMITH_VERDICT=opened PORTSMITH_ADDRESS="$client"
    follow "revoke laptop --kill"
    has_session_of "$client"
    follow journalctl
    [[ $said == *"laptop: opened tcp/22 for $client for 30 s"* ]]
    follow "ss -tnp"
    [[ $said =~ $server:22\ +$client:[0-9]+.*sshd ]]
    follow_all
    wait_until 10 process_is_gone "$session"
    run -3 as_client portsmith-knock --wait --timeout 1s home
}

has_session_of() { # ADDRESS
    [ -n "$(on server ss -H -t -n state established "sport = :22 and dst = $1")" ]
}

no_grant_is_listed() {
    [ "$(on server portsmithctl list --json | jq length)" -eq 0 ]
}

@test "Let a colleague in until Friday" {
    follow "profile add bob"
    paste_as bob .config/portsmith/home.conf
    on server portsmithctl reload
    follow "--wait home"
    has_grant bob "$client" tcp/22
    [[ $(on server portsmith-profile list) =~ bob\ .*$(date -u -d friday +%F) ]]
    follow_all
    no_grant_is_listed
    run -3 as_user bob client "portsmith-knock --wait --timeout 1s home"
}

@test "Who was let in yesterday" {
    log_to_journal
    knocks_are_heard home
    wait_until 10 journal_has PORTSMITH_VERDICT=opened PORTSMITH_ADDRESS="$client"
    follow "PORTSMITH_VERDICT=opened"
    [ "$(grep -c "laptop: opened tcp/22 for $client for 30 s" <<<"$said")" -eq 1 ]
    follow PORTSMITH_PROFILE=laptop
    [[ $said == *"laptop: opened tcp/22 for $client for 30 s"* ]]
    on server portsmithctl close --all
    wait_until 10 journal_has PORTSMITH_VERDICT=ended PORTSMITH_PROFILE=laptop
    follow PORTSMITH_VERDICT=ended
    [[ $said == *"laptop: tcp/22 for $client has ended: closed by an admin; "* ]]
    knocks_are_heard home
    follow_all
    [[ $said == *laptop*"$client"*tcp/22* ]]
    run ! journal_has --since today
}

# The device is the client's other address.
@test "A phone, macOS, Windows" {
    local address=$other

    follow_all
    wait_until 10 has_grant laptop "$other" tcp/22
    port_is_open "$server" 22 "$other"
    port_is_shut "$server" 22 "$client"
}

# Both families lead to the server; then IPv6 alone.
@test "IPv6 only, IPv4 only" {
    keep_name fd77::1 $server_name
    follow "-6 --wait home"
    has_grant laptop fd77::2 tcp/22
    [[ $(on server portsmithctl list) != *"10.77."* ]]
    on server portsmithctl close --all
    follow "-4 --wait home"
    has_grant laptop "$client" tcp/22
    [[ $(on server portsmithctl list) != *"fd77:"* ]]
    on server portsmithctl close --all
    follow_all
    [ "$(as_client ssh home echo in)" = in ]
    [[ $(on server portsmithctl list) != *"10.77."* ]]
    ip -n server address delete 10.77.0.1/24 dev eth0
    stop_daemon
    start_daemon
    sed -i 's/ -6 / /' "$home/.ssh/config"
    forget_name $server_name
    keep_name fd77::1 $server_name
    [ "$(as_client ssh home echo in)" = in ]
    ip -n server address add 10.77.0.1/24 dev eth0
    forget_name $server_name
    keep_name 10.77.0.1 $server_name
}
