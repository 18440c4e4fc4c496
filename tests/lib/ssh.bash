# shellcheck shell=bash
# What the tests with OpenSSH share: its real client and server. Each file sets the
# hosts up once; each test comes from addresses of its own, so from a cold start.
# shellcheck disable=SC2034,SC2154 # `top` is the lab's, `status` and `output` are bats'
. "$top/tests/lib/net.bash"

sshd_directory=$lab/sshd
home=$lab/home
account=visitor # on the server; its home is empty, so that no one's .bashrc speaks

make_ssh_keys() {
    mkdir -p "$sshd_directory" /run/sshd
    id -u "$account" >/dev/null 2>&1 ||
        useradd --home-dir "$lab/$account" --shell /bin/sh --password '*' "$account"
    install -d -o "$account" "$lab/$account"
    ssh-keygen -q -t ed25519 -N "" -f "$sshd_directory/host_key"
    install -d -o "$client_user" -m 700 "$home/.ssh"
    as_client ssh-keygen -q -t ed25519 -N "" -f "$home/.ssh/id_ed25519"
    cp "$home/.ssh/id_ed25519.pub" "$sshd_directory/authorized_keys"
}

start_sshd() { # PORT [HOST]
    local host=${2:-server}

    cat >"$sshd_directory/config.$host.$1" <<END
Port $1
HostKey $sshd_directory/host_key
AuthorizedKeysFile $sshd_directory/authorized_keys
StrictModes no
UsePAM no
PidFile none
MaxStartups 100
Subsystem sftp internal-sftp
END
    spawn "$host" "$lab/log/sshd.log" /usr/sbin/sshd -D -e -f "$sshd_directory/config.$host.$1"
    wait_until 5 host_listens "$host" tcp "$1"
}

# /etc is the lab's own. The client's home is where ssh looks for it; what is the lab's
# alone stands in the system's file, so that ~/.ssh/config can be that of a manual.
prepare_client() {
    sed -i "s|^\($client_user:.*\):[^:]*:\([^:]*\)$|\1:$home:\2|" /etc/passwd
    cat >/etc/ssh/ssh_config <<END
User $account
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
BatchMode yes
KexAlgorithms curve25519-sha256
END
}

# A server named `bastion`, whose sshd is behind its shut port.
ssh_setup() { # 'KEY = VALUE' of the server's configuration...
    lab_setup
    rm -rf "$sshd_directory"
    make_ssh_keys
    prepare_client
    start_sshd 22
    configure "$@"
    add_fence
    add_profile bastion --open tcp/22 --max-grants 1000
    start_daemon
}

ssh_config() { # < TEXT
    as_client tee "$home/.ssh/config" >/dev/null
}

# What the manual shows, once with the socket passed and once with bytes carried.
config_for() { # pass|relay
    local pass=yes

    [ "$1" = pass ] || pass=no
    ssh_config <<END
Host bastion
    ProxyCommand portsmith-knock --connect %h %p
    ProxyUseFdpass $pass
END
}

# A block of a document that begins with this line.
block_of() { # FILE LINE
    awk -v first="$2" '/^(```|\.Ed)/ { inside = 0 } $0 == first { inside = 1 } inside' "$1"
}

# Whether a process of the client's still carries bytes.
relays_now() {
    process_named portsmith-knock
}

no_relay_is_left() {
    ! relays_now
}

# ---- from a cold start, again and again ------------------------------------

# Addresses that have never knocked, one for each try.
cold_address() { # NUMBER
    if [ "$FAMILY" = 6 ]; then echo "fd77::c:$1"; else echo "10.77.0.$1"; fi
}

# From one address after another; in a shell on the client's host, which is quicker.
ssh_from_each() { # HOST ADDRESS...
    on client env HOME="$home" user="$client_user" group="$client_group" server="$server" \
        route="-$FAMILY" to="$1" bash -c 'for address; do
            ip "$route" route replace "$server" dev eth0 src "$address" &&
                setpriv --reuid="$user" --regid="$group" --clear-groups \
                    --no-new-privs ssh "$to" true </dev/null || {
                echo "not in from $address"
                exit 1
            }
        done' - "${@:2}"
}

# Of what one profile does the log has 60 lines a minute.
opened() {
    on server portsmithctl status --json | jq .counters.granted.opened
}

# So many times, with the addresses above BASE; none fails, and each knock opened.
logs_in_from_shut_ports() { # HOST TIMES BASE
    local before number addresses=() commands=""

    for ((number = $3 + 1; number <= $3 + $2; number++)); do
        addresses+=("$(cold_address "$number")")
        commands+="address add ${addresses[-1]}/$host_bits dev eth0"$'\n'
    done
    on client ip "-$FAMILY" -batch - <<<"$commands"
    before=$(opened)
    ssh_from_each "$1" "${addresses[@]}"
    [ $(($(opened) - before)) -eq "$2" ]
    log_lacks "extended|refused"
}
