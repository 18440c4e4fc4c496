# shellcheck shell=bash
# A root that is not this machine's, and the checkout in it. Wants `top`, the checkout, `place`, a
# directory that has the root and what is built in it, and `platform`, which the parts there ask for.
# shellcheck disable=SC2154 # they

inside=/mnt/portsmith # the checkout, there

# Not by chroot(2), in which there may be no user namespaces.
enter() { # COMMAND...
    # shellcheck disable=SC2016 # for the other shell
    unshare --mount bash -c '
        root=$0/root top=$1 inside=$2
        mkdir -p "$root$inside" && mount --bind "$root" "$root" && cd "$root" &&
            mount -t proc proc proc && mount --rbind /sys sys && mount --rbind /dev dev &&
            mount -t tmpfs tmpfs run && mount -t tmpfs tmpfs tmp && chmod 1777 tmp &&
            mount --bind "$top" ".$inside" && mount --bind "$0/build-tests" ".$inside/build-tests" &&
            mkdir -p mnt/outside && pivot_root . mnt/outside && cd / && umount -l mnt/outside &&
            exec env -u PORTSMITH_BUILD PORTSMITH_PLATFORM="$3" "${@:4}"' "$place" "$top" "$inside" "$platform" "$@"
}
