# shellcheck shell=bash
# Completes portsmith-firewall(8) in bash.

_portsmith_firewall() {
    # What follows an option: a kind of word, or nothing.
    local -A takes=(
        [-c]=file
        [--config]=file
        [--allow]=service
        [--timeout]=span
    )
    local cur=${COMP_WORDS[COMP_CWORD]} kind='' command='' word i

    # --option=value comes as three words.
    [ "$cur" != = ] || cur=''
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [ "$word" = = ]; then
            continue
        elif [ -n "$kind" ]; then
            kind=''
        elif [[ $word == -* ]]; then
            kind=${takes[$word]-}
        else
            command=${command:-$word}
        fi
    done
    if [ -z "$kind" ]; then
        case $cur,$command in
        -*,) word='-c --config -h --help -V --version' ;;
        -*,try) word='--allow --timeout --force' ;;
        *,) word='try confirm show remove enforce' ;;
        *) word='' ;;
        esac
    fi
    COMPREPLY=()
    case $kind in
    service)
        word='tcp/ udp/'
        compopt -o nospace 2>/dev/null
        ;;
    span) word='60s 5m' ;;
    file)
        word=''
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        ;;
    esac
    [ -z "$word" ] || mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
}

complete -F _portsmith_firewall portsmith-firewall
