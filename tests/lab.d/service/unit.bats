#!/usr/bin/env bats
# The units: how much they give away, and that the daemon works with the rest.
# No systemd runs here; the capabilities, the read-only file system and no_new_privs
# are put in force by other means, and the system calls compared.
# Once: the unit's text, and what systemd says to it.
# bats file_tags=once,release
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

unit=$top/daemon/install/portsmithd.service.in

directive() { # NAME: its values, a word each
    sed -n "s/^$1=//p" "$unit" | tr ' ' '\n'
}

# systemd-analyze leaves ProtectSystem and its like out of account for a unit that
# starts before sysinit.target; so that they count, it is taken for a common one.
@test "systemd-analyze security: at most 2.5" {
    local name

    mkdir -p "$lab/unit"
    for name in portsmithd portsmith-firewall; do
        sed -e 's|@CMAKE_INSTALL_FULL_SBINDIR@|/usr/sbin|' -e '/^DefaultDependencies=no/d' \
            "$top/daemon/install/$name.service.in" >"$lab/unit/$name.service"
        systemd-analyze security --offline=true --threshold=25 --no-pager "$lab/unit/$name.service"
    done
}

@test "systemd-analyze verify has nothing to say to the example for rosters" {
    local examples=/run/lab/stage/share/doc/portsmith/examples

    run systemd-analyze verify --man=no "$examples"/portsmith-roster.{path,service}
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

# Who gives up leaves ports open that another program, or the boot, has opened.
@test "it is started again for as long as it fails" {
    [ "$(directive Restart)" = on-failure ]
    [ "$(directive StartLimitIntervalSec)" = 0 ]
}

# systemd heeds RestartPreventExitStatus for the main process alone (its issue 11868): what a check
# before it finds would be tried again every two seconds.
@test "where a start is in vain it is not started again" {
    [[ " $(directive RestartPreventExitStatus | xargs) " == *" 78 "* ]]
    [ -z "$(directive ExecStartPre)" ]
}

filter_names() { # SET or NAME...
    local name

    for name; do
        case $name in
        @*) # shellcheck disable=SC2046 # words
            filter_names $(systemd-analyze syscall-filter "$name" | sed -n 's/^ \+\([-@a-z_0-9]\+\)$/\1/p') ;;
        *) echo "$name" ;;
        esac
    done
}

@test "its filter allows what the supervisor and its children call" {
    local allowed denied called

    # shellcheck disable=SC2046 # words
    denied=$(filter_names $(directive SystemCallFilter | sed -n '/^~/,/^[^~@]/p' | sed 's/^~//' | grep ^@))
    # shellcheck disable=SC2046
    allowed=$( (filter_names @system-service | grep -v -x -F "$denied"
        filter_names $(directive SystemCallFilter | grep -v -e '^[~@]')) | sort -u)
    called=$(sed -n '/^\.Ss The supervisor$/,/^\.El/p' "$top/man/portsmith-trust.7" |
        sed -n '/^\.It System calls/,/^\.\(It\|El\)/{ /^\./d; p }' | tr ' ' '\n' | sort -u |
        grep -v -x -E 'init_module|finit_module|unshare|setrlimit') # ProtectKernelModules; glibc's is prlimit64
    [ -n "$called" ]
    comm -13 <(echo "$allowed") <(echo "$called") >"$lab/forbidden"
    [ ! -s "$lab/forbidden" ] || { cat "$lab/forbidden" && return 1; }
}

start_as_the_unit_does() {
    local kept

    kept=$(directive CapabilityBoundingSet | sed 's/^CAP_/+/' | tr 'A-Z\n' 'a-z,' | sed 's/,$//')
    log_start=$(($(wc -l <"$lab/log/portsmithd.log") + 1))
    : >>/run/xtables.lock
    spawn server "$lab/log/portsmithd.log" unshare --mount sh -c '
        mkdir -p /var/lib/portsmith /run/portsmith /run/lab/log
        for d in /var/lib/portsmith /run/portsmith /run/xtables.lock; do mount --bind $d $d; done
        mount -o remount,ro,bind / && mount -o remount,ro,bind /run && mount -o remount,ro,bind /etc
        mount -o remount,ro,bind /var/lib
        exec setpriv --no-new-privs --bounding-set "-all,$1" --inh-caps "-all" portsmithd -f
        ' sh "$kept"
    echo "$spawned" >"$lab/daemon.pid"
    wait_for_log ready 15
}

@test "with the unit's capabilities and a read-only system: knock, reload, restart, stop" {
    lab_setup
    common_setup
    start_listener 22
    configure
    add_profile ssh --open tcp/22 --window 1m
    start_as_the_unit_does
    knock_opens ssh
    port_is_open "$server" 22
    reload_daemon
    port_is_open "$server" 22
    # RestartKillSignal
    end_process QUIT "$(daemon_pid)"
    log_has 'stopped; live grants'
    port_is_open "$server" 22
    start_as_the_unit_does
    port_is_open "$server" 22
    stop_daemon
    port_is_shut "$server" 22
    there_are_no_grants
    lab_teardown
}
