# shellcheck shell=bash
# What a bare Debian 12 lacks, and how it gets here.

# shellcheck disable=SC2034 # used by the scripts that read this file
{
build_packages=(gcc libc6-dev make cmake pkgconf libpcap-dev libsodium-dev libcap-ng-dev
    libinih-dev libjansson-dev libmnl-dev libseccomp-dev libuv1-dev)
test_packages=(libcmocka-dev bats iproute2 iptables ipset openssh-client openssh-server git rsync
    util-linux procps passwd socat nmap nftables tcpdump xxd python3 python3-nacl bash-completion zsh fish
    curl ncat netcat-openbsd proxychains4 chromium systemd)
analysis_packages=(binutils mandoc shellcheck clang clang-tidy clang-tools perl cppcheck valgrind
    gcovr libclang-rt-14-dev)
# Without these the proofs and the model are skipped.
proof_packages=(frama-c-base why3 cvc4)
model_packages=(spin)
# What makes and looks at our own packages.
packaging_packages=(dpkg-dev file mmdebstrap lintian rpm apparmor git)
# What tests/bench measures Portsmith beside.
peer_packages=(fwknop-server fwknop-client knockd)
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
    apt-get update -q </dev/null >&2 && install_without_starting "${missing[@]}"
}
