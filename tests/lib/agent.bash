# shellcheck shell=bash
# What the tests of knocks share that an ssh-agent signs: real agents, keys in them, and a security
# key without hardware (tests/tools/authenticator.c). All of it is the client's user's.
# shellcheck disable=SC2034,SC2154 # `top` is the lab's, `status` and `output` are bats'
. "$top/tests/lib/build.bash"
. "$top/tests/lib/ssh.bash"

keys=$lab/ssh-keys
authenticator=$lab/authenticator.so
device=$lab/device # where it looks what becomes of a touch, and notes down what was asked
agent_socket=$lab/agent/socket
export TEST_AUTHENTICATOR=$device SSH_AUTH_SOCK=$agent_socket

agent_setup() {
    rm -rf "$keys" "$device" "${agent_socket%/*}"
    install -d -o "$client_user" -m 700 "$keys" "$device" "${agent_socket%/*}"
    install -m 755 "$build_directory/tests/tools/libauthenticator.so" "$authenticator"
}

start_agent() { # [NAME=VALUE of its environment...]
    rm -f "$agent_socket"
    spawn client "$lab/log/agent.log" setpriv --reuid="$client_user" --regid="$client_group" \
        --clear-groups --no-new-privs env -u DISPLAY -u SSH_ASKPASS HOME="$home" "$@" \
        ssh-agent -D -a "$agent_socket" -P "$lab/*"
    agent=$spawned
    wait_until 5 test -S "$agent_socket"
}

stop_agent() {
    [ -z "${agent:-}" ] || end_process TERM "$agent"
    agent=
}

make_key() { # NAME [OPTION of ssh-keygen...]
    as_client ssh-keygen -q -t ed25519 -N "" -C "$1" -f "$keys/$1" "${@:2}"
}

make_security_key() { # NAME [OPTION of ssh-keygen...]
    make_key "$1" -t ed25519-sk -w "$authenticator" "${@:2}"
}

add_key() { # NAME [OPTION of ssh-add...]
    as_client ssh-add -q -S "$authenticator" "${@:2}" "$keys/$1"
}

add_ssh_key() { # as add_ssh_profile
    on server portsmith-profile -c "$conf" add "$1" --ssh-key "$keys/$2.pub" --host "$1" \
        --open tcp/22 --max-grants 1000 "${@:3}" >"$lab/$1.conf" 2>>"$lab/log/profile.log" || {
        cat "$lab/log/profile.log" >&2
        return 1
    }
}

# A profile of an ssh key, in a daemon that runs; the client knows the server by the profile's name,
# which is a host's.
add_ssh_profile() { # NAME KEY [OPTION of portsmith-profile add...]
    grep -q " $1$" /etc/hosts || echo "$server $1" >>/etc/hosts
    and_reload add_ssh_key "$@" || return
    know "$1"
}

# By the server file as it was made.
know() { # NAME
    install -D -o "$client_user" -m 600 "$lab/$1.conf" "$home/.config/portsmith/$1.conf"
}

touches() { # how often one was asked for
    grep -c touch "$device/log" 2>/dev/null || true
}

asked_for_touches() { # COUNT
    [ "$(touches)" -eq "$1" ]
}

# What an agent asks with. Notes down in $device/asked what for, and says what is written into the
# FIFO $device/answer.
make_askpass() {
    rm -f "$device/answer" "$device/asked"
    as_client mkfifo "$device/answer"
    cat >"$lab/askpass" <<END
#!/bin/sh
[ "\$SSH_ASKPASS_PROMPT" != none ] || exec sleep 60
echo "\$SSH_ASKPASS_PROMPT" >>"$device/asked"
read -r answer <"$device/answer"
echo "\$answer"
[ "\$answer" != no ]
END
    chmod 755 "$lab/askpass"
}
