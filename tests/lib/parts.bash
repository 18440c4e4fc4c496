# shellcheck shell=bash
# The parts of tests/run: what parts.table says of them, and the functions that it names.
# Each prints TAP and ends with a status. LONG=yes, which is tests/run --long, has them take
# as long as it takes.
# shellcheck disable=SC2154 # `top` is tests/run's, the rest is build.bash's

# shellcheck source=tap.bash
. "$top/tests/lib/tap.bash"

# ---- the table -------------------------------------------------------------

# shellcheck disable=SC2034 # most are for tests/run
declare -A part_group part_limit part_budget part_nice part_programs part_packages part_command
parts=()

read_table() {
    local name rest

    while read -r name rest; do
        [[ $name =~ ^[a-z] ]] || continue
        parts+=("$name")
        read -r "part_group[$name]" "part_limit[$name]" "part_budget[$name]" "part_nice[$name]" \
            "part_programs[$name]" "part_packages[$name]" "part_command[$name]" <<<"$rest"
    done <"$top/tests/lib/parts.table"
}

read_table

is_one_of() { # WORD WORD...
    [[ " ${*:2} " == *" $1 "* ]]
}

# A part's back end and family, if it has some.
combination_of() { # PART
    ! [[ $1 =~ -(nft|legacy|nftables)-([46])$ ]] || echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
}

# The tags by which a part's lab tests are chosen, as bats wants them, one choice a line.
# What would be skipped is left out: the tests for the other back end or family alone, and
# with checked programs those that look at the processes as they are installed.
choices_of() { # PART [TAGS...]
    local part=$1 backend family tags without=""

    shift
    read -r backend family < <(combination_of "$part")
    case $backend in
    nft) without+=,!legacy,!nftables ;;
    legacy) without+=,!nft,!nftables ;;
    nftables) without+=,!nft,!legacy,!iptables ;;
    esac
    case $family in 4) without+=,!ipv6 ;; 6) without+=,!ipv4 ;; esac
    [ "${part_programs[$part]}" != checked ] || without+=,!installed
    [ $# -gt 0 ] || set -- ""
    for tags; do
        tags=$tags$without
        echo "${tags#,}"
    done
}

# ---- the unit tests and the lab's ------------------------------------------

# cmocka's TAP, of one program after another: ctest runs them side by side, for
# some do little but wait, and numbers their lines. To cmocka what is skipped is not ok.
run_ctest() { # [OPTION of ctest...]
    (cd "$part_build" && CMOCKA_MESSAGE_OUTPUT=TAP ctest --verbose --parallel $((2 * $(nproc))) "$@") |
        sort --stable --field-separator=: --key=1,1n |
        sed -E 's/^[0-9]+: //; s/^not ok ([0-9]+) # SKIP (.*)/ok \1 - \2 # SKIP/'
}

# In the lab; with --long all of a directory, whatever the tags.
run_bats() { # DIRECTORY [TAGS...]
    local directory=$1

    shift
    [ "${LONG:-no}" = no ] || set --
    lab_bats "$directory" "$@"
}

# Where grants are elements of sets, for which few tests are made.
run_set_bats() { # DIRECTORY TAGS...
    export GRANT_STORE=set
    lab_bats "$@"
}

# These tests put their own /run over the one that the lab's PATH leads to.
run_cli() {
    local around=(env PATH="$part_build/stage/bin:$part_build/stage/sbin:/usr/sbin:/usr/bin:/sbin:/bin")

    lab_bats cli
}

lab_bats() { # DIRECTORY [TAGS...]
    local tags options=(--formatter tap --timing)

    # To look for leaks takes a program as long as all else that it does; `sanitize` looks.
    [ "${LONG:-no}" = yes ] || export ASAN_OPTIONS=detect_leaks=0
    while read -r tags; do
        [ -z "$tags" ] || options+=(--filter-tags "$tags")
    done < <(choices_of "$part" "${@:2}")
    LAB_BUILD=no "$top/tests/lab" run "${around[@]}" bats "${options[@]}" "$top/tests/lab.d/$1"
}

# ---- others ----------------------------------------------------------------

run_shellcheck() {
    local file

    while read -r file; do
        check "${file#"$top/"}" shellcheck -x "$file"
    done < <(grep -r -l -I --exclude='*.md' -E -e '^#!/bin/bash' -e '^# shellcheck shell=bash' \
        -e '^#!/usr/bin/(env )?bats' "$top"/{tests,findings,.ci,client,daemon} | sort)
    tap_end
}

run_clang_tidy() { # FILE...
    prepare_for_clang && clang-tidy -p "$build_directory/clang" --quiet "$@"
}

# Both programs know more than one file at a time, so one check each.
run_analysis() {
    local c here

    mapfile -t c < <(find "$top"/{common,privsep,daemon,client} -name '*.c' | sort)
    # The files for Windows want its own headers.
    mapfile -t here < <(printf '%s\n' "${c[@]}" | grep -v -E '/windows(\.c$|/)')
    check "clang and clang-tidy have nothing to say" run_clang_tidy "${here[@]}"
    # ctuuninitvar takes every "struct error why" that is filled in for a use. The cppcheck of
    # Debian 12 does not know _Noreturn.
    check "cppcheck has nothing to say" cppcheck --error-exitcode=1 --quiet --std=c11 \
        --enable=warning,performance,portability --suppress=ctuuninitvar --inline-suppr \
        -D_GNU_SOURCE "-D_Noreturn=__attribute__((noreturn))" -DPORTSMITH_BUILD_DATE=1 \
        -DPORTSMITH_HELPER='"x"' -DPORTSMITH_VERSION='"x"' -I "$top" "${c[@]}"
    tap_end
}

run_scan_build() {
    check "scan-build finds nothing" build_with_scan_build
    tap_end
}

# Leaves NAME.log, and NAME.passed if all was well.
valgrind_one() { # NAME, or NAME-ARGUMENT
    local program=${1%-*} argument=()

    [ "$program" = "$1" ] || argument=("${1##*-}")
    UNDER_VALGRIND=1 valgrind --quiet --error-exitcode=99 --leak-check=full \
        --show-leak-kinds=definite --errors-for-leak-kinds=definite \
        "$build_directory/tests/unit/test_$program" "${argument[@]}" >"$1.log" 2>&1 && touch "$1.passed"
}

valgrind_passed() { # NAME
    [ -e "$1.passed" ] || { cat "$1.log" && false; }
}

unknown_to_valgrind=(helper_confine nftables_confine cut_confine daemon_confine filters plan sniffer
    witness)

# Unit tests, by what valgrind_one takes. Those that start one iptables after another are
# for LONG=yes alone.
valgrind_names() {
    local source name long=(firewall set requests restore probe)

    [ "${LONG:-no}" = no ] || printf '%s\n' firewall-nft firewall-legacy set requests restore probe
    for source in "$top"/tests/unit/test_*.c; do
        name=$(basename "${source##*/test_}" .c)
        is_one_of "$name" "${long[@]}" "${unknown_to_valgrind[@]}" || echo "$name"
    done
}

# The unit tests without the programs that they start; some do little but wait, so two at
# a time.
run_valgrind() {
    local name names

    mapfile -t names < <(valgrind_names)
    rm -rf "$build_directory/valgrind"
    mkdir -p "$build_directory/valgrind" && cd "$build_directory/valgrind" || return 1
    export -f valgrind_one
    export build_directory
    printf '%s\n' "${names[@]}" | xargs -P 2 -I NAME bash -c 'valgrind_one NAME'
    for name in "${names[@]}"; do
        check "$name" valgrind_passed "$name"
    done
    for name in "${unknown_to_valgrind[@]}"; do
        skip "$name" "valgrind does not know seccomp(2)"
    done
    tap_end
}

run_vectors() {
    local file

    for file in "$top"/tests/deep/vectors/*.txt; do
        check "${file##*/}: another implementation agrees" \
            "$top/tests/deep/vectors/other_client.py" check "$file"
    done
    check "ssh.txt: ssh-keygen signs the same" \
        cmp <("$top/tests/deep/vectors/other_client.py" make ssh) "$top/tests/deep/vectors/ssh.txt"
    tap_end
}

run_demo() {
    check "the demo, $BACKEND, IPv$FAMILY" env LAB_BUILD=no "$top/tests/lab" demo
    tap_end
}

run_examples() {
    LAB_BUILD=no "$top/tests/lab" run "$top/tests/lab.d/examples"
}

# That it measures all, of all; its figures are not judged. With --long in each of its ways.
run_bench() {
    local output=$build_directory/bench-quick quick=(--quick) look=$top/tests/bench/check.py

    [ "${LONG:-no}" = no ] || quick=()
    rm -rf "$output"
    check "tests/bench/run ${quick[*]}" \
        env BENCH_BUILD=no "$top/tests/bench/run" "${quick[@]}" --output "$output"
    check "each measure has a figure for each peer" "$look" figures "$output"
    check "the plots are plots" "$look" plots "$output"
    check "the table has a line for each peer and target" "$look" table "$output"
    [ "${LONG:-no}" = no ] || check_ways_of_bench
    tap_end
}

check_ways_of_bench() {
    check "tests/bench/run --quick --against the same build" \
        env BENCH_BUILD=no "$top/tests/bench/run" --quick --against "$stage" --output "$output/against"
    check "both builds have a figure and a line in the table" "$look" turns "$output/against"
    check "tests/bench/run --quick, with nftables, IPv6 and state on a disk" \
        env BENCH_BUILD=no "$top/tests/bench/run" --quick --setting nftables --setting ipv6 \
        --setting disk --only latency --only crowd --only trace --output "$output/setting"
    check "tests/bench/run --quick --long, for 20 seconds" env BENCH_BUILD=no BENCH_LONG_SECONDS=20 \
        "$top/tests/bench/run" --quick --long --output "$output/long"
    check "many profiles and many knocks have figures" "$look" long "$output/long"
}

run_fuzz() {
    local time=()

    [ "${LONG:-no}" = no ] || time=(-t 10m)
    "$top/tests/deep/fuzz/run" "${time[@]}"
}

# What is missing on a host without network is skipped, and says so; on CI there is network.
run_install() {
    local status

    # shellcheck source=tree.bash
    . "$top/tests/lib/tree.bash"
    # As on this machine: the packages are built against its libraries.
    if ! make_tree "$(debian_release)" "$tree_base" >&2; then
        [ "${CI:-}" != true ] || return 1
        echo "no Debian to install on: it could not be fetched" >&2
    fi
    make_packages "DEB;RPM" >&2 || return
    bats --formatter tap --timing "$top/tests/lab.d/install/packages.bats"
    status=$?
    BACKEND=nft FAMILY=4 lab_bats install/hosts && return "$status"
}

# The packages as clang compiles them, on hosts as this machine.
run_install_of_clang() { # TAGS...
    # shellcheck source=tree.bash
    . "$top/tests/lib/tree.bash"
    make_tree "$(debian_release)" "$tree_base" >&2 || return
    check "clang builds everything, warnings being errors" \
        make_packages DEB -DCMAKE_C_COMPILER=clang -DPORTSMITH_WERROR=ON
    [ "$tap_failed" -eq 0 ] && BACKEND=nft FAMILY=4 lab_bats install/hosts "$@"
}

# Here if this is that Debian 13; what of a Debian 13 that is a machine all other parts try.
on_debian13() { # COMMAND...
    if [ "${PORTSMITH_PLATFORM:-}" = debian13 ]; then
        "$@"
    elif [ "$(debian_release)" = trixie ]; then
        skip "$part" "this is a Debian 13 itself, on which the other parts run"
        tap_end
    elif "$top/tests/platforms/debian13" --there; then
        "$top/tests/platforms/debian13" "$part"
    else
        lack "$part" "the mirror that apt has here has no Debian 13 (trixie)"
        tap_end
    fi
}

# For another architecture, or with musl, in a Debian 13 that has what builds that: the part's name
# begins with it.
on_foreign() { # COMMAND...
    if [ "${PORTSMITH_PLATFORM:-}" = "${part%%-*}" ]; then
        "$@"
    else
        "$top/tests/platforms/foreign" "$part"
    fi
}

# The unit tests of another architecture: those that qemu-user can try.
run_emulated() {
    local name on why left_out=""

    while read -r name why; do
        on=${name#*:} name=${name%:*}
        [ "$on" = "$name" ] || [ "$on" = "$part" ] || continue
        skip "$name" "$why"
        left_out+="|$name"
    done < <(grep -v '^#' "$top/tests/platforms/unemulated")
    run_ctest --exclude-regex "^(${left_out#|})\$"
}

run_platform_bats() { # NAME of a file there
    LAB_BUILD=no "$top/tests/lab" run bats --formatter tap --timing "$top/tests/platforms/$1.bats"
}

# A kernel with VRFs, as a program; it says how it ended.
run_uml() {
    linux.uml root=/dev/root rootfstype=hostfs rootflags=/ ro init="$top/tests/platforms/uml/boot" \
        mem=512M con=null con0=null,fd:1 quiet PORTSMITH_BUILD="$build_directory" </dev/null |
        tee "$build_directory/uml.tap"
    grep -q '^# all have ended with 0' "$build_directory/uml.tap"
}

# Everything that the parts take as it is.
run_build() {
    build_portsmith -DPORTSMITH_TESTS=ON && build_with_clock && build_checked &&
        echo "ok 1 - everything builds"
}

# What all parts want this Debian has, and all at once.
packages_are_there() {
    local words names

    mapfile -t words < <(printf '%s\n' "${part_packages[@]}" | tr , '\n' | sort -u)
    mapfile -t names < <(packages_of "${words[@]}")
    apt-get install -s -q --no-install-recommends "${names[@]}" &&
        apt-get download -q --print-uris "${foreign_packages[@]}"
}

# tests/platforms/debian13 has built before anything else.
run_debian13_build() {
    check "gcc builds everything, warnings being errors" [ -x "$stage/sbin/portsmithd" ]
    check "this Debian has all packages that the tests want" packages_are_there
    tap_end
}

run_part() { # PART
    local words
    part=$1 part_build=$build_directory

    if [ -n "$(combination_of "$part")" ]; then
        read -r BACKEND FAMILY < <(combination_of "$part")
        export BACKEND FAMILY
    fi
    if [ "${part_programs[$part]}" = checked ]; then
        part_build=$build_directory/checked
        export PORTSMITH_BUILD=$part_build
    fi
    if [ "${part_programs[$part]}" != - ] && ! [ -d "$part_build/stage" ]; then
        echo "tests/run: there is no build in $part_build: run tests/run build first" >&2
        return 1
    fi
    read -r -a words <<<"${part_command[$part]}"
    if [ -x "$top/${words[0]}" ]; then
        "$top/${words[0]}" "${words[@]:1}"
    else
        "${words[@]}"
    fi
}
