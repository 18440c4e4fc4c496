#!/usr/bin/env bats
# What bash, zsh and fish complete, asked of the shells themselves.
# Once: programs on their own; nothing is sent to a daemon.
# bats file_tags=once

bats_require_minimum_version 1.5.0

load complete

KEY=hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=
shells=(bash zsh fish)

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    # shellcheck disable=SC2034 # complete.bash uses it
    share=$(dirname "$(dirname "$(command -v portsmith-knock)")")/share
    export HOME=$PWD/home
    unset XDG_CONFIG_HOME XDG_DATA_HOME
    mkdir -p home/.config/portsmith files
    know "$HOME/.config/portsmith" bastion 'Service = tcp/22, udp/53'
    know "$HOME/.config/portsmith" web 'Window = 1m'
    touch files/one.bundle files/other.bundle
}

know() { # DIRECTORY NAME [LINE...]
    printf '%s\n' '[Server]' 'Host = 192.0.2.1' 'Port = 62201' "PublicKey = $KEY" "${@:3}" \
        >"$1/$2.conf"
}

offers() { # SHELL 'CANDIDATE...' WORD...
    local shell=$1 expected

    # shellcheck disable=SC2086 # words are words
    expected=$([ -z "$2" ] || printf '%s\n' $2 | sort -u)
    shift 2
    echo "$shell: $*"
    diff <([ -z "$expected" ] || echo "$expected") <("complete_in_$shell" "$@")
}

all_offer() { # 'CANDIDATE...' WORD...
    local shell

    for shell in "${shells[@]}"; do
        offers "$shell" "$@" || return 1
    done
}

options_of_help() { # PROGRAM
    "$1" --help 2>&1 | grep -o -E '(^|[][ ,|])-(-[a-z0-9][-a-z0-9]*|[a-zA-Z0-9]\b)' |
        tr -d '][ ,|' | sort -u
}

options_offered() { # SHELL WORD...
    "complete_in_$1" "${@:2}" - | grep '^-'
}

# All that --help names, wherever it may stand, and no other.
offers_the_options_of_help() { # PROGRAM [COMMAND...]
    local program=$1 shell command

    shift
    for shell in "${shells[@]}"; do
        echo "$shell"
        diff <(options_of_help "$program") <({
            options_offered "$shell" "$program"
            for command; do
                options_offered "$shell" "$program" "$command"
            done
        } | sort -u) || return 1
    done
}

@test "portsmith-knock: the options of --help, no more and no less" {
    offers_the_options_of_help portsmith-knock export show list
}

@test "portsmith-profile: the options of --help, no more and no less" {
    offers_the_options_of_help portsmith-profile init add create list show revoke group roster
}

@test "portsmithctl: the options of --help, no more and no less" {
    offers_the_options_of_help portsmithctl status list watch doctor close group reload release
}

@test "portsmithctl: its verbs" {
    all_offer "close doctor group list release reload status watch" portsmithctl ""
}

@test "portsmith-firewall: the options of --help, no more and no less" {
    offers_the_options_of_help portsmith-firewall try confirm show restore enforce
}

@test "portsmithd: the options of --help, no more and no less" {
    offers_the_options_of_help portsmithd
}

@test "portsmith-proxy: the options of --help, no more and no less" {
    offers_the_options_of_help portsmith-proxy
}

@test "a subcommand has its own options" {
    for shell in "${shells[@]}"; do
        [ "$(options_offered "$shell" portsmith-knock show | sort -u)" = --json ]
        [ "$(options_offered "$shell" portsmith-knock list | sort -u)" = --json ]
        [ "$(options_offered "$shell" portsmith-knock export | sort -u)" = --with-secret-key ]
        [ -z "$(options_offered "$shell" portsmith-knock keygen)" ]
        options_offered "$shell" portsmith-profile add | grep -q -x -e --public-key
        run ! grep -x -e --public-key <(options_offered "$shell" portsmith-profile create)
    done
}

@test "subcommands and servers stand first" {
    all_offer "export import keygen list pubkey show bastion web" portsmith-knock ""
    all_offer bastion portsmith-knock ba
    all_offer web portsmith-knock -v w
    all_offer "bastion web" portsmith-knock show ""
    all_offer web portsmith-knock show --json w
    all_offer "bastion web" portsmith-knock export ""
    all_offer "add create group init list revoke roster show" portsmith-profile ""
    all_offer "confirm enforce remove show try" portsmith-firewall ""
}

@test "the subcommands of the program are those that are completed" {
    portsmith-knock --help | sed -n '/^Subcommands:/,$s/^  \([a-z]\+\).*/\1/p' | sort >in-help
    [ -s in-help ]
    rm home/.config/portsmith/*.conf
    for shell in "${shells[@]}"; do
        diff in-help <("complete_in_$shell" portsmith-knock "")
    done
}

@test "XDG_CONFIG_HOME is honoured, where it is absolute" {
    mkdir -p elsewhere/portsmith
    know elsewhere/portsmith office
    export XDG_CONFIG_HOME=$PWD/elsewhere
    all_offer "office" portsmith-knock show ""
    export XDG_CONFIG_HOME=elsewhere
    all_offer "bastion web" portsmith-knock show ""
    rm -r "$HOME/.config"
    all_offer "" portsmith-knock show ""
}

@test "services: the server's own, and how others begin" {
    all_offer "tcp/22 udp/53 tcp/ udp/" portsmith-knock bastion ""
    all_offer "tcp/22 tcp/" portsmith-knock bastion t
    all_offer "tcp/ udp/" portsmith-knock web ""
    all_offer "tcp/ udp/" portsmith-profile create guest --open ""
    all_offer "tcp/ udp/" portsmith-firewall try --allow ""
}

@test "nothing that stands in a file or in its name is run" {
    # shellcheck disable=SC2016 # it must not be expanded
    know "$HOME/.config/portsmith" trap 'Service = tcp/22, $(touch${IFS}ran), `touch${IFS}ran`'
    touch "$HOME/.config/portsmith/\$(touch ran).conf"
    offers bash "tcp/22 tcp/ udp/" portsmith-knock trap ""
    offers bash "bastion trap web" portsmith-knock show ""
    for shell in zsh fish; do
        "complete_in_$shell" portsmith-knock trap ""
        "complete_in_$shell" portsmith-knock show ""
    done
    [ ! -e ran ]
}

@test "the words that options take" {
    all_offer "auto observed" portsmith-knock --address ""
    all_offer "30s 10m 1h" portsmith-knock bastion --window ""
    offers bash "auto observed" portsmith-knock --address = ""
    offers bash "observed" portsmith-knock --address = o
    all_offer "" portsmith-knock --port ""
    all_offer "any signed" portsmith-profile add guest --address ""
}

@test "files, where files are taken" {
    for words in "portsmith-knock import" "portsmith-knock --config" "portsmith-knock keygen" \
        "portsmith-knock export bastion" "portsmithd -c" "portsmithd --config" \
        "portsmith-profile create a --output"; do
        for shell in "${shells[@]}"; do
            echo "$shell: $words"
            # shellcheck disable=SC2086 # words are words
            "complete_in_$shell" $words files/on | grep -x -E '(files/)?one.bundle'
        done
    done
}
