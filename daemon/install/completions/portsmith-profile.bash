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

# The options that add and create share, and what --help calls their values.
_portsmith_profile_enrolment() {
    PATH=$PATH:/usr/local/sbin:/usr/sbin portsmith-profile --help 2>/dev/null |
        sed -n '/^options of add and create:/,/^$/s/^  \(--[a-z-]*\) \([A-Z]*\).*/\1 \2/p'
}

_portsmith_profile() {
    # What follows an option: a kind of word, or nothing. What only --help names may be
    # followed by any word.
    local -A takes=(
        [-c]=file
        [--config]=file
        [-h]=''
        [--help]=''
        [-V]=''
        [--version]=''
        [--address]=address
        [--for]=other
        [--shut]=service
        [--host]=host
        [--interface]=interface
        [--json]=''
        [--key]=file
        [--kill]=''
        [--max-window]=span
        [--open]=service
        [--output]=file
        [--port]=other
        [--public-key]=other
        [--qr]=''
        [--ssh-key]=file
        [--window]=span
        [--with-psk]=''
    )
    local enrolment='--open' option value
    while read -r option value; do
        enrolment+=" $option"
        [ -n "${takes[$option]+set}" ] || takes[$option]=${value:+other}
    done < <(_portsmith_profile_enrolment)
    # Each command's options.
    local -A commands=(
        [init]='--interface --port --shut'
        [add]="--public-key --ssh-key --output $enrolment"
        [create]="--output --qr --with-psk $enrolment"
        [list]='--json'
        [show]=''
        [revoke]='--kill'
        [group]='--for --output'
        [roster]='--key --output --json --host --server'
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
        *,1,group) kind=step ;;
        *,1,roster) kind=roster ;;
        *,2,roster) [[ ${plain[1]} != @(sign|show) ]] || kind='file' ;;
        *,2,group) [ "${plain[1]}" != join ] || kind='file' ;;
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
    step) word='create join' ;;
    roster) word='init sign show bundle' ;;
    address) word='any signed' ;;
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
