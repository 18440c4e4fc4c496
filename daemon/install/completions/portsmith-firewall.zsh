#compdef portsmith-firewall
# Completes portsmith-firewall(8) in zsh.

_portsmith_firewall_commands() {
    local -a commands=(
        'try:shut all other ports, on trial'
        'confirm:keep what is on trial, and for each boot'
        'show:print what is shut, and for how long'
        'remove:remove all of it'
        'enforce:put in force what was confirmed'
    )

    _describe -t commands command commands
}

_portsmith_firewall_services() {
    compadd -S '' -- tcp/ udp/
}

_portsmith_firewall() {
    local curcontext=$curcontext state
    local -a line

    _arguments -C -S {-c,--config=}'[the configuration]:file:_files' {-h,--help}'[print help]' \
        {-V,--version}'[print the version]' \
        '1:command:_portsmith_firewall_commands' '*::argument:->arguments'
    [[ $state == arguments && $words[1] == try ]] || return
    _arguments -S '*--allow=[what stays open]:service:_portsmith_firewall_services' \
        '--timeout=[how long the trial lasts]:time span:(60s 5m)' \
        '--force[even if no further ssh login gets in]'
}

_portsmith_firewall "$@"
