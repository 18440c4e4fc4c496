# shellcheck shell=bash
# Many clients at one moment, each with a profile of its own.
# shellcheck disable=SC2154 # net.bash sets the variables

make_crowd() { # SIZE: before the daemon starts
    local i

    mkdir "$lab/crowd"
    for ((i = 1; i <= $1; i++)); do
        portsmith-knock keygen "$lab/crowd/key-$i" >/dev/null
        printf '[Profile]\nPublicKey = %s\nOpen = tcp/22\nWindow = 10m\n' \
            "$(portsmith-knock pubkey "$lab/crowd/key-$i")" >"/etc/portsmith.d/client-$i.conf"
    done
}

make_crowd_knocks() { # SIZE
    local i key

    rm -f "$lab/crowd"/knock-*
    key=$(portsmithd -T -c "$conf" | sed -n 's/^# the server.s public key: //p')
    for ((i = 1; i <= $1; i++)); do
        portsmith-knock --server-key "$key" --port "$knock_port" --identity "$lab/crowd/key-$i" \
            --address "${client_prefix}$((i % 100 + 10))" --output "$lab/crowd/knock-$i" "$server"
    done
}

send_crowd_knocks() { # SIZE
    on client python3 -c '
import socket, sys
knocks = [open(f"{sys.argv[1]}/knock-{i}", "rb").read() for i in range(1, int(sys.argv[2]) + 1)]
info = socket.getaddrinfo(sys.argv[3], int(sys.argv[4]), type=socket.SOCK_DGRAM)[0]
with socket.socket(info[0], socket.SOCK_DGRAM) as s:
    for knock in knocks:
        s.sendto(knock, info[4])
' "$lab/crowd" "$1" "$server" "$knock_port"
}
