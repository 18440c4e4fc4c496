# shellcheck shell=bash
# What the tests share that install the packages.
# shellcheck disable=SC2154,SC2034 # the lab's and bats'

. "$top/tests/lib/lab.bash"
. "$top/tests/lib/tree.bash"

# Two hosts, if there is what a server's tree is made of.
install_setup() {
    tree_is_there || skip "no Debian to install on: it could not be fetched"
    lab_setup
}

# A server on which no manager of services runs, and useradd(8) makes the users.
plain_setup() {
    install_setup
    plant_tree server
    rm "$(root_of server)/bin/systemd-sysusers"
    start_listener 22
}

plain_teardown() {
    ! daemon_number >/dev/null 2>&1 || server sh -c 'kill $(cat /run/portsmith/portsmithd.pid)'
    lab_teardown
    uproot_trees
}

# Whether there can be a systemd on one.
systemd_setup() {
    own_cgroup >/dev/null || skip "no cgroup of version 2 for a systemd of the lab's own"
    install_setup
}

# The same package once more, as a later version.
make_newer() {
    local work=$lab/newer

    rm -rf "$work"
    dpkg-deb -R "$packaged"/portsmith_*.deb "$work"
    sed -i 's/^Version: .*/&+later/' "$work/DEBIAN/control"
    dpkg-deb -b "$work" "$(root_of server)/root/later.deb" >/dev/null
}

# What there is on the server, but for what dpkg, apt and systemd note down for
# themselves; and what its /etc says.
inventory() {
    local root

    root=$(root_of server)
    (cd "$root" && find . -xdev \( -path ./var/lib/dpkg -o -path ./var/cache -o -path ./var/log \
        -o -path ./var/lib/apt -o -path ./var/lib/systemd -o -path ./tmp -o -path ./var/tmp \
        -o -path ./root -o -path ./proc \) -prune -o ! -path './etc/*-' -printf '%y %m %U:%G %p\n' | sort
    find etc -type f ! -name '*-' ! -name machine-id ! -name .pwd.lock -exec sha256sum {} + | sort -k 2)
}

# `server COMMAND...` runs one there, however the file's server was started.
server_has_no_rules() {
    ! server sh -c 'iptables-save; ip6tables-save; iptables-legacy-save; ip6tables-legacy-save' \
        2>/dev/null | grep -i portsmith
}

daemon_number() {
    server cat /run/portsmith/portsmithd.pid
}

daemon_is_gone() {
    ! process_named portsmithd
}

# A profile, which the client knows as `ssh`.
let_client_in() {
    server sh -c 'cd && portsmith-profile create ssh --open tcp/22 --window 5m --host 10.77.0.1 --server ssh'
    install -o "$client_user" -m 600 "$(root_of server)/root/ssh.bundle" "$lab/home/ssh.bundle"
    as_client portsmith-knock import "$lab/home/ssh.bundle"
}

client_has_a_grant() {
    [[ $(server portsmithctl list) == *10.77.0.2*tcp/22* ]]
}

is_in_and_nobody_else() {
    port_is_open 10.77.0.1 22 10.77.0.2 && port_is_shut 10.77.0.1 22 10.77.0.3 && client_has_a_grant
}

knock_and_get_in() {
    knock ssh
    wait_until 5 client_has_a_grant
    is_in_and_nobody_else
}

# The daemon is another one then, and who was in is in.
upgrade_and_stay_in() {
    local before

    before=$(daemon_number)
    make_newer
    server apt-get install -y /root/later.deb
    [ "$(daemon_number)" != "$before" ]
    [[ $(server dpkg-query -W portsmith) == *later ]]
    is_in_and_nobody_else
}

has_its_users() {
    local name

    for name in portsmith portsmith-witness; do
        [[ $(server getent passwd "$name") == "$name":x:*:/nonexistent:/usr/sbin/nologin ]] || return 1
    done
}

has_nothing_of_ours() {
    server_has_no_rules
    run ! server ls -d /run/portsmith
    diff "$lab/before" <(inventory)
}
