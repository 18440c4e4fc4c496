#!/usr/bin/env bats
# portsmith-profile roster: how rosters are signed, shown and checked, and what portsmithd -t says of
# them. What a roster opens is in net/roster.bats. The programs are those on the PATH.
# Once: programs on their own; nothing is sent to a daemon.
# bats file_tags=once

bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    umask 022
    export HOME=$PWD
    printf '%s\n' "[Portsmith]" "Port = 4000" "User = nobody" "WitnessUser = daemon" \
        "ProfileDirectory = $PWD/profiles" "StateDirectory = $PWD/state" \
        "RunDirectory = $PWD/run" >test.conf
    profile init >/dev/null
    profile roster init >init.log
    cp fleet.secret profiles/
    grep '^ *Roster' init.log >>test.conf
    fleet_key=$(sed -n 's/.*RosterKey = //p' init.log)
    portsmith-knock keygen >/dev/null
    key=$(portsmith-knock pubkey)
}

profile() { # ARGUMENT...
    portsmith-profile -c "$PWD/test.conf" "$@"
}

write_text() { # VERSION LINE... of the profile laptop
    printf '%s\n' "[Roster]" "Version = $1" "NotAfter = 2099-12-31" "[Profile laptop]" \
        "PublicKey = $key" "Open = tcp/22" "${@:2}" >text
}

sign() { # VERSION LINE...
    rm -f roster
    write_text "$@"
    profile roster sign text >/dev/null
}

sign_refused() { # TEXT ARGUMENT...
    run profile roster sign "${@:2}"
    [ "$status" -eq 1 ] || { echo "status $status: $output"; return 1; }
    [[ $output == *"$1"* ]] || { echo "said: $output"; return 1; }
    [ "${#lines[@]}" -eq 1 ]
}

check_refused() { # TEXT: by portsmithd -t, with the file as the roster of the host
    run portsmithd -t -c "$PWD/test.conf"
    [ "$status" -eq 78 ] || { echo "status $status: $output"; return 1; }
    [[ $output == *"$1"* ]] || { echo "said: $output"; return 1; }
    [ "${#lines[@]}" -eq 1 ]
}

@test "init makes a key and a secret once, and says what hosts need" {
    [ "$(stat -c %a fleet.key fleet.secret)" = $'600\n600' ]
    [ "${#fleet_key}" -eq 44 ]
    cp fleet.key fleet.secret profiles
    run profile roster init
    [ "$status" -eq 0 ]
    [[ $output == "kept fleet.key,"*"kept fleet.secret:"*"RosterKey = $fleet_key"* ]]
    cmp fleet.key profiles/fleet.key
    cmp fleet.secret profiles/fleet.secret
    run ! grep -q -F -f fleet.key init.log
    run ! grep -q -F -f fleet.secret init.log
    echo x >fleet.key
    run -1 profile roster init
    [[ $output == *"fleet.key:1: not a key"* ]]
}

@test "what is signed is the text with a line before and a line behind it, the same each time" {
    sign 7
    head -n 1 roster | grep -x '# portsmith-roster 1'
    sed '1d;$d' roster | cmp - text
    [ "$(tail -n 1 roster | wc -c)" -eq 89 ]
    [ "$(stat -c %a roster)" = 644 ]
    mv roster before
    sign 7
    cmp before roster
    # What an editor puts before it is no part of it: behind a line, no host would take it.
    rm roster
    { printf '\xef\xbb\xbf'; cat text; } >marked
    profile roster sign marked >/dev/null
    cmp before roster
}

@test "show prints what a roster holds, by the host's keys or by one that is given" {
    sign 7 "Open = tcp/443" "Group = web mail" "Expires = 2031-01-31"
    run -0 profile roster show roster
    [ "$output" = "version 7, good until 2099-12-31
profile laptop tcp/22,tcp/443 at the hosts of web,mail" ]
    [ "$(portsmith-profile roster show --key "$fleet_key" roster)" = "$output" ]
    cp roster profiles/
    [ "$(profile roster show)" = "$output" ]
    [ "$(profile roster show --json | jq -c .)" = "{\"version\":7,\"not_after\":\"2099-12-31\",\"profiles\":[{\"name\":\"laptop\",\"public_key\":\"$key\",\"services\":[\"tcp/22\",\"tcp/443\"],\"groups\":[\"web\",\"mail\"],\"expires\":\"2031-01-31\"}],\"revoked\":[]}" ]
    run -1 portsmith-profile roster show --key "$key" roster
    [[ $output == *"roster: signed with another fleet key than is known here, or cut short or changed since"* ]]
    run -1 portsmith-profile roster show --key x roster
    [[ $output == *"--key: not a key"* ]]
    run -1 portsmith-profile -c none.conf roster show roster
    [[ $output == *"none.conf: no such file to name a RosterKey: add --key with the key that roster init printed" ]]
    sed -i /Roster/d test.conf
    run -1 profile roster show roster
    [[ $output == *"has no RosterKey: add --key"* ]]
}

@test "show prints the keys that are revoked" {
    printf '%s\n' "[Roster]" "Version = 1" "NotAfter = 2099-12-31" "Revoke = $key" >text
    profile roster sign text >/dev/null
    run -0 profile roster show roster
    [ "$output" = "version 1, good until 2099-12-31
revoked $key" ]
    [ "$(profile roster show --json roster | jq -r '.revoked[0]')" = "$key" ]
}

@test "sign refuses a text that no host would take, with its line" {
    write_text 1 "Nonsense = 1"
    sign_refused "text:7: unknown key 'Nonsense' in [Profile]" text
    write_text 1 "PresharedKey = $key"
    sign_refused "text:7: unknown key 'PresharedKey'" text
    write_text 1
    sed -i 's/2099/2020/' text
    sign_refused "text: NotAfter = 2020-12-31 has passed already" text
    : >text
    sign_refused "text: is empty" text
    [ ! -e roster ]
    sign_refused "missing: No such file" missing
    write_text 1
    sign_refused "other.key: No such file" text --key other.key
    head -c 16777216 /dev/zero | tr '\0' '#' >large
    sign_refused "large:1: the line is longer than" large
}

@test "sign wants a higher version than that of the roster in its place, and overwrites no other file" {
    sign 7
    cp roster before
    sign_refused "roster has Version 7: give the new roster a higher one" text
    write_text 6
    sign_refused "roster has Version 7" text
    cmp before roster
    write_text 8
    profile roster sign text >/dev/null
    profile roster show roster | grep -q '^version 8,'
    cp text other
    sign_refused "other: not a roster" text --output other
    cmp text other
}

@test "options and arguments that do not fit are refused" {
    local line

    while IFS='|' read -r line expected; do
        # shellcheck disable=SC2086 # words
        run -2 profile roster $line
        [[ $output == *"$expected"* ]] || { echo "$line: $output"; return 1; }
    done <<'END'
|no command is given
shwo|did you mean 'show'?
init here|roster init takes no argument
sign|roster sign takes the file to sign
sign text --json|--json is not for roster sign
show --output a|--output is not for roster show
show a b|roster show takes one roster, or none
bundle|roster bundle takes the name of one profile
bundle laptop --key a|--key is not for roster bundle
END
}

@test "a host lists the profiles of the roster with its own" {
    sign 7
    cp roster profiles/
    profile create desk --open tcp/1 --output spare >/dev/null
    portsmithd -t -c "$PWD/test.conf"
    run -0 profile list
    [[ ${lines[1]} == desk* && ${lines[2]} == "laptop  tcp/22 "*"2099-12-31"* ]]
    [[ $(profile show laptop) == "# laptop, of the roster, key id"* ]]
    echo "RosterServices = tcp/2222 -> 192.0.2.1:22" >>test.conf
    run -0 portsmithd -T -c "$PWD/test.conf"
    [[ $output == *"# the roster: version 7, good until 2099-12-31, 0 revoked"* ]]
    [[ $output == *$'\nRosterServices = tcp/22\nRosterServices = tcp/2222 -> 192.0.2.1:22\n'* ]]
    run -1 profile revoke laptop
    [[ $output == *"there is no profile 'laptop'; one of the roster is revoked there"* ]]
    [ -z "$(ls state 2>/dev/null)" ] # it was only looked at
}

@test "bundle makes what a client imports, with the pre-shared key of its own" {
    sign 7
    cp roster profiles/
    run -0 profile roster bundle laptop --host server.example.net --server home
    [[ $output == "made laptop.bundle, for the client laptop."* ]]
    [ "$(stat -c %a laptop.bundle)" = 600 ]
    run ! grep -q PrivateKey laptop.bundle
    [ "$(grep -c -E '^(Service = tcp/22|PresharedKey = .{44}|Host = server.example.net)$' laptop.bundle)" -eq 3 ]
    run -0 portsmith-knock import laptop.bundle
    [[ $output == *"If the server's admin does not have it yet: 'portsmith-knock pubkey' prints it."* ]]
    portsmith-knock show home >/dev/null
    run -1 profile roster bundle laptop --host server.example.net
    [[ $output == *"laptop.bundle: File exists"* ]]
    run -1 profile roster bundle nobody --host server.example.net
    [[ $output == *"the roster gives no profile 'nobody' here"* ]]
    run -1 profile roster bundle laptop --host -x --output other
    [[ $output == *"--host: '-x' is not a host name"* ]]
}

@test "portsmithd -t names what is wrong with a roster, in one line" {
    check_refused "profiles/roster: No such file or directory; RosterKey asks for it"
    sign 7
    head -c -1 roster >profiles/roster
    check_refused "profiles/roster: signed with another fleet key than is known here, or cut short"
    sed 's/tcp.22/tcp\/23/' roster >profiles/roster
    check_refused "or cut short or changed since: take it anew"
    cp text profiles/roster
    check_refused "profiles/roster: not a roster that this release knows"
    head -c 17000000 /dev/zero >profiles/roster
    check_refused "profiles/roster: holds more than 16777216 bytes"
    sign 7 "Window = 1h"
    cp roster profiles/
    check_refused "profiles/roster: [Profile laptop]: Window (1h) is longer than MaxWindow (10m)"
    chmod 666 profiles/roster
    check_refused "profiles/roster: mode 0666 is too open"
}

@test "a host without the fleet's secret is told where it comes from" {
    sign 7
    cp roster profiles/
    rm profiles/fleet.secret
    check_refused "fleet.secret: No such file or directory; copy the one there"
    install -m 644 fleet.secret profiles/
    check_refused "fleet.secret: mode 0644 is too open"
}

@test "add refuses a key that the roster revokes" {
    printf '%s\n' "[Roster]" "Version = 1" "NotAfter = 2099-12-31" "Revoke = $key" >text
    profile roster sign text --output profiles/roster >/dev/null
    run -78 profile add laptop --public-key "$key" --open tcp/22 --host server.example.net
    [[ $output == *"the roster revokes the key of the profile 'laptop': the client needs a new one"* ]]
    [ ! -e profiles/laptop.conf ]
}

@test "revoke says that the roster gives the key or the name still" {
    sign 7
    cp roster profiles/
    profile create laptop --open tcp/22 --output spare >/dev/null
    run -1 profile revoke laptop
    [[ $output == *"removed profile laptop"*"gives a profile 'laptop' with the same name, which counts now"* ]]
    profile add desk --public-key "$key" --open tcp/22 --host server.example.net >/dev/null
    run -1 profile revoke desk
    [[ $output == *"removed profile desk"*"gives a profile 'laptop' with the same key, which counts now"* ]]
    profile create desk --open tcp/22 --output other >/dev/null
    profile revoke desk
}

@test "what bounds a roster needs a roster, and a roster bounds" {
    sed -i '/RosterServices/d' test.conf
    check_refused "test.conf: RosterKey needs a line 'RosterServices = ...'"
    sed -i '/RosterKey/d' test.conf
    echo "RosterServices = tcp/22" >>test.conf
    check_refused "test.conf: RosterServices is only for a roster"
    sed -i 's/RosterServices.*/RosterProfiles = ops-*/' test.conf
    check_refused "test.conf: RosterProfiles is only for a roster"
}
