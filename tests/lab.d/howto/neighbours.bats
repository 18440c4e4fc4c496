#!/usr/bin/env bats
# portsmith-recipes(7), NEIGHBOURS: each entry is followed beside the real fail2ban, ufw, firewalld
# and Docker, and behind a firewall as a provider's.
# Once: whether the page's words are right; other tests have each back end beside these.
# bats file_tags=once
# shellcheck disable=SC2154,SC2030,SC2031 # recipes.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/recipes.bash"
# shellcheck source=tests/lib/firewalld.bash
. "$top/tests/lib/firewalld.bash"
# shellcheck source=tests/lib/ufw.bash
. "$top/tests/lib/ufw.bash"

setup_file() {
    howto_setup
    make_backend_host
    start_listener 22 backend
    use_iptables nft
}

teardown_file() {
    lab_teardown
}

setup() {
    howto_begin "Shut = tcp/22"
}

teardown() {
    [ ! -e "$lab/firewalld.pid" ] || stop_firewalld
    end_program fail2ban
    end_program docker
    howto_end
    on server nft flush ruleset
}

# A stranger meets nothing, and the client gets in by a knock.
is_for_those_who_knock() { # PORT
    port_is_shut "$server" "$1" "$other"
    knocks_are_heard home "tcp/$1"
    port_is_open "$server" "$1" "$client"
    port_is_shut "$server" "$1" "$other"
}

# ---- firewalls ---------------------------------------------------------------

# The server of this entry is the host behind; the other one is the provider's router.
@test "A firewall at the provider" {
    stop_daemon
    on server portsmithd --release
    host_of[server]=backend
    set_key "$home/.config/portsmith/home.conf" "Host = $backend"
    type_at server# portsmithd
    on server nft -f - <<'END'
table inet provider {
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        tcp dport 22 accept
    }
}
END
    follow "grep '^Port '"
    [ "$said" = "Port = $knock_port" ]
    knocks_are_in_vain home
    [ "$(packets)" -eq 0 ]
    on server nft add rule inet provider forward udp dport "$knock_port" accept
    follow diagnose
    [[ $said == *"ok: the server lets you in"* ]]
    follow_all
    [ "$(packets)" -gt 0 ]
}

packets() {
    on backend portsmithctl status --json | jq .counters.seen
}

@test "ufw" {
    prepare_ufw
    ufw_by_name
    type_at server# "ufw --force enable"
    follow "ufw reload"
    follow_all
    is_for_those_who_knock 22
    type_at server# "ufw --force disable"
}

ufw_by_name() {
    printf '#!/bin/sh\nexec env PYTHONPATH=%s %s --rootdir=%s --datadir=%s "$@"\n' \
        "$foreign/usr/lib/python3/dist-packages" "$foreign/usr/sbin/ufw" "$lab/ufw" "$lab/ufw" \
        >"$lab/bin/ufw"
    chmod 755 "$lab/bin/ufw"
}

@test "firewalld" {
    ln -sf "$foreign/usr/bin/firewall-cmd" "$lab/bin/"
    start_firewalld nftables
    firewall_cmd --remove-service=ssh
    firewall_cmd --permanent --remove-service=ssh
    wait_until 20 is_in_place
    knocks_are_in_vain home
    follow "firewall-cmd --permanent"
    wait_until 20 is_in_place
    follow_all
    is_for_those_who_knock 22
    firewall_cmd --reload
    wait_until 20 is_in_place
    port_is_open "$server" 22 "$client" # by the same grant
    is_for_those_who_knock 22
}

# ---- fail2ban ----------------------------------------------------------------

start_fail2ban() {
    mkdir -p /run/fail2ban /var/lib/fail2ban
    : >"$lab/log/auth.log"
    printf '%s\n' "[sshd]" "enabled = true" "backend = polling" "logpath = $lab/log/auth.log" \
        >/etc/fail2ban/jail.d/lab.local
    start_program fail2ban server fail2ban-server -f --logtarget "$lab/log/fail2ban"
    wait_until 20 on server fail2ban-client status sshd
}

# Which jump INPUT has first.
first_is() { # CHAIN
    [[ $(xtables -S INPUT | grep -m 1 -o -e '-j [a-z0-9-]*') == "-j $1" ]]
}

@test "fail2ban" {
    start_fail2ban
    on server fail2ban-client set sshd banip "$client"
    wait_until 20 first_is f2b-sshd
    knocks_are_in_vain home
    xtables -I INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT # as most hosts have
    xtables -D INPUT -j portsmith # which is put back at the top
    wait_until 20 first_is portsmith
    is_for_those_who_knock 22 # though it is banned
    follow iptables
    [[ $said == *"-j portsmith"*f2b-sshd* ]]
    follow --restart
    wait_until 20 first_is f2b-sshd
    knocks_are_in_vain home
    follow_all
    is_for_those_who_knock 22
}

# ---- Docker ------------------------------------------------------------------

start_docker() {
    mkdir -p "$lab/docker"
    start_program docker server dockerd --data-root "$lab/docker/data" --exec-root "$lab/docker/exec" \
        --pidfile "$lab/docker/pid" --host "unix://$lab/docker/socket" --storage-driver vfs
    wait_until 60 docker info
}

docker() { # ARGUMENT...
    on server docker --host "unix://$lab/docker/socket" "$@"
}

# With a web server and nothing else.
start_container() {
    mkdir -p "$lab/docker/image/bin"
    cp /bin/busybox "$lab/docker/image/bin/"
    tar -C "$lab/docker/image" -c . | docker import - web
    docker run --detach --name web --publish 8080:80 web /bin/busybox httpd -f -p 80
    wait_until 30 is_served "$other"
}

# By the web server, which has no page.
is_served() { # ADDRESS that asks
    on client curl --silent --max-time 5 --interface "$1" "http://$server:8080/" | grep "404 Not Found"
}

@test "Docker" {
    start_docker
    start_container
    follow "portsmithctl reload"
    follow_all
    is_for_those_who_knock 8080
    is_served "$client"
    docker rm --force web
}
