# Read by complete.zsh's interactive shell: writes all candidates to $offered, then
# says that it is done, whatever the shell would have made of them.
bindkey '^I' complete-word
zstyle ':completion:*' verbose no

compadd() {
    local -a found
    local option

    # With one of these the candidates are sorted out, not offered.
    for option in "$@"; do
        [[ $option != -- && $option != - ]] || break
        if [[ $option == -[AOD] ]]; then
            builtin compadd "$@"
            return
        fi
    done
    builtin compadd -A found "$@"
    (( ! $#found )) || print -rl -- $found >>$offered
    builtin compadd "$@"
}

tell_end() {
    print end''here
}
comppostfuncs=(tell_end)
