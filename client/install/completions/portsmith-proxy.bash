# shellcheck shell=bash
# Completes portsmith-proxy(1) in bash.

_portsmith_proxy() {
    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}

    # --config=FILE comes as three words.
    [ "$before" != = ] || before=${COMP_WORDS[COMP_CWORD - 2]}
    [ "$cur" != = ] || cur=''
    case $before in
    --config)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        ;;
    *) mapfile -t COMPREPLY < <(compgen -W '--config -h --help -v -V --version' -- "$cur") ;;
    esac
}

complete -F _portsmith_proxy portsmith-proxy
