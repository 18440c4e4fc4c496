# shellcheck shell=bash
# Building the checkout. Wants `top`, its directory.

# shellcheck disable=SC2154 # top
build_directory=${PORTSMITH_BUILD:-$top/build-tests} # not build/, which is the reader's own
stage=$build_directory/stage   # what is installed is installed here

# Configures and builds: the unit tests and what else the tests need once they were asked for, with
# -DPORTSMITH_TESTS=ON; without, the programs.
compile_portsmith() { # [OPTION of cmake...]
    local werror=OFF

    [ "${CI:-}" != true ] || werror=ON
    cmake -S "$top" -B "$build_directory" -DCMAKE_INSTALL_PREFIX="$stage" \
        -DPORTSMITH_WERROR=$werror "$@" &&
        cmake --build "$build_directory" --parallel "$(nproc)"
}

# The same, and installs into the stage.
build_portsmith() { # [OPTION of cmake...]
    compile_portsmith "$@" && cmake --install "$build_directory"
}

# Another build of everything below build_directory, with a stage of its own: the
# lab and the tests take it with PORTSMITH_BUILD=DIRECTORY.
build_variant() { # NAME [OPTION of cmake...]
    local directory=$build_directory/$1

    shift
    cmake -S "$top" -B "$directory" -DCMAKE_INSTALL_PREFIX="$directory/stage" \
        -DCMAKE_BUILD_TYPE=Debug -DPORTSMITH_TESTS=ON "$@" &&
        cmake --build "$directory" --parallel "$(nproc)" &&
        cmake --install "$directory"
}

# With ASan and UBSan, and counting which lines are run, from none: in files that a
# client without privilege can write to, too.
build_checked() {
    build_variant checked -DPORTSMITH_SANITIZE=ON -DPORTSMITH_COVERAGE=ON &&
        find "$build_directory/checked" -name '*.gcda' -delete &&
        find "$build_directory/checked" -name '*.gcno' | sed 's/gcno$/gcda/' |
        (umask 0 && xargs touch)
}

# The programs as build_portsmith has compiled them, but for what tells them the time,
# in clock/stage: each knows the others by their places in the stage, so there it is put.
build_with_clock() {
    cmake --build "$build_directory" --parallel "$(nproc)" --target clock
}

# How clang would compile everything, warnings being errors: for clang-tidy, which says what
# clang has to say of it, too.
prepare_for_clang() {
    CC=clang cmake -S "$top" -B "$build_directory/clang" -DPORTSMITH_WERROR=ON \
        -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
}

# With the static analyser in the compiler's place; always from the start, as what
# is not compiled is not looked at. Findings end it with a status.
build_with_scan_build() {
    local directory=$build_directory/scan analyse=(scan-build --status-bugs --use-cc=clang)

    rm -rf "$directory"
    "${analyse[@]}" cmake -S "$top" -B "$directory" -DCMAKE_BUILD_TYPE=Debug &&
        "${analyse[@]}" -o "$directory/findings" \
            cmake --build "$directory" --parallel "$(nproc)"
}

# Runs a command with its output in FILE; shows the end of it if it fails.
logged() { # FILE COMMAND...
    local file=$1

    shift
    mkdir -p "$(dirname "$file")"
    if ! "$@" </dev/null >"$file" 2>&1; then
        tail -n 40 "$file" >&2
        echo "failed: $*; all of it is in $file" >&2
        return 1
    fi
}
