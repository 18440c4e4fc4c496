# shellcheck shell=bash
# What a bare Debian 12 or 13 lacks, and how it gets here. Wants `top`, the checkout.
# shellcheck disable=SC2154 # it

# By its code name.
debian_release() {
    sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}

# A group is NAME_packages; what each part of tests/run wants of them is in parts.table.
# shellcheck disable=SC2034 # used by the scripts that read this file, and by name
{
library_packages=(libpcap-dev libsodium-dev libcap-ng-dev libjansson-dev libseccomp-dev libuv1-dev
    libqrencode-dev)
build_packages=(gcc libc6-dev make cmake pkgconf "${library_packages[@]}")
unit_packages=(libcmocka-dev iproute2 iptables ipset nftables)
# The lab's hosts, and what the demo does there; a prompt there wants a little more.
lab_packages=(iproute2 iptables util-linux passwd python3 socat nmap tcpdump)
shell_packages=(ipset nftables procps)
# What the lab tests have in common, and what those of one directory or two want besides.
lab_tests_packages=("${lab_packages[@]}" "${shell_packages[@]}" bats openssh-client openssh-server git
    curl xxd jq python3-nacl proxychains4 systemd kmod tayga dnsmasq-base)
cli_packages=(bash-completion zsh fish mandoc zbar-tools)
ssh_packages=(libssh-4 fail2ban mosh rsync gpg-agent zbar-tools)
proxy_packages=(ncat netcat-openbsd chromium)
howto_packages=("${ssh_packages[@]}" ansible-core cron docker.io busybox-static libfaketime
    prometheus-node-exporter)
fleet_packages=(keepalived conntrackd rsync)
firewalld_packages=(python3-firewall python3-nftables gir1.2-nm-1.0 dbus-daemon)
uml_packages=(user-mode-linux)
# Whatever file of tests/ is run.
test_packages=("${unit_packages[@]}" "${lab_tests_packages[@]}" "${cli_packages[@]}" "${ssh_packages[@]}"
    "${proxy_packages[@]}" "${howto_packages[@]}" "${firewalld_packages[@]}" "${fleet_packages[@]}" "${uml_packages[@]}")
analysis_packages=(clang clang-tidy cppcheck)
scan_build_packages=(clang clang-tools perl)
fuzz_packages=("${lab_packages[@]}" nftables ipset clang libclang-rt-dev llvm)
proof_packages=(frama-c-base why3 cvc4)
[ "$(debian_release)" != trixie ] || proof_packages=() # which has no Frama-C
# What builds for another architecture and runs that, with gcc-TRIPLET and the libraries of that.
foreign_build_packages=(mount make cmake pkgconf qemu-user "${unit_packages[@]:1}")
# What builds with musl, the libraries included: of those in library_packages and cmocka the sources.
musl_packages=(gcc libc6-dev make cmake pkgconf musl-tools dpkg-dev flex bison gperf autoconf
    automake libtool libeinfo1 librc1t64 "${unit_packages[@]:1}" "${lab_tests_packages[@]}")
# What builds the client for Windows, two libraries included, and runs it beside a server.
windows_packages=(gcc-mingw-w64-x86-64 wine wine64 dpkg-dev autoconf automake libtool "${build_packages[@]}"
    "${unit_packages[@]:1}" "${lab_tests_packages[@]}")
# What makes and looks at our own packages.
packaging_packages=(dpkg-dev file mmdebstrap lintian rpm rpmlint apparmor git mandoc shellcheck)
# Firewalls that the lab runs and this machine must not: once installed they would start at
# its next boot, and apt would remove another firewall for them. They are only unpacked.
foreign_packages=(firewalld netfilter-persistent iptables-persistent ufw)
foreign=$top/build-tests/foreign
# What tests/bench/run measures Portsmith beside, and with.
peer_packages=(fwknop-server fwknop-client knockd strace)
}

package_is_installed() { # NAME
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# What the packages would start is not to run on this machine: the tests start what
# they need, in the lab. invoke-rc.d(8): status 101 forbids it.
install_without_starting() { # NAME...
    local policy=/usr/sbin/policy-rc.d own="" status

    if [ ! -e "$policy" ]; then
        own=$policy
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    fi
    apt-get install -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends "$@" </dev/null >&2
    status=$?
    [ -z "$own" ] || rm -f "$own"
    return "$status"
}

# Nor at the machine's next boot: a firewall that somebody tests beside is not to be theirs.
keep_from_starting() { # NAME...
    local name units

    command -v systemctl >/dev/null || return 0
    for name; do
        [ "$name" != systemd ] || continue
        units=$(dpkg-query --listfiles "$name" | sed -n -E 's,^.*/systemd/system/([^/@]+\.(service|socket|timer))$,\1,p')
        # shellcheck disable=SC2086 # several
        [ -z "$units" ] || systemctl --quiet --no-reload disable $units 2>/dev/null >&2
    done
}

update_lists() {
    apt-get update -q </dev/null >&2
}

# Installs those of the packages that are missing; says so first.
install_packages() { # NAME...
    local name missing=()

    if ! command -v dpkg-query >/dev/null; then
        echo "This is not Debian; taking for granted that these, or their like, are here: $*" >&2
        return 0
    fi
    for name; do
        package_is_installed "$name" || missing+=("$name")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    echo "Installing: ${missing[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    update_lists && install_without_starting "${missing[@]}" && keep_from_starting "${missing[@]}"
}

# What they stand for: a word that is no group is a package, and `-` is nothing.
packages_of() { # GROUP or PACKAGE...
    local word

    for word; do
        if [ -n "$(declare -p "${word}_packages" 2>/dev/null)" ]; then
            local -n of_group=${word}_packages
            printf '%s\n' "${of_group[@]}"
        elif [ "$word" != - ]; then
            echo "$word"
        fi
    done | sort -u
}

install_groups() { # GROUP or PACKAGE...
    local names

    mapfile -t names < <(packages_of "$@")
    install_packages "${names[@]}" && { [[ " $* " != *" firewalld "* ]] || (unpack_foreign); }
}

# Once for each checkout.
unpack_foreign() {
    local file

    [ "$(cat "$foreign/unpacked" 2>/dev/null)" != "${foreign_packages[*]}" ] &&
        command -v dpkg-deb >/dev/null || return 0
    echo "Unpacking: ${foreign_packages[*]}" >&2
    mkdir -p "$foreign" && cd "$foreign" || return 1
    apt-get download -q "${foreign_packages[@]}" >&2 ||
        { update_lists && apt-get download -q "${foreign_packages[@]}" >&2; } || return 1
    for file in *.deb; do
        dpkg-deb --extract "$file" . || return 1
    done
    echo "${foreign_packages[*]}" >unpacked
}
