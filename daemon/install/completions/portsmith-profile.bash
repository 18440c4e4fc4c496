# shellcheck shell=bash
# Completes portsmith-profile(8) in bash.

# The names of the profiles. No other is one: bash puts what it completes into the
# command line as it is.
_portsmith_profile_names() {
    local file

    for file in /etc/portsmith.d/*.conf; do
        file=${file##*/}
        [[ ${file%.conf} == *[!a-zA-Z0-9._-]* ]] || echo "${file%.conf}"
    done
}

_portsmith_profile() {
    # What follows an option: a kind of word, or nothing.
    local -A takes=(
        [-c]=file
        [--config]=file
        [-h]=''
        [--help]=''
        [-V]=''
        [--version]=''
        [--address]=address
        [--close]=service
        [--expires]=other
        [--host]=host
        [--interface]=interface
        [--kill]=''
        [--hours]=other
        [--max-grants]=other
        [--connections]=other
        [--max-window]=span
        [--open]=service
        [--output]=file
        [--port]=other
        [--preshared-key]=''
        [--public-key]=other
        [--server]=other
        [--window]=span
    )
    local enrolment='--open --window --max-window --address --port --expires --preshared-key
        --hours --max-grants --connections --host --server'
    # Each command's options.
    local -A commands=(
        [init]='--interface --port --close'
        [add]="--public-key $enrolment"
        [create]="--output $enrolment"
        [list]=''
        [show]=''
        [revoke]='--kill'
    )
    local cur=${COMP_WORDS[COMP_CWORD]} kind='' plain=() word i

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
            plain+=("$word")
        fi
    done
    if [ -z "$kind" ]; then
        case $cur,${#plain[@]},${plain[0]-} in
        -*) kind=option ;;
        *,0,*) kind='command' ;;
        *,1,show | *,1,revoke) kind=name ;;
        esac
    fi

    word=''
    COMPREPLY=()
    case $kind in
    option)
        word='-c --config -h --help -V --version'
        [ "${#plain[@]}" -eq 0 ] || word="${commands[${plain[0]}]-} --help"
        ;;
    command) word="${!commands[*]}" ;;
    name) word=$(_portsmith_profile_names) ;;
    address) word='observed signed' ;;
    service) word='tcp/ udp/' ;;
    span) word='30s 10m 1h' ;;
    interface) word=$(ls /sys/class/net) ;;
    host) mapfile -t COMPREPLY < <(compgen -A hostname -- "$cur") ;;
    file)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        ;;
    esac
    # compgen expands its words, and none but $word is to be.
    # shellcheck disable=SC2016
    [ -z "$word" ] || mapfile -t COMPREPLY < <(compgen -W '$word' -- "$cur")
    [ "$kind" != service ] || compopt -o nospace 2>/dev/null
}

complete -F _portsmith_profile portsmith-profile
