# shellcheck shell=bash
# What the shells offer for an unfinished command line, one candidate a line: the
# real shells, with the files where they are installed. Wants `share`, the directory
# that is searched as /usr/share is.

# shellcheck disable=SC2154 # share
complete_in_bash() { # WORD...: the last is what is being typed
    # shellcheck disable=SC2016 # for the other bash
    XDG_DATA_DIRS=$share bash --norc -c '
        . /usr/share/bash-completion/bash_completion
        COMP_WORDBREAKS=" =:"
        _completion_loader "$1" || [ $? -eq 124 ] || exit 1
        entry=$(complete -p "$1") || exit 1
        entry=${entry#*-F }
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        "${entry%% *}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        [ "${#COMPREPLY[@]}" -eq 0 ] || printf "%s\n" "${COMPREPLY[@]}"' bash "$@" | sort -u
}

complete_in_fish() {
    XDG_DATA_DIRS=$share fish --no-config -c "
        set fish_complete_path $share/fish/vendor_completions.d
        complete -C '$*'" | cut -f1 | sort -u
}

# An option that takes a value is offered with the equals sign that may follow.
complete_in_zsh() {
    zsh -f "$BATS_TEST_DIRNAME/complete.zsh" "$share/zsh/site-functions" "$*" \
        "$BATS_FILE_TMPDIR/zcompdump" | sed 's/=$//' | sort -u
}
