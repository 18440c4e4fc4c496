#compdef portsmithctl
# Completes portsmithctl(8) in zsh.

_portsmithctl_profiles() {
    local -a names=(/etc/portsmith.d/*.conf(N:t:r))

    _describe -t profiles profile names
}

_portsmithctl_verbs() {
    local -a verbs=(
        'status:what runs, what is shut, and the counters'
        'list:the live grants'
        'watch:what opens and ends, as it happens'
        'doctor:why a knock may not open'
        'close:end grants'
        'group:how knocks are copied to the other members'
        'reload:read the configuration again'
        'release:stop and open all shut ports'
    )

    _describe -t commands command verbs
}

_portsmithctl() {
    local curcontext=$curcontext state
    local -a line
    local -a everywhere=({-c,--config=}'[the configuration]:file:_files' '--json[print JSON]')

    _arguments -C -S $everywhere {-h,--help}'[print help]' {-V,--version}'[print the version]' \
        '1:command:_portsmithctl_verbs' '*::argument:->arguments'
    [[ $state == arguments ]] || return
    case $words[1] in
    close)
        _arguments -S $everywhere '--all[every grant]' \
            '--kill[end the connections made through them, too]' '1:profile:_portsmithctl_profiles'
        ;;
    group) _arguments -S $everywhere '1:what:(rules)' ;;
    doctor) _arguments -S $everywhere '*:status of another member:_files' ;;
    *) _arguments -S $everywhere ;;
    esac
}

_portsmithctl "$@"
