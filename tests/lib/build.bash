# shellcheck shell=bash
# Building the checkout. Wants `top`, its directory.

# shellcheck disable=SC2154 # top
build_directory=${PORTSMITH_BUILD:-$top/build-tests} # not build/, which is the reader's own
stage=$build_directory/stage   # what is installed is installed here

# Configures, builds and installs into the stage.
build_portsmith() {
    local werror=OFF

    [ "${CI:-}" != true ] || werror=ON
    cmake -S "$top" -B "$build_directory" -DCMAKE_INSTALL_PREFIX="$stage" \
        -DPORTSMITH_WERROR=$werror -DPORTSMITH_TESTS=ON &&
        cmake --build "$build_directory" --parallel "$(nproc)" &&
        cmake --install "$build_directory"
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

# With ASan and UBSan, and counting which lines are run, from none.
build_checked() {
    build_variant checked -DPORTSMITH_SANITIZE=ON -DPORTSMITH_COVERAGE=ON &&
        find "$build_directory/checked" -name '*.gcda' -delete
}

# With clang, for clang-tidy and for a second compiler's opinion; warnings are
# errors, nothing is installed.
build_with_clang() {
    CC=clang cmake -S "$top" -B "$build_directory/clang" -DPORTSMITH_WERROR=ON \
        -DCMAKE_EXPORT_COMPILE_COMMANDS=ON &&
        cmake --build "$build_directory/clang" --parallel "$(nproc)"
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
