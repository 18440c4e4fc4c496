# shellcheck shell=bash
# The real firewalld beside Portsmith. It is not installed, but unpacked (packages.bash), so it
# is told where its files are. Wants lab.bash and `top`.
# shellcheck disable=SC2154 # of lab.bash, packages.bash, net.bash

# shellcheck source=packages.bash
. "$top/tests/lib/packages.bash"

firewall_cmd() { # OPTION of firewall-cmd...
    on server "$foreign/usr/bin/firewall-cmd" "$@"
}

start_bus() {
    mkdir -p /run/dbus
    cat >"$lab/dbus.conf" <<'END'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <policy user="root">
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
END
    spawn server "$lab/log/dbus.log" dbus-daemon --config-file="$lab/dbus.conf" --nofork --nopidfile
    echo "$spawned" >"$lab/dbus.pid"
    wait_until 5 test -S /run/dbus/system_bus_socket
}

# With rules of its own by this program; it removes those of others that are made by the same.
start_firewalld() { # nftables|iptables
    rm -rf "$lab/firewalld"
    cp -a "$foreign/etc/firewalld" "$lab/firewalld"
    sed -i "s/^FirewallBackend=.*/FirewallBackend=$1/" "$lab/firewalld/firewalld.conf"
    start_bus
    spawn server "$lab/log/firewalld.log" "$foreign/usr/sbin/firewalld" --nofork --nopid \
        --default-config="$foreign/usr/lib/firewalld" --system-config="$lab/firewalld"
    echo "$spawned" >"$lab/firewalld.pid"
    wait_until 30 firewall_cmd --state
}

stop_firewalld() {
    end_process TERM "$(cat "$lab/firewalld.pid")"
    end_process TERM "$(cat "$lab/dbus.pid")"
    rm "$lab/firewalld.pid" "$lab/dbus.pid"
}
