#!/usr/bin/env bats
# README's "Install it", word for word: what it has after `#` as root on a server that is
# a Debian of its own, with systemd and sshd, after `$` as somebody on another one.
# shellcheck disable=SC2154 # bats, lab.bash and tree.bash set the variables

bats_require_minimum_version 1.5.0
. "$top/tests/install/hosts/hosts.bash"
. "$top/tests/lib/documents.bash"

client_root=$(root_of client)

setup_file() {
    systemd_setup
    mkdir -p "$lab/shown"
    plant_tree server
    plant_tree client
    meet
    boot server
}

teardown_file() {
    halt_host
    lab_teardown
    uproot_trees
}

# Somebody, who has an account on both; the laptop takes files of the server's root.
# What a newcomer knows of his hosts, ssh knows: their names and keys.
meet() {
    local root

    for root in "$(root_of server)" "$client_root"; do
        chroot "$root" useradd --create-home --shell /bin/sh --password '*' me
        install -d -m 700 "$root/home/me/.ssh" "$root/root/.ssh"
        printf '%s\n' "10.77.0.1 server.example.net" "10.77.0.2 laptop" >>"$root/etc/hosts"
        printf '%s\n' "StrictHostKeyChecking no" "LogLevel ERROR" "BatchMode yes" \
            >"$root/etc/ssh/ssh_config.d/lab.conf"
    done
    root=$(root_of server)
    ssh-keygen -q -t ed25519 -N "" -f "$root/root/.ssh/id_ed25519"
    printf '%s\n' "Host laptop" "    User me" >"$root/root/.ssh/config"
    ssh-keygen -q -t ed25519 -N "" -f "$client_root/home/me/.ssh/id_ed25519"
    cp "$root/root/.ssh/id_ed25519.pub" "$client_root/home/me/.ssh/authorized_keys"
    cp "$client_root/home/me/.ssh/id_ed25519.pub" "$root/home/me/.ssh/authorized_keys"
    mv "$client_root"/root/*.deb "$client_root/home/me/"
    chroot "$root" chown -R me /home/me
    chroot "$client_root" chown -R me /home/me
    mkdir -p "$client_root/run/sshd"
    in_tree client /usr/sbin/sshd
}

as_somebody() { # COMMAND, as a shell takes it
    in_tree client setpriv --reuid me --regid me --init-groups sh -c "export HOME=/home/me; cd; $1"
}

# `y` is what a newcomer answers to apt.
run_line() { # LINE of extract
    case $1 in
    '# '*) in_host sh -c "cd; ${1#??}" <<<y ;;
    '$ sudo '*) in_tree client sh -c "cd /home/me; ${1#\$ sudo }" <<<y ;;
    '$ '*) as_somebody "${1#??}" </dev/null ;;
    'file '*' ~/.ssh/config') # shellcheck disable=SC2086 # words
        set -- $1
        { cat "$2" && echo "    HostName server.example.net"; } >"$client_root/home/me/.ssh/config"
        as_somebody "ssh home true" </dev/null
        ;;
    *) return 1 ;;
    esac
}

# What is to have happened by then.
check_after() { # LINE
    case $1 in
    '# systemctl start'*) port_is_shut 10.77.0.1 22 10.77.0.3 ;;
    '# portsmith-firewall try'*) start_listener 8080 && port_is_shut 10.77.0.1 8080 10.77.0.3 ;;
    '# portsmithctl list') [[ $output == *laptop*10.77.0.2*tcp/22* ]] ;;
    '# portsmith-firewall confirm') [[ $(in_host portsmith-firewall show) == *onfirmed* ]] ;;
    '# apt purge'*)
        port_is_open 10.77.0.1 22 10.77.0.3 && port_is_open 10.77.0.1 8080 10.77.0.3 &&
            ! in_host sh -c 'ls -d /etc/portsmith* /var/lib/portsmith /run/portsmith' 2>/dev/null
        ;;
    esac
}

@test "every command of README's Install it does what it says, in order" {
    local line count=0

    while IFS= read -r line <&4; do
        echo "--- $line"
        run run_line "$line"
        echo "$output"
        [ "$status" -eq 0 ]
        check_after "$line"
        count=$((count + 1))
    done 4< <(extract "$top/README.md" "Install it")
    [ "$count" -ge 14 ]
}
