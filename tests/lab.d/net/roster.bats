#!/usr/bin/env bats
# What a roster opens, what it revokes, and that a bad one changes nothing.
# bats file_tags=any
# shellcheck disable=SC2154 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

fleet=$lab/fleet
site=/etc/portsmith.d/roster
kept=/var/lib/portsmith/roster

setup_file() {
    lab_setup
    configure
    mkdir "$fleet"
    (cd "$fleet" && portsmith-profile roster init >init.log)
    grep '^ *Roster' "$fleet/init.log" >>"$conf"
    install -m 600 "$fleet/fleet.secret" /etc/portsmith.d/
    as_client portsmith-knock keygen >"$fleet/keygen.log"
    sign 1
    as_fleet portsmith-profile roster bundle laptop --host "$server" --server laptop \
        --output "$fleet/bundle" >"$fleet/bundle.log"
    as_client portsmith-knock import - <"$fleet/bundle" >>"$fleet/bundle.log"
    start_daemon
    start_listener 22
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
}

teardown() {
    common_teardown
}

as_fleet() { # COMMAND... in the directory of the fleet's keys
    (cd "$fleet" && on server "$@")
}

# A roster with the profile laptop.
write_text() { # VERSION [LINE of the head...]
    printf '%s\n' "[Roster]" "Version = $1" "NotAfter = ${until:-2099-12-31}" "${@:2}" \
        "[Profile laptop]" "PublicKey = $(public_key)" "Open = tcp/22 tcp/80" "Window = 60s" \
        >"$fleet/text"
}

# Signs one, and puts it on the host.
sign() { # VERSION [LINE of the head...]
    write_text "$@"
    rm -f "$fleet/roster"
    as_fleet portsmith-profile roster sign text >/dev/null
    install -m 644 "$fleet/roster" "$site"
}

public_key() {
    sed -n 's/^Its public key: //p' "$fleet/keygen.log"
}

reload() {
    on server portsmithctl reload
}

reload_refused() { # TEXT
    run -1 reload
    [[ $output == *"$1"* ]] || { echo "said: $output"; return 1; }
}

# By another implementation, and without the checks of ours.
sign_by_hand() { # TEXT
    python3 - "$fleet/fleet.key" "$1" <<'END'
import base64, sys
from nacl import signing
key = signing.SigningKey(base64.b64decode(open(sys.argv[1]).read()))
message = b"# portsmith-roster 1\n" + open(sys.argv[2], "rb").read()
signature = base64.b64encode(key.sign(message).signature)
sys.stdout.buffer.write(message + signature + b"\n")
END
}

@test "a knock of a roster's profile opens what the host lets a roster open" {
    knock_opens laptop
    port_is_open "$server" 22
    run -0 on server portsmithctl status
    [[ $output == *"roster        version 1, good until 2099-12-31; it gives 1 of the profiles"* ]]
    [ "$(on server portsmithctl --json status | jq -c .roster)" = \
        '{"version":1,"not_after":"2099-12-31","profiles":1}' ]
    knock_until "laptop: refused for $client: tcp/80 is not in this profile" laptop tcp/80
}

@test "a bad roster is refused with the reason, and the one before stays, over a restart too" {
    sign 3
    reload
    cp "$site" "$lab/third"
    sign 2
    reload_refused "roster: Version 2 is below 3, which was used here"
    sign 3 "# another"
    reload_refused "roster: another roster of Version 3 was used here"
    head -c 100 "$lab/third" >"$site"
    reload_refused "roster: not a roster that this release knows"
    head -c -1 "$lab/third" >"$site"
    reload_refused "or cut short or changed since"
    rm "$site"
    reload_refused "roster: No such file or directory"
    write_text 4 "Nonsense = 1"
    sign_by_hand "$fleet/text" >"$site"
    reload_refused "roster:5: unknown key 'Nonsense' in [Roster]"
    cmp "$lab/third" "$kept"
    knock_opens laptop
    stop_daemon
    start_daemon
    log_has "roster:5: unknown key 'Nonsense' in \[Roster\]; the roster that was used last, Version 3, stays in force"
    run -4 on server portsmithctl doctor
    [[ $output == *"unknown key 'Nonsense'"*"-> mend that, then run portsmithctl reload"* ]]
    knock_opens laptop
    run -78 on server portsmithd -t
    [[ $output == *"roster:5: unknown key 'Nonsense'"* ]]
    sign 5
    reload
    cmp "$site" "$kept"
}

@test "a revoked key opens nothing, not by a file either, and its live grant ends" {
    knock_opens laptop
    sign 6 "Revoke = $(public_key)"
    cat >/etc/portsmith.d/desk.conf <<END
[Profile]
PublicKey = $(public_key)
Open = tcp/22
END
    grep PresharedKey "$fleet/bundle" >>/etc/portsmith.d/desk.conf
    chmod 600 /etc/portsmith.d/desk.conf
    reload
    wait_for_log "the roster revokes 1 profile that has a file here"
    wait_until 5 has_no_grant "$client"
    port_is_shut "$server" 22
    knock laptop
    never_in_ms 1000 log_has 'desk: opened'
    log_counts 'opened' 1
    stop_daemon
    start_daemon
    knock laptop
    never_in_ms 1000 log_has 'opened'
    # What a newer roster revokes no more knocks again, by the file's profile.
    sign 7
    reload
    knock_until "desk: opened" laptop
    # Without its file, a profile of that name counts by the roster.
    mv /etc/portsmith.d/desk.conf /etc/portsmith.d/laptop.conf
    reload
    run -1 on server portsmith-profile revoke --kill laptop
    [[ $output == *"may be left: the roster gives a profile of that name, too"* ]]
}

@test "past its day, as where an old state was brought back, a roster opens nothing and still revokes" {
    stop_daemon
    until=2020-12-31 write_text 8
    sign_by_hand "$fleet/text" >"$site"
    install -m 600 "$site" "$kept"
    start_daemon
    log_has "the roster was good until 2020-12-31 \(NotAfter\): the knocks of its profiles are refused"
    knock_until "laptop: refused for $client: the profile or its roster has expired" laptop
    port_is_shut "$server" 22
    run -0 on server portsmithctl status
    [[ $output == *"version 8, NOT IN FORCE: NotAfter has passed: 2020-12-31"* ]]
    run -4 on server portsmithctl doctor
    [[ $output == *"PROBLEM: the roster was good until 2020-12-31 (NotAfter)"* ]]
}
