# shellcheck shell=bash
# What the tests of portsmith-recipes(7) share. A test has the name of an entry of the page, and
# follows it, step by step, with the real programs. Wants `top`.
# shellcheck disable=SC2034,SC2154 # lab.bash, ssh.bash and bats set the variables, tests read some
. "$top/tests/lib/ssh.bash"
# shellcheck source=packages.bash
. "$top/tests/lib/packages.bash"

server_name=server.example.net
declare -gA host_of=([server]=server [old]=server [new]=backend [laptop]=client [colleague]=client [job]=client)
declare -gA user_of=([laptop]=$client_user [colleague]=bob [job]=job [server]=alice)

fake_clock=$(echo /usr/lib/*/faketime/libfaketime.so.1)

# ---- the page --------------------------------------------------------------

# The steps of a section, in order, in `steps`. A step is a command behind its prompt, such as
# "server# portsmithctl list", or "file PATH" and, below that, the lines that are shown for it.
read_steps() { # PAGE HEADING
    local line inside=no block=no path=""

    steps=()
    while IFS= read -r line; do
        line=${line//\\e/\\}
        case $line in
        .S[hs]\ "$2") inside=yes ;;
        .S[hs]\ *) inside=no ;;
        ".Pa "*) [ "$block" = yes ] || read -r _ path _ <<<"$line" ;;
        ".Bd "*) block=yes new_block=yes ;;
        .Ed*) block=no ;;
        *) [ "$inside$block" != yesyes ] || add_line "$line" "$path" ;;
        esac
    done <"$1"
    [ "${#steps[@]}" -gt 0 ] || { echo "$1 has no steps for '$2'" && return 1; }
}

add_line() { # LINE PATH
    if [[ $1 =~ ^[a-z]+[#$]\  ]]; then
        steps+=("$1")
    elif [ "$new_block" = yes ]; then
        steps+=("file $2"$'\n'"$1")
    else
        steps[-1]+=$'\n'$1
    fi
    new_block=no
}

# ---- following it ----------------------------------------------------------

# Takes the next step out of `steps`, into `step`.
next_step() {
    [ "${#steps[@]}" -gt 0 ] || { echo "the page has no further step" && return 1; }
    step=${steps[0]}
    steps=("${steps[@]:1}")
    echo "--- $step"
}

# Takes all steps up to the first one that has these words, with it.
follow() { # WORDS
    step=""
    until [[ $step == *"$1"* ]]; do
        next_step
        take "$step"
    done
}

follow_all() {
    while [ "${#steps[@]}" -gt 0 ]; do
        next_step
        take "$step"
    done
}

# KEY, LINE and ADDRESS stand for what differs from reader to reader; ADDRESS is the client's, unless
# `address` is another, and LINE is in `line_of_key`. What the command says is in `said`,
# the public keys that keygen and init print in `client_key` and `server_key`, and that of `group join` in
# `one_time_key`. Through a file, for
# what ssh leaves in the background holds its output.
take() { # STEP
    local text=${1//--public-key KEY/--public-key ${client_key:-}}

    text=${text//--for KEY/--for ${one_time_key:-}}
    text=${text//PublicKey = KEY/PublicKey = ${server_key:-}}
    text=${text//ADDRESS/${address:-$client}}
    text=${text//"'LINE'"/"'${line_of_key:-}'"}
    if [[ $text == "file "* ]]; then
        put_lines "$text"
        return
    fi
    type_at "${text%% *}" "${text#* }" >"$lab/said" 2>"$lab/complaints" ||
        { cat "$lab/said" "$lab/complaints" && return 1; }
    cat "$lab/said" "$lab/complaints"
    said=$(<"$lab/said")
    note_key ^ one_time_key
    note_key "Its public key: " client_key
    note_key "The server's public key is " server_key
}

note_key() { # WORDS VARIABLE
    [[ ! $said =~ $1([A-Za-z0-9+/]{43}=) ]] || printf -v "$2" %s "${BASH_REMATCH[1]}"
}

# As the reader does, at home. Nothing that stays in the background keeps bats waiting.
type_at() { # PROMPT COMMAND
    local host=${host_of[${1%?}]} user=root

    [ "${1: -1}" = "#" ] || user=${user_of[${1%?}]}
    (cd "$(home_of "$user")" && as_user "$user" "$host" "$2") </dev/null 3>&-
}

as_user() { # USER HOST COMMAND
    HOME=$(home_of "$1") on "$2" setpriv --reuid="$1" --regid="$(id -g "$1")" --init-groups \
        bash -c "$3"
}

home_of() { # USER
    getent passwd "$1" | cut -d: -f6
}

# Each `Key = value` replaces the line of that key, or comes at the end; other lines are the file,
# or, for ssh, come behind what is there.
put_lines() { # "file PATH" and LINES
    local path=${1%%$'\n'*} text=${1#*$'\n'} line

    path=${path#file }
    path=${path/#\~/$home}
    mkdir -p "$(dirname "$path")"
    case $text in
    [A-Z]*" = "*) while read -r line; do set_key "$path" "$line"; done <<<"$text" ;;
    "Host "*) echo "$text" | as_client tee -a "$path" >/dev/null ;;
    *) echo "$text" >"$path" ;;
    esac
}

set_key() { # FILE 'KEY = VALUE'
    local others

    others=$(grep -v "^${2%% *} *=" "$1")
    printf '%s\n' "$others" "$2" >"$1"
}

# What the server printed becomes the file of a user's, as the text says.
paste_as() { # USER PATH
    local path

    path=$(home_of "$1")/$2
    as_user "$1" client "mkdir -p -m 700 ${path%/*} && cat >$path" <<<"$said"
}

# ---- what the page takes for granted ---------------------------------------

# No systemd runs in the lab: this does what its units do (lab.d/install has them run by systemd).
make_systemctl() {
    mkdir -p "$lab/bin"
    cat >"$lab/bin/systemctl" <<'END'
#!/bin/bash
end() { # SIGNAL
    local pid stat

    pid=$(cat /run/portsmith/portsmithd.pid) && kill "-$1" "$pid" || exit
    for _ in {1..600}; do
        read -r stat 2>/dev/null <"/proc/$pid/stat" && [[ $stat != *") Z "* ]] || return 0
        sleep 0.1
    done
    exit 1
}
case $* in
"enable --now portsmithd") exec portsmithd ;;
"restart portsmithd") end QUIT && exec portsmithd ;;
"stop portsmithd") end TERM ;;
"reload apparmor") exec apparmor_parser --skip-kernel-load --skip-cache /etc/apparmor.d/portsmithd ;;
"disable --now portsmithd portsmith-firewall") end TERM ;;
"disable portsmithd" | daemon-reload | "enable --now systemd-timesyncd") ;;
*) echo "systemctl: what is '$*'?" >&2 && exit 1 ;;
esac
END
    chmod 755 "$lab/bin/systemctl"
    PATH=$lab/bin:$PATH
}

# Two hosts with sshd on the server, and the people of the page. What root has on the PATH, an
# ssh session of root's has, too.
howto_setup() { # 'KEY = VALUE' of the server's configuration...
    lab_setup
    rm -rf "$sshd_directory" "$lab/alice" "$lab/bob" "$lab/job"
    make_root_home
    make_people alice bob job
    usermod --password '*' root # which may be locked
    make_ssh_keys
    prepare_client
    install -d -m 700 "$lab/root/.ssh"
    cp "$home/.ssh/id_ed25519" "$lab/root/.ssh/"
    echo "export PATH=$PATH" >"$lab/root/.bashrc"
    start_sshd 22
    keep_name "$server" $server_name
    make_systemctl
}

make_root_home() {
    rm -rf "$lab/root"
    install -d -m 700 "$lab/root"
    sed -i "s|^root:\(.*\):[^:]*:\([^:]*\)$|root:\1:$lab/root:\2|" /etc/passwd
}

make_people() { # NAME...
    local name

    for name; do
        id -u "$name" >/dev/null 2>&1 ||
            useradd --home-dir "$lab/$name" --shell /bin/bash --password '*' "$name"
        install -d -o "$name" -m 700 "$lab/$name"
    done
}

keep_name() { # ADDRESS NAME
    echo "$1 $2" >>/etc/hosts
}

forget_name() { # NAME
    local others

    others=$(grep -v " $1\$" /etc/hosts)
    echo "$others" >/etc/hosts
}

# A server that runs, and a laptop that it knows. Nothing is left of the test before.
howto_begin() { # 'KEY = VALUE'...
    common_setup
    read_steps "${page:-$top/man/portsmith-recipes.7}" "$BATS_TEST_DESCRIPTION"
    forget_portsmith
    rm -rf "$home/.config" "$home/.local" "$home/.ssh/config"
    configure "$@"
    take "laptop\$ portsmith-knock keygen"
    take "server# portsmith-profile add laptop --public-key KEY --open tcp/22 --host $server_name --server home"
    paste_as "$client_user" .config/portsmith/home.conf
    start_daemon
}

# Each step of the entry was taken, and the host is as it was.
howto_end() {
    common_teardown
    end_portsmith
    [ -z "${BATS_TEST_COMPLETED:-}" ] || [ "${#steps[@]}" -eq 0 ] ||
        { echo "not taken: ${steps[*]}" && return 1; }
}

end_portsmith() {
    local pid

    pid=$(cat /run/portsmith/portsmithd.pid 2>/dev/null) || pid=""
    [ -z "$pid" ] || end_process TERM "$pid"
    rm -f "$lab/daemon.pid"
    [ ! -e "$conf" ] || on "${host_of[server]}" portsmithd --release
}

forget_portsmith() {
    rm -rf "$conf" /etc/portsmith.d /var/lib/portsmith /run/portsmith
}

# Other programs. Not by `ip netns exec`, in which no cgroups are to be seen.
start_program() { # NAME HOST COMMAND...
    nsenter --net="/run/netns/$2" "${@:3}" </dev/null >"$lab/log/$1.log" 2>&1 3>&- &
    echo $! >"$lab/program.$1.pid"
    disown
}

end_program() { # NAME
    [ -e "$lab/program.$1.pid" ] || return 0
    end_process TERM "$(cat "$lab/program.$1.pid")"
    rm "$lab/program.$1.pid"
}

# ---- what is looked at -----------------------------------------------------

knocks_are_heard() { # ARGUMENT of portsmith-knock...
    on "${host_of[server]}" portsmithctl close --all >/dev/null
    as_client portsmith-knock --wait "$@"
}

knocks_are_in_vain() { # ARGUMENT of portsmith-knock...
    on "${host_of[server]}" portsmithctl close --all >/dev/null
    run -3 as_client portsmith-knock --wait --timeout 1s "$@"
}

has_grant() { # PROFILE ADDRESS SERVICE
    [[ $(on "${host_of[server]}" portsmithctl list) =~ $1\ .*$2\ .*$3 ]]
}
