# shellcheck shell=bash
# The parts of tests/run. Each prints TAP and ends with a status.
# shellcheck disable=SC2154 # `top` is tests/run's, the rest is build.bash's

# shellcheck source=tap.bash
. "$top/tests/lib/tap.bash"

# cmocka's TAP, of one program after another: ctest runs them side by side, for
# some do little but wait, and numbers their lines.
run_ctest() { # BUILD_DIRECTORY [OPTION of ctest...]
    (cd "$1" && CMOCKA_MESSAGE_OUTPUT=TAP ctest --verbose --parallel $((2 * $(nproc))) "${@:2}") |
        sort --stable --field-separator=: --key=1,1n | sed -E 's/^[0-9]+: //'
}

run_bats() { # DIRECTORY or FILE [COMMAND that runs bats...]
    local tests=$1

    shift
    LAB_BUILD=no "$top/tests/lab" run "$@" bats --formatter tap "$top/tests/$tests"
}

# Where grants are elements of sets.
run_set_bats() { # FILE...
    GRANT_STORE=set LAB_BUILD=no "$top/tests/lab" run bats --formatter tap "$@"
}

# The lab tests with the programs of the build that checks and counts. Not trust.bats,
# which looks at the processes as they are installed, and not burst.bats: what 500
# clients need under sanitizers takes minutes and runs no line that others do not.
run_checked_bats() { # FILE...
    local file files=()

    for file; do
        case ${file##*/} in
        trust.bats | burst.bats) ;;
        *) files+=("$file") ;;
        esac
    done
    PORTSMITH_BUILD=$build_directory/checked LAB_BUILD=no \
        "$top/tests/lab" run bats --formatter tap "${files[@]}"
}

run_shellcheck() {
    local file

    while read -r file; do
        check "${file#"$top/"}" shellcheck -x "$file"
    done < <(grep -r -l -I -E -e '^#!/bin/bash' -e '^# shellcheck shell=bash' \
        -e '^#!/usr/bin/(env )?bats' "$top"/{tests,.ci,client,daemon} | sort)
    tap_end
}

# Both programs know more than one file at a time, so one check each.
run_analysis() {
    local c=("$top"/{common,privsep,daemon,client}/*.c)

    check "clang has nothing to say" build_with_clang
    check "clang-tidy has nothing to say" clang-tidy -p "$build_directory/clang" --quiet "${c[@]}"
    # ctuuninitvar takes every "struct error why" that is filled in for a use.
    check "cppcheck has nothing to say" cppcheck --error-exitcode=1 --quiet --std=c11 \
        --enable=warning,performance,portability --suppress=ctuuninitvar --inline-suppr \
        -D_GNU_SOURCE -DPORTSMITH_BUILD_DATE=1 -DPORTSMITH_HELPER='"x"' -DPORTSMITH_VERSION='"x"' \
        -I "$top/common" -I "$top/privsep" -I "$top/daemon" -I "$top/client" "${c[@]}"
    tap_end
}

run_scan_build() {
    check "scan-build finds nothing" build_with_scan_build
    tap_end
}

# Leaves NAME.log, and NAME.passed if all was well.
valgrind_one() { # NAME
    UNDER_VALGRIND=1 valgrind --quiet --error-exitcode=99 --leak-check=full \
        --show-leak-kinds=definite --errors-for-leak-kinds=definite \
        "$build_directory/tests/unit/test_$1" >"$1.log" 2>&1 && touch "$1.passed"
}

valgrind_passed() { # NAME
    [ -e "$1.passed" ] || { cat "$1.log" && false; }
}

# The unit tests without the programs that they start; some do little but wait, so
# two at a time.
run_valgrind() {
    local source name names=() unknown=(sandbox confine)

    for source in "$top"/tests/unit/test_*.c; do
        name=$(basename "${source##*/test_}" .c)
        is_one_of "$name" "${unknown[@]}" || names+=("$name")
    done
    rm -rf "$build_directory/valgrind"
    mkdir -p "$build_directory/valgrind" && cd "$build_directory/valgrind" || return 1
    export -f valgrind_one
    export build_directory
    printf '%s\n' "${names[@]}" | xargs -P 2 -I NAME bash -c 'valgrind_one NAME'
    for name in "${names[@]}"; do
        check "$name" valgrind_passed "$name"
    done
    for name in "${unknown[@]}"; do
        skip "$name" "valgrind does not know seccomp(2)"
    done
    tap_end
}

run_vectors() {
    local file

    for file in "$top"/tests/vectors/*.txt; do
        check "${file##*/}: another implementation agrees" \
            "$top/tests/vectors/other_client.py" check "$file"
    done
    tap_end
}

run_demo() {
    local family kind

    for kind in nft legacy; do
        for family in 4 6; do
            check "the demo, $kind, IPv$family" \
                env LAB_BUILD=no BACKEND=$kind FAMILY=$family "$top/tests/lab" demo
        done
    done
    tap_end
}

# That it measures all, of all; its figures are not judged.
run_bench() {
    local output=$build_directory/bench-quick look=$top/tests/benchmarks/check.py

    rm -rf "$output"
    check "tests/bench --quick" env BENCH_BUILD=no "$top/tests/bench" --quick --output "$output"
    check "each measure has a figure for each peer" "$look" figures "$output"
    check "the plots are plots" "$look" plots "$output"
    check "the table has a line for each peer and target" "$look" table "$output"
    tap_end
}

# What is missing on a host without network is skipped, and says so.
run_install() {
    # shellcheck source=tree.bash
    . "$top/tests/lib/tree.bash"
    make_tree >&2 || echo "no Debian to install on: it could not be fetched" >&2
    make_packages >&2 || return
    bats --formatter tap "$top/tests/install/packages.bats"
    local status=$?
    BACKEND=nft FAMILY=4 run_bats install/hosts && return "$status"
}

run_part() { # PART
    case $1 in
    build) build_portsmith && build_checked && echo "ok 1 - everything builds" ;;
    unit) run_ctest "$build_directory" ;;
    sanitize) run_ctest "$build_directory/checked" ;;
    valgrind) run_valgrind ;;
    coverage) "$top/tests/coverage/run" ;;
    cli) # These tests put their own /run over the one that the lab's PATH leads to.
        run_bats cli env PATH="$stage/bin:$stage/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        ;;
    packages) BACKEND=nft FAMILY=4 run_bats packages ;;
    install) run_install ;;
    boundaries) "$top/tests/boundaries" ;;
    manuals) "$top/tests/manuals" ;;
    shellcheck) run_shellcheck ;;
    analysis) run_analysis ;;
    scan-build) run_scan_build ;;
    vectors) run_vectors ;;
    examples) LAB_BUILD=no "$top/tests/lab" run "$top/tests/examples" ;;
    demo) run_demo ;;
    bench) run_bench ;;
    fuzz) "$top/tests/fuzz" ;;
    prove) "$top/tests/prove" ;;
    model) "$top/tests/model" ;;
    net-* | set-* | control-* | firewall-* | gateway-* | ssh-* | proxy-* | faults-* | doctor-*)
        IFS=- read -r part BACKEND FAMILY <<<"$1"
        export BACKEND FAMILY
        case $1 in
        faults-*) LAB_BUILD=no "$top/tests/faults" ;;
        set-nft-4) run_set_bats "$top"/tests/net/{grants,lifecycle}.bats ;;
        set-legacy-6) run_set_bats "$top"/tests/net/{grants,replay}.bats ;;
        # The other two of the four are run as they are installed.
        net-nft-6 | net-legacy-4) run_checked_bats "$top"/tests/net/*.bats ;;
        control-nft-6) run_checked_bats "$top"/tests/control/*.bats ;;
        gateway-legacy-6) run_checked_bats "$top"/tests/gateway/*.bats ;;
        # The proxy knows families by its clients alone.
        proxy-nft-6) run_bats proxy/clients.bats ;;
        *) run_bats "$part" ;;
        esac
        ;;
    esac
}
