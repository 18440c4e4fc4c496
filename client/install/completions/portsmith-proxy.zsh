#compdef portsmith-proxy
# Completes portsmith-proxy(1) in zsh.

_arguments -S \
    '--config=[the configuration]:file:_files' \
    {-h,--help}'[print help]' \
    '-v[say what is knocked at]' \
    {-V,--version}'[print the version]'
