# Completes portsmith-proxy(1) in fish.

complete -c portsmith-proxy -f
complete -c portsmith-proxy -l config -r -F -d 'the configuration'
complete -c portsmith-proxy -s h -l help -d 'print help'
complete -c portsmith-proxy -s v -d 'say what is knocked at'
complete -c portsmith-proxy -s V -l version -d 'print the version'
