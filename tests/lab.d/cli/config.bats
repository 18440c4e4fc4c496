#!/usr/bin/env bats
# portsmithd -t and -T: what is right is accepted in silence, what is wrong is
# named with its file and line. The programs are those on the PATH.
# Once: programs on their own; nothing is sent to a daemon.
# bats file_tags=once

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    umask 022
    write_conf
    portsmith-profile -c "$PWD/test.conf" init >/dev/null
}

write_conf() { # [LINE...], from line 7 on
    printf '%s\n' "[Portsmith]" "Port = 4000" "User = nobody" \
        "ProfileDirectory = $PWD/profiles" "StateDirectory = $PWD/state" \
        "RunDirectory = $PWD/run" "$@" "WitnessUser = daemon" >test.conf
}

write_profile() { # NAME LINE... from line 3 on
    local name=$1

    shift
    portsmith-profile -c "$PWD/test.conf" create "$name" --open tcp/1 --output spare >/dev/null
    key=$(sed -n 's/^PublicKey = //p' "profiles/$name.conf")
    printf '%s\n' "[Profile]" "PublicKey = $key" "$@" >"profiles/$name.conf"
    rm spare
}

accepted() {
    run portsmithd -t -c "$PWD/test.conf"
    [ "$status" -eq 0 ] || { echo "status $status: $output"; return 1; }
    [ -z "$output" ] || { echo "said: $output"; return 1; }
}

refused() { # TEXT
    local option

    for option in -t -T; do
        run portsmithd $option -c "$PWD/test.conf"
        [ "$status" -eq 78 ] || { echo "$option: status $status: $output"; return 1; }
        [[ $output == *"$1"* ]] || { echo "$option said: $output"; return 1; }
        [ "${#lines[@]}" -eq 1 ] || { echo "$option: more than one line: $output"; return 1; }
    done
    [ -z "$(portsmithd -t -c "$PWD/test.conf" 2>/dev/null)" ]
}

@test "a right configuration is accepted in silence" {
    accepted
    write_conf "Interface = eth0 wg0" "Backend = iptables-nft" "Shut = tcp/22, udp/4000" \
        "ShutWith = reset" "MaxSkew = off" "Window = 1m" "MaxWindow = 1h" "MaxGrants = 5"
    write_profile alice "Open = tcp/22" "Window = 10s" "Address = signed 192.0.2.0/24" \
        "Port = 5000" "Expires = 2031-12-31" "MaxGrants = 1"
    accepted
}

@test "old words are accepted, and each is noted with its line and the new word" {
    write_conf "Backend = legacy" "Close = tcp/22" "closewith = drop"
    write_profile alice "Open = tcp/22" "Address = observed"
    run portsmithd -t -c "$PWD/test.conf"
    [ "$status" -eq 0 ]
    [[ $output == *"warning: $PWD/test.conf:"*": Close is the old word for Shut, and is still taken: write Shut"* ]]
    [[ $output == *": CloseWith is the old word for ShutWith, and is still taken: write ShutWith"* ]]
    [[ $output == *": Backend = legacy is the old word for iptables-legacy, and is still taken: write Backend = iptables-legacy"* ]]
    [[ $output == *"/alice.conf:"*": Address = observed is the old word for any, and is still taken: write Address = any"* ]]
    portsmithd -T -c "$PWD/test.conf" 2>/dev/null | grep -x "Shut = tcp/22"
    write_conf "ShutWith = drop" "CloseWith = reset"
    refused ": ShutWith is given a second time"
}

@test "a check changes nothing" {
    find . -printf '%p %s %m %T@\n' | sort >../before
    accepted
    find . -printf '%p %s %m %T@\n' | sort >../after
    diff ../before ../after
}

@test "a missing file, user, directory or key points to init" {
    rm profiles/server.key
    refused "profiles/server.key: No such file or directory; run portsmith-profile -c $PWD/test.conf init"
    bash -c "${output##*; run }" >/dev/null # what it says is what helps
    accepted
    rm -r profiles
    refused "profiles: No such file or directory; run portsmith-profile -c $PWD/test.conf init"
    sed -i 's/^User = .*/User = no.such.user/' test.conf
    refused "test.conf: the user 'no.such.user' does not exist; run portsmith-profile -c $PWD/test.conf init"
    rm test.conf
    refused "test.conf: no such file; run portsmith-profile -c $PWD/test.conf init"
}

@test "root is no user for the sniffer" {
    sed -i 's/^User = .*/User = root/' test.conf
    refused "test.conf: User must not be root"
}

@test "wrong lines of the configuration are named with file and line" {
    write_conf "Colour = blue"
    refused "test.conf:7: unknown key 'Colour' in [Portsmith]"
    write_conf "" "Port = 4001"
    refused "test.conf:8: Port is given a second time"
    write_conf "Interface = any eth0"
    refused "test.conf:7: Interface: 'any' covers every interface"
    write_conf "Shut = tcp/22 tcp/x"
    refused "test.conf:7: Shut: 'x' is not a port number"
    write_conf "MaxGrants = 0"
    refused "test.conf:7: MaxGrants: '0' is not a number from 1 to 10000"
    write_conf "just words"
    refused "test.conf:7: expected 'Key = value'"
    write_conf "[Profile]" "Open = tcp/22"
    refused "test.conf:7: expected the section [Portsmith], not [Profile]"
    write_conf "Shut = $(printf 'tcp/%d ' {10000..10020})"
    refused "test.conf:7: the line is longer than 198 characters"
    write_conf "Window = 20m"
    refused "test.conf: Window (20m) is longer than MaxWindow (10m)"
}

@test "wrong lines of a profile are named with file and line" {
    write_profile alice "Open = tcp/22" "Colour = blue"
    refused "profiles/alice.conf:4: unknown key 'Colour' in [Profile]"
    rm profiles/alice.conf
    write_profile alice "Open = 22"
    refused "profiles/alice.conf:3: Open: '22' is not a service"
    rm profiles/alice.conf
    write_profile alice "Open = tcp/22" "Expires = 2027-02-29"
    refused "profiles/alice.conf:4: Expires: '2027-02-29' is not a day of the calendar"
    rm profiles/alice.conf
    write_profile alice
    refused "profiles/alice.conf: expected a line 'Open = ...'"
}

# As some editors leave a file: U+FEFF in UTF-8 before it, and lines that end in CR LF.
edit_elsewhere() { # FILE
    sed -i -e '1s/^/\xef\xbb\xbf/' -e 's/$/\r/' "$1"
}

@test "a byte order mark and another system's lines change nothing, and hide nothing" {
    write_profile alice "Open = tcp/22"
    edit_elsewhere test.conf
    edit_elsewhere profiles/alice.conf
    edit_elsewhere profiles/server.key
    accepted
    sed -i '1s/\[Profile\]/[Nonsense]/' profiles/alice.conf
    refused "profiles/alice.conf:1: expected the section [Profile], not [Nonsense]"
    sed -i '1s/\[Portsmith\]/[Nonsense]/' test.conf
    refused "test.conf:1: expected the section [Portsmith], not [Nonsense]"
}

@test "two profiles with one key are named both" {
    write_profile alice "Open = tcp/22"
    cp profiles/alice.conf profiles/bob.conf
    refused "profiles/bob.conf: PublicKey: the same key as in profile 'alice'"
}

@test "loose files and directories are refused with the command that mends them" {
    chmod 666 test.conf
    refused "test.conf: mode 0666 is too open; run: chmod go-w"
    chmod 644 test.conf
    chmod 770 profiles
    refused "profiles: others may write to it; run: chmod go-w"
    chmod 700 profiles
    chmod 640 profiles/server.key
    refused "profiles/server.key: mode 0640 is too open; run: chmod 600"
}

@test "who may not read a file or directory is told whose turn it is" {
    local open

    [ "$(id -u)" -eq 0 ] || skip "as root only: another user tries"
    open=$(mktemp -d) # the directory of bats is root's alone
    chmod 755 "$open"
    sed "s|$PWD|$open|" test.conf >"$open/test.conf"
    install -d -m 700 "$open/profiles"
    cp "$(command -v portsmithd)" "$open"
    run setpriv --reuid=nobody --clear-groups "$open/portsmithd" -t -c "$open/test.conf"
    rm -r "$open"
    [ "$status" -eq 78 ]
    [[ $output == *"$open/profiles: Permission denied; run this as the user whose file it is"* ]]
}

@test "-T prints every key, defaults included, and each profile" {
    write_conf "Interface = eth0 wg0" "Shut = udp/53 tcp/22"
    write_profile alice "Open = tcp/22" "Address = signed"
    run portsmithd -T -c "$PWD/test.conf"
    [ "$status" -eq 0 ]
    key=$(sed -n 's/^PublicKey = //p' profiles/alice.conf)
    [[ ${lines[0]} =~ ^"# the server's public key: "[A-Za-z0-9+/]{43}=$ ]]
    [ "$(sed '1d; s/, key id [0-9a-f]*$//' <<<"$output")" = "[Portsmith]
Interface = eth0 wg0
Port = 4000
Transports = udp
Backend = auto
Shut = tcp/22 udp/53
ShutWith = drop
Forward = no
MaxSkew = 5m
Window = 30s
MaxWindow = 10m
GrantStore = auto
MaxGrants = 1000
User = nobody
WitnessUser = daemon
ProfileDirectory = $PWD/profiles
StateDirectory = $PWD/state
RunDirectory = $PWD/run

# $PWD/profiles/alice.conf
[Profile]
PublicKey = $key
Open = tcp/22
Window = 30s
MaxWindow = 10m
Address = signed
Port = 4000
MaxGrants = 32" ]
}

@test "-T prints no secret" {
    portsmith-profile -c "$PWD/test.conf" create alice --open tcp/22 --preshared-key
    run portsmithd -T -c "$PWD/test.conf"
    [ "$status" -eq 0 ]
    [[ $output == *"# PresharedKey is set and not shown"* ]]
    for secret in "$(cat profiles/server.key)" "$(sed -n 's/^PresharedKey = //p' alice.bundle)" \
        "$(sed -n 's/^PrivateKey = //p' alice.bundle)"; do
        [ "${#secret}" -eq 44 ]
        [[ $output != *"$secret"* ]]
    done
}

@test "what -T prints of the configuration can be read back" {
    write_conf "Interface = eth0" "Shut = tcp/22" "MaxSkew = off" "Window = 90s"
    portsmithd -T -c "$PWD/test.conf" >first
    cp first test.conf
    portsmithd -T -c "$PWD/test.conf" >again
    diff first again
}
