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

# The same with ASan and UBSan, for the unit tests; nothing is installed.
build_sanitized() {
    cmake -S "$top" -B "$build_directory/sanitize" -DCMAKE_BUILD_TYPE=Debug \
        -DPORTSMITH_SANITIZE=ON -DPORTSMITH_TESTS=ON &&
        cmake --build "$build_directory/sanitize" --parallel "$(nproc)"
}

# With clang, for clang-tidy and for a second compiler's opinion; warnings are
# errors, nothing is installed.
build_with_clang() {
    CC=clang cmake -S "$top" -B "$build_directory/clang" -DPORTSMITH_WERROR=ON \
        -DCMAKE_EXPORT_COMPILE_COMMANDS=ON &&
        cmake --build "$build_directory/clang" --parallel "$(nproc)"
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
