# Completes portsmith-profile(8) in fish.

set -g __portsmith_profile_commands init add create list show revoke

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
complete -c portsmith-profile -n '__fish_seen_subcommand_from show revoke' -a '(__portsmith_profile_names)' -d profile
complete -c portsmith-profile -n '__fish_seen_subcommand_from revoke' -l kill -d 'end its grants and connections, too'

set -l init '__fish_seen_subcommand_from init'
complete -c portsmith-profile -n $init -l interface -x -a '(command ls /sys/class/net)' -d 'an interface to watch'
complete -c portsmith-profile -n $init -l port -x -d 'the knock port'
complete -c portsmith-profile -n $init -l close -x -a 'tcp/ udp/' -d 'a service to keep shut'

set -l enrol '__fish_seen_subcommand_from add create'
complete -c portsmith-profile -n $enrol -l open -x -a 'tcp/ udp/' -d 'what the client may open'
complete -c portsmith-profile -n $enrol -l window -x -a '30s 10m 1h' -d 'how long a knock opens a port for'
complete -c portsmith-profile -n $enrol -l max-window -x -a '30s 10m 1h' -d 'the longest that the client may ask for'
complete -c portsmith-profile -n $enrol -l address -x -a 'observed signed' -d 'which addresses it may open to'
complete -c portsmith-profile -n $enrol -l port -x -d 'a knock port of its own'
complete -c portsmith-profile -n $enrol -l expires -x -d 'the last day that the profile is good for'
complete -c portsmith-profile -n $enrol -l hours -x -d 'when it may knock'
complete -c portsmith-profile -n $enrol -l preshared-key -d 'add a pre-shared key'
complete -c portsmith-profile -n $enrol -l max-grants -x -d 'how many grants at one time'
complete -c portsmith-profile -n $enrol -l connections -x -d 'shut the door after so many connections'
complete -c portsmith-profile -n $enrol -l host -x -a '(__fish_print_hostnames)' -d 'how clients reach this server'
complete -c portsmith-profile -n $enrol -l server -x -d 'how clients call this server'
complete -c portsmith-profile -n '__fish_seen_subcommand_from add' -l public-key -x -d 'the client\'s public key'
complete -c portsmith-profile -n '__fish_seen_subcommand_from create' -l output -r -F -d 'where to write the bundle'
