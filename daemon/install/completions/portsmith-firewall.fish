# Completes portsmith-firewall(8) in fish.

set -g __portsmith_firewall_commands try confirm show remove enforce

function __portsmith_firewall_begins
    not __fish_seen_subcommand_from $__portsmith_firewall_commands
end

complete -c portsmith-firewall -f
complete -c portsmith-firewall -n __portsmith_firewall_begins -s c -l config -r -F -d 'the configuration'
complete -c portsmith-firewall -n __portsmith_firewall_begins -s h -l help -d 'print help'
complete -c portsmith-firewall -n __portsmith_firewall_begins -s V -l version -d 'print the version'
complete -c portsmith-firewall -n __portsmith_firewall_begins -a try -d 'shut all other ports, on trial'
complete -c portsmith-firewall -n __portsmith_firewall_begins -a confirm -d 'keep what is on trial, and for each boot'
complete -c portsmith-firewall -n __portsmith_firewall_begins -a show -d 'print what is shut, and for how long'
complete -c portsmith-firewall -n __portsmith_firewall_begins -a remove -d 'remove all of it'
complete -c portsmith-firewall -n __portsmith_firewall_begins -a enforce -d 'put in force what was confirmed'

set -l try '__fish_seen_subcommand_from try'
complete -c portsmith-firewall -n $try -l allow -x -a 'tcp/ udp/' -d 'what stays open'
complete -c portsmith-firewall -n $try -l timeout -x -a '60s 5m' -d 'how long the trial lasts'
complete -c portsmith-firewall -n $try -l force -d 'even if no further ssh login gets in'
