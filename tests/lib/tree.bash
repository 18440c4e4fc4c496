# shellcheck shell=bash
# Hosts of the lab that are a Debian of their own, to install packages on; and the
# packages. Wants `top`, and for the hosts lab.bash.
# shellcheck disable=SC2154 # theirs

# shellcheck source=build.bash
. "$top/tests/lib/build.bash"
# shellcheck source=packages.bash
. "$top/tests/lib/packages.bash"

tree_base=$build_directory/tree packaged=$build_directory/packaged
maintainer="The tests <tests@example.net>"

# ---- outside the lab -------------------------------------------------------

# What our packages depend on, and what the hosts want: once these are there apt needs
# no network.
tree_packages() { # RELEASE
    printf '%s,' iptables libcap-ng0 libjansson4 libqrencode4 libseccomp2 libsodium23 \
        openssh-server openssh-client iproute2 procps sudo
    case $1 in
    bookworm) printf '%s,' libpcap0.8 libuv1 openrc ;;
    *) printf '%s,' libpcap0.8t64 libuv1t64 libeinfo1 librc1t64 ;;
    esac
    echo systemd-sysv
}

# From Debian 13 on apt installs no OpenRC beside systemd: its files alone will do.
# shellcheck disable=SC2016 # for the other shell
unpack_openrc='[ -e "$1/sbin/openrc-run" ] || {
    chroot "$1" sh -c "cd /root && apt-get download openrc" &&
        dpkg-deb --extract "$1"/root/openrc_*.deb "$1" && rm "$1"/root/openrc_*.deb; }'

# Without what nobody reads there, and without the time that it takes to survive a power cut.
lean=(--dpkgopt=force-unsafe-io "--dpkgopt=path-exclude=/usr/share/locale/*"
    "--dpkgopt=path-exclude=/usr/share/doc/*" "--dpkgopt=path-include=/usr/share/doc/portsmith*"
    "--dpkgopt=path-exclude=/usr/share/man/*" "--dpkgopt=path-include=/usr/share/man/man*/portsmith*")

# Where apt has this release from.
find_mirror() {
    # shellcheck disable=SC2016 # apt's
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' "Codename: $(debian_release)" | head -n 1
}

# Made once.
make_tree() { # RELEASE DIRECTORY
    local packages mirror

    packages=$(tree_packages "$1")
    [ "$(cat "$2/made-of" 2>/dev/null)" != "$packages" ] || return 0
    rm -rf "$2" "$2.new"
    mirror=$(find_mirror)
    mmdebstrap --variant=apt --mode=root --format=directory "${lean[@]}" --include="$packages" \
        --customize-hook="$unpack_openrc" "$1" "$2.new" ${mirror:+"$mirror"} || return 1
    echo "$packages" >"$2.new/made-of"
    mv "$2.new" "$2"
}

make_packages() { # KINDS of cpack [OPTION of cmake...]
    rm -rf "$packaged" # which may have been built by another compiler
    cmake -S "$top" -B "$packaged" -DCMAKE_INSTALL_PREFIX=/usr "-DPORTSMITH_MAINTAINER=$maintainer" "${@:2}" &&
        cmake --build "$packaged" --parallel "$(nproc)" && cd "$packaged" && cpack -G "$1"
}

# ---- inside ----------------------------------------------------------------

root_of() { # HOST
    echo "$lab/tree/$1/root"
}

tree_is_there() {
    [ -e "$tree_base/made-of" ]
}

make_devices() { # ROOT
    local device

    mount -t tmpfs -o mode=755 tmpfs "$1/dev"
    for device in null zero full random urandom tty; do
        : >"$1/dev/$device"
        mount --bind "/dev/$device" "$1/dev/$device"
    done
    : >"$1/dev/console"
    mkdir "$1/dev/pts" "$1/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts"
    ln -s pts/ptmx "$1/dev/ptmx"
}

# A fresh copy, over which only what changes is stored, with the packages in /root.
plant_tree() { # HOST
    local directory=$lab/tree/$1

    mkdir -p "$directory"/{changed,work,root}
    mount -t overlay -o "lowerdir=$tree_base,upperdir=$directory/changed,workdir=$directory/work" \
        overlay "$directory/root"
    mount -t tmpfs -o mode=755 tmpfs "$directory/root/run"
    make_devices "$directory/root"
    cp "$packaged"/*.deb "$directory/root/root/"
    echo "127.0.0.1 localhost" >"$directory/root/etc/hosts"
}

# When nothing runs there any more.
uproot_trees() {
    local directory

    for directory in "$lab"/tree/*/; do
        umount -R "${directory}root" && rm -rf "$directory"
    done
}

# A command on a host without an init, as its root user. All are in one mount namespace,
# other than by `on`, as on a host.
in_tree() { # HOST COMMAND...
    local root

    root=$(root_of "$1")
    mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
    nsenter --net="/run/netns/$1" chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "${@:2}"
}

# ---- systemd ---------------------------------------------------------------

# A cgroup of our own, below the one that this runs in; nothing if there is none.
own_cgroup() {
    local mount path

    mount=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET) || return 1
    path=$(sed -n 's/^0:://p' /proc/self/cgroup)
    echo "$mount${path%/}/portsmith-lab-$$"
}

# Boots a planted tree with systemd, which is process 1 of a namespace. The cgroup is
# entered first: a host of the lab does not see it.
boot() { # HOST
    local root cgroup

    root=$(root_of "$1") cgroup=$(own_cgroup) && mkdir -p "$cgroup" || return 1
    echo "$cgroup" >"$lab/cgroup"
    # shellcheck disable=SC2016 # for the other shells
    bash -c 'echo $$ >"$2/cgroup.procs" && exec ip netns exec "$0" \
        unshare --cgroup --mount --pid --fork --kill-child sh -c "$3" "$1"' \
        "$1" "$root" "$cgroup" '
            mount -t proc proc "$0/proc" && mount -t sysfs sysfs "$0/sys" &&
            mount -t tmpfs tmpfs "$0/sys/fs/cgroup" && mount -t cgroup2 cgroup2 "$0/sys/fs/cgroup" &&
            cd "$0" && exec chroot . env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin \
                /lib/systemd/systemd --system --log-target=console --show-status=no
        ' </dev/null >>"$lab/log/boot.log" 2>&1 3>&- &
    echo $! >"$lab/booted"
    disown
    wait_until 10 init_is_there && wait_until 30 host_is_up
}

# unshare's only child.
init_is_there() {
    local booted

    booted=$(<"$lab/booted")
    init=$(cat "/proc/$booted/task/$booted/children") && init=${init% } && [ -n "$init" ] &&
        echo "$init" >"$lab/init"
}

host_is_up() {
    in_host systemctl is-system-running | grep -q -x -E 'running|degraded'
}

# A command on the host that was booted.
in_host() { # COMMAND...
    nsenter --target "$(<"$lab/init")" --all --root --wd env -i HOME=/root LC_ALL=C.UTF-8 \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

halt_host() {
    end_process KILL "$(<"$lab/booted")"
    wait_until 5 process_is_gone "$(<"$lab/init")"
    find "$(cat "$lab/cgroup")" -depth -type d -exec rmdir {} +
}
