#compdef portsmith-knock
# Completes portsmith-knock(1) in zsh. A new option is a line in `options`.

_portsmith_knock_directory() {
    [[ ${XDG_CONFIG_HOME-} == /* ]] && REPLY=$XDG_CONFIG_HOME/portsmith || REPLY=~/.config/portsmith
}

# The names of the server files.
_portsmith_knock_servers() {
    local REPLY
    local -a servers

    _portsmith_knock_directory
    servers=($REPLY/*.conf(N:t:r))
    _describe -t servers server servers
}

_portsmith_knock_subcommands() {
    local -a subcommands=(
        'export:write a bundle for another device'
        'import:read a bundle that was made for you'
        'keygen:make your identity'
        'list:print the servers that you know'
        'pubkey:print the public key of your identity'
        'show:print what is known of a server'
    )

    (( CURRENT > 2 )) || _describe -t subcommands subcommand subcommands
    _portsmith_knock_servers
}

# What the server file opens, and how others begin.
_portsmith_knock_services() {
    local REPLY
    local -a services

    _portsmith_knock_directory
    services=($(sed -n -E 's/^[[:space:]]*([Oo]pen|[Ss]ervice)[[:space:]]*=//p' \
        $REPLY/${(Q)line[1]}.conf 2>/dev/null | tr , ' '))
    compadd -- $services
    compadd -S '' -- tcp/ udp/
}

_portsmith_knock() {
    local -a line options=(
        '(-6)-4[knock at IPv4 addresses only]'
        '(-4)-6[knock at IPv6 addresses only]'
        '--address=[the address to open to]:address:(auto observed)'
        "--agent=[the socket of the ssh-agent]:file:_files"
        '--close[end what an earlier knock opened]'
        "--config=[the server file]:file:_files"
        '--connect[knock and connect, as a ProxyCommand]'
        '--diagnose[knock step by step, and say what is wrong]'
        '(- *)-h[print help]'
        '(- *)--help[print help]'
        '--identity=[the file of your identity]:file:_files'
        '--output=[write the datagram instead of sending it]:file:_files'
        '--pass[with --connect: pass the socket on]'
        '--port=[the knock port of HOST]:port:'
        '--relay[carry bytes in any case]'
        '--server-key=[the public key of HOST]:key:'
        '--timeout=[how long to try]:time span:(10s 30s 1m)'
        '--transport=[how to carry the knock]:transport:(udp tcp-syn icmp)'
        '-v[say what is sent where]'
        '(- *)-V[print the version]'
        '(- *)--version[print the version]'
        '--wait[end when the port is open]'
        '--window=[stay open this long]:time span:(30s 10m 1h)'
    )
    local -a words_after=('1:server:_portsmith_knock_subcommands')

    if (( CURRENT > 2 )); then
        case $words[2] in
        export)
            options=('--with-secret-key[with your identity]')
            words_after=('2:server:_portsmith_knock_servers' '3:file:_files')
            ;;
        import | keygen | pubkey) options=() words_after=('2:file:_files') ;;
        list) options=('--json[for programs]') words_after=() ;;
        show) options=('--json[for programs]') words_after=('2:server:_portsmith_knock_servers') ;;
        *)
            (( ! ${words[(I)--server-key*]} )) || words_after=('1:host:_hosts')
            (( ! ${words[(I)--config*]} )) || words_after=()
            words_after+=('*:service:_portsmith_knock_services')
            _arguments -S $options $words_after
            return
            ;;
        esac
        _arguments -S $options '1:subcommand:' $words_after
        return
    fi
    _arguments -S $options $words_after
}

_portsmith_knock "$@"
