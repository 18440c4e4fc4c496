#!/usr/bin/env bats
# portsmith-trust(7) against the running processes, and what becomes of one that
# does what it may not.
# bats file_tags=backend,installed
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"
# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"

inspect=$build_directory/tests/tools/inspect

# What the helper is left only where it is there, is: /etc is the lab's own.
setup_file() {
    lab_setup
    touch /etc/ld.so.preload /etc/gai.conf
    configure
    add_profile ssh --open tcp/22
    start_daemon
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

# ---- what the page says ----------------------------------------------------

# The helper that runs no program is another one.
section_of() { # PROCESS
    [ "$1 $BACKEND" = "helper nftables" ] && echo "helper for nftables" || echo "$1"
}

# The words of an item, sorted, a line each.
page_says() { # PROCESS ITEM
    sed -n "/^\.Ss The $(section_of "$1")\$/,/^\.El/p" "$top/man/portsmith-trust.7" |
        sed -n "/^\.It $2\$/,/^\.\(It\|El\)/{ /^\.\(It\|El\)/d; s/^\.Pa //; p }" |
        tr ' ' '\n' | sort
}

names_paths() { # sorted, those that begin with a slash
    grep -o -E '(^|[" ])/[^" ]+' | tr -d '" ' | sort -u
}

# ---- what is so ------------------------------------------------------------

process() { # PROCESS as on the page
    case $1 in
    supervisor) process_named portsmithd ;;
    sniffer) process_named portsmith-sniff ;;
    witness) process_named portsmith-witne ;;
    helper) process_named portsmith-helpe ;;
    program\ portsmith-cut) process_named portsmith-cut ;;
    esac
}

processes=(supervisor sniffer witness helper)

field() { # PID FIELD of /proc/PID/status
    sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

capabilities() { # PID
    case $(field "$1" CapEff) in
    0000000000000000) echo none ;;
    0000000000001000) echo net_admin ;;
    0000000000003000) printf 'net_admin\nnet_raw\n' ;;
    "$(field self CapEff)") echo all ;;
    *) field "$1" CapEff ;;
    esac
}

# Standard input to error are the terminal's, the log's or /dev/null.
open_files() { # PID
    local fd files

    files=$(for fd in "/proc/$1/fd"/*; do
        [ "${fd##*/}" -le 2 ] || readlink "$fd"
    done | grep ^/ | sed 's/^\(\/memfd:.*\) (deleted)$/\1/' | sort -u)
    echo "${files:-none}"
}

calls() { # PID PATTERN of names with or without a question mark
    "$inspect" calls "$1" | grep -E "$2" | tr -d '?' | sort
}

agree() { # PROCESS ITEM COMMAND...
    local said

    said=$(page_says "$1" "$2")
    [ -n "$said" ]
    shift 2
    diff --label "the page" --label "the process" -U 0 <(echo "$said") <("$@")
}

# ---- the table -------------------------------------------------------------

@test "users are as the page says" {
    local name

    for name in "${processes[@]}"; do
        agree "$name" User id -n -u "$(field "$(process "$name")" Uid | cut -f1)"
    done
}

@test "capabilities are as the page says" {
    local name item=Capabilities

    for name in supervisor sniffer witness; do
        agree "$name" Capabilities capabilities "$(process "$name")"
    done
    [ "$BACKEND" != legacy ] || item+=", where iptables is the legacy one or GrantStore is set"
    agree helper "$item" capabilities "$(process helper)"
}

@test "open files are as the page says" {
    local name item="Open files"

    for name in supervisor sniffer; do
        agree "$name" "$item" open_files "$(process "$name")"
    done
    [ "$BACKEND" != legacy ] || item+=", where iptables is the legacy one"
    agree helper "$item" open_files "$(process helper)"
    item="Open files"
    [ "$BACKEND" = nft ] || item+=", where iptables is the legacy one or nftables owned"
    agree witness "$item" open_files "$(process witness)"
}

@test "system calls are as the page says" {
    local name

    for name in "${processes[@]}"; do
        agree "$name" "System calls" calls "$(process "$name")" '[a-z0-9_]$'
        agree "$name" "System calls, some arguments only" calls "$(process "$name")" '\?$'
    done
}

# The files and directories of the system's that the page leaves to the helper.
page_leaves() {
    sed -n '/^\.Ss The helper$/,/^\.It System calls$/p' "$top/man/portsmith-trust.7" |
        names_paths | grep -v -E '^/(memfd:portsmith-plan|run(/portsmith/helper/grants)?|var/lib/portsmith(/marks)?)$'
}

# Of each that is there: itself, or a file in it; not of Portsmith's own.
files_of() { # PATH...
    local path

    for path; do
        [ ! -e "$path" ] || find -H "$path" -type f ! -path "*/portsmith/*" -print -quit
    done
}

# Next to what is left to the helper, some of which has a second name, and in each place
# where anything is.
other_files() {
    # shellcheck disable=SC2046 # words
    {
        find -H /etc /usr/share/zoneinfo /proc/sys/kernel /proc/sys/kernel/random -maxdepth 1 -type f \
            ! -samefile /usr/share/zoneinfo/UTC
        files_of /boot /home /opt /root /run /srv $(find /usr /usr/share /var -maxdepth 1 \
            -mindepth 1 -type d ! -path "/usr/lib*")
    } | grep -v -x -F -e "$(page_leaves)" | sort -u
}

# What comes of each when the helper opens it.
helper_reads() { # reads names, a line each
    local file helper

    helper=$(process helper)
    while read -r file; do
        echo "$("$inspect" read "$helper" "$file"): $file"
    done
}

# bats test_tags=iptables
@test "the files that Landlock leaves to the helper are those that the page names" {
    [ "$BACKEND" != nftables ] || skip "that one opens nothing"
    ! grep -q "this kernel has no Landlock" "$lab/log/portsmithd.log" || skip "this kernel has no Landlock"
    [ "$(page_leaves | wc -l)" -ge 10 ]
    # shellcheck disable=SC2046 # words
    files_of $(page_leaves) | helper_reads >"$lab/left"
    cat "$lab/left"
    [ "$(wc -l <"$lab/left")" -ge 10 ]
    run grep -v '^opened: ' "$lab/left"
    [ "$status" -eq 1 ] # no other line
    other_files | helper_reads >"$lab/others"
    echo "$(wc -l <"$lab/others") other files"
    [ "$(wc -l <"$lab/others")" -ge 100 ]
    run grep -v '^Permission denied: ' "$lab/others"
    echo "$output"
    [ "$status" -eq 1 ] # no other line
    end_process KILL "$(process helper)" # it has them all open
    wait_until 10 serves_again
}

unnamed_files() { # PID
    readlink "/proc/$1/fd"/* | grep -E '^(socket|pipe):' | sort -u
}

# bats test_tags=iptables
@test "all have no_new_privs and a filter, and the iptables programs what the helper has" {
    local name pid children

    children=$(ps -o pid= --ppid "$(process helper)" || true) # without any it fails
    [ "$(wc -w <<<"$children")" -eq "$([ "$BACKEND" = nftables ] && echo 0 || echo 2)" ]
    for pid in $(for name in "${processes[@]}"; do process "$name"; done) $children; do
        [ "$(field "$pid" NoNewPrivs)" = 1 ]
        [ "$(field "$pid" Seccomp)" = 2 ]
    done
    for pid in $children; do
        [ "$(capabilities "$pid")" = "$(capabilities "$(process helper)")" ]
        [ "$(open_files "$pid")" = /var/lib/portsmith ]
        [ "$(unnamed_files "$pid" | grep -c ^pipe:)" -eq 2 ] # not those of the other one
        run comm -12 <(unnamed_files "$pid") <(unnamed_files "$(process helper)")
        [[ $output != *socket:* ]]
        diff <("$inspect" calls "$pid") <("$inspect" calls "$(process helper)")
    done
}

@test "nothing of whoever started the daemon is left in it" {
    local name pid

    for name in "${processes[@]}"; do
        pid=$(process "$name")
        [ "$(tr -d '\0' <"/proc/$pid/environ")" = "" ]
        grep -q '^Max core file size *0 *0 ' "/proc/$pid/limits"
    done
    # Of a process that can be dumped, these belong to its user.
    [ "$(stat -c %u "/proc/$(process sniffer)/environ")" = 0 ]
    [ "$(stat -c %u "/proc/$(process witness)/environ")" = 0 ]
}

# ---- what prepared the helper ----------------------------------------------

libraries() { # PID
    sed -n -E 's/.*\/((lib|ld)[^/]*)\.so[^/]*$/\1/p' "/proc/$1/maps" | sort -u
}

@test "of portsmith-prepare nothing is left, and the helper has libc and libsodium alone" {
    local helper program=portsmith-helper

    [ "$BACKEND" != nftables ] || program+=-nftables
    helper=$(process helper)
    run ! process_named portsmith-prepa
    [ "$(readlink "/proc/$helper/exe")" = "$stage/libexec/portsmith/$program" ]
    [ "$(tr '\0' ' ' <"/proc/$helper/cmdline")" = "portsmith-helper " ]
    run ! grep portsmith-prepare "/proc/$helper/maps"
    diff <(libraries "$helper") <(printf '%s\n' ld-linux-x86-64 libc libsodium)
}

# The modes in which a process has a file mapped, a line each.
mapped() { # PROCESS PATH
    awk -v path="$2" '$6 == path { print $2 }' "/proc/$(process "$1")/maps"
}

@test "the plan is sealed, and the witness has it and the grants to be read alone" {
    local seals=shrink,grow,write,seal fd

    [[ $(mapped witness /memfd:portsmith-plan | sort -u) == r--? ]]
    # The marks in it are pages of the helper's own.
    [ -n "$(mapped helper /memfd:portsmith-plan)" ]
    run ! grep -x 'rw-s' <(mapped helper /memfd:portsmith-plan)
    [ "$(plan_seals helper)" = "$seals" ]
    [ "$(plan_seals witness)" = "$seals" ]
    fd=$(find "/proc/$(process witness)/fd" -lname '*/helper/grants')
    grep -q '^flags:[[:space:]]*[0-7]*0$' "${fd/fd/fdinfo}" # O_RDONLY
    [ -z "$(mapped witness /run/portsmith/helper/grants)" ]
}

plan_seals() { # PROCESS
    python3 - "/proc/$(process "$1")/map_files" <<'END'
import fcntl, os, sys
names = {"shrink": fcntl.F_SEAL_SHRINK, "grow": fcntl.F_SEAL_GROW, "write": fcntl.F_SEAL_WRITE, "seal": fcntl.F_SEAL_SEAL}
for entry in os.listdir(sys.argv[1]):
    path = os.path.join(sys.argv[1], entry)
    if os.readlink(path).startswith("/memfd:portsmith-plan"):
        seals = fcntl.fcntl(os.open(path, os.O_RDONLY), fcntl.F_GET_SEALS)
        print(",".join(name for name in names if seals & names[name]))
        break
END
}

# ---- what the witness may ask ----------------------------------------------

# Sends a question for all connections on the witness's own socket of the kernel's news, as its
# user, and says what the kernel answers. The witness is stopped, as it would read the answer.
witness_asks() {
    python3 - "$(process witness)" "$(id -u portsmith-witness)" <<'END'
import ctypes, os, signal, socket, struct, sys
NEWS, PIDFD_GETFD, SO_PROTOCOL, NETFILTER, ERROR, CT_GET, DUMP, SEQUENCE = 5, 438, 38, 12, 2, 0x101, 0x301, 4711
witness, user = int(sys.argv[1]), int(sys.argv[2])
os.kill(witness, signal.SIGSTOP)
fd = ctypes.CDLL(None).syscall(PIDFD_GETFD, os.pidfd_open(witness), NEWS, 0)
news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER, fileno=fd)
assert news.getsockopt(socket.SOL_SOCKET, SO_PROTOCOL) == NETFILTER
if os.fork() == 0:
    os.setgroups([])
    os.setresuid(user, user, user)
    news.send(struct.pack("=IHHIIBBH", 20, CT_GET, DUMP, SEQUENCE, 0, socket.AF_INET, 0, 0))
    kind = sequence = 0
    while sequence != SEQUENCE:
        answer = news.recv(65536)
        _, kind, _, sequence = struct.unpack_from("=IHHI", answer)
    print(os.strerror(-struct.unpack_from("=i", answer, 16)[0]) if kind == ERROR else "it tells")
    os._exit(0)
os.wait()
os.kill(witness, signal.SIGCONT)
END
}

@test "a witness that asks the kernel for connections is refused" {
    [ "$(witness_asks)" = "Operation not permitted" ]
}

# ---- the program that lives for milliseconds --------------------------------

# One that waits for its order, which does not come. It is not the supervisor's child, and so
# has no filter but its own.
start_cut() {
    spawn server "$lab/log/cut.log" env -i python3 -c '
import os, socket, subprocess, sys
ours, its = (end.detach() for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
ours = os.dup(ours) # 3 becomes its
os.dup2(its, 3)
subprocess.run([sys.argv[1]], pass_fds=(3,), env={})' "$stage/libexec/portsmith/portsmith-cut"
    wait_until 5 cut_is_confined
}

cut_is_confined() {
    local pid

    pid=$(process_named portsmith-cut) && [ "$(field "$pid" Seccomp)" = 2 ]
}

@test "portsmith-cut is as the page says" {
    local name="program portsmith-cut" cut

    start_cut
    cut=$(process "$name")
    agree "$name" User id -n -u "$(field "$cut" Uid | cut -f1)"
    agree "$name" Capabilities capabilities "$cut"
    agree "$name" "Open files" open_files "$cut"
    agree "$name" "System calls" calls "$cut" '.'
    [ "$(field "$cut" NoNewPrivs)" = 1 ]
    kill_all "$cut"
}

# ---- a new sniffer ---------------------------------------------------------

# The kernel's 16 random bytes of the last execve(2), by which the C library makes the
# stack canary: their address is the entry 25 (AT_RANDOM) of the auxiliary vector.
random_bytes() { # PID
    local address

    address=$(od -A n -v -t u8 -w16 "/proc/$1/auxv" | awk '$1 == 25 { print $2 }')
    dd if="/proc/$1/mem" iflag=skip_bytes,count_bytes skip="$address" count=16 status=none |
        od -A n -t x1
}

# Where the program, the C library and the stack lie.
layout() { # PID
    sed -n -E 's/^([0-9a-f]+)-.* ([^ ]*\/(portsmith[^ ]*|libc\.so[^ ]*)|\[stack\])$/\2 \1/p' \
        "/proc/$1/maps" | sort -u -k 1,1
}

@test "no sniffer has the canary or the memory layout of one before it, or of the supervisor" {
    local first second one name

    one=$(process sniffer)
    for name in supervisor sniffer; do
        random_bytes "$(process "$name")"
    done >"$lab/random"
    first=$(layout "$one")
    [ "$(wc -l <<<"$first")" -eq 3 ]
    layout "$(process supervisor)" >"$lab/layout"
    reload_daemon
    [ "$(process sniffer)" != "$one" ]
    random_bytes "$(process sniffer)" >>"$lab/random"
    second=$(layout "$(process sniffer)")
    [ "$(wc -l <<<"$second")" -eq 3 ]
    [ "$(wc -l <"$lab/layout")" -eq 3 ]
    [ "$(sort -u "$lab/random" | wc -l)" -eq 3 ]
    [ -z "$(comm -12 <(cut -d' ' -f2 <<<"$first" | sort) <(cut -d' ' -f2 <<<"$second" | sort))" ]
    [ -z "$(comm -12 <(cut -d' ' -f2 <<<"$first" | sort) <(cut -d' ' -f2 "$lab/layout" | sort))" ]
}

# ---- a forbidden call ------------------------------------------------------

# Makes the process do one, and waits until the kernel has ended it for that.
dies_of() { # PROCESS CALL
    local pid

    pid=$(process "$1")
    "$inspect" force "$pid" "$2"
    wait_until 5 has_ended "$pid"
}

has_ended() { # PID
    ! [ -d "/proc/$1" ] || [[ $(field "$1" State) == Z* ]]
}

serves_again() {
    local name

    for name in "${processes[@]}"; do
        [ "$(process "$name" | wc -l)" -eq 1 ] || return 1
    done
    log_has ' ready: '
}

@test "a sniffer that opens a file is killed, and another one takes its place" {
    forces_calls=yes
    dies_of sniffer openat
    wait_until 5 log_has 'the sniffer .* was ended by signal 31'
    wait_until 10 serves_again
}

@test "a witness that opens a file is killed, and another one takes its place" {
    forces_calls=yes
    dies_of witness openat
    wait_until 5 log_has 'the witness .* was ended by signal 31'
    wait_until 10 serves_again
}

@test "a helper that mounts something is killed, and another one takes its place" {
    forces_calls=yes
    dies_of helper mount
    wait_until 5 log_has 'the helper .* was ended by signal 31'
    wait_until 10 serves_again
}

# bats test_tags=nftables,once
@test "a helper for nftables that runs a program, opens a file or a socket is killed" {
    local call

    [ "$BACKEND" = nftables ] || skip "the others run iptables"
    forces_calls=yes
    for call in execve execveat openat open openat2 socket clone memfd_create; do
        own_log
        dies_of helper "$call"
        wait_until 5 log_has 'the helper .* was ended by signal 31'
        wait_until 20 serves_again
    done
    knock_opens ssh
}

# bats test_tags=nftables,once
@test "the socket that owns the table is the supervisor's and the helper's alone" {
    local name

    [ "$BACKEND" = nftables ] || skip "there is no table"
    for name in "${processes[@]}"; do
        echo "$name: $(sockets_of_netfilter "$name")"
    done
    [ "$(sockets_of_netfilter helper | sort -u | wc -l)" -eq 2 ] # news, and this one
    comm -12 <(sockets_of_netfilter helper) <(sockets_of_netfilter supervisor) >"$lab/shared"
    [ "$(wc -l <"$lab/shared")" -eq 2 ]
    [ "$(comm -12 "$lab/shared" <(sockets_of_netfilter witness) | wc -l)" -eq 1 ] # news
    [ -z "$(sockets_of_netfilter sniffer)" ]
}

# bats test_tags=nftables,once
@test "the table is owned while a helper is replaced, and by the same process" {
    [ "$BACKEND" = nftables ] || skip "there is no table"
    local socket

    socket=$(sockets_of_netfilter supervisor)
    reload_daemon
    [ "$(sockets_of_netfilter supervisor)" = "$socket" ]
    own_log
    [ "$(table_owner)" = portsmithd ]
    end_process KILL "$(process helper)"
    [ "$(table_owner)" = portsmithd ]
    run ! on server nft delete table inet portsmith
    wait_until 10 serves_again
    [ "$(table_owner)" = portsmithd ]
    on server nft flush ruleset
    knock_opens ssh
}

# The process that nft(8) names.
table_owner() {
    on server nft list table inet portsmith | sed -n '1s/.*# progname //p'
}

# The inodes of its netlink sockets of netfilter, sorted.
sockets_of_netfilter() { # PROCESS
    local pid

    pid=$(process "$1")
    comm -12 <(find "/proc/$pid/fd" -lname 'socket:*' -printf '%l\n' | tr -dc '0-9\n' | sort -u) \
        <(on server awk '$2 == 12 { print $10 }' /proc/net/netlink | sort -u)
}

@test "a supervisor that traces another process is killed, and the doors stay shut" {
    dies_of supervisor ptrace
    wait_until 5 has_ended_all
    rules_shut
    rm -f "$lab/daemon.pid"
    start_daemon
}

rules_shut() {
    if [ "$BACKEND" = nftables ]; then
        on server nft list chain inet portsmith door | grep -q -w drop
    else
        rules | grep -q -e '-A portsmith-shut -j DROP'
    fi
}

has_ended_all() {
    ! daemon_processes
}

# ---- what the helper could write ---------------------------------------------

helper_opens() { # PATH: to write
    "$inspect" open "$(process helper)" 0 "$1"
}

# bats test_tags=iptables
@test "a helper opens neither its own files anew nor what opens a port at the next boot" {
    local name

    [ "$BACKEND" != nftables ] || skip "that one opens nothing"
    on server portsmith-firewall try --allow tcp/22
    on server portsmith-firewall confirm
    on server portsmith-firewall try --allow tcp/22
    echo "of another boot" >/var/lib/portsmith/trial
    for name in /var/lib/portsmith/{firewall,trial,marks} /run/portsmith/{firewall,helper/grants}; do
        [ "$(helper_opens "$name")" = "Permission denied" ]
    done
    rm /var/lib/portsmith/trial
    on server portsmith-firewall remove
    knock_opens ssh # it is as it was
}

# ---- a helper that is not itself any more ----------------------------------

helpers_are() { # COUNT
    [ "$(process helper | wc -l)" -eq "$1" ]
}

# bats test_tags=iptables
@test "what a helper leaves behind ends with it" {
    local helper

    [ "$BACKEND" != nftables ] || skip "that one leaves nothing behind"
    helper=$(process helper)
    "$inspect" force "$helper" clone 17 # SIGCHLD, as fork(2) does it
    wait_until 5 helpers_are 2
    kill -STOP "$(process helper | grep -v -x "$helper")"
    own_log
    kill -KILL "$helper"
    wait_until 10 serves_again
    log_lacks "in use by another"
}

@test "a helper that hangs up is replaced" {
    local helper

    helper=$(process helper)
    own_log
    "$inspect" force "$helper" close 3
    wait_until 5 has_ended "$helper"
    wait_until 10 serves_again
}

# bats test_tags=legacy,once
@test "the xtables lock removed: a new helper has the new one" {
    [ "$BACKEND" = legacy ] || skip "iptables-nft has no lock"
    own_log
    in_daemon_mounts rm /run/xtables.lock
    xtables -t mangle -F portsmith-shut
    wait_until 15 log_has "the xtables lock was removed or replaced"
    wait_until 15 serves_again
    wait_until 10 rules_are_back
    knock_opens ssh
}

# ---- an upgrade of iptables ------------------------------------------------

# The programs that run go on with the old file until one of them ends.
# bats test_tags=iptables
@test "another file in the place of the iptables program: probed, then used" {
    local program helper child

    [ "$BACKEND" != nftables ] || skip "that one runs none"
    program=$(readlink -f "/usr/sbin/iptables-$XTABLES")
    helper=$(process helper)
    cp "$program" "$lab/upgraded"
    in_daemon_mounts mount --bind "$lab/upgraded" "$program"
    for child in $(ps -o pid= --ppid "$helper"); do
        kill -KILL "$child"
    done
    xtables -t mangle -F portsmith-shut
    wait_until 10 log_has 'may not be run, perhaps because it was upgraded'
    wait_until 20 serves_again
    [ "$(process helper)" != "$helper" ]
    wait_until 10 rules_are_back
    knock_opens ssh
    in_daemon_mounts umount --lazy "$program"
}

rules_are_back() {
    chain mangle portsmith-shut | grep -q -e '-j DROP'
}
