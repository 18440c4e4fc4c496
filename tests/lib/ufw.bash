# shellcheck shell=bash
# The real ufw beside Portsmith. It is not installed, but unpacked (packages.bash), so it has its
# files in a directory of the lab. Wants lab.bash and `top`.
# shellcheck disable=SC2154 # of lab.bash, packages.bash

# shellcheck source=packages.bash
. "$top/tests/lib/packages.bash"

# As its package is configured when it is installed.
prepare_ufw() {
    local name

    rm -rf "$lab/ufw"
    mkdir -p "$lab/ufw/etc/default" "$lab/ufw/lib" "$lab/ufw/usr/share"
    cp -a "$foreign/etc/ufw" "$lab/ufw/etc/"
    cp -a "$foreign/etc/default/ufw" "$lab/ufw/etc/default/"
    cp -a "$foreign/lib/ufw" "$lab/ufw/lib/"
    cp -a "$foreign/usr/share/ufw" "$lab/ufw/usr/share/"
    cp "$lab/ufw/usr/share/ufw/ufw.conf" "$lab/ufw/etc/ufw/"
    for name in before before6 after after6 user user6; do
        cp "$lab/ufw/usr/share/ufw/iptables/$name.rules" "$lab/ufw/etc/ufw/"
    done
    cp "$lab"/ufw/usr/share/ufw/{before,after}.init "$lab/ufw/etc/ufw/"
    chmod 640 "$lab"/ufw/etc/ufw/*.{rules,init}
}

ufw() { # ARGUMENT of ufw...
    on server env PYTHONPATH="$foreign/usr/lib/python3/dist-packages" \
        "$foreign/usr/sbin/ufw" "--rootdir=$lab/ufw" "--datadir=$lab/ufw" "$@"
}
