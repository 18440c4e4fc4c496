#!/usr/bin/env bats
# portsmith-profile, every command. Its programs are those on the PATH.
# Once: programs on their own; nothing is sent to a daemon.
# bats file_tags=once
# shellcheck disable=SC2154,SC2030,SC2031 # bats sets stderr, output and status

bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    umask 022
    write_conf
}

teardown() {
    [ -z "${daemon:-}" ] || kill "$daemon" 2>/dev/null || true
}

# ---- helpers ---------------------------------------------------------------

write_conf() { # [LINE...]
    printf '%s\n' "[Portsmith]" "Port = 4000" "User = nobody" \
        "ProfileDirectory = $PWD/profiles" "StateDirectory = $PWD/state" \
        "RunDirectory = $PWD/run" "$@" "WitnessUser = daemon" >test.conf
}

profile() {
    portsmith-profile -c "$PWD/test.conf" "$@"
}

refused() { # STATUS TEXT ARGUMENT...
    local status_wanted=$1 text=$2

    shift 2
    run profile "$@"
    [ "$status" -eq "$status_wanted" ] || { echo "status $status: $output"; return 1; }
    [[ $output == *"$text"* ]] || { echo "said: $output"; return 1; }
}

mode() {
    stat -c %a "$1"
}

value() { # FILE KEY
    sed -n "s/^$2 = //p" "$1"
}

# A client's public key: one that `create` made.
public_key() {
    profile create spare --open tcp/1 --output spare.bundle >/dev/null
    value profiles/spare.conf PublicKey
    profile revoke spare >/dev/null
    rm spare.bundle
}

# Stands in for a running portsmithd: holds the pid file's lock as it does and
# says when a SIGHUP has come. Sets daemon, its pid.
hold_pidfile() {
    mkfifo ready
    /usr/bin/python3 -c '
import fcntl, signal
signal.signal(signal.SIGHUP, lambda *_: open("hup", "w").close())
file = open("run/portsmithd.pid", "w")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
open("ready", "w").close()
signal.pause()' 3>&- &
    daemon=$!
    read -r _ <ready || true
}

# ---- usage -----------------------------------------------------------------

@test "help and version go to standard output" {
    run portsmith-profile --help
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == "usage: portsmith-profile [-c FILE] COMMAND"* ]]
    run portsmith-profile create --help
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == "usage: "* ]]
    run portsmith-profile --version
    [ "$status" -eq 0 ]
    [[ $output =~ ^portsmith-profile\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "wrong usage exits 2 and changes nothing" {
    local yesterday

    yesterday=$(date -u -d yesterday +%F)
    profile init
    before=$(find . -type f | sort)
    refused 2 "no command is given"
    refused 2 "there is no command 'destroy'" destroy
    refused 2 "unrecognized option '--all'" list --all
    refused 2 "too many arguments" list alice
    refused 2 "too many arguments" init alice
    refused 2 "expected the name of a profile" show
    refused 2 "expected the name of a profile" revoke
    refused 2 "expected one name" create alice --open tcp/22 tcp/80
    refused 2 "a profile's name has 1 to 32" create Alice --open tcp/22
    refused 2 "a profile's name has 1 to 32" revoke ../alice
    refused 2 "expected --open SERVICE" create alice
    refused 2 "expected --public-key KEY" add alice --open tcp/22
    refused 2 "--public-key: not a key" add alice --open tcp/22 --public-key abc
    refused 2 "--public-key: not a usable public key" add alice --open tcp/22 \
        --public-key AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
    refused 2 "--open: 'ssh' is not a service" create alice --open ssh
    refused 2 "--window: 'x' is not a time span" create alice --open tcp/22 --window x
    refused 2 "--max-window: '8d' is out of range" create alice --open tcp/22 --max-window 8d
    refused 2 "--address: expected any, signed" create alice --open tcp/22 --address all
    refused 2 "--address: any and signed" create alice --open tcp/22 \
        --address any --address signed
    refused 2 "--port: '0' is not a port" create alice --open tcp/22 --port 0
    refused 2 "--expires: '2027-02-30' is not a day" create alice --open tcp/22 \
        --expires 2027-02-30
    refused 2 "--expires: 2020-02-29 has passed already" create alice --open tcp/22 \
        --expires 2020-02-29
    refused 2 "--expires: $yesterday has passed already" add alice --open tcp/22 \
        --expires "$yesterday"
    refused 2 "--max-grants: '0' is not a number" create alice --open tcp/22 --max-grants 0
    refused 2 "--host: 'a b' is not a host name" create alice --open tcp/22 --host "a b"
    refused 2 "--host: '--host'" create alice --open tcp/22 --host --host
    refused 2 "--host: no client can knock at '224.0.0.1'" create alice --open tcp/22 --host 224.0.0.1
    refused 2 "--host: no client can knock at 'fe80::1%eth0'" create alice --open tcp/22 --host fe80::1%eth0
    refused 2 "--server: a server's name has" create alice --open tcp/22 --server "../x"
    refused 2 "unrecognized option '--public-key'" create alice --open tcp/22 --public-key x
    refused 2 "--output is for create, and for --ssh-key" add alice --open tcp/22 --output x
    refused 2 "option '--open' requires an argument" create alice --open
    [ "$(find . -type f | sort)" = "$before" ]
}

@test "output that cannot be written is a failure" {
    profile init
    run bash -c 'portsmith-profile -c test.conf list >/dev/full'
    [ "$status" -eq 1 ]
    [[ $output == *"standard output: No space left on device"* ]]
}

# ---- init ------------------------------------------------------------------

@test "init makes what is missing, with the right modes, and keeps it the next time" {
    run profile init
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "kept configuration $PWD/test.conf" ]
    [ "${lines[1]}" = "made directory $PWD/profiles" ]
    [ "${lines[2]}" = "made directory $PWD/state" ]
    [ "${lines[3]}" = "made directory $PWD/run" ]
    [ "${lines[4]}" = "made server key $PWD/profiles/server.key" ]
    [ "${lines[5]}" = "kept user nobody" ]
    [ "${lines[6]}" = "kept user daemon" ]
    [[ ${lines[7]} == "The port to knock at is 4000. Let UDP to it through "* ]]
    [[ ${lines[8]} =~ ^The\ server\'s\ public\ key\ is\ [A-Za-z0-9+/]{43}=$ ]]
    [ "$(mode profiles)" = 700 ]
    [ "$(mode state)" = 700 ]
    [ "$(mode run)" = 755 ]
    [ "$(mode profiles/server.key)" = 600 ]
    [ "$(wc -c <profiles/server.key)" -eq 45 ]
    first=${lines[8]}
    cp -p profiles/server.key test.conf ..

    run profile init
    [ "$status" -eq 0 ]
    [[ $output != *made* ]]
    [ "${lines[8]}" = "$first" ]
    cmp profiles/server.key ../server.key
    cmp test.conf ../test.conf
}

@test "init has the right modes whatever the umask" {
    (umask 077 && profile init)
    [ "$(mode run)" = 755 ]
    rm -r profiles state run
    (umask 000 && profile init)
    [ "$(mode profiles)" = 700 ]
    [ "$(mode run)" = 755 ]
    [ "$(mode profiles/server.key)" = 600 ]
}

@test "init does not put its options into a file that is there, and says so" {
    cp test.conf before.conf
    run profile init --port 5000
    [ "$status" -eq 0 ]
    [[ $output == *"test.conf: kept as it is; --interface, --port and --shut go into a new file"* ]]
    cmp test.conf before.conf
}

@test "init refuses wrong options before it makes anything" {
    rm test.conf
    refused 2 "--port: 'x' is not a port number" init --port x
    refused 2 "--shut: 'ssh' is not a service" init --shut ssh
    refused 2 "--interface: 'any' covers every interface" init --interface any --interface eth0
    [ -z "$(ls)" ]
}

@test "init says what is wrong with the configuration that it keeps" {
    write_conf "Windw = 30s"
    refused 78 "test.conf:7: unknown key 'Windw'" init
    [ ! -e profiles ]
    write_conf
    profile init
    echo "[Profile]" >profiles/alice.conf
    refused 78 "alice.conf: expected a line 'PublicKey" init
}

@test "init refuses a server key that others can read" {
    profile init
    chmod 644 profiles/server.key
    refused 78 "server.key: mode 0644 is too open; run: chmod 600" init
}

# The defaults are paths of the machine's own: a mount namespace has others.
private() { # COMMAND...
    [ "$(id -u)" -eq 0 ] || skip "needs root"
    if ! [ -d etc ]; then
        mkdir etc var run
        cp -p /etc/passwd /etc/group /etc/shadow /etc/gshadow /etc/login.defs \
            /etc/nsswitch.conf etc/
    fi
    unshare --mount bash -euc '
        mount --make-rprivate /
        mount --bind etc /etc
        mount --bind var /var/lib
        mount --bind run /run
        "$@"' private "$@"
}

@test "init makes a first configuration and the user" {
    run private portsmith-profile init
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"made configuration /etc/portsmith.conf"* ]]
    [[ $output == *"made directory /etc/portsmith.d"* ]]
    [[ $output == *"made directory /var/lib/portsmith"* ]]
    [[ $output == *"made directory /run/portsmith"* ]]
    [[ $output == *"made user portsmith"$'\n'* ]]
    [[ $output == *"made user portsmith-witness"$'\n'* ]]
    [ "$(mode etc/portsmith.conf)" = 644 ]
    [ "$(mode etc/portsmith.d)" = 700 ]
    [ "$(mode var/portsmith)" = 700 ]
    [ "$(mode run/portsmith)" = 755 ]
    port=$(value etc/portsmith.conf Port)
    [ "$port" -ge 10000 ]
    [ "$port" -le 32767 ]
    [[ $output == *"The port to knock at is $port."* ]]
    entry=$(grep ^portsmith: etc/passwd)
    [[ $entry == *:/nonexistent:/usr/sbin/nologin ]]
    [ "$(cut -d: -f3 <<<"$entry")" -lt 1000 ]
    grep -q ^portsmith: etc/group
    grep -q '^portsmith-witness:.*:/nonexistent:/usr/sbin/nologin$' etc/passwd

    run private portsmith-profile init
    [ "$status" -eq 0 ]
    [[ $output != *made* ]]
    [ "$(grep -c ^portsmith: etc/passwd)" -eq 1 ]
}

@test "init says how to go on where useradd is missing" {
    : >empty
    run private bash -c 'mount --bind empty /usr/sbin/useradd && portsmith-profile init'
    [ "$status" -eq 1 ]
    [[ $output == *"/usr/sbin/useradd: Permission denied; add the system user 'portsmith' by hand"* ]]
}

@test "init takes interface, port and services for the first configuration" {
    run private portsmith-profile init --interface eth0 --interface wg0 --port 12345 \
        --shut tcp/22,udp/53
    [ "$status" -eq 0 ]
    [ "$(value etc/portsmith.conf Interface)" = "eth0
wg0" ]
    [ "$(value etc/portsmith.conf Port)" = 12345 ]
    [ "$(value etc/portsmith.conf Shut)" = "tcp/22 udp/53" ]
}

@test "the old words for --shut and any are taken with a note" {
    run --separate-stderr private portsmith-profile init --close tcp/22
    [ "$status" -eq 0 ]
    [ "$(value etc/portsmith.conf Shut)" = "tcp/22" ]
    [ "$stderr" = "portsmith-profile: warning: --close is the old word for --shut, and is still taken: write --shut" ]
    profile init
    run --separate-stderr profile create zoe --open tcp/22 --host h.example.net --address observed
    [ "$status" -eq 0 ]
    [[ $stderr == *"warning: --address: Address = observed is the old word for any, and is still taken: write Address = any"* ]]
    profile show zoe | grep -x "Address = any"
}

@test "the first configuration explains every key and shows its true default" {
    run private portsmith-profile init --port 12345
    [ "$status" -eq 0 ]
    for key in Interface Port Transports Backend Shut ShutWith Forward AcceptMark MaxSkew Window MaxWindow GrantStore \
        MaxGrants User WitnessUser ProfileDirectory StateDirectory RunDirectory MetricsFile Group Member \
        Peers; do
        grep -Eq "^#?$key = " etc/portsmith.conf || { echo "no $key"; return 1; }
    done
    private portsmithd -T -c /etc/portsmith.conf >defaults
    sed -i '/^#\(Shut\|MetricsFile\|ControlGroup\|AcceptMark\|Group\|Member\|Peers\) = /!s/^#\([A-Z][A-Za-z]* = \)/\1/' etc/portsmith.conf
    grep -q "^MaxGrants = 1000" etc/portsmith.conf
    private portsmithd -T -c /etc/portsmith.conf >spelt_out
    diff defaults spelt_out
}

# ---- create ----------------------------------------------------------------

@test "create writes the profile and a bundle, 0600 both" {
    profile init
    run profile create alice --open tcp/22 --host web.example.org
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "made profile alice and its bundle alice.bundle" ]
    [[ $output == *"scp alice.bundle"* ]]
    [[ $output == *"portsmith-knock import"* ]]
    [[ $output == *delete* ]]
    [[ $output != *"told to reload"* ]]
    [ "$(mode profiles/alice.conf)" = 600 ]
    [ "$(mode alice.bundle)" = 600 ]
    [ "$(head -n 1 alice.bundle)" = "[Bundle]" ]
    [ "$(value alice.bundle Name)" = web ]
    [ "$(value alice.bundle Host)" = web.example.org ]
    [ "$(value alice.bundle Port)" = 4000 ]
    [ "$(value alice.bundle Service)" = tcp/22 ]
    [ "$(value alice.bundle PresharedKey)" = "" ]
    [ "$(value alice.bundle PublicKey)" = "$(profile init | sed -n "s/.*public key is //p")" ]
    [[ $(value alice.bundle PrivateKey) =~ ^[A-Za-z0-9+/]{43}=$ ]]
    # The client's private key stays in the bundle alone.
    run grep -rF "$(value alice.bundle PrivateKey)" profiles
    [ "$status" -eq 1 ]
}

@test "where UDP is not listened to, client files name a transport" {
    profile init
    echo "Transports = icmp, tcp-syn" >>test.conf
    profile create alice --open tcp/22
    [ "$(value alice.bundle Transport)" = tcp-syn ]
    run profile add bob --open tcp/22 --public-key "$(public_key)"
    [ "$status" -eq 0 ]
    [[ $output == *$'\nTransport = tcp-syn\n'* ]]
    echo "Transports = udp" >>test.conf
    profile create carol --open tcp/22
    [ "$(value carol.bundle Transport)" = "" ]
}

@test "the bundle's private key is that of the profile's public key" {
    profile init
    profile create alice --open tcp/22
    public=$(value alice.bundle PrivateKey | /usr/bin/python3 -c '
import base64, nacl.signing, sys
seed = base64.b64decode(sys.stdin.read())
print(base64.b64encode(bytes(nacl.signing.SigningKey(seed).verify_key)).decode())')
    [ "$public" = "$(value profiles/alice.conf PublicKey)" ]
}

@test "create has every option" {
    profile init
    profile create alice --open tcp/22,udp/53 --open "tcp/443 tcp/22" --window 1m \
        --max-window 5m --address signed --address 192.0.2.0/24,2001:db8::/32 --port 5000 \
        --expires 2031-12-31 --preshared-key --max-grants 3 --connections 2 \
        --host 192.0.2.1 --server gate --output carried
    [ ! -e alice.bundle ]
    [ "$(value carried Name)" = gate ]
    [ "$(value carried Host)" = 192.0.2.1 ]
    [ "$(value carried Port)" = 5000 ]
    [ "$(value carried Service)" = "tcp/22 tcp/443 udp/53" ]
    [[ $(value carried PresharedKey) =~ ^[A-Za-z0-9+/]{43}=$ ]]
    file=profiles/alice.conf
    [ "$(value $file PresharedKey)" = "$(value carried PresharedKey)" ]
    [ "$(value $file Open)" = "tcp/22 tcp/443 udp/53" ]
    [ "$(value $file Window)" = 1m ]
    [ "$(value $file MaxWindow)" = 5m ]
    [ "$(value $file Address)" = "signed 192.0.2.0/24 2001:db8::/32" ]
    [ "$(value $file Port)" = 5000 ]
    [ "$(value $file Expires)" = 2031-12-31 ]
    [ "$(value $file MaxGrants)" = 3 ]
    [ "$(value $file Connections)" = 2 ]
}

@test "sixteen long services fit lines that can be read back" {
    profile init
    services=$(seq -s, -f 'tcp/%.0f' 65001 65016)
    profile create alice --open "$services" --host h
    [ "$(value alice.bundle Service | wc -w)" -eq 16 ]
    [ "$(wc -L <alice.bundle)" -le 198 ]
    [ "$(profile show alice | sed -n 's/^Open = //p' | wc -w)" -eq 16 ]
    refused 2 "--open: more than 16 services" create bob --open "$services,tcp/1"
}

@test "the server's name for clients comes from its host" {
    profile init
    expect() { # HOST NAME
        profile create alice --open tcp/1 --host "$1"
        [ "$(value alice.bundle Name)" = "$2" ] || { cat alice.bundle; return 1; }
        rm alice.bundle
        profile revoke alice
    }
    refused 2 "--server: a server's name has" create alice --open tcp/1 --server import
    refused 2 "--server: a server's name has" create alice --open tcp/1 --server=-x
    expect Web1.Example.ORG web1
    expect plain plain
    expect 192.0.2.1 192-0-2-1
    expect 2001:db8::1 2001-db8--1
    expect under_score.example server
    expect import.example.org server
    expect ::1 server
}

@test "create takes the machine's host name where --host is not given" {
    profile init
    profile create alice --open tcp/1
    [ "$(value alice.bundle Host)" = "$(uname -n)" ]
}

@test "create never overwrites a profile or a file" {
    profile init
    profile create alice --open tcp/22 --output one
    cp profiles/alice.conf before
    refused 1 "the profile 'alice' exists already; revoke it first, or take another name" \
        create alice --open tcp/80 --output two
    cmp profiles/alice.conf before
    [ ! -e two ]
    refused 1 "one: File exists" create bob --open tcp/22 --output one
    [ ! -e profiles/bob.conf ]
}

@test "create leaves no profile where the bundle cannot be written" {
    profile init
    refused 1 "missing/x: No such file or directory" create bob --open tcp/22 --output missing/x
    [ ! -e profiles/bob.conf ]
}

@test "a profile that the configuration does not allow is removed again" {
    profile init
    refused 78 "bob.conf: Window (1h) is longer than MaxWindow (10m)" \
        create bob --open tcp/22 --window 1h
    [ ! -e profiles/bob.conf ]
    [ ! -e bob.bundle ]
}

@test "a broken configuration is named, and nothing is added to it" {
    profile init
    write_conf "Backend = pf"
    refused 78 "test.conf:7: Backend: expected auto, iptables-nft, iptables-legacy or nftables" create bob --open tcp/22
    write_conf
    echo nonsense >profiles/carol.conf
    refused 78 "carol.conf:1: expected 'Key = value'" create bob --open tcp/22
    [ ! -e profiles/bob.conf ]
    [ ! -e bob.bundle ]
}

@test "before init there is a hint to run it" {
    refused 1 "profiles: no such directory; run portsmith-profile -c $PWD/test.conf init" create bob --open tcp/22
    refused 78 "profiles: No such file or directory; run portsmith-profile -c $PWD/test.conf init" list
    rm test.conf
    refused 78 "test.conf: no such file; run portsmith-profile -c $PWD/test.conf init" list
}

# ---- add -------------------------------------------------------------------

@test "add writes the profile and prints the client's file alone on standard output" {
    profile init
    key=$(public_key)
    profile add alice --public-key "$key" --open tcp/22 --open tcp/80 --host web.example.org >out
    [ "$(mode profiles/alice.conf)" = 600 ]
    [ "$(value profiles/alice.conf PublicKey)" = "$key" ]
    [[ $(head -n 1 out) == "# "*"~/.config/portsmith/web.conf" ]]
    server_key=$(profile init | sed -n "s/.*public key is //p")
    [ "$(tail -n +2 out)" = "[Server]
Host = web.example.org
Port = 4000
PublicKey = $server_key
Service = tcp/22 tcp/80" ]
}

@test "add --preshared-key stores the key and prints it for the client" {
    profile init
    profile add alice --public-key "$(public_key)" --open tcp/22 --preshared-key --port 5000 >out
    [ "$(value out Port)" = 5000 ]
    [[ $(value out PresharedKey) =~ ^[A-Za-z0-9+/]{43}=$ ]]
    [ "$(value profiles/alice.conf PresharedKey)" = "$(value out PresharedKey)" ]
}

@test "add leaves Open out where one knock cannot name all services" {
    profile init
    profile add alice --public-key "$(public_key)" --open tcp/1,tcp/2,tcp/3,tcp/4,tcp/5 >out
    [ "$(value out Service)" = "" ]
    grep -q "^# No Service line: one knock names at most 4 services" out
}

@test "add refuses a key that another profile has" {
    profile init
    key=$(public_key)
    profile add alice --public-key "$key" --open tcp/22
    refused 78 "bob.conf: PublicKey: the same key as in profile 'alice'" \
        add bob --public-key "$key" --open tcp/22
    [ ! -e profiles/bob.conf ]
}

# ---- add --ssh-key ----------------------------------------------------------

# These are of real security keys' form, with the key of ssh-keygen.
make_keys() {
    local name

    for name in alice bob; do
        ssh-keygen -q -t ed25519 -N "" -C "$name@laptop" -f "$name"
    done
    security=$(python3 -c 'import base64, struct, sys
key = base64.b64decode(sys.argv[1])[19:]
parts = b"sk-ssh-ed25519@openssh.com", key, b"ssh:"
print("sk-ssh-ed25519@openssh.com",
      base64.b64encode(b"".join(struct.pack(">I", len(p)) + p for p in parts)).decode())' \
        "$(cut -d " " -f 2 bob.pub)")
}

@test "add --ssh-key takes a file or a line, and makes a pre-shared key" {
    profile init
    make_keys
    profile add one --ssh-key alice.pub --open tcp/22 --host web.example.org >out
    [ "$(mode profiles/one.conf)" = 600 ]
    [ "$(value profiles/one.conf PublicKey)" = "$(<alice.pub)" ]
    [ "$(value out SSHKey)" = "$(<alice.pub)" ]
    [ "$(value out PresharedKey)" = "$(value profiles/one.conf PresharedKey)" ]
    run profile show one
    [[ $output == *"PublicKey = $(<alice.pub)"*"# PresharedKey is set and not shown"* ]]
    [[ $output != *Require* ]]
    profile add two --ssh-key "verify-required,from=\"192.0.2.0/24\" $security me" --open tcp/22 \
        --output two.bundle
    [ "$(mode two.bundle)" = 600 ]
    [ "$(head -n 1 two.bundle)" = "[Bundle]" ]
    [ "$(value two.bundle SSHKey)" = "$security me" ]
    [ "$(value two.bundle PrivateKey)" = "" ]
    [ "$(value profiles/two.conf Require)" = pin ]
    [ "$(value profiles/two.conf Address)" = "any 192.0.2.0/24" ]
    run profile list
    [[ ${lines[1]} =~ ^one\ .*\ ssh-agent$ ]]
    [[ ${lines[2]} =~ ^two\ .*\ security-key$ ]]
}

@test "add --ssh-key makes all profiles of a file, or none" {
    profile init
    make_keys
    { echo "# keys" && cat alice.pub && echo "expiry-time=\"20310101Z\" $(<bob.pub)"; } >keys
    refused 2 "there are 2 keys and 1 names" add one --ssh-key keys --open tcp/22
    refused 2 "would be profile 'one'" add one one --ssh-key keys --open tcp/22
    refused 2 "a profile's name has" add one Two --ssh-key keys --open tcp/22
    refused 2 "--output is for one key" add --ssh-key keys --open tcp/22 --output x
    profile add bob-laptop --public-key "$(public_key)" --open tcp/22
    refused 1 "the profile 'bob-laptop' exists already" add --ssh-key keys --open tcp/22
    touch bob.bundle
    ssh-keygen -q -t ed25519 -N "" -C carol -f carol
    cat keys carol.pub >three
    refused 1 "bob.bundle: File exists; no profile is added" \
        add alice bob carol --ssh-key three --open tcp/22
    [[ $output != *made* ]]
    run ! ls profiles/alice.conf profiles/bob.conf profiles/carol.conf
    [ ! -e alice.bundle ] && [ -e bob.bundle ] && [ ! -e carol.bundle ]
    rm bob.bundle
    profile add alice bob --ssh-key keys --open tcp/22
    [ "$(value profiles/bob.conf Expires)" = 2030-12-31 ]
    [ "$(value alice.bundle PresharedKey)" != "$(value bob.bundle PresharedKey)" ]
}

@test "add --ssh-key refuses what a profile cannot keep, with its line" {
    profile init
    make_keys
    ssh-keygen -q -t rsa -b 2048 -N "" -f rsa
    ssh-keygen -q -s alice -I me -n me bob.pub
    { cat alice.pub && echo "command=\"true\" $(<bob.pub)"; } >keys
    refused 2 "keys:2: option command cannot be kept" add --ssh-key keys --open tcp/22
    refused 2 "rsa.pub:1: a key of type ssh-rsa cannot knock: take a key of ssh-keygen -t ed25519" \
        add one --ssh-key rsa.pub --open tcp/22
    refused 2 "is a certificate, which cannot knock" add one --ssh-key bob-cert.pub --open tcp/22
    expired="expiry-time=\"20200102Z\" $(<bob.pub)"
    refused 2 "portsmith-profile: --ssh-key:1: option expiry-time: its last whole day 2020-01-01 has" \
        add one --ssh-key "$expired" --open tcp/22
    { echo "# keys" && cat alice.pub && echo "$expired"; } >keys
    refused 2 "keys:3: option expiry-time: its last whole day 2020-01-01 has passed already" \
        add --ssh-key keys --open tcp/22
    refused 2 "Require is for a security key" add one --ssh-key bob.pub --require pin --open tcp/22
    refused 2 "nowhere.pub: " add one --ssh-key nowhere.pub --open tcp/22
    refused 2 "--ssh-key and --public-key exclude" add one --ssh-key bob.pub \
        --public-key "$(public_key)" --open tcp/22
    refused 2 "an ssh key is given as --ssh-key" add one --public-key "$(<bob.pub)" --open tcp/22
    refused 2 "--output is for create" add one --public-key "$(public_key)" --open tcp/22 --output x
    run ! ls profiles/*.conf
}

@test "the fullest profile of an ssh key can be written" {
    profile init
    make_keys
    options=()
    for i in {1..8}; do
        options+=(--open "tcp/6500$i -> [2001:db8:1111:2222:3333:4444:5555:666$i]:65001"
            --open "udp/6500$i" --address "2001:db8:1111:2222:3333:4444:555$i:0/112")
    done
    for day in Mon Tue Wed Thu Fri Sat Sun Mon; do
        hour=$((${hour:-0} + 1))
        for minute in 10 20 30 40; do
            options+=(--hour "$day 1$hour:$minute-1$hour:${minute/0/5}")
        done
    done
    profile add a2345678901234567890123456789012 --ssh-key "$security $(printf '%063d' 0)" \
        "${options[@]}" --address signed --require none --window 23h --max-window 23h \
        --port 65001 --expires 2037-12-31 --max-grants 16 --connections 8 --host h
    file=profiles/a2345678901234567890123456789012.conf
    [ "$(wc -c <$file)" -gt 2048 ]
    [[ $(value $file PresharedKey) =~ ^[A-Za-z0-9+/]{43}=$ ]]
}

# ---- create --qr and the answer ----------------------------------------------

# Shows the code to `decoded`, and answers.
create_by_code() { # ANSWER ARGUMENT...
    local answer=$1

    shift
    profile create "$@" <<<"$answer" >shown 2>complaints || { cat complaints && return 1; }
    "$top/tests/tools/qrcode.py" <shown >decoded
}

@test "create --qr shows a bundle without any key of the client's, and adds the key that comes" {
    profile init
    key=$(public_key)
    create_by_code "$key" phone --qr --open tcp/22,tcp/80 --window 1m --host web.example.org
    server_key=$(profile init | sed -n "s/.*public key is //p")
    [ "$(<decoded)" = "[Bundle]
Name = web
Host = web.example.org
Port = 4000
PublicKey = $server_key
Service = tcp/22 tcp/80" ]
    grep -x "made profile phone: its client can knock now" shown
    [ ! -s complaints ]
    [ ! -e phone.bundle ]
    [ "$(mode profiles/phone.conf)" = 600 ]
    [ "$(value profiles/phone.conf PublicKey)" = "$key" ]
    [ "$(value profiles/phone.conf Window)" = 1m ]
    [ "$(value profiles/phone.conf PresharedKey)" = "" ]
    run profile create tablet --qr --open tcp/22 <<<"$key"
    [ "$status" -eq 78 ]
    [[ $output == *"tablet.conf: PublicKey: the same key as in profile 'phone'"* ]]
    [ ! -e profiles/tablet.conf ]
}

@test "create --qr --with-psk shows a pre-shared key, with a warning, and keeps that one" {
    profile init
    key=$(public_key)
    create_by_code "  $key"$'\r' phone --qr --with-psk --open tcp/22 --host 192.0.2.1 --port 5000
    [[ $(value decoded PresharedKey) =~ ^[A-Za-z0-9+/]{43}=$ ]]
    [ "$(value decoded PresharedKey)" = "$(value profiles/phone.conf PresharedKey)" ]
    [ "$(value decoded Port)" = 5000 ]
    [ "$(wc -l <complaints)" -eq 1 ]
    grep "^portsmith-profile: warning: the code holds the pre-shared key" complaints
    run ! grep PresharedKey shown
    # Another code has another key.
    profile revoke phone
    cp decoded first
    create_by_code "$key" phone --qr --with-psk --open tcp/22 --host 192.0.2.1
    [ "$(value decoded PresharedKey)" != "$(value first PresharedKey)" ]
}

@test "the answer may be the line of an ssh key, where the code has a pre-shared key" {
    profile init
    make_keys
    run profile create phone --qr --open tcp/22 <alice.pub
    [ "$status" -eq 1 ]
    [[ $output == *"nothing is made; show another code, with --with-psk"* ]]
    [ ! -e profiles/phone.conf ]
    create_by_code "$(<alice.pub)" phone --qr --with-psk --open tcp/22
    [ "$(value profiles/phone.conf PublicKey)" = "$(<alice.pub)" ]
    [ "$(value profiles/phone.conf PresharedKey)" = "$(value decoded PresharedKey)" ]
    run ! grep -e SSHKey -e PrivateKey decoded
}

@test "an answer that is no key is refused, and the next line is read" {
    profile init
    key=$(public_key)
    create_by_code "${key/?/}"$'\n\n'"$key" phone --qr --open tcp/22
    [ "$(grep -c "standard input: not a key: expected 44 characters" complaints)" -eq 2 ]
    [ "$(value profiles/phone.conf PublicKey)" = "$key" ]
}

@test "without an answer create --qr makes nothing, and says how to go on" {
    profile init
    before=$(find profiles state run | sort)
    run --separate-stderr profile create phone --qr --open tcp/22 --host h.example.net </dev/null
    [ "$status" -eq 1 ]
    [[ $stderr == *"standard input: there is no public key in it; nothing is made. The code stays"*"add phone --public-key"* ]]
    run --separate-stderr profile create phone --qr --with-psk --open tcp/22 </dev/null
    [ "$status" -eq 1 ]
    [[ $stderr == *"nothing is made, and the pre-shared key of the code is forgotten"* ]]
    run profile create phone --qr --open tcp/22 <<<$'1\n2\n3\n4\n5\n'"$(printf '%044d' 0)"
    [ "$status" -eq 1 ]
    [[ $output == *"standard input: no public key in the first 5 lines; nothing is made"* ]]
    run profile create phone --qr --open tcp/22 < <(printf '%03000d\n' 0 && printf 'a\0b\n')
    [ "$status" -eq 1 ]
    [[ $output == *"the line is longer than 1022 characters"*"the line holds a zero byte"* ]]
    [ "$(find profiles state run | sort)" = "$before" ]
}

@test "what cannot be added is refused before a code is shown" {
    profile init
    profile create alice --open tcp/22
    no_code() { # STATUS TEXT ARGUMENT...
        refused "$@" </dev/null
        [[ $output != *"Scan"* && $output != *"pre-shared key of the code"* ]]
    }
    no_code 1 "the profile 'alice' exists already; revoke it first" create alice --qr --open tcp/22
    no_code 78 "phone.conf: Window (1h) is longer than MaxWindow" create phone --qr --open tcp/22 --window 1h
    no_code 2 "--qr and --output exclude each other" create phone --qr --open tcp/22 --output x
    no_code 2 "with --qr that is --with-psk" create phone --qr --open tcp/22 --preshared-key
    no_code 2 "--with-psk goes with --qr" create phone --with-psk --open tcp/22
    no_code 2 "unrecognized option '--qr'" add phone --qr --open tcp/22
    no_code 2 "unrecognized option '--ssh-key'" create phone --qr --ssh-key x --open tcp/22
    no_code 2 "expected --open SERVICE" create phone --qr
    echo nonsense >profiles/carol.conf
    no_code 78 "carol.conf:1: expected 'Key = value'" create phone --qr --open tcp/22
}

@test "a code that cannot be printed, or would wrap, makes nothing" {
    profile init
    run bash -c 'portsmith-profile -c test.conf create phone --qr --open tcp/22 --host h >/dev/full </dev/null'
    [ "$status" -eq 1 ]
    [ "$output" = "portsmith-profile: standard output: No space left on device" ]
    on_terminal() { # COLUMNS
        run script -qec "stty cols $1 && portsmith-profile -c test.conf create phone --qr \
            --open tcp/22 --host web.example.org" /dev/null <<<"$2"
    }
    on_terminal 48 ""
    [ "$status" -eq 1 ]
    [[ $output == *"the terminal has 48 columns, and the QR code takes 49, and 25 lines: make"* ]]
    [ ! -e profiles/phone.conf ]
    key=$(public_key)
    on_terminal 49 "$key"
    [ "$status" -eq 0 ]
    [[ $output == *"The client's public key: "*"made profile phone"* ]]
}

@test "the longest bundle is a code that can be read" {
    profile init
    host=$(printf 'h%.0s' {1..179})
    create_by_code "$(public_key)" phone --qr --with-psk --host "$host" \
        --open "$(seq -s, -f 'tcp/%.0f' 65001 65016)" --server a2345678901234567890123456789012
    [ "$(value decoded Host)" = "$host" ]
    [ "$(value decoded Service | wc -w)" -eq 16 ]
}

@test "add --public-key - reads the line from standard input" {
    profile init
    key=$(public_key)
    profile add alice --public-key - --open tcp/22 <<<"$key" >out
    [ "$(value profiles/alice.conf PublicKey)" = "$key" ]
    [ "$(head -n 2 out | tail -n 1)" = "[Server]" ]
    make_keys
    refused 1 "standard input: there is no public key in it" add bob --public-key - --open tcp/22 </dev/null
    refused 2 "an ssh key is given as --ssh-key" add bob --public-key - --open tcp/22 <alice.pub
    refused 2 "--ssh-key and --public-key exclude" add bob --public-key - --ssh-key bob.pub --open tcp/22
    [ ! -e profiles/bob.conf ]
}

# ---- list, show, revoke ----------------------------------------------------

@test "list shows an aligned table" {
    profile init
    run profile list
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "NAME  SERVICES  WINDOW  ADDRESS  EXPIRES  KEY ID  SIGNED BY" ]
    [ "${#lines[@]}" -eq 1 ]
    profile create zoe --open tcp/22 --window 45s
    profile create al --open tcp/22,udp/53 --address signed,10.0.0.0/8 --expires 2031-12-31
    run profile list
    [ "${#lines[@]}" -eq 3 ]
    [[ ${lines[1]} =~ ^"al    tcp/22,udp/53  30s     signed,10.0.0.0/8  2031-12-31  "[0-9a-f]{16}"  identity"$ ]]
    [[ ${lines[2]} =~ ^"zoe   tcp/22         45s     any                never       "[0-9a-f]{16}"  identity"$ ]]
    [[ ${lines[0]} = "NAME  SERVICES       WINDOW  ADDRESS            EXPIRES     KEY ID            SIGNED BY" ]]
}

@test "list prints JSON for programs" {
    profile init
    [ "$(profile list --json)" = "[]" ]
    profile create al --open tcp/22,udp/53 --address signed,10.0.0.0/8 --expires 2031-12-31
    profile create zoe --open tcp/22 --window 45s
    diff <(profile list --json | jq -c '.[] | del(.key_id)') - <<'END'
{"name":"al","services":["tcp/22","udp/53"],"window":30,"addresses":["signed","10.0.0.0/8"],"expires":"2031-12-31","signed_by":"identity"}
{"name":"zoe","services":["tcp/22"],"window":45,"addresses":["any"],"expires":null,"signed_by":"identity"}
END
    [ "$(profile list --json | jq -r '.[].key_id')" = "$(profile list | grep -o -E '[0-9a-f]{16}')" ]
}

@test "show tells all of one profile but its secret" {
    profile init
    profile create alice --open tcp/22 --preshared-key --expires 2031-12-31
    run profile show alice
    [ "$status" -eq 0 ]
    [[ ${lines[0]} =~ ^"# $PWD/profiles/alice.conf, key id "[0-9a-f]{16}$ ]]
    [ "${lines[1]}" = "[Profile]" ]
    [[ $output == *"Window = 30s"* ]]
    [[ $output == *"MaxWindow = 10m"* ]]
    [[ $output == *"Address = any"* ]]
    [[ $output == *"Port = 4000"* ]]
    [[ $output == *"Expires = 2031-12-31"* ]]
    [[ $output == *"MaxGrants = 32"* ]]
    [[ $output == *"# PresharedKey is set and not shown"* ]]
    [[ $output != *"$(value alice.bundle PresharedKey)"* ]]
    refused 1 "profiles: there is no profile 'bob'" show bob
}

@test "revoke removes the profile and says so" {
    profile init
    profile create alice --open tcp/22
    profile create bob --open tcp/22
    run profile revoke alice
    [ "$status" -eq 0 ]
    [ "$output" = "removed profile alice" ]
    [ ! -e profiles/alice.conf ]
    [ -e profiles/bob.conf ]
    refused 1 "profiles: there is no profile 'alice'" revoke alice
}

@test "revoke works on a broken profile too" {
    profile init
    echo nonsense >profiles/alice.conf
    refused 78 "alice.conf:1" list
    profile revoke alice
    profile list
}

@test "revoke --kill without a daemon removes the profile, and does not claim the rest" {
    profile init
    profile create alice --open tcp/22
    refused 1 "there is no profile 'bob'" revoke --kill bob
    refused 1 "portsmithd does not run, so no connection was ended" revoke alice --kill
    [ "${lines[0]}" = "removed profile alice" ]
    [ ! -e profiles/alice.conf ]
    refused 2 "unrecognized option '--kil-l'" revoke alice --kil-l
    refused 2 "unrecognized option '--kill'" show alice --kill
}

# ---- a running daemon ------------------------------------------------------

wait_for_hup() {
    wait "$daemon" || true
    [ -e hup ]
    rm hup ready
}

# shellcheck disable=SC2154 # bats sets stderr
@test "add, create and revoke tell a running portsmithd to reload" {
    profile init
    key=$(public_key)
    hold_pidfile
    run --separate-stderr profile create alice --open tcp/22 --host web.example.org
    [ "$status" -eq 0 ]
    [ "$stderr" = "portsmithd (process $daemon) was told to reload." ]
    wait_for_hup

    hold_pidfile
    run --separate-stderr profile add bob --public-key "$key" --open tcp/22 --host web.example.org
    [ "$status" -eq 0 ]
    [ "$stderr" = "portsmithd (process $daemon) was told to reload." ]
    wait_for_hup

    hold_pidfile
    run --separate-stderr profile revoke bob
    [ "$status" -eq 0 ]
    [ "$stderr" = "portsmithd (process $daemon) was told to reload." ]
    wait_for_hup
}

@test "revoke --kill tells one that cannot be asked to reload, and fails" {
    profile init
    profile create alice --open tcp/22 --host web.example.org
    hold_pidfile
    refused 1 "connections made with it may be left" revoke alice --kill
    [[ $output == *"ss -tnp"*"portsmithd (process $daemon) was told to reload."* ]]
    wait_for_hup
}

@test "what fails tells portsmithd nothing" {
    profile init
    hold_pidfile
    refused 78 "longer than MaxWindow" create bob --open tcp/22 --window 1h
    refused 1 "there is no profile" revoke bob
    kill -0 "$daemon"
    [ ! -e hup ]
}

@test "a stale pid file is not believed" {
    profile init
    echo $$ >run/portsmithd.pid
    run profile create alice --open tcp/22
    [ "$status" -eq 0 ]
    [[ $output != *reload* ]]
}

# ---- groups ----------------------------------------------------------------

# Two hosts in two directories, a with the group's key.
make_group() {
    local host

    for host in a b; do
        mkdir $host && pushd $host >/dev/null || return
        write_conf "Group = web" "Member = $host.example.org" "$@"
        profile init >init.log 2>&1 || true
        popd >/dev/null || return
    done
    (cd a && profile group create)
}

on() { # HOST ARGUMENT...
    local host=$1

    shift
    (cd "$host" && profile "$@")
}

# A bundle for b, as b.group.
invite() {
    (umask 077 && on a group create --for "$(on b group join 2>/dev/null)" --output "$PWD/b.group")
}

join_refused() { # TEXT [FILE]
    run on b group join "${2:-$PWD/b.group}"
    [ "$status" -eq 1 ] || { echo "status $status: $output"; return 1; }
    [[ $output == *"$1"* ]] || { echo "said: $output"; return 1; }
    [ ! -e b/profiles/server.key ]
    [ -e b/profiles/join.key ] || [ "${3:-}" = no-key ]
}

@test "init makes no key for a member of a group, and says how to get it" {
    make_group
    grep -q "server.key: No such file or directory; run portsmith-profile group join or" b/init.log
    grep -q "on the first host of the group web, portsmith-profile group create" b/init.log
    [ ! -e b/profiles/server.key ]
    [ -d b/profiles ] && [ -d b/state ]
    run on a init
    [ "$status" -eq 0 ]
    [[ $output == *"kept server key"* ]]
}

@test "group create makes the first key, and keeps it the next time" {
    make_group
    [ "$(mode a/profiles/server.key)" = 600 ]
    cp a/profiles/server.key before
    run on a group create
    [ "$status" -eq 0 ]
    [[ $output == *"kept server key"*"group web"*"The server's public key is "* ]]
    cmp before a/profiles/server.key
}

@test "a host joins a group by a key that is used once" {
    make_group
    run --separate-stderr on b group join
    [ "$status" -eq 0 ]
    [ "${#output}" -eq 44 ]
    [[ $stderr == *"group create --for $output"*"group join FILE" ]]
    [ "$(mode b/profiles/join.key)" = 600 ]
    [ "$(on b group join 2>/dev/null)" = "$output" ]
    invite
    [ "$(mode b.group)" = 600 ]
    run ! grep -q -F -f a/profiles/server.key b.group
    run on b group join "$PWD/b.group"
    [ "$status" -eq 0 ]
    [[ $output == *"b.example.org, has the key of the group web"* ]]
    cmp a/profiles/server.key b/profiles/server.key
    [ "$(mode b/profiles/server.key)" = 600 ]
    [ ! -e b/profiles/join.key ]
    [ -e b/profiles/server.host ] || [ ! -s /etc/machine-id ]
    on b init
    run on b group join "$PWD/b.group"
    [ "$status" -eq 1 ]
    [[ $output == *"this host has no one-time key"* ]]
}

@test "a join that was cut short goes on" {
    make_group
    invite
    cp a/profiles/server.key b/profiles/server.key
    on b group join "$PWD/b.group"
    [ ! -e b/profiles/join.key ]
}

@test "join never overwrites another key" {
    make_group
    invite
    head -c 32 /dev/urandom | base64 >b/profiles/server.key
    chmod 600 b/profiles/server.key
    cp b/profiles/server.key before
    run on b group join
    [[ $output == *"This host has a key already"*"mv "*"server.key "*"server.key.old" ]]
    run on b group join "$PWD/b.group"
    [ "$status" -eq 1 ]
    [[ $output == *"server.key is another key, and is kept"*"run mv "*"server.key.old, then this again"* ]]
    cmp before b/profiles/server.key
    [ -e b/profiles/join.key ]
    mv b/profiles/server.key b/profiles/server.key.old
    on b group join "$PWD/b.group"
    cmp a/profiles/server.key b/profiles/server.key
}

@test "a bundle that is readable, for another host or of another group is refused" {
    make_group
    invite
    chmod 644 b.group
    join_refused "b.group: mode 0644 is too open; run: chmod 600"
    chmod 600 b.group
    sed 's/^Name = .*/Name = mail/' b.group >c.group
    chmod 600 c.group
    join_refused "is of the group mail, and Group of this host is web" "$PWD/c.group"
    mv b/profiles/join.key key
    join_refused "this host has no one-time key: run portsmith-profile group join" "$PWD/b.group" no-key
    on b group join
    join_refused "b.group: sealed for another one-time key than this host has now, or damaged"
    mv key b/profiles/join.key
    on b group join "$PWD/b.group"
}

@test "a bundle that is malformed, cut short or changed is refused, and nothing changes" {
    local size sealed

    make_group
    invite
    install -m 600 b.group whole
    size=$(stat -c %s whole)
    for cut in 0 1 150 160 200 $((size - 2)) $((size - 20)); do
        head -c "$cut" whole >b.group
        join_refused "b.group"
    done
    sealed=$(value whole SealedKey)
    sed "s|^SealedKey = .*|SealedKey = ${sealed%????}AAA=|" whole >b.group
    join_refused "sealed for another one-time key than this host has now, or damaged"
    sed "s|^SealedKey = .*|SealedKey = ${sealed}AAAA|" whole >b.group
    join_refused "b.group:6: SealedKey: not a sealed key: expected 108 characters of base64"
    sed "s|^PublicKey = .*|PublicKey = $(on b group join 2>/dev/null)|" whole >b.group
    join_refused "its key is not the one of its PublicKey: somebody changed it"
    sed "s|^SealedKey = .*|PrivateKey = $(cat a/profiles/server.key)|" whole >b.group
    join_refused "b.group:6: unknown key 'PrivateKey'"
    sed "/^PublicKey/d" whole >b.group
    join_refused "b.group: PublicKey is missing from [Group]"
    head -c 70000 /dev/urandom >b.group
    join_refused "b.group"
    cat whole >b.group
    on b group join "$PWD/b.group"
}

@test "group refuses what makes no sense" {
    make_group
    write_conf
    profile init
    refused 78 "this host is of no group: add the lines 'Group = NAME' and" group join
    refused 78 "this host is of no group" group create
    refused 2 "expected group create, group join or group join FILE" group
    refused 2 "expected group create, group join or group join FILE" group create web
    refused 2 "expected group create, group join or group join FILE" group join a b
    refused 2 "--for and --output are for group create" group join --for abc
    refused 2 "--output goes with --for" group create --output x
    refused 2 "--for: not a key" group create --for abc
    run on a group create --for AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
    [ "$status" -eq 1 ]
    [[ $output == *"not a one-time key"* ]]
    [ ! -e a/web.group ]
    run on b group create --for "$(on b group join 2>/dev/null)"
    [ "$status" -eq 1 ]
    [[ $output == *"server.key: No such file"* ]]
}

@test "what new clients get names the members" {
    make_group "Peers = b.example.org, 192.0.2.7"
    on a create guest --open tcp/22 --host web.example.org --output "$PWD/guest.bundle" >/dev/null
    [ "$(value guest.bundle Member)" = "$(printf '%s\n' a.example.org b.example.org 192.0.2.7)" ]
    XDG_CONFIG_HOME=$PWD/client portsmith-knock import guest.bundle
    [ "$(value client/portsmith/web.conf Member)" = "$(value guest.bundle Member)" ]
}
