# Completes portsmith-knock(1) in fish. A new option is a line below.

set -g __portsmith_knock_subcommands export import keygen list pubkey show

function __portsmith_knock_directory
    if string match -q '/*' -- "$XDG_CONFIG_HOME"
        echo $XDG_CONFIG_HOME/portsmith
    else
        echo ~/.config/portsmith
    end
end

# The names of the server files.
function __portsmith_knock_servers
    set -l files (__portsmith_knock_directory)/*.conf
    for file in $files
        string replace -r '.*/(.*)\.conf$' '$1' -- $file
    end
end

# The server that the command line names, if it does.
function __portsmith_knock_server
    set -l servers (__portsmith_knock_servers)
    for word in (commandline -opc)[2..]
        if contains -- $word $servers
            echo $word
            return
        end
    end
    return 1
end

# What the server file opens, and how others begin.
function __portsmith_knock_services
    if set -l server (__portsmith_knock_server)
        set -l file (__portsmith_knock_directory)/$server.conf
        string match -r -i '^\s*(?:open|service)\s*=.*' <$file | string replace -r '.*=' '' |
            string split -n ' ' | string split -n ,
    end
    printf '%s\n' tcp/ udp/
end

function __portsmith_knock_is
    set -l words (commandline -opc)
    contains -- "$words[2]" $argv
end

function __portsmith_knock_knocks
    not __portsmith_knock_is $__portsmith_knock_subcommands
end

# The first word after the program's name.
function __portsmith_knock_begins
    test (count (commandline -opc)) -eq 1
end

function __portsmith_knock_wants_server
    __portsmith_knock_knocks; and not __portsmith_knock_server >/dev/null
    and not __fish_contains_opt config server-key
end

function __portsmith_knock_wants_services
    __portsmith_knock_knocks; and begin
        __portsmith_knock_server >/dev/null; or __fish_contains_opt config server-key
    end
end

complete -c portsmith-knock -f
complete -c portsmith-knock -n __portsmith_knock_begins -a export -d 'write a bundle for another device'
complete -c portsmith-knock -n __portsmith_knock_begins -a import -d 'read a bundle that was made for you'
complete -c portsmith-knock -n __portsmith_knock_begins -a keygen -d 'make your identity'
complete -c portsmith-knock -n __portsmith_knock_begins -a list -d 'print the servers that you know'
complete -c portsmith-knock -n __portsmith_knock_begins -a pubkey -d 'print the public key of your identity'
complete -c portsmith-knock -n __portsmith_knock_begins -a show -d 'print what is known of a server'
complete -c portsmith-knock -n __portsmith_knock_wants_server -a '(__portsmith_knock_servers)' -d server
complete -c portsmith-knock -n __portsmith_knock_wants_services -a '(__portsmith_knock_services)' -d service

complete -c portsmith-knock -n __portsmith_knock_knocks -s 4 -d 'knock at IPv4 addresses only'
complete -c portsmith-knock -n __portsmith_knock_knocks -s 6 -d 'knock at IPv6 addresses only'
complete -c portsmith-knock -n __portsmith_knock_knocks -l address -x -a 'auto observed' -d 'the address to open to'
complete -c portsmith-knock -n __portsmith_knock_knocks -l agent -r -F -d 'the socket of the ssh-agent'
complete -c portsmith-knock -n __portsmith_knock_knocks -l close -d 'end what an earlier knock opened'
complete -c portsmith-knock -n __portsmith_knock_knocks -l config -r -F -d 'the server\'s file'
complete -c portsmith-knock -n __portsmith_knock_knocks -l connect -d 'knock and connect, as a ProxyCommand'
complete -c portsmith-knock -n __portsmith_knock_knocks -l diagnose -d 'knock step by step, and say what is wrong'
complete -c portsmith-knock -n __portsmith_knock_knocks -s h -l help -d 'print help'
complete -c portsmith-knock -n __portsmith_knock_knocks -l identity -r -F -d 'the file of your identity'
complete -c portsmith-knock -n __portsmith_knock_knocks -l output -r -F -d 'write the datagram instead of sending it'
complete -c portsmith-knock -n __portsmith_knock_knocks -l pass -d 'with --connect: pass the socket on'
complete -c portsmith-knock -n __portsmith_knock_knocks -l port -x -d 'the knock port of HOST'
complete -c portsmith-knock -n __portsmith_knock_knocks -l relay -d 'carry bytes in any case'
complete -c portsmith-knock -n __portsmith_knock_knocks -l server-key -x -d 'the public key of HOST'
complete -c portsmith-knock -n __portsmith_knock_knocks -l timeout -x -a '10s 30s 1m' -d 'how long to try'
complete -c portsmith-knock -n __portsmith_knock_knocks -l transport -x -a 'udp tcp-syn icmp' -d 'how to carry the knock'
complete -c portsmith-knock -n __portsmith_knock_knocks -s v -d 'say what is sent where'
complete -c portsmith-knock -n __portsmith_knock_knocks -s V -l version -d 'print the version'
complete -c portsmith-knock -n __portsmith_knock_knocks -l wait -d 'end when the port is open'
complete -c portsmith-knock -n __portsmith_knock_knocks -l window -x -a '30s 10m 1h' -d 'stay open this long'

complete -c portsmith-knock -n '__portsmith_knock_is list show' -l json -d 'for programs'
complete -c portsmith-knock -n '__portsmith_knock_is export' -l with-secret-key -d 'with your identity'
complete -c portsmith-knock -n '__portsmith_knock_is export show; and not __portsmith_knock_server >/dev/null' -a '(__portsmith_knock_servers)' -d server
complete -c portsmith-knock -n '__portsmith_knock_is export; and __portsmith_knock_server >/dev/null' -F
complete -c portsmith-knock -n '__portsmith_knock_is import keygen pubkey' -F
