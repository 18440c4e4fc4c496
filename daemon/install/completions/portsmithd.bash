# shellcheck shell=bash
# Completes portsmithd(8) in bash.

_portsmithd() {
    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}

    # --config=FILE comes as three words.
    [ "$before" != = ] || before=${COMP_WORDS[COMP_CWORD - 2]}
    [ "$cur" != = ] || cur=''
    case $before in
    -c | --config)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        ;;
    --trial) mapfile -t COMPREPLY < <(compgen -W '15m 60s' -- "$cur") ;;
    *)
        mapfile -t COMPREPLY < <(compgen -W '-c --config -f --foreground -d --debug -t --test
            -T --print --release --trace --trial -h --help -V --version' -- "$cur")
        ;;
    esac
}

complete -F _portsmithd portsmithd
