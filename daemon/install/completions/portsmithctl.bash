# shellcheck shell=bash
# Completes portsmithctl(8) in bash.

# The names of the profiles. No other is one: bash puts what it completes into the
# command line as it is.
_portsmithctl_profiles() {
    local file

    for file in /etc/portsmith.d/*.conf; do
        file=${file##*/}
        [[ ${file%.conf} == *[!a-zA-Z0-9._-]* ]] || echo "${file%.conf}"
    done
}

_portsmithctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb='' word i

    # --config=FILE comes as three words.
    [ "$before" != = ] || before=${COMP_WORDS[COMP_CWORD - 2]}
    [ "$cur" != = ] || cur=''
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i - 1]},${COMP_WORDS[i]} in
        -c,* | --config,* | =,* | *,= | *,-*) ;;
        *) verb=${verb:-${COMP_WORDS[i]}} ;;
        esac
    done
    if [ "$before" = -c ] || [ "$before" = --config ] || [[ $verb = doctor && $cur != -* ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
    fi
    word=''
    case $cur,$verb in
    -*,close) word='--all --kill --json -c --config' ;;
    -*,) word='-c --config --json -h --help -V --version' ;;
    -*) word='-c --config --json' ;;
    *,) word='status list watch doctor close group reload release' ;;
    *,group) word=rules ;;
    *,close) word=$(_portsmithctl_profiles) ;;
    esac
    # compgen expands its words, and none but $word is to be.
    # shellcheck disable=SC2016
    [ -z "$word" ] || mapfile -t COMPREPLY < <(compgen -W '$word' -- "$cur")
}

complete -F _portsmithctl portsmithctl
