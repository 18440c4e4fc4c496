# shellcheck shell=bash
# Completes portsmith-knock(1) in bash. A new option is a line in `takes`.

# The names of the server files. No other is one: bash puts what it completes into the
# command line as it is.
_portsmith_knock_servers() {
    local directory=${XDG_CONFIG_HOME:-} file

    [[ $directory == /* ]] || directory=~/.config
    for file in "$directory"/portsmith/*.conf; do
        file=${file##*/}
        [[ ${file%.conf} == *[!a-zA-Z0-9._-]* ]] || echo "${file%.conf}"
    done
}

# What the server file opens, and how others begin.
_portsmith_knock_services() { # SERVER
    local directory=${XDG_CONFIG_HOME:-}

    [[ $directory == /* ]] || directory=~/.config
    sed -n -E 's/^[[:space:]]*([Oo]pen|[Ss]ervice)[[:space:]]*=//p' "$directory/portsmith/$1.conf" 2>/dev/null |
        tr -s ', \t' '\n' | grep -x -E '(tcp|udp)/[0-9]+'
    echo tcp/ udp/
}

_portsmith_knock() {
    # What follows an option: a kind of word, or nothing.
    local -A takes=(
        [-4]=''
        [-6]=''
        [--address]=address
        [--agent]=file
        [--close]=''
        [--config]=file
        [--connect]=''
        [--diagnose]=''
        [-h]=''
        [--help]=''
        [--identity]=file
        [--output]=file
        [--pass]=''
        [--port]=other
        [--relay]=''
        [--server-key]=other
        [--timeout]=span
        [--transport]=transport
        [-v]=''
        [-V]=''
        [--version]=''
        [--wait]=''
        [--window]=span
    )
    # A subcommand's options, then the kinds of its words.
    local -A subcommands=(
        [export]='--with-secret-key server file'
        [import]='file'
        [keygen]='file'
        [list]='--json'
        [pubkey]='file'
        [show]='--json server'
    )
    local cur=${COMP_WORDS[COMP_CWORD]} kind='' known plain=() options=("${!takes[@]}")
    local kinds=(server service service service service) word i

    # --option=value comes as three words.
    [ "$cur" != = ] || cur=''
    known=" ${COMP_WORDS[*]:1:COMP_CWORD-1} "
    [[ $known != *' --config'* ]] || kinds=("${kinds[@]:1}")
    [[ $known != *' --server-key'* ]] || kinds[0]=host
    [ "$COMP_CWORD" -gt 1 ] || kinds[0]='subcommand server'
    if [ "$COMP_CWORD" -gt 1 ] && [ -n "${subcommands[${COMP_WORDS[1]:--}]-}" ]; then
        takes=()
        read -r -a kinds <<<"subcommand ${subcommands[${COMP_WORDS[1]}]}"
        options=()
        [[ ${kinds[1]-} != -* ]] || { options=("${kinds[1]}") && unset 'kinds[1]'; }
        kinds=("${kinds[@]}")
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [ "$word" = = ]; then
            continue
        elif [ -n "$kind" ]; then
            kind=''
        elif [[ $word == -* ]]; then
            kind=${takes[$word]-}
        else
            plain+=("$word")
        fi
    done
    if [ -z "$kind" ] && [[ $cur == -* ]]; then
        kind=option
    elif [ -z "$kind" ]; then
        kind=${kinds[${#plain[@]}]-}
    fi

    COMPREPLY=()
    for kind in $kind; do
        word=''
        case $kind in
        option) word="${options[*]}" ;;
        subcommand) word="${!subcommands[*]}" ;;
        server) word=$(_portsmith_knock_servers) ;;
        service) word=$(_portsmith_knock_services "${plain[0]-}") ;;
        address) word='auto observed' ;;
        transport) word='udp tcp-syn icmp' ;;
        span) word='30s 10m 1h' ;;
        host) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -A hostname -- "$cur") ;;
        file)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
        esac
        # compgen expands its words, and none but $word is to be.
        # shellcheck disable=SC2016
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W '$word' -- "$cur")
    done
    [[ ${COMPREPLY[*]-} != */ ]] || [ "$kind" != service ] || compopt -o nospace 2>/dev/null
}

complete -F _portsmith_knock portsmith-knock
