#compdef portsmith-profile
# Completes portsmith-profile(8) in zsh.

_portsmith_profile_names() {
    local -a names=(/etc/portsmith.d/*.conf(N:t:r))

    _describe -t profiles profile names
}

_portsmith_profile_commands() {
    local -a commands=(
        'init:make what is missing'
        'add:let in a client that has made its own key'
        "create:make the client's key here"
        'list:print one line for each profile'
        'show:print all of one profile'
        'revoke:remove a profile'
        "group:share the server's key with other hosts"
        'roster:sign profiles for many hosts'
    )

    _describe -t commands command commands
}

_portsmith_profile_services() {
    compadd -S '' -- tcp/ udp/
}

_portsmith_profile() {
    local curcontext=$curcontext state option value help
    local -a line enrolment=(
        '*--open=[what the client may open]:service:_portsmith_profile_services'
        '--help[print help]'
    )

    # What --help says of the others: the option, what it calls the value, and what for.
    PATH=$PATH:/usr/local/sbin:/usr/sbin portsmith-profile --help 2>/dev/null |
        sed -n '/^options of add and create:/,/^$/s/^  --\([a-z-]*\) \([A-Z]*\) *\(.*\)/\1|\2|\3/p' |
        while IFS='|' read -r option value help; do
            case $option in
            window | max-window) enrolment+=("*--$option=[$help]:time span:(30s 10m 1h)") ;;
            address) enrolment+=("*--$option=[$help]:address:(any signed)") ;;
            host) enrolment+=("*--$option=[$help]:host:_hosts") ;;
            *) enrolment+=("*--$option${value:+=}[$help]${value:+:$value:}") ;;
            esac
        done

    _arguments -C -S {-c,--config=}'[the configuration]:file:_files' '-h[print help]' \
        '--help[print help]' {-V,--version}'[print the version]' \
        '1:command:_portsmith_profile_commands' '*::argument:->arguments'
    [[ $state == arguments ]] || return
    case $words[1] in
    init)
        _arguments -S '*--interface=[an interface to watch]:interface:_net_interfaces' \
            '--port=[the knock port]:port:' \
            '*--shut=[a service to keep shut]:service:_portsmith_profile_services' \
            '--help[print help]'
        ;;
    add)
        _arguments -S $enrolment "--public-key=[the client's public key]:key:" \
            "--ssh-key=[the client's ssh key]:file:_files" \
            '--output=[where to write the bundle]:file:_files' '*:name:'
        ;;
    create)
        _arguments -S $enrolment '--output=[where to write the bundle]:file:_files' \
            '--qr[show a QR code in place of a bundle]' \
            '--with-psk[show a pre-shared key in the QR code]' '1:name:'
        ;;
    show) _arguments -S '--help[print help]' '1:profile:_portsmith_profile_names' ;;
    revoke)
        _arguments -S '--kill[end its grants and connections, too]' '--help[print help]' \
            '1:profile:_portsmith_profile_names'
        ;;
    list) _arguments -S '--json[print JSON]' '--help[print help]' ;;
    group)
        _arguments -S '--for=[the one-time key of the new host]:key:' \
            '--output=[where to write the bundle]:file:_files' '--help[print help]' \
            '1:step:(create join)' '2:file:_files'
        ;;
    roster)
        _arguments -S '--key=[the fleet key]:file:_files' \
            '--output=[where to write it]:file:_files' '--json[print JSON]' \
            '--host=[how clients reach this server]:host:_hosts' \
            '--server=[how clients call this server]:name:' '--help[print help]' \
            '1:step:(init sign show bundle)' '2:file:_files'
        ;;
    esac
}

_portsmith_profile "$@"
