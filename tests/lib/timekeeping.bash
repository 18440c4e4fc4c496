# shellcheck shell=bash
# Programs whose kernel calls its clock synchronised, or not. Wants build.bash and `top`.
# shellcheck disable=SC2154 # build.bash

# Other users than root need not reach the checkout.
prepare_timekeeping() { # DIRECTORY that all can reach
    install -m 755 "$build_directory/tests/tools/libtimex.so" "$1/"
}

# What a program is to run with, as words for env(1). A sanitizer wants to come first, but need not.
clock_that_is() { # kept|lost DIRECTORY of prepare_timekeeping
    echo "TEST_CLOCK_IS=$1 LD_PRELOAD=$2/libtimex.so ASAN_OPTIONS=verify_asan_link_order=0:${ASAN_OPTIONS:-}"
}
