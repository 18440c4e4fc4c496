#!/usr/bin/env bats
# Hosts that lack iptables, nf_tables or a match: a start, portsmithd -t, doctor and
# portsmith-firewall name what is missing, in the same words, and what to do.
# tests/platforms/uml tells it of kernels without modules.
# Once: each host is tried with each back end.
# bats file_tags=once
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"
# shellcheck source=tests/lib/build.bash
. "$top/tests/lib/build.bash"
no_nfnetlink=$build_directory/tests/tools/no-nfnetlink

setup_file() {
    lab_setup
    configure "Backend = auto"
    add_profile ssh --open tcp/22 --window 1m
}

teardown_file() {
    lab_teardown
}

setup() {
    own_log
    host=(on server)
}

teardown() {
    umount /usr/lib/*/xtables/libxt_addrtype.so 2>/dev/null || true
    on server portsmith-firewall remove
    on server portsmithd -c "$conf" --release
}

use_backend() { # WORD
    sed -i "s/^Backend = .*/Backend = $1/" "$conf"
}

# What the host answered is in parentheses, and its own words.
said_without_reasons() {
    printf '%s\n' "$output" | sed 's/ ([^()]*\(([^()]*)[^()]*\)*)//g'
}

says() { # TEXT
    [[ $(said_without_reasons) == *"$1"* ]] || { echo "status $status, said: $output"; return 1; }
}

# By a start, which is vain, and by all who look.
all_say() { # TEXT
    run -78 "${host[@]}" portsmithd -c "$conf" -t
    says "portsmithd: $1"
    run -78 "${host[@]}" timeout 60 portsmithd -c "$conf" -f
    says "$1"
    run -4 "${host[@]}" portsmithctl -c "$conf" doctor
    says "PROBLEM: $1"
    says "-> do that: until then portsmithd does not start"
}

firewall_says() { # TEXT
    run -1 "${host[@]}" portsmith-firewall -c "$conf" try --allow tcp/22
    says "portsmith-firewall: $1"
}

can_serve() {
    run -0 "${host[@]}" portsmithd -c "$conf" -t
    [ -z "$output" ]
}

nothing_of_a_try_is_left() {
    ! on server iptables-nft-save | grep portsmith || return 1
    ! on server ip6tables-nft-save | grep portsmith || return 1
    ! on server nft list tables | grep portsmith || return 1
    [ -z "$(on server ipset list -n)" ]
}

instead_nftables=", or set Backend = nftables, which works here"
instead_legacy=", or set Backend = iptables-legacy, which works here"
no_inet="this kernel has no tables of nf_tables for the family inet: load the module nf_tables,\
 or install a kernel with CONFIG_NF_TABLES_INET"
no_ip="this kernel has no tables of nf_tables for IPv4: load the module nf_tables,\
 or install a kernel with CONFIG_NF_TABLES_IPV4"
no_iptables="iptables is not installed: install the package iptables"

@test "a host without iptables: nftables serves, and is named where it is not chosen" {
    local backend

    host=(without_iptables)
    for backend in auto nftables; do
        use_backend "$backend"
        can_serve
    done
    for backend in iptables-nft iptables-legacy; do
        use_backend "$backend"
        all_say "$backend is not installed: install the package iptables$instead_nftables"
        firewall_says "$backend is not installed: install the package iptables$instead_nftables"
    done
    nothing_of_a_try_is_left
}

@test "a host without iptables whose kernel has no nf_tables" {
    host=(without_iptables "$no_nfnetlink")
    use_backend auto
    all_say "$no_iptables; nor can the back end be nftables: $no_inet"
    firewall_says "$no_iptables; nor can the back end be nftables: $no_inet"
    use_backend nftables
    all_say "$no_inet"
    firewall_says "$no_inet"
    use_backend iptables-nft
    all_say "iptables-nft is not installed: install the package iptables"
    [[ $output != *"which works here"* ]]
}

@test "a kernel without nf_tables: iptables-legacy serves, and is named where it is not chosen" {
    host=(on server "$no_nfnetlink")
    use_backend iptables-legacy
    can_serve
    use_backend iptables-nft
    all_say "$no_ip$instead_legacy"
    firewall_says "$no_ip"
    use_backend nftables
    all_say "$no_inet$instead_legacy"
    use_iptables nft
    use_backend auto
    all_say "$no_ip; nor can the back end be nftables: $no_inet$instead_legacy"
}

@test "a match whose file is not installed is named, and what serves without" {
    local library

    for library in /usr/lib/*/xtables/libxt_addrtype.so; do
        mount --bind /dev/null "$library"
    done
    use_backend auto
    can_serve
    use_backend iptables-nft
    all_say "the addrtype match does not work here: install all of iptables,\
 as that file of it is missing$instead_nftables"
    [[ $output == *"Couldn't load match"* ]]
    # With which nftables does not go.
    echo "GrantStore = rules" >>"$conf"
    run -78 "${host[@]}" portsmithd -c "$conf" -t
    sed -i '/^GrantStore/d' "$conf"
    [[ $output != *"which works here"* ]]
    nothing_of_a_try_is_left
}

@test "a release says what to install where rules may be left" {
    on server iptables-nft -t mangle -N portsmith
    run -1 without_iptables portsmithctl -c "$conf" release
    says "rules may remain: $no_iptables"
    on server iptables-nft -t mangle -X portsmith
}

@test "a release where the kernel has no nf_tables has nothing to look for there" {
    host=(on server "$no_nfnetlink")
    "${host[@]}" portsmithctl -c "$conf" release
    "${host[@]}" portsmithd -c "$conf" --release
}

@test "who may not look at the host is told so, and has the configuration checked" {
    use_backend auto
    run -0 on server setpriv --bounding-set=-net_admin --inh-caps=-net_admin portsmithd -c "$conf" -t
    [ "$output" = "portsmithd: the configuration is right; what this host can do was not looked at:\
 root lacks CAP_NET_ADMIN here: have whoever starts this give it (CapabilityBoundingSet of a unit,\
 --cap-add of a container)" ]
    run -0 unshare --user --map-root-user portsmithd -c "$conf" -t
    [[ $output == *"was not looked at: root of this user namespace has no rights"* ]]
    echo "Colour = blue" >>"$conf"
    run -78 on server setpriv --bounding-set=-net_admin --inh-caps=-net_admin portsmithd -c "$conf" -t
    sed -i '/^Colour/d' "$conf"
    [[ $output == *"unknown key 'Colour'"* ]]
}
