#!/usr/bin/env bats
# portsmith-knock as people use it: options, mistakes, files, exit statuses.
# Whatever is sent stays in network namespaces of its own.
# Once: programs on their own; nothing is sent to a daemon.
# bats file_tags=once
# shellcheck disable=SC2030,SC2031 # each test has an environment of its own

bats_require_minimum_version 1.5.0

KEY=hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=
SEED=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
PRESHARED=YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    export HOME=$PWD/home
    unset XDG_CONFIG_HOME XDG_STATE_HOME POSIXLY_CORRECT
    umask 022
    mkdir home
    config=$HOME/.config/portsmith
    counter=$HOME/.local/state/portsmith/counter
    manual=$BATS_TEST_DIRNAME/../../../man/portsmith-knock.1
}

teardown() {
    [ -z "$open" ] || rm -r "$open"
}

# bastion.conf with these further lines, and an identity.
know_bastion() {
    [ -e "$config/identity" ] || portsmith-knock keygen >/dev/null
    printf '%s\n' '[Server]' 'Host = 5.5.5.2' 'Port = 62201' "PublicKey = $KEY" "$@" \
        >"$config/bastion.conf"
}

write_bundle() { # [line...]
    printf '%s\n' '[Bundle]' 'Name = bastion' 'Host = bastion.example.net' 'Port = 62201' \
        "PublicKey = $KEY" "PrivateKey = $SEED" "$@" >bundle
    chmod 600 bundle
}

# Runs a command in a network of its own: loopback, and a link to 5.5.5.0/24
# and 2a00:1234::/64 where this end is 5.5.5.1 and 2a00:1234::1. Whatever is in
# ./hosts is in force as /etc/hosts.
in_network() {
    touch hosts
    unshare -nm sh -ec '
        mount --make-rprivate /
        mount --bind hosts /etc/hosts
        ip link set lo up
        ip link add near type veth peer name far
        ip addr add 5.5.5.1/24 dev near
        ip addr add 10.7.7.1/24 dev near
        ip addr add 2a00:1234::1/64 dev near nodad
        ip link set near up
        ip link set far up
        "$@"' sh "$@"
}

# How many datagrams a command sends in a network: "IPv4 IPv6".
count_sent() {
    in_network sh -c '"$@" >&2; r=$?
        v4=$(awk "/^Udp: [0-9]/ {print \$5}" /proc/net/snmp)
        v6=$(awk "/^Udp6OutDatagrams/ {print \$2}" /proc/net/snmp6)
        echo "$v4 $v6"; exit $r' sh "$@"
}

mode_of() {
    stat -c %a "$1"
}

refused() { # STATUS TEXT COMMAND...
    local status_expected=$1 text=$2
    shift 2
    run --separate-stderr "$@"
    echo "status $status: $output / $stderr"
    [ "$status" -eq "$status_expected" ] && [ -z "$output" ] && [[ $stderr == *"$text"* ]]
}

# ---- help, version, usage ---------------------------------------------------

@test "--help and -h print the usage" {
    run --separate-stderr portsmith-knock --help
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    [[ $output == "usage: portsmith-knock [options] SERVER"* ]]
    help=$output
    run portsmith-knock -h
    [ "$status" -eq 0 ]
    [ "$output" = "$help" ]
}

@test "--version prints name and version" {
    run portsmith-knock --version
    [ "$status" -eq 0 ]
    [[ $output =~ ^portsmith-knock\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "the manual has the options of --help, no more and no less" {
    portsmith-knock --help | sed -n 's/^  \(-.*\)/\1/p' | sed 's/  .*//' |
        grep -oE -- '--?[a-z0-9][a-z-]*' | sort >in-help
    sed -n '/^The options are/,/^The subcommands are/s/^\.It Fl //p' "$manual" |
        sed 's/ Ar .*//; s/^/Fl /; s/Fl Fl /--/g; s/Fl /-/g' |
        grep -oE -- '--?[a-z0-9][a-z-]*' | sort >in-manual
    [ "$(wc -l <in-help)" -ge 18 ]
    diff in-help in-manual
    for subcommand in export import keygen list pubkey show; do
        portsmith-knock --help | grep -q "^  $subcommand "
        grep -q "^\.It Cm $subcommand" "$manual"
    done
}

@test "the manual is clean mdoc" {
    mandoc -Tlint -W warning "$manual"
}

@test "wrong command lines exit 2 with a hint to --help" {
    know_bastion
    while read -r text words; do
        # shellcheck disable=SC2086 # words are words
        refused 2 "${text//_/ }" portsmith-knock $words
        [[ $stderr == *"Try 'portsmith-knock --help'." ]]
    done <<END
SERVER_is_missing
SERVER_is_missing -v
unrecognized_option --colour bastion
invalid_option -x bastion
requires_an_argument bastion --window
is_not_a_SERVER ../bastion
is_not_a_SERVER tcp/22
'ssh'_is_not_a_service bastion ssh
'0'_is_not_a_port bastion tcp/0
a_knock_can_name_4_services bastion tcp/1 tcp/2 tcp/3 tcp/4 tcp/5
--window:_'soon'_is_not_a_time_span --window soon bastion
--window:_'8d'_is_out_of_range --window 8d bastion
--address:_'here'_is_not_auto --address here bastion
--address:_no_server_opens_a_port --address 224.0.0.1 bastion
--close_takes_no_--window --close --window 1m bastion
--port_goes_with_--server-key --port 1 bastion
exclude_each_other --config x --server-key $KEY
--server-key_needs_--port --server-key $KEY 5.5.5.2
HOST_is_missing --server-key $KEY --port 1
--server-key:_not_a_key --server-key abc --port 1 5.5.5.2
--port:_'x'_is_not_a_port --server-key $KEY --port x 5.5.5.2
HOST:_'a/b'_is_not_a_host --server-key $KEY --port 1 a/b
must_come_first -v keygen
unrecognized_option keygen --force
unrecognized_option import --json bastion
unrecognized_option show --with-secret-key bastion
takes_at_most_one_FILE keygen a b
takes_at_most_one_FILE pubkey a b
takes_one_FILE import
takes_one_FILE import a b
list_takes_no_arguments list bastion
show_takes_one_SERVER show
show_takes_one_SERVER show a b
show_takes_one_SERVER show --json
is_not_a_SERVER show ../bastion
export_takes_one_SERVER export
export_takes_one_SERVER export a b c
is_not_a_SERVER export ../bastion
--wait_and_--connect_exclude --wait --connect bastion 22
--connect_takes_HOST_and_PORT --connect bastion
--connect_takes_HOST_and_PORT --connect bastion 22 23
--connect_takes_a_PORT --connect --config x
PORT:_'ssh'_is_not_a_port --connect bastion ssh
--connect_takes_no_--output --connect --output x bastion 22
--wait_takes_no_--close --wait --close bastion
--wait:_there_is_no_TCP_service --wait bastion
--wait:_there_is_no_TCP_service --wait bastion udp/53
--timeout_goes_with --timeout 3s bastion
--timeout:_'soon'_is_not --wait --timeout soon bastion tcp/22
--pass_goes_with_--connect --pass bastion
--pass:_standard_output_is_no_Unix_socket --connect --pass bastion 22
--pass_goes_with_--connect --wait --pass bastion tcp/22
--relay_goes_with_--connect --relay bastion
--relay_goes_with_--connect --wait --relay bastion tcp/22
END
    [ ! -e "$counter" ]
}

# ---- keygen, pubkey ------------------------------------------------------------

@test "keygen makes the identity and prints what the server's admin runs" {
    run portsmith-knock keygen
    [ "$status" -eq 0 ]
    [ "$(mode_of "$config")" = 700 ]
    [ "$(mode_of "$config/identity")" = 600 ]
    [ "$(wc -c <"$config/identity")" -eq 45 ]
    [[ $output == *"$config/identity"* ]]
    key=$(portsmith-knock pubkey)
    [[ $output == *"portsmith-profile add NAME --public-key $key --open tcp/22"* ]]
    [ "$key" != "$(cat "$config/identity")" ]
}

@test "keygen never overwrites" {
    portsmith-knock keygen
    before=$(cat "$config/identity")
    refused 1 "never overwritten" portsmith-knock keygen
    [ "$(cat "$config/identity")" = "$before" ]
}

@test "keygen and pubkey take a FILE" {
    portsmith-knock keygen other
    [ "$(mode_of other)" = 600 ]
    [ ! -e "$config" ]
    run portsmith-knock pubkey other
    [[ $output =~ ^[A-Za-z0-9+/]{43}=$ ]]
    refused 1 "nowhere/file: No such file" portsmith-knock keygen nowhere/file
}

@test "pubkey gives the public key of RFC 8032's first test" {
    echo nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A= >rfc8032
    chmod 600 rfc8032
    [ "$(portsmith-knock pubkey rfc8032)" = 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= ]
}

@test "pubkey names a missing, loose or wrong identity" {
    refused 78 "portsmith-knock keygen" portsmith-knock pubkey
    portsmith-knock keygen
    chmod 644 "$config/identity"
    refused 78 "chmod 600 $config/identity" portsmith-knock pubkey
    chmod 600 "$config/identity"
    echo rubbish >"$config/identity"
    refused 78 "$config/identity:1: not a key" portsmith-knock pubkey
}

# As GNU stow, chezmoi and home-manager make them.
@test "symbolic links are followed to files that are as strictly owned, and no others" {
    local name

    know_bastion
    key=$(portsmith-knock pubkey)
    mkdir -p dotfiles/portsmith
    for name in identity bastion.conf; do
        mv "$config/$name" dotfiles/portsmith/
        ln -s "../../../dotfiles/portsmith/$name" "$config/$name"
    done
    [ "$(portsmith-knock pubkey)" = "$key" ]
    portsmith-knock --output knock bastion
    [[ $(portsmith-knock show bastion) == *"Identity = $config/identity"*"public key: $key"* ]]
    chmod 775 dotfiles
    refused 78 "$PWD/dotfiles: mode 0775 is too open" portsmith-knock pubkey
    refused 78 "run: chmod go-w $PWD/dotfiles" portsmith-knock bastion
    chmod 1775 dotfiles
    portsmith-knock pubkey
    chmod 755 dotfiles
    chown nobody dotfiles/portsmith
    refused 78 "$PWD/dotfiles/portsmith: belongs to user" portsmith-knock pubkey
    chown root dotfiles/portsmith
    chmod 644 dotfiles/portsmith/identity
    refused 78 "chmod 600 $PWD/dotfiles/portsmith/identity" portsmith-knock pubkey
    rm dotfiles/portsmith/*
    refused 78 "$config/identity: a symbolic link that leads nowhere" portsmith-knock pubkey
    refused 78 "$config/bastion.conf: a symbolic link that leads nowhere" portsmith-knock bastion
}

# ---- whose files -----------------------------------------------------------------

# Commands as a user of the database, and as root, both with an environment that they
# may have come by from another one.
as_eve() { # COMMAND...
    unshare -m bash -ec '
        mount --make-rprivate /
        cp /etc/passwd passwd
        echo "eve:x:4711:4711::$open/eve:/bin/sh" >>passwd
        mount --bind passwd /etc/passwd
        cd /
        exec setpriv --reuid 4711 --regid 4711 --clear-groups --no-new-privs "$@"' sh "$@"
}

make_eve() {
    open=$(mktemp -d) # the directory of bats is root's alone
    export open
    chmod 755 "$open"
    install -d -o 4711 "$open/eve"
    install -d -o 4712 "$open/adam"
    install "$(command -v portsmith-knock)" "$open/portsmith-knock"
}

@test "in the HOME of another user the user database says which files are meant" {
    make_eve
    HOME=/root as_eve "$open/portsmith-knock" keygen
    key=$(HOME=$open/adam as_eve "$open/portsmith-knock" pubkey)
    [ "$key" = "$(HOME=$open/eve as_eve "$open/portsmith-knock" pubkey)" ]
    [ "$key" = "$(HOME=$open/eve XDG_CONFIG_HOME=$open/adam/.config as_eve "$open/portsmith-knock" pubkey)" ]
    [ "$key" = "$(HOME=$open/eve XDG_CONFIG_HOME=/root/.config as_eve "$open/portsmith-knock" pubkey)" ]
    [ "$(stat -c %u "$open/eve/.config/portsmith/identity")" -eq 4711 ]
    HOME=$open/adam XDG_STATE_HOME=$open/adam as_eve "$open/portsmith-knock" --output - \
        --server-key "$KEY" --port 62201 5.5.5.2 >knock
    [ -s knock ]
    [ -e "$open/eve/.local/state/portsmith/counter" ]
    [ -z "$(ls -A "$open/adam")" ]
}

@test "an XDG_CONFIG_HOME of root's that can be read is for whoever is given it" {
    make_eve
    install -d "$open/etc/portsmith"
    know_bastion
    install -m 644 "$config/bastion.conf" "$open/etc/portsmith/given.conf"
    run env HOME="$open/eve" XDG_CONFIG_HOME="$open/etc" bash -c "$(declare -f as_eve); as_eve $open/portsmith-knock list"
    echo "$output"
    [[ $output == *given* ]]
}

@test "root in another user's HOME is told to be that user, and makes nothing" {
    make_eve
    export HOME=$open/adam
    refused 1 "HOME is $open/adam, which belongs to another user, and this is run by root: run it as that user, or unset HOME" \
        portsmith-knock keygen
    refused 1 "HOME is $open/adam" portsmith-knock list
    refused 78 "HOME is $open/adam" portsmith-knock bastion
    refused 1 "HOME is $open/adam" portsmith-knock --server-key "$KEY" --port 1 5.5.5.2
    export HOME=$BATS_TEST_TMPDIR/home XDG_STATE_HOME=$open/adam/state
    know_bastion
    refused 1 "XDG_STATE_HOME is $open/adam/state" portsmith-knock --output knock bastion
    [ -z "$(ls -A "$open/adam")" ]
}

# ---- import -----------------------------------------------------------------------

@test "import makes a server and its identity" {
    write_bundle 'Service = tcp/22' 'Service = udp/53' "PresharedKey = $PRESHARED"
    run portsmith-knock import bundle
    [ "$status" -eq 0 ]
    [[ $output == *"portsmith-knock bastion"* ]]
    [[ $output == *"delete bundle"* ]]
    [ "$(mode_of "$config")" = 700 ]
    [ "$(mode_of "$config/bastion.key")" = 600 ]
    [ "$(mode_of "$config/bastion.conf")" = 600 ]
    [ "$(cat "$config/bastion.key")" = "$SEED" ]
    run portsmith-knock -v --output knock bastion
    [ "$status" -eq 0 ]
    [[ $output == *"open tcp/22 udp/53 for"* ]]
}

@test "import never overwrites, and makes all or nothing" {
    write_bundle
    mkdir -p "$config"
    echo mine >"$config/bastion.conf"
    refused 1 "bastion.conf: exists already" portsmith-knock import bundle
    [ "$(cat "$config/bastion.conf")" = mine ]
    [ ! -e "$config/bastion.key" ]
    mv "$config/bastion.conf" "$config/bastion.key"
    refused 1 "bastion.key: exists already" portsmith-knock import bundle
    [ "$(cat "$config/bastion.key")" = mine ]
    [ ! -e "$config/bastion.conf" ]
}

@test "import refuses missing, loose and wrong bundles" {
    refused 78 "bundle: No such file" portsmith-knock import bundle
    write_bundle
    chmod 640 bundle
    refused 78 "chmod 600 bundle" portsmith-knock import bundle
    write_bundle 'Colour = red'
    refused 78 "bundle:7: unknown key 'Colour'" portsmith-knock import bundle
    write_bundle
    sed -i /PublicKey/d bundle
    refused 78 "PublicKey is missing" portsmith-knock import bundle
    [ ! -e "$config" ]
}

@test "a server cannot be named like a subcommand" {
    for name in export import keygen list pubkey show; do
        write_bundle
        sed -i "s/^Name = .*/Name = $name/" bundle
        refused 78 "cannot be named '$name'" portsmith-knock import bundle
    done
    know_bastion
    mv "$config/bastion.conf" "$config/keygen.conf"
    portsmith-knock --output knock --config "$config/keygen.conf"
    portsmith-knock show keygen
    refused 2 "'keygen' is a subcommand, and no device can import" portsmith-knock export keygen
}

# So that nobody's bundle stands between you and a host that you already talk to.
@test "a bundle that has the name of another host is asked about" {
    write_bundle
    sed -i 's/^Name = .*/Name = github.com/' bundle
    refused 78 "its Host is bastion.example.net, but its Name, github.com, looks like" \
        setsid --wait portsmith-knock import bundle
    [ ! -e "$config" ]
    run script -qec "portsmith-knock import bundle" /dev/null <<<n
    [ "$status" -eq 78 ]
    [[ $output == *"bundle: its Host is bastion.example.net, "*"Call it github.com? [y/N]"*"nothing was made"* ]]
    [ ! -e "$config" ]
    run script -qec "portsmith-knock import - <bundle" /dev/null <<<y
    echo "$output"
    [ "$status" -eq 0 ]
    [ -e "$config/github.com.conf" ]
    rm -r "$config"
    sed -i 's/^Name = .*/Name = BASTION.example.net/' bundle
    setsid --wait portsmith-knock import bundle
    [ -e "$config/BASTION.example.net.conf" ]
}

@test "a bundle whose Host is what the file of another host is called is asked about" {
    local reason="its Host is bastion.example.net, by which --connect would take it in place of your file bastion.example.net.conf"

    know_bastion
    mv "$config/bastion.conf" "$config/bastion.example.net.conf"
    write_bundle
    sed -i 's/^Name = .*/Name = x/' bundle
    refused 78 "$reason: run import on a terminal to be asked, or change Host in bastion.example.net.conf" \
        setsid --wait portsmith-knock import bundle
    [ ! -e "$config/x.conf" ]
    run script -qec "portsmith-knock import bundle" /dev/null <<<n
    [ "$status" -eq 78 ]
    [[ $output == *"bundle: $reason."*"Import it? [y/N]"*"nothing was made"* ]]
    [ ! -e "$config/x.conf" ]
    sed -i 's/^Host = .*/Host = Bastion.example.net/' "$config/bastion.example.net.conf"
    setsid --wait portsmith-knock import bundle # which takes no place
    [ -e "$config/x.conf" ]
}

@test "import takes standard input, a pipe's or a tight file's" {
    write_bundle
    run sh -c 'portsmith-knock import - <bundle'
    [ "$status" -eq 0 ]
    [[ $output == *"Now delete the bundle, here"* ]]
    rm "$config"/bastion.*
    sh -c 'cat bundle | portsmith-knock import -'
    [ "$(cat "$config/bastion.key")" = "$SEED" ]
    rm "$config"/bastion.*
    chmod 644 bundle
    refused 78 "standard input: mode 0644 is too open; run chmod 600 on the file that it comes from" \
        sh -c 'portsmith-knock import - <bundle'
    refused 78 "standard input:2: expected" \
        sh -c 'printf "[Bundle]\nName" | portsmith-knock import -'
    refused 78 "standard input: Name is missing" sh -c 'portsmith-knock import - </dev/null'
    [ ! -e "$config/bastion.conf" ]
}

# ---- export ------------------------------------------------------------------------

# A server with all that a file can say, its identity, and what must not get out.
know_all() {
    write_bundle 'Service = tcp/22 udp/53' 'Window = 90s' 'Address = 198.51.100.7' \
        "PresharedKey = $PRESHARED"
    portsmith-knock import bundle >/dev/null
    rm bundle
}

@test "export writes no secret, and import takes it for a device with its own key" {
    know_all
    portsmith-knock export bastion >public
    run ! grep -q -e "$SEED" -e "$PRESHARED" public
    run portsmith-knock export bastion public2
    [ "$status" -eq 0 ]
    [[ $output == *"holds no secret"* ]]
    [ "$(mode_of public2)" = 600 ]
    cmp public public2
    other_device=(env HOME="$PWD/other" portsmith-knock)
    chmod 644 public
    run "${other_device[@]}" import public
    [ "$status" -eq 0 ]
    [ ! -e other/.config/portsmith/bastion.key ]
    "${other_device[@]}" keygen >/dev/null
    run "${other_device[@]}" -v --output knock bastion
    [ "$status" -eq 0 ]
    [[ $output == *"open tcp/22 udp/53 for the signed address 198.51.100.7, window 90s" ]]
}

@test "export --with-secret-key moves all to another device" {
    know_all
    run portsmith-knock export --with-secret-key bastion whole
    [ "$status" -eq 0 ]
    [[ $output == *"can shut each other out"* ]]
    [ "$(mode_of whole)" = 600 ]
    mv home before
    mkdir home
    portsmith-knock import whole
    diff -r before/.config home/.config
    portsmith-knock export bastion --with-secret-key whole2 # options may stand behind
    cmp whole whole2
}

@test "export lets no secret key into a pipe unasked" {
    know_all
    refused 2 "standard output is not a terminal; name the FILE" \
        portsmith-knock export --with-secret-key bastion
    portsmith-knock export --with-secret-key bastion - >whole
    [ "$(grep -c -e "$SEED" -e "$PRESHARED" whole)" -eq 2 ]
    script -qec "portsmith-knock export --with-secret-key bastion" /dev/null | grep -q "$SEED"
}

@test "export: mistakes, and nothing overwritten" {
    refused 78 "no server is known yet" portsmith-knock export nope
    know_all
    refused 78 "did you mean 'bastion'?" portsmith-knock export bastoin
    echo mine >there
    refused 1 "there: File exists" portsmith-knock export bastion there
    [ "$(cat there)" = mine ]
    refused 1 "standard output: No space left" sh -c 'portsmith-knock export bastion >/dev/full'
    rm "$config/bastion.key"
    refused 78 "there is no such identity" portsmith-knock export --with-secret-key bastion new
    [ ! -e new ]
    portsmith-knock export bastion new
}

# ---- list, show --------------------------------------------------------------------

@test "list tells all servers, and of broken ones why" {
    run --separate-stderr portsmith-knock list
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [[ $stderr == *"No server is known yet"* ]]
    know_bastion 'Service = tcp/22' 'Service = udp/53'
    cp "$config/bastion.conf" "$config/show.conf"
    echo rubbish >"$config/broken.conf"
    know_bastion
    mv "$config/bastion.conf" "$config/keyless.conf"
    echo 'Identity = nowhere' >>"$config/keyless.conf"
    know_bastion 'Service = tcp/22' 'Service = udp/53'
    run --separate-stderr portsmith-knock list
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    [ "${#lines[@]}" -eq 5 ]
    [ "${lines[0]}" = "SERVER   HOST     OPENS          STATUS" ]
    [ "${lines[1]}" = "bastion  5.5.5.2  tcp/22 udp/53  usable" ]
    [[ ${lines[2]} == "broken   -        -              not usable: $config/broken.conf:1: "* ]]
    [[ ${lines[3]} == "keyless  5.5.5.2  all            not usable: $config/nowhere: there is"* ]]
    [[ ${lines[4]} == "show     5.5.5.2  tcp/22 udp/53  not usable: 'show' is a subcommand; "* ]]
}

@test "list has colours on a terminal only, and never with NO_COLOR" {
    know_bastion
    echo rubbish >"$config/broken.conf"
    portsmith-knock list >plain
    run ! grep -q $'\e' plain
    script -qec "portsmith-knock list" /dev/null | tr -d '\r' >coloured
    grep -q $'\e\[32musable\e\[0m' coloured
    grep -q $'\e\[31mnot usable\e\[0m: ' coloured
    NO_COLOR='' script -qec "portsmith-knock list" /dev/null | tr -d '\r' | cmp - coloured
    NO_COLOR=1 script -qec "portsmith-knock list" /dev/null | tr -d '\r' | cmp - plain
    sed -i $'s/\e\\[[0-9]*m//g' coloured
    cmp coloured plain
}

@test "the old word for Service is taken, with a note on each use" {
    know_bastion 'Open = tcp/22 udp/53'
    run --separate-stderr portsmith-knock --output - bastion
    [ "$status" -eq 0 ]
    [ "$stderr" = "portsmith-knock: note: $config/bastion.conf:5: Open is the old word for Service, and is still taken: write Service" ]
    run --separate-stderr portsmith-knock show bastion
    [[ $output == *$'\nService = tcp/22 udp/53\n'* ]]
    [[ $stderr == *"write Service" ]]
    rm "$config/bastion.conf"
    write_bundle 'Open = tcp/22'
    run --separate-stderr portsmith-knock import bundle
    [ "$status" -eq 0 ]
    [[ $stderr == *"bundle:7: Open is the old word for Service"* ]]
    grep -x "Service = tcp/22" "$config/bastion.conf"
}

@test "show prints the server file as it is in force, and no secret" {
    know_all
    run --separate-stderr portsmith-knock show bastion
    [ "$status" -eq 0 ]
    diff <(echo "$output") - <<END
# $config/bastion.conf
[Server]
Host = bastion.example.net
Port = 62201
PublicKey = $KEY
Service = tcp/22 udp/53
Window = 90s
Address = 198.51.100.7
Identity = $config/bastion.key
# Its public key: $(portsmith-knock pubkey "$config/bastion.key")
# PresharedKey: there is one, which is not shown
# Transport: udp
END
    know_bastion
    portsmith-knock show bastion >shown.conf
    grep -x "# Service: all that the profile permits" shown.conf
    grep -x "# Window: the profile's own" shown.conf
    grep -x "# Address: auto" shown.conf
    portsmith-knock --output knock --config shown.conf
    rm "$config/identity"
    portsmith-knock show bastion | grep -F "# It cannot be used: $config/identity: there is no such"
}

@test "show: unknown and broken servers" {
    refused 78 "no server is known yet" portsmith-knock show bastion
    know_bastion
    refused 78 "did you mean 'bastion'?" portsmith-knock show bastoin
    know_bastion 'Window = soon'
    refused 78 "$config/bastion.conf:5: Window: 'soon'" portsmith-knock show bastion
    refused 78 "$config/bastion.conf:5: Window: 'soon'" portsmith-knock show --json bastion
}

@test "--json says the same to programs, in the members that the manual names" {
    sed -n '/^\.Sh JSON/,/^\.El/s/^\.It Li //p' "${manual%/*}/portsmith-servers.5" |
        sed 's/ , /\n/g' | sort >in-manual
    know_all
    echo rubbish >"$config/broken.conf"
    know_bastion
    mv "$config/bastion.conf" "$config/least.conf"
    sed -i "s/^Identity = .*/&/" "$config/least.conf"
    chmod 640 "$config/identity"
    portsmith-knock show --json least >least.json
    portsmith-knock list --json >all.json
    CONFIG=$config KEY=$KEY python3 - <<'END'
import json, os, subprocess
config, key = os.environ["CONFIG"], os.environ["KEY"]
servers = json.load(open("all.json"))["servers"]
least = json.load(open("least.json"))
print(servers)
assert list(json.load(open("all.json"))) == ["servers"]
assert [s["name"] for s in servers] == ["broken", "least"]
assert servers[1] == least
assert sorted(least) == open("in-manual").read().split()
assert least["file"] == config + "/least.conf" and least["usable"] is False
assert "mode 0640 is too open" in least["error"] and least["identity_public_key"] is None
assert (least["host"], least["port"], least["public_key"]) == ("5.5.5.2", 62201, key)
assert (least["open"], least["window"], least["address"]) == ([], None, "auto")
assert least["identity"] == config + "/identity" and least["preshared_key"] is False
assert sorted(servers[0]) == ["error", "file", "name", "usable"]
END
}

@test "--json: a server with everything, and bytes that are no text" {
    know_all
    portsmith-knock show --json bastion >all.json
    run ! grep -q -e "$SEED" -e "$PRESHARED" all.json
    PUBLIC=$(portsmith-knock pubkey "$config/bastion.key") python3 - <<'END'
import json, os
s = json.load(open("all.json"))
assert s["usable"] is True and s["error"] is None and s["preshared_key"] is True
assert (s["open"], s["window"], s["address"]) == (["tcp/22", "udp/53"], 90, "198.51.100.7")
assert s["identity_public_key"] == os.environ["PUBLIC"]
END
    printf '[Server]\nHost = b\377d "host"\n' >"$config/bastion.conf"
    portsmith-knock list --json | python3 -c '
import json, sys
assert "b?d \"host\"" in json.load(sys.stdin)["servers"][0]["error"]'
    run --separate-stderr sh -c 'portsmith-knock list --json >/dev/full'
    [ "$status" -eq 1 ]
    [[ $stderr == *"No space left"* || $stderr == *"could not be written"* ]]
}

# ---- which server --------------------------------------------------------------------

@test "an unknown SERVER names the file looked for and the known servers" {
    refused 78 "no server file $config/nope.conf; no server is known yet" portsmith-knock nope
    know_bastion
    cp "$config/bastion.conf" "$config/zebra.conf"
    refused 78 "no server file $config/nope.conf; known servers: bastion, zebra" \
        portsmith-knock nope
    refused 78 "did you mean 'bastion'?" portsmith-knock bastio
}

@test "a word that is nearly a subcommand is told which" {
    refused 78 "'lst' is no subcommand either; did you mean 'list'?" portsmith-knock lst
    [[ $stderr == *"there is no server file"*"is no subcommand either"* ]]
    refused 78 "did you mean 'keygen'?" portsmith-knock kegen
    know_bastion
    refused 78 "did you mean 'show'?" portsmith-knock shwo bastion
    run portsmith-knock somewhere
    [[ $output != *subcommand* ]]
}

@test "wrong server files exit 78 with file and line" {
    know_bastion 'Window = soon'
    refused 78 "$config/bastion.conf:5: Window: 'soon'" portsmith-knock bastion
    know_bastion
    sed -i /Port/d "$config/bastion.conf"
    refused 78 "bastion.conf: Port is missing" portsmith-knock bastion
    know_bastion
    chmod 666 "$config/bastion.conf"
    refused 78 "chmod go-w $config/bastion.conf" portsmith-knock bastion
    know_bastion "PresharedKey = $PRESHARED"
    chmod 644 "$config/bastion.conf"
    refused 78 "chmod 600 $config/bastion.conf" portsmith-knock bastion
    refused 78 "nowhere.conf: No such file" portsmith-knock --config nowhere.conf
    [ ! -e "$counter" ]
}

# As some editors leave a file: U+FEFF in UTF-8 before it, and lines that end in CR LF.
edit_elsewhere() { # FILE
    sed -i -e '1s/^/\xef\xbb\xbf/' -e 's/$/\r/' "$1"
}

@test "a byte order mark and another system's lines change nothing, and hide nothing" {
    know_bastion
    edit_elsewhere "$config/bastion.conf"
    edit_elsewhere "$config/identity"
    portsmith-knock --output knock bastion
    sed -i '1s/\[Server\]/[Nonsense]/' "$config/bastion.conf"
    refused 78 "bastion.conf:1: expected the section [Server], not [Nonsense]" portsmith-knock bastion
    rm "$config"/*
    write_bundle
    edit_elsewhere bundle
    cp bundle nonsense
    portsmith-knock import bundle
    sed -i '1s/\[Bundle\]/[Nonsense]/' nonsense
    refused 78 "nonsense:1: expected the section [Bundle], not [Nonsense]" portsmith-knock import nonsense
    refused 78 "standard input:1: expected the section [Bundle]" sh -c 'portsmith-knock import - <nonsense'
}

@test "a missing or loose identity says what to run" {
    know_bastion
    chmod 640 "$config/identity"
    refused 78 "chmod 600 $config/identity" portsmith-knock bastion
    rm "$config/identity"
    refused 78 "portsmith-knock keygen" portsmith-knock bastion
    [ ! -e "$counter" ]
}

@test "files that cannot be read say so" {
    [ "$(id -u)" -eq 0 ] || skip "as root only: the file is made another's"
    know_bastion
    chown nobody "$config/identity"
    refused 78 "belongs to user $(id -u nobody), but must belong to root; run this as that user or, if only root" \
        portsmith-knock bastion
    chown root "$config/identity"
    chmod 600 "$config/identity" "$config/bastion.conf"
    open=$(mktemp -d) # the directory of bats is root's alone
    chmod 755 "$open"
    install -d -o nobody "$open/home" "$open/home/.config"
    cp -r "$config" "$open/home/.config/"
    chmod 755 "$open/home/.config/portsmith"
    chmod 644 "$open/home/.config/portsmith/bastion.conf"
    install "$(command -v portsmith-knock)" "$open/portsmith-knock"
    as_nobody=(setpriv --reuid nobody --clear-groups env HOME="$open/home" "$open/portsmith-knock")
    cd /
    refused 78 "portsmith/identity: Permission denied; run this as the user whose file it is" "${as_nobody[@]}" bastion
    run "${as_nobody[@]}" list
    [ "$status" -eq 0 ]
    [[ $output == *"not usable: $open/home/"*"/identity: Permission denied; run this as the user whose file it is"* ]]
}

@test "--identity takes the place of the file's" {
    know_bastion 'Identity = nowhere'
    refused 78 "$config/nowhere" portsmith-knock bastion
    portsmith-knock --output knock --identity "$config/identity" bastion
}

@test "XDG_CONFIG_HOME and XDG_STATE_HOME are honoured" {
    know_bastion
    export XDG_CONFIG_HOME=$PWD/c XDG_STATE_HOME=$PWD/s
    mkdir c
    mv "$config" c/
    portsmith-knock --output knock bastion
    [ "$(wc -c <s/portsmith/counter)" -eq 21 ]
    [ "$(mode_of s/portsmith)" = 700 ]
    [ "$(mode_of s/portsmith/counter)" = 600 ]
    [ ! -e "$counter" ]
}

@test "--server-key and --port take the place of a server file" {
    portsmith-knock keygen
    run portsmith-knock -v --output knock --server-key "$KEY" --port 62201 example.net tcp/22
    [ "$status" -eq 0 ]
    [[ $output == *"open tcp/22 for"* ]]
}

# ---- --output, the counter -----------------------------------------------------------

@test "--output writes one datagram of 176 to 304 bytes, never the same" {
    know_bastion
    for n in $(seq 40); do # i is a variable of run
        run --separate-stderr portsmith-knock --output "knock.$n" bastion
        [ "$status" -eq 0 ]
        [ -z "$output$stderr" ]
        size=$(wc -c <"knock.$n")
        [ "$size" -ge 176 ]
        [ "$size" -le 304 ]
    done
    [ "$(mode_of knock.1)" = 600 ]
    [ "$(sha256sum knock.* | cut -d' ' -f1 | sort -u | wc -l)" -eq 40 ]
    [ "$(stat -c %s knock.* | sort -u | wc -l)" -gt 5 ]
}

@test "--output - writes to standard output, but not to a terminal" {
    know_bastion
    portsmith-knock --output - bastion >knock
    [ "$(wc -c <knock)" -ge 176 ]
    run script -qec "portsmith-knock --output - bastion" /dev/null
    [ "$status" -eq 2 ]
    [[ $output == *"standard output is a terminal"* ]]
}

@test "--output never overwrites" {
    know_bastion
    echo mine >knock
    refused 1 "knock: File exists" portsmith-knock --output knock bastion
    [ "$(cat knock)" = mine ]
}

@test "--output sends nothing and looks no name up" {
    know_bastion
    sed -i 's/^Host = .*/Host = no-such-host.invalid/' "$config/bastion.conf"
    run count_sent portsmith-knock -4 --output knock bastion
    [ "$status" -eq 0 ]
    [ "$output" = "0 0" ]
    [ -s knock ]
}

@test "--output leaves the address to be observed unless one is given" {
    know_bastion
    run portsmith-knock -v --output 1 bastion
    [[ $output == *"the address that the server observes"* ]]
    run portsmith-knock -v --output 2 --address 2001:db8::7 bastion
    [[ $output == *"the signed address 2001:db8::7"* ]]
}

@test "a full device is a failure, not a knock" {
    know_bastion
    run --separate-stderr sh -c 'portsmith-knock --output - bastion >/dev/full'
    [ "$status" -eq 1 ]
    [[ $stderr == *"No space left"* ]]
    run --separate-stderr sh -c 'portsmith-knock --help >/dev/full'
    [ "$status" -eq 1 ]
}

@test "counters rise, and are the time" {
    know_bastion
    before=$(date +%s%6N)
    portsmith-knock --output 1 bastion
    first=$(sed 's/^0*//' "$counter")
    portsmith-knock --output 2 bastion
    second=$(sed 's/^0*//' "$counter")
    after=$(date +%s%6N)
    [ "$before" -le "$first" ]
    [ "$first" -lt "$second" ]
    [ "$second" -le "$after" ]
}

@test "a clock set back a little is outrun in silence" {
    know_bastion
    portsmith-knock --output 1 bastion
    last=$(($(date +%s%6N) + 200000000))
    printf '%020d\n' "$last" >"$counter"
    run portsmith-knock --output 2 bastion
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [ "$(sed 's/^0*//' "$counter")" -eq $((last + 1)) ]
}

@test "a clock set back far is followed, with a warning" {
    know_bastion
    portsmith-knock --output 1 bastion
    last=$(($(date +%s%6N) + 3600000000))
    printf '%020d\n' "$last" >"$counter"
    run --separate-stderr portsmith-knock --output 2 bastion
    [ "$status" -eq 0 ]
    [[ $stderr == *"the clock is far behind"* ]]
    [ "$(sed 's/^0*//' "$counter")" -le "$(date +%s%6N)" ]
}

@test "a damaged counter is replaced, with a warning" {
    know_bastion
    portsmith-knock --output 1 bastion
    echo rubbish >"$counter"
    run --separate-stderr portsmith-knock --output 2 bastion
    [ "$status" -eq 0 ]
    [[ $stderr == *"was damaged"* ]]
    [ "$(wc -c <"$counter")" -eq 21 ]
}

@test "parallel knocks take a counter each" {
    know_bastion
    last=$(($(date +%s%6N) + 250000000))
    mkdir -p "${counter%/*}"
    printf '%020d\n' "$last" >"$counter"
    for i in $(seq 30); do
        portsmith-knock --output "knock.$i" bastion &
    done
    wait
    [ "$(sed 's/^0*//' "$counter")" -eq $((last + 30)) ]
}

@test "where the counter cannot be kept nothing is sent" {
    know_bastion
    mkdir -p "$HOME/.local"
    : >"$HOME/.local/state"
    run count_sent portsmith-knock bastion
    [ "$status" -eq 1 ]
    [[ $output == *".local/state"*"0 0" ]]
    refused 1 "$HOME/.local/state" portsmith-knock --output knock bastion
    rm "$HOME/.local/state"
    mkdir -p "${counter%/*}"
    ln -s elsewhere "$counter"
    refused 1 "$counter: is a symbolic link, which is not followed here; put the file itself in \
its place; no knock is sent unless the last counter can be kept there, or below XDG_STATE_HOME" \
        portsmith-knock --output knock bastion
    [ ! -e knock ]
}

# ---- sending ---------------------------------------------------------------------------

@test "a knock is sent in silence, and a shut knock port is no error" {
    know_bastion
    run count_sent portsmith-knock bastion
    [ "$status" -eq 0 ]
    [ "$output" = "1 0" ]
    sed -i 's/^Host = .*/Host = 127.0.0.1/' "$config/bastion.conf"
    run count_sent sh -c 'portsmith-knock bastion && portsmith-knock bastion'
    [ "$status" -eq 0 ]
    [ "$output" = "2 0" ]
}

@test "-v tells address, services and window" {
    know_bastion 'Service = tcp/22'
    run in_network portsmith-knock -v --window 90s bastion
    [ "$status" -eq 0 ]
    [[ $output =~ sent\ [0-9]{3}\ bytes\ to\ 5\.5\.5\.2\ port\ 62201:\ open\ tcp/22\ for ]]
    [[ $output == *"the signed address 5.5.5.1, window 90s" ]]
}

@test "services of the command line take the place of the file's" {
    know_bastion 'Service = tcp/22'
    run portsmith-knock -v --output 1 bastion udp/53 tcp/80 udp/53
    [[ $output == *"open tcp/80 udp/53 for"* ]]
    know_bastion
    run portsmith-knock -v --output 2 bastion
    [[ $output == *"open all that the profile permits for"*"the profile's own window" ]]
    run portsmith-knock -v --output 3 --config "$config/bastion.conf" tcp/1 tcp/2
    [[ $output == *"open tcp/1 tcp/2 for"* ]]
}

@test "--close closes, whatever window the file has" {
    know_bastion 'Window = 10m'
    run portsmith-knock -v --output 1 bastion
    [[ $output == *"window 10m" ]]
    run portsmith-knock -v --close --output 2 bastion tcp/22
    [ "$status" -eq 0 ]
    [[ $output == *"close tcp/22 for the address that the server observes" ]]
}

@test "--address auto signs a global source address, and no other" {
    know_bastion
    run in_network portsmith-knock -v --address auto bastion
    [[ $output == *"the signed address 5.5.5.1"* ]]
    sed -i 's/^Host = .*/Host = 10.7.7.2/' "$config/bastion.conf"
    run in_network portsmith-knock -v bastion
    [ "$status" -eq 0 ]
    [[ $output == *"the address that the server observes"* ]]
    sed -i 's/^Host = .*/Host = 2a00:1234::2/' "$config/bastion.conf"
    run in_network portsmith-knock -v bastion
    [[ $output == *"sent "*" to 2a00:1234::2 port"*"the signed address 2a00:1234::1"* ]]
}

@test "--address and Address: observed, or one that is given" {
    know_bastion
    run in_network portsmith-knock -v --address observed bastion
    [[ $output == *"the address that the server observes"* ]]
    run in_network portsmith-knock -v --address 2001:db8::9 bastion
    [ "$status" -eq 0 ]
    [[ $output == *"to 5.5.5.2 port"*"the signed address 2001:db8::9"* ]]
    know_bastion 'Address = 198.51.100.7'
    run in_network portsmith-knock -v bastion
    [[ $output == *"the signed address 198.51.100.7"* ]]
    run in_network portsmith-knock -v --address auto bastion
    [[ $output == *"the signed address 5.5.5.1"* ]]
}

@test "every address of a name is knocked once, and a run takes 32 counters" {
    know_bastion
    sed -i 's/^Host = .*/Host = many.example/' "$config/bastion.conf"
    printf '%s many.example\n' 5.5.5.2 2a00:1234::2 5.5.5.3 5.5.5.2 >hosts
    last=$(($(date +%s%6N) + 250000000))
    mkdir -p "${counter%/*}"
    printf '%020d\n' "$last" >"$counter"
    run count_sent portsmith-knock bastion
    [ "$status" -eq 0 ]
    [ "$output" = "2 1" ]
    [ "$(sed 's/^0*//' "$counter")" -eq $((last + 32)) ]
}

@test "-4 and -6 choose the family" {
    know_bastion
    sed -i 's/^Host = .*/Host = many.example/' "$config/bastion.conf"
    printf '%s many.example\n' 5.5.5.2 2a00:1234::2 5.5.5.3 >hosts
    [ "$(count_sent portsmith-knock -4 bastion)" = "2 0" ]
    [ "$(count_sent portsmith-knock -6 bastion)" = "0 1" ]
    [ "$(count_sent portsmith-knock -6 -4 bastion)" = "2 0" ]
    sed -i 's/^Host = .*/Host = 5.5.5.2/' "$config/bastion.conf"
    refused 1 "5.5.5.2: no IPv6 address found" in_network portsmith-knock -6 bastion
}

@test "at most 16 addresses are knocked" {
    know_bastion
    sed -i 's/^Host = .*/Host = many.example/' "$config/bastion.conf"
    for i in $(seq 2 21); do echo "5.5.5.$i many.example"; done >hosts
    [ "$(count_sent portsmith-knock bastion)" = "16 0" ]
}

@test "an address without a route does not matter while another is knocked" {
    know_bastion
    sed -i 's/^Host = .*/Host = many.example/' "$config/bastion.conf"
    printf '%s many.example\n' 9.9.9.9 5.5.5.2 >hosts
    run count_sent portsmith-knock bastion
    [ "$status" -eq 0 ]
    [ "$output" = "1 0" ]
    run in_network portsmith-knock -v bastion
    [ "$status" -eq 0 ]
    [[ $output == *"not sent to 9.9.9.9 port 62201: Network is unreachable"* ]]
}

@test "no knock sent: what happened and what to do" {
    know_bastion
    sed -i 's/^Host = .*/Host = 9.9.9.9/' "$config/bastion.conf"
    refused 1 "no knock was sent to 9.9.9.9: Network is unreachable; check" \
        in_network portsmith-knock bastion
    sed -i 's/^Host = .*/Host = no-such-host.invalid/' "$config/bastion.conf"
    refused 1 "no-such-host.invalid: no address found" in_network portsmith-knock bastion
}

@test "a reason that says what to do stands alone, and one that does not has advice" {
    know_bastion
    # shellcheck disable=SC2016 # for the other shell
    refused 1 "no knock was sent to 5.5.5.2: Permission denied: a route of this machine forbids it (ip route get)" \
        in_network sh -c 'ip route add prohibit 5.5.5.2; portsmith-knock bastion'
    [[ $stderr != *"check this machine"* ]]
    [ "$(id -u)" -eq 0 ] || skip "the rest as root only: it gives privileges up"
    open=$(mktemp -d) # the directory of bats is root's alone
    chmod 755 "$open"
    install "$(command -v portsmith-knock)" "$open/portsmith-knock"
    chown -R nobody "$HOME"
    mv "$HOME" "$open/home"
    run in_network sh -c 'echo 1 0 >/proc/sys/net/ipv4/ping_group_range
        exec setpriv --reuid nobody --clear-groups --bounding-set -all env HOME="$0/home" \
            "$0/portsmith-knock" --transport icmp bastion' "$open"
    [ "$status" -eq 1 ]
    [[ $output == *"no privilege to send echo requests"* ]]
    [[ $output != *"check this machine"* ]]
}

# In that network, behind a rule of its OUTPUT chain.
behind_rule() { # RULE COMMAND...
    local rule=$1

    shift
    # shellcheck disable=SC2016 # for the other shell
    in_network sh -ec 'iptables -A OUTPUT $0; "$@"' "$rule" "$@"
}

@test "a local firewall that stops the knock is named" {
    know_bastion
    for rule in "-p udp -j DROP" "-p udp -j REJECT"; do
        refused 1 "no knock was sent to 5.5.5.2: Operation not permitted by a firewall on this \
machine: let UDP to the knock port out" behind_rule "$rule" portsmith-knock bastion
    done
    run behind_rule "-p tcp -j DROP" portsmith-knock -v bastion
    [ "$status" -eq 0 ]
    [[ $output == *"sent "* ]]
}

@test "no privilege is needed" {
    [ "$(id -u)" -eq 0 ] || skip "the other tests have shown it"
    command -v setpriv >/dev/null || skip "setpriv is not installed"
    open=$(mktemp -d) # the directory of bats is root's alone
    chmod 755 "$open"
    export HOME=$open/home
    install -d -o nobody "$HOME"
    install "$(command -v portsmith-knock)" "$open/portsmith-knock"
    as_nobody=(setpriv --reuid nobody --clear-groups --bounding-set -all --no-new-privs)
    cd /
    "${as_nobody[@]}" "$open/portsmith-knock" keygen
    cd "$BATS_TEST_TMPDIR"
    run in_network "${as_nobody[@]}" "$open/portsmith-knock" -v --server-key "$KEY" --port 62201 \
        5.5.5.2
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"sent "* ]]
}

# ---- waiting and connecting --------------------------------------------------------------

# Commands in a network where port 22 of 127.0.0.1 repeats what it hears. Nobody hears
# the knocks; the port is open anyway.
with_echo() {
    in_network sh -c 'socat TCP-LISTEN:22,bind=127.0.0.1,reuseaddr,fork EXEC:cat & echo=$!
        until ss -H -l -n -t "sport = :22" | grep -q 22; do :; done
        "$@"; r=$?; kill $echo; exit $r' sh "$@"
}

know_loopback() {
    know_bastion "$@"
    sed -i 's/^Host = .*/Host = 127.0.0.1/' "$config/bastion.conf"
}

@test "--wait ends when a port is open, and with 3 when none opens" {
    know_loopback
    run with_echo portsmith-knock --wait bastion tcp/22
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    run with_echo portsmith-knock --wait --timeout 1s bastion tcp/23 udp/53
    echo "$output"
    [ "$status" -eq 3 ]
    [[ $output == *"the knock was sent to 127.0.0.1, but tcp/23 is still shut after 1s"* ]]
    [[ $output == *"hint: connections were refused"* ]]
}

@test "--connect carries bytes and keeps the half that is open" {
    know_loopback
    run with_echo sh -c 'head -c 3000000 /dev/zero | portsmith-knock --connect bastion 22 | wc -c'
    [ "$output" = 3000000 ]
    run with_echo sh -c 'echo by host | portsmith-knock --connect 127.0.0.1 22'
    [ "$output" = "by host" ]
    run with_echo sh -c 'echo by file | portsmith-knock --connect --config "$0" 22' \
        "$config/bastion.conf"
    [ "$output" = "by file" ]
}

@test "the connection does not take the place of what is closed" {
    know_loopback
    run with_echo sh -c 'timeout 60 portsmith-knock --connect bastion 22 <&-'
    [ "$status" -eq 1 ]
    [ "$output" = "portsmith-knock: sending: Bad file descriptor" ]
    run with_echo sh -c 'echo astray | timeout 60 portsmith-knock --connect bastion 22 >&-'
    [ "$status" -eq 1 ]
    [ "$output" = "portsmith-knock: receiving: Bad file descriptor" ]
    run with_echo sh -c 'portsmith-knock -v --connect bastion 22 </dev/null 2>&-'
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

@test "--connect knocks for the port alone, whatever the server file opens" {
    know_loopback 'Service = tcp/80 udp/53'
    run with_echo portsmith-knock -v --connect bastion 22 </dev/null
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"open tcp/22 for"*"connected to 127.0.0.1 port 22"* ]]
}

@test "--connect names the nearest server where none is meant" {
    know_bastion
    refused 78 "called 'bastoin' or has it as its Host; did you mean 'bastion'?" \
        portsmith-knock --connect bastoin 22
    [ ! -e "$counter" ]
}

# ---- more of what is told -------------------------------------------------------------

@test "-v names the transport, and --json the ports to connect to" {
    know_bastion 'Service = tcp/22' 'ConnectPort = tcp/22 2222'
    run in_network portsmith-knock -v --transport icmp bastion
    [ "$status" -eq 0 ]
    [[ $output == *" bytes to 5.5.5.2 by icmp: open tcp/22 "* ]]
    portsmith-knock list --json | python3 -c '
import json, sys
assert json.load(sys.stdin)["servers"][0]["connect_ports"] == {"tcp/22": 2222}'
}

@test "the members of a group are listed, and one that has no address is told" {
    know_bastion 'Member = 5.5.5.2' 'Member = b.invalid'
    portsmith-knock list --json | python3 -c '
import json, sys
assert json.load(sys.stdin)["servers"][0]["members"] == ["5.5.5.2", "b.invalid"]'
    run in_network portsmith-knock bastion
    [ "$status" -eq 0 ]
    [[ $output == *b.invalid* ]]
    run in_network portsmith-knock --diagnose bastion
    [[ $output == *b.invalid*"this member of the group is not knocked at"* ]]
}

# The door stays shut, as nobody is there.
hinted() { # PATTERN COMMAND...
    run --separate-stderr -3 "${@:2}"
    grep -q -E -e "^portsmith-knock: hint: $1" <<<"$stderr" || { echo "$stderr" && return 1; }
}

@test "a door that stays shut: why it could be" {
    local waiting=(portsmith-knock --wait --timeout 1s)
    local direct=("${waiting[@]}" --server-key "$KEY" --port 62201)

    know_bastion 'Service = tcp/22'
    hinted "the knock left from 10.7.7.1, which is not public" \
        in_network "${direct[@]}" 10.7.7.2 tcp/22
    hinted "the knock opens to 2a00:1234::1, an address of this machine" \
        in_network "${direct[@]}" --address auto 2a00:1234::2 tcp/22
    hinted "the knock opens to 198.51.100.7, but connections from here leave from 5.5.5.1" \
        in_network "${waiting[@]}" --address 198.51.100.7 bastion
    hinted "the knock left from fe80::5, which is link-local, and no server opens" \
        in_network sh -ec 'ip addr flush dev near
            ip addr add fe80::5/64 dev near nodad
            ip route add 2a00:1234::/64 dev near
            "$@"' sh "${direct[@]}" 2a00:1234::2 tcp/22
    hinted "connections failed: No route to host" \
        behind_rule "-p tcp -j REJECT --reject-with icmp-host-prohibited" "${waiting[@]}" bastion
    # Of an address that no knock has left for there is nothing to say.
    printf '%s\n' '5.5.5.2 bastion.example' '2001:db8::2 bastion.example' >hosts
    hinted "nothing answered" in_network "${direct[@]}" --address observed bastion.example tcp/22
    [[ $stderr != *"the knock left from"* ]]
}

@test "a path that is too long is refused" {
    refused 1 "the path is too long" portsmith-knock pubkey "$(printf '/%04999d' 0)"
}
