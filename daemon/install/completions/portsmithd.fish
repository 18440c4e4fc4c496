# Completes portsmithd(8) in fish.

complete -c portsmithd -f
complete -c portsmithd -s c -l config -r -F -d 'the configuration'
complete -c portsmithd -s f -l foreground -d 'stay in the foreground'
complete -c portsmithd -s d -l debug -d 'log more'
complete -c portsmithd -s t -l test -d 'check the configuration and this host, and exit'
complete -c portsmithd -s T -l print -d 'print the configuration that is in effect and exit'
complete -c portsmithd -l release -d 'open all shut ports'
complete -c portsmithd -l trace -d 'log how long each step of a knock took'
complete -c portsmithd -l trial -x -a '15m 60s' -d 'shut ports for so long, and then undo all'
complete -c portsmithd -s h -l help -d 'print help'
complete -c portsmithd -s V -l version -d 'print the version'
