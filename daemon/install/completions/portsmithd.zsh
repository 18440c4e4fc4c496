#compdef portsmithd
# Completes portsmithd(8) in zsh.

_arguments -s -S \
    {-c,--config=}'[the configuration]:file:_files' \
    {-f,--foreground}'[stay in the foreground]' \
    {-d,--debug}'[log more]' \
    {-t,--test}'[check the configuration and this host, and exit]' \
    {-T,--print}'[print the configuration that is in effect and exit]' \
    '--release[open all shut ports]' \
    '--trace[log how long each step of a knock took]' \
    '--trial=[shut ports for so long, and then undo all]:time span:(15m 60s)' \
    {-h,--help}'[print help]' \
    {-V,--version}'[print the version]'
