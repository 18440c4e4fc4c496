#!/usr/bin/env bats
# Kernels that lack nf_tables, the tables of iptables-legacy, or a match. This one has modules for
# all but the families of its nf_tables, and those that a test names cannot be loaded. What was
# loaded stays, so the tests begin with the poorest kernel.
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables
bats_require_minimum_version 1.5.0

. "$top/tests/lib/net.bash"

setup_file() {
    lab_setup
    configure "Backend = auto"
    add_profile ssh --open tcp/22 --window 1m
    use_iptables nft
}

teardown_file() {
    lab_teardown
}

lack() { # MODULE...
    printf 'install %s /bin/false\n' "$@" >/mnt/modprobe.d/lacking.conf
}

# What the host answered is in parentheses.
says() { # TEXT
    [[ $(printf '%s\n' "$output" | sed 's/ ([^()]*\(([^()]*)[^()]*\)*)//g') == *"$1"* ]] || {
        echo "status $status, said: $output"
        return 1
    }
}

try() { # BACKEND STATUS [TEXT]
    sed -i "s/^Backend = .*/Backend = $1/" "$conf"
    run "-$2" on server portsmithd -c "$conf" -t
    says "${3:-}"
}

# By those who start and look, too.
is_told() { # BACKEND TEXT
    try "$1" 78 "portsmithd: $2"
    run -78 on server timeout 100 portsmithd -c "$conf" -f
    says "$2"
    run -4 on server portsmithctl -c "$conf" doctor
    says "PROBLEM: $2"
}

no_ip="this kernel has no tables of nf_tables for IPv4: load the module nf_tables,\
 or install a kernel with CONFIG_NF_TABLES_IPV4"
no_inet="this kernel has no tables of nf_tables for the family inet: load the module nf_tables,\
 or install a kernel with CONFIG_NF_TABLES_INET"
no_legacy="this kernel has no tables of iptables-legacy for IPv4: load their modules,\
 such as iptable_mangle, or install a kernel that has them"
instead_legacy=", or set Backend = iptables-legacy, which works here"

@test "a kernel without nf_tables and legacy tables" {
    lack nf_tables ip_tables ip6_tables
    try iptables-nft 78 "$no_ip"
    [[ $output != *"which works here"* ]]
    try iptables-legacy 78 "$no_legacy"
    [[ $output != *"which works here"* ]]
    run -1 on server portsmith-firewall -c "$conf" try --allow tcp/22
    says "portsmith-firewall: $no_legacy"
    try auto 78 "$no_ip; nor can the back end be nftables: $no_inet"
    [[ $output != *"which works here"* ]]
    on server portsmithctl -c "$conf" release
}

@test "a kernel with legacy tables, without a match, and with an nf_tables for neither IPv4 nor IPv6" {
    lack xt_addrtype
    try auto 78 "$no_ip; nor can the back end be nftables: $no_inet"
    [[ $output != *"which works here"* ]]
    is_told iptables-legacy "the addrtype match does not work here: load the kernel's module xt_addrtype, or install it"
    [[ $output == *" (RHEL and its like: the package kernel-modules-extra)"* ]]
}

@test "legacy tables that serve are named where they are not chosen" {
    : >/mnt/modprobe.d/lacking.conf
    try iptables-legacy 0
    [ -z "$output" ]
    is_told iptables-nft "$no_ip$instead_legacy"
    try nftables 78 "$no_inet$instead_legacy"
    ! on server iptables-legacy-save | grep portsmith-probe || false
    on server portsmithctl -c "$conf" release
}
