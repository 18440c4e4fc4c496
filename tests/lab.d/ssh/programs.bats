#!/usr/bin/env bats
# What people run over ssh, from a cold start, with nothing but two lines of
# ssh_config: the socket passed to ssh, and the bytes carried for it.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/ssh.bash"

setup_file() {
    ssh_setup "Shut = tcp/22"
    add_profile home --open tcp/22
    make_backend_host
    start_sshd 22 backend
    head -c 3000000 /dev/urandom >"$home/data"
    chmod 644 "$home/data"
    make_repository
}

teardown_file() {
    lab_teardown
}

setup() {
    common_setup
    rm -rf "$lab/there"
    install -d -o "$account" "$lab/there"
}

teardown() {
    common_teardown
}

make_repository() {
    rm -rf "$lab/repository"
    git init -q --bare -b main "$lab/repository"
    chown -R "$account" "$lab/repository"
}

arrived() { # FILE
    cmp "$home/data" "$1"
}

# ---- each way --------------------------------------------------------------

try_ssh() {
    [ "$(as_client ssh bastion echo in)" = in ]
    [ "$(as_client ssh bastion cat <"$home/data" | sha256sum)" = "$(sha256sum <"$home/data")" ]
    run as_client ssh bastion exit 7
    [ "$status" -eq 7 ]
}

try_scp() {
    as_client scp -q "$home/data" "bastion:$lab/there/scp"
    arrived "$lab/there/scp"
    as_client scp -q "bastion:$lab/there/scp" "$home/back"
    arrived "$home/back"
}

try_sftp() {
    as_client sftp -q -b - bastion <<<"put $home/data $lab/there/sftp"
    arrived "$lab/there/sftp"
}

try_git() {
    rm -rf "$home/copies"
    as_client git init -q -b main "$home/copies"
    as_client git -C "$home/copies" -c user.name=a -c user.email=a@b commit -q --allow-empty -m one
    as_client git -C "$home/copies" push -q "bastion:$lab/repository" "HEAD:$1"
    as_client git clone -q -b "$1" "bastion:$lab/repository" "$home/copies/clone"
    [ "$(git -c safe.directory='*' -C "$home/copies/clone" log --format=%s)" = one ]
}

try_rsync() {
    as_client rsync --checksum "$home/data" "bastion:$lab/there/rsync"
    arrived "$lab/there/rsync"
}

# One connection, which the second ssh finds; it needs no knock.
try_control_master() {
    local knocks

    as_client ssh -M -S "$home/control" -f -N bastion 3>&-
    knocks=$(log_count 'bastion: (opened|extended)')
    [ "$(as_client ssh -S "$home/control" bastion echo shared)" = shared ]
    [ "$(log_count 'bastion: (opened|extended)')" -eq "$knocks" ]
    as_client ssh -S "$home/control" -O exit bastion
}

try_jump() {
    local seen

    seen=$(as_client ssh -J bastion "$backend" 'echo $SSH_CONNECTION' 2>&1)
    echo "$seen"
    case $FAMILY in 4) [[ $seen == "10.78.0.1 "* ]] ;; 6) [[ $seen == "fd78::1 "* ]] ;; esac
}

try_way() { # pass|relay TRY ARGUMENT...
    config_for "$1"
    port_is_shut "$server" 22
    "${@:2}"
    wait_for_log "bastion: opened tcp/22 for $client"
    wait_until 5 no_relay_is_left
}

@test "ssh, the socket passed" { try_way pass try_ssh; }
@test "ssh, bytes carried" { try_way relay try_ssh; }
@test "scp, the socket passed" { try_way pass try_scp; }
@test "scp, bytes carried" { try_way relay try_scp; }
@test "sftp, the socket passed" { try_way pass try_sftp; }
@test "sftp, bytes carried" { try_way relay try_sftp; }
@test "git, the socket passed" { try_way pass try_git pass; }
@test "git, bytes carried" { try_way relay try_git relay; }
@test "rsync, the socket passed" { try_way pass try_rsync; }
@test "rsync, bytes carried" { try_way relay try_rsync; }
@test "ControlMaster, the socket passed" { try_way pass try_control_master; }
@test "ControlMaster, bytes carried" { try_way relay try_control_master; }
@test "-J, the socket passed" { try_way pass try_jump; }
@test "-J, bytes carried" { try_way relay try_jump; }

# As config_for, with this ProxyCommand.
pass_config() { # COMMAND
    ssh_config <<END
Host bastion
    ProxyCommand $1
    ProxyUseFdpass yes
END
}

# ---- which way -------------------------------------------------------------

@test "no process is left between ssh and the server once the socket is passed" {
    config_for pass
    as_client ssh -f -N -M -S "$home/control" bastion 3>&-
    no_relay_is_left
    as_client ssh -S "$home/control" -O exit bastion
    config_for relay
    as_client ssh -f -N -M -S "$home/control" bastion 3>&-
    relays_now
    as_client ssh -S "$home/control" -O exit bastion
    wait_until 5 no_relay_is_left
}

# One socket for both ends, as ssh makes it, but no ssh.
@test "libssh gets the bytes, from lines that ssh gets a socket from" {
    config_for pass
    [ "$(as_client env SHELL=/bin/sh python3 - bastion 'echo in' <"$top/tests/tools/libssh.py")" = in ]
    [ "$(as_client ssh bastion echo in)" = in ]
    wait_until 5 no_relay_is_left
}

@test "socat gets the bytes, whether or not --relay is given" {
    local relay

    for relay in "" --relay; do
        run as_client socat -t 2 - EXEC:"portsmith-knock --connect $relay bastion 22" </dev/null
        echo "$output"
        [[ $output == "SSH-2.0-OpenSSH"* ]]
        wait_until 5 no_relay_is_left
    done
}

@test "--pass passes the socket through a shell that ssh is not the parent below" {
    pass_config "/bin/sh -c 'portsmith-knock --connect --pass -- %h %p; exit'"
    as_client ssh -f -N -M -S "$home/control" bastion 3>&-
    no_relay_is_left
    as_client ssh -S "$home/control" -O exit bastion
    pass_config "/bin/sh -c 'portsmith-knock --connect -- %h %p; exit'"
    run as_client ssh bastion true
    echo "$output"
    [[ $output == *"did not pass back a connection"* ]] # nothing hangs
}

@test "--relay wins over --pass and over what ssh asks for" {
    pass_config "portsmith-knock --connect --relay --pass -- %h %p"
    as_client sed -i /ProxyUseFdpass/d "$home/.ssh/config"
    [ "$(as_client ssh bastion echo in)" = in ]
    run as_client ssh -o ProxyUseFdpass=yes bastion true
    [[ $output == *"did not pass back a connection"* ]]
}

@test "--pass over what is no socket is told before the knock" {
    pass_config "portsmith-knock --connect --pass -- %h %p"
    run as_client ssh -o ProxyUseFdpass=no bastion true
    echo "$output"
    [[ $output == *"--pass: standard output is no Unix socket"*"ProxyUseFdpass yes"* ]]
    fence
    log_lacks "bastion: (opened|extended|refused)" # what an earlier test opened may end meanwhile
}

@test "a ProxyCommand may run portsmith-knock on another host" {
    local xdg="XDG_CONFIG_HOME=$lab/there XDG_STATE_HOME=$lab/there"

    start_sshd 2222
    install -d "$lab/there/portsmith"
    cp "$home/.config/portsmith/"* "$lab/there/portsmith/"
    chown -R "$account" "$lab/there/portsmith"
    ssh_config <<END
Host bastion
    ProxyCommand ssh -p 2222 $server "PATH=$PATH $xdg portsmith-knock --connect bastion %p"
END
    [ "$(as_client ssh bastion echo in)" = in ]
}

# ssh asks the user database where its files are, and portsmith-knock does so, too.
@test "ssh knocks where the user was changed and HOME was not" {
    config_for pass
    run on client env HOME=/root setpriv --reuid="$client_user" --regid="$client_group" \
        --clear-groups --no-new-privs ssh bastion echo in
    echo "$output"
    [ "$output" = in ]
}

@test "a server is found by its Host, whatever the case" {
    as_client sed 's/^Host .*/Host = Bastion.Lab/' "$home/.config/portsmith/bastion.conf" >"$lab/conf"
    install -o "$client_user" -m 600 "$lab/conf" "$home/.config/portsmith/named.conf"
    echo "$server bastion.lab" >>/etc/hosts
    ssh_config <<END
Host elsewhere
    HostName BASTION.lab
    ProxyCommand portsmith-knock --connect %h %p
    ProxyUseFdpass yes
END
    [ "$(as_client ssh elsewhere echo in)" = in ]
    run as_client ssh -o HostName=bastion.lap elsewhere echo in
    echo "$output"
    [ "$status" -eq 255 ]
    [[ $output == *"is called 'bastion.lap' or has it as its Host; did you mean 'Bastion.Lab'?"* ]]
}

# ---- the documents' own words ----------------------------------------------

# Puts the name of an example into the server file NAME as its Host, and into /etc/hosts.
give_host() { # NAME HOST
    grep -q " $2$" /etc/hosts || echo "$server $2" >>/etc/hosts
    as_client sed "s/^Host .*/Host = $2/" "$home/.config/portsmith/$1.conf" >"$lab/conf"
    install -o "$client_user" -m 600 "$lab/conf" "$home/.config/portsmith/$1.conf"
}

@test "the lines that README.md shows let ssh in" {
    give_host home server.example.net
    block_of "$top/README.md" "Host home server.example.net" | ssh_config
    grep -c '' "$home/.ssh/config"
    [ "$(grep -c '^ ' "$home/.ssh/config")" -eq 3 ]
    [ "$(as_client ssh home echo in)" = in ]
    wait_for_log "home: opened tcp/22 for $client"
    no_relay_is_left
}

@test "the lines that the manual shows first let ssh in" {
    give_host bastion bastion.example.net
    block_of "$top/man/portsmith-knock.1" "Host bastion" | ssh_config
    [ "$(as_client ssh bastion echo in)" = in ]
    wait_for_log "bastion: opened tcp/22 for $client"
}

@test "the Match line that the manual shows second lets ssh in" {
    block_of "$top/man/portsmith-knock.1" 'Match host bastion exec "portsmith-knock --wait bastion tcp/22"' |
        sed "s/bastion.example.net/$server/" | ssh_config
    grep -q "HostName $server" "$home/.ssh/config"
    [ "$(as_client ssh bastion echo in)" = in ]
    wait_for_log "bastion: opened tcp/22 for $client"
}
