# Completes portsmithctl(8) in fish.

set -g __portsmithctl_verbs status list watch doctor close group reload release

# The names of the profiles.
function __portsmithctl_profiles
    set -l files /etc/portsmith.d/*.conf
    for file in $files
        string replace -r '.*/(.*)\.conf$' '$1' -- $file
    end
end

function __portsmithctl_begins
    not __fish_seen_subcommand_from $__portsmithctl_verbs
end

complete -c portsmithctl -f
complete -c portsmithctl -s c -l config -r -F -d 'the configuration'
complete -c portsmithctl -l json -d 'print JSON'
complete -c portsmithctl -n __portsmithctl_begins -s h -l help -d 'print help'
complete -c portsmithctl -n __portsmithctl_begins -s V -l version -d 'print the version'
complete -c portsmithctl -n __portsmithctl_begins -a status -d 'what runs, what is shut, and the counters'
complete -c portsmithctl -n __portsmithctl_begins -a list -d 'the live grants'
complete -c portsmithctl -n __portsmithctl_begins -a watch -d 'what opens and ends, as it happens'
complete -c portsmithctl -n __portsmithctl_begins -a doctor -d 'why a knock may not open'
complete -c portsmithctl -n __portsmithctl_begins -a close -d 'end grants'
complete -c portsmithctl -n __portsmithctl_begins -a group -d 'how knocks are copied to the other members'
complete -c portsmithctl -n __portsmithctl_begins -a reload -d 'read the configuration again'
complete -c portsmithctl -n __portsmithctl_begins -a release -d 'stop and open all shut ports'

set -l close '__fish_seen_subcommand_from close'
complete -c portsmithctl -n $close -l all -d 'every grant'
complete -c portsmithctl -n $close -l kill -d 'end the connections made through them, too'
complete -c portsmithctl -n $close -a '(__portsmithctl_profiles)' -d profile
complete -c portsmithctl -n '__fish_seen_subcommand_from doctor' -F
complete -c portsmithctl -n '__fish_seen_subcommand_from group' -a rules -d 'a script for sh'
