# shellcheck shell=bash
# What is tried in each part, as the files tell without being run. Wants parts.bash.
# shellcheck disable=SC2154 # its table, and `top`

# The tests of bats FILEs that one of the choices takes, a line each: FILE: NAME, and with
# `tags` as the first word a tab and its tags before that.
tests_of() { # [tags] "CHOICE..." FILE...
    local with_tags=no

    [ "$1" != tags ] || { with_tags=yes && shift; }
    awk -v choices="$1" -v with_tags="$with_tags" -v root="$top/tests/" '
        function fits(choice,    words, n, i) {
            n = split(choice, words, ",")
            for (i = 1; i <= n; i++)
                if (words[i] ~ /^!/ ? (substr(words[i], 2) in has) : !(words[i] in has)) return 0
            return 1
        }
        function is_chosen(tags,    words, n, i) {
            delete has
            n = split(tags, words, ",")
            for (i = 1; i <= n; i++) has[words[i]]
            n = split(choices, words, " ")
            for (i = 1; i <= n; i++) if (fits(words[i])) return 1
            return n == 0
        }
        FNR == 1 { file_tags = test_tags = "" }
        sub(/^# bats file_tags=/, "") { file_tags = $0 }
        sub(/^# bats test_tags=/, "") { test_tags = "," $0 }
        sub(/^@test "/, "") {
            sub(/" \{$/, "")
            file = substr(FILENAME, length(root) + 1)
            if (is_chosen(file_tags test_tags))
                print (with_tags == "yes" ? file_tags test_tags "\t" : "") file ": " $0
            test_tags = ""
        }' "${@:2}"
}

# Of a part's lab tests; nothing if it has none.
lab_cases() { # [tags] PART
    local tags=() words

    [ "$1" != tags ] || { tags=(tags) && shift; }
    read -r -a words <<<"${part_command[$1]#on_* }"
    case ${words[0]} in
    run_bats | run_set_bats) words=("${words[@]:1}") ;;
    run_cli) words=(cli) ;;
    run_install_of_clang) words=(install/hosts "${words[@]:1}") ;;
    run_install) tests_of "${tags[@]}" "" "$top"/tests/lab.d/install/*.bats && words=(install/hosts) ;;
    *) return ;;
    esac
    tests_of "${tags[@]}" "$(choices_of "$1" "${words[@]:1}" | xargs)" "$top/tests/lab.d/${words[0]}"/*.bats
}

# PART, a tab, and FILE: NAME, or of cmocka's programs FILE alone. What finds its cases only when
# it runs, is one line.
list_cases() { # PART...
    local part lines

    for part; do
        case ${part_command[$part]#on_* } in
        run_ctest) lines=$(cd "$top/tests" && printf '%s\n' unit/test_*.c) ;;
        run_valgrind) lines=$(valgrind_names | sed 's/-.*//; s,.*,unit/test_&.c,' | sort -u) ;;
        run_uml) lines=$(tests_of "" "$top"/tests/platforms/uml/*.bats) ;;
        "run_platform_bats "*) lines=$(tests_of "" "$top/tests/platforms/${part_command[$part]##* }.bats") ;;
        *) lines=$(lab_cases "$part") ;;
        esac
        printf '%s\n' "${lines:-${part_command[$part]}}" | sed "s/^/$part\t/"
    done
}
