# Completes portsmith-profile(8) in fish.

set -g __portsmith_profile_commands init add create list show revoke group roster

# The names of the profiles.
function __portsmith_profile_names
    set -l files /etc/portsmith.d/*.conf
    for file in $files
        string replace -r '.*/(.*)\.conf$' '$1' -- $file
    end
end

function __portsmith_profile_begins
    not __fish_seen_subcommand_from $__portsmith_profile_commands
end

complete -c portsmith-profile -f
complete -c portsmith-profile -n __portsmith_profile_begins -s c -l config -r -F -d 'the configuration'
complete -c portsmith-profile -n __portsmith_profile_begins -s h -d 'print help'
complete -c portsmith-profile -l help -d 'print help'
complete -c portsmith-profile -n __portsmith_profile_begins -s V -l version -d 'print the version'
complete -c portsmith-profile -n __portsmith_profile_begins -a init -d 'make what is missing'
complete -c portsmith-profile -n __portsmith_profile_begins -a add -d 'let in a client that has made its own key'
complete -c portsmith-profile -n __portsmith_profile_begins -a create -d 'make the client\'s key here'
complete -c portsmith-profile -n __portsmith_profile_begins -a list -d 'print one line for each profile'
complete -c portsmith-profile -n __portsmith_profile_begins -a show -d 'print all of one profile'
complete -c portsmith-profile -n __portsmith_profile_begins -a revoke -d 'remove a profile'
complete -c portsmith-profile -n __portsmith_profile_begins -a group -d 'share the server\'s key with other hosts'
complete -c portsmith-profile -n __portsmith_profile_begins -a roster -d 'sign profiles for many hosts'
complete -c portsmith-profile -n '__fish_seen_subcommand_from show revoke; and not __fish_seen_subcommand_from roster' -a '(__portsmith_profile_names)' -d profile
complete -c portsmith-profile -n '__fish_seen_subcommand_from list' -l json -d 'print JSON'
complete -c portsmith-profile -n '__fish_seen_subcommand_from revoke' -l kill -d 'end its grants and connections, too'

set -l init '__fish_seen_subcommand_from init; and not __fish_seen_subcommand_from roster'
complete -c portsmith-profile -n "$init" -l interface -x -a '(command ls /sys/class/net)' -d 'an interface to watch'
complete -c portsmith-profile -n "$init" -l port -x -d 'the knock port'
complete -c portsmith-profile -n "$init" -l shut -x -a 'tcp/ udp/' -d 'a service to keep shut'

set -l enrol '__fish_seen_subcommand_from add create; and not __fish_seen_subcommand_from group'
complete -c portsmith-profile -n $enrol -l open -x -a 'tcp/ udp/' -d 'what the client may open'
# What --help says of the others: OPTION, what it calls the value, and what for.
set -l others (PATH="$PATH:/usr/local/sbin:/usr/sbin" command portsmith-profile --help 2>/dev/null |
    sed -n '/^options of add and create:/,/^$/s/^  --\([a-z-]*\) \([A-Z]*\) *\(.*\)/\1\t\2\t\3/p')
for other in $others
    set -l field (string split \t -- $other)
    switch $field[1]
        case window max-window
            set field[2] '-x -a "30s 10m 1h"'
        case address
            set field[2] '-x -a "any signed"'
        case host
            set field[2] '-x -a "(__fish_print_hostnames)"'
        case '*'
            set field[2] (test -n "$field[2]"; and echo -x; or echo)
    end
    eval complete -c portsmith-profile -n '$enrol' -l '$field[1]' -d '$field[3]' $field[2]
end
complete -c portsmith-profile -n '__fish_seen_subcommand_from add' -l public-key -x -d 'the client\'s public key'
complete -c portsmith-profile -n '__fish_seen_subcommand_from add' -l ssh-key -r -F -d 'the client\'s ssh key'
complete -c portsmith-profile -n $enrol -l output -r -F -d 'where to write the bundle'
complete -c portsmith-profile -n '__fish_seen_subcommand_from create; and not __fish_seen_subcommand_from group' -l qr -d 'show a QR code in place of a bundle'
complete -c portsmith-profile -n '__fish_seen_subcommand_from create; and not __fish_seen_subcommand_from group' -l with-psk -d 'show a pre-shared key in the QR code'

set -l group '__fish_seen_subcommand_from group'
complete -c portsmith-profile -n "$group; and not __fish_seen_subcommand_from create join" -a create -d 'make the group\'s key, or a bundle of it'
complete -c portsmith-profile -n "$group; and not __fish_seen_subcommand_from create join" -a join -d 'print a one-time key, or open the bundle'
complete -c portsmith-profile -n "$group; and __fish_seen_subcommand_from join" -F
complete -c portsmith-profile -n "$group; and not __fish_seen_subcommand_from join" -l for -x -d 'the one-time key of the new host'
complete -c portsmith-profile -n "$group; and not __fish_seen_subcommand_from join" -l output -r -F -d 'where to write the bundle'

set -l roster '__fish_seen_subcommand_from roster'
set -l none 'not __fish_seen_subcommand_from init sign show bundle'
complete -c portsmith-profile -n "$roster; and $none" -a init -d 'make the key and the secret of a fleet'
complete -c portsmith-profile -n "$roster; and $none" -a sign -d 'sign a roster'
complete -c portsmith-profile -n "$roster; and $none" -a show -d 'print what a roster holds'
complete -c portsmith-profile -n "$roster; and $none" -a bundle -d 'make the bundle of one of its clients'
complete -c portsmith-profile -n "$roster; and __fish_seen_subcommand_from sign show" -F
complete -c portsmith-profile -n $roster -l key -r -F -d 'the fleet key'
complete -c portsmith-profile -n $roster -l json -d 'print JSON'
complete -c portsmith-profile -n $roster -l output -r -F -d 'where to write it'
complete -c portsmith-profile -n $roster -l host -x -a '(__fish_print_hostnames)' -d 'how clients reach this server'
complete -c portsmith-profile -n $roster -l server -x -d 'how clients call this server'
