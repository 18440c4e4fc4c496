# shellcheck shell=bash
# What portsmithctl doctor finds, by the check that finds it. Wants net.bash, and in setup_file:
# prepare_timekeeping "$lab".
# shellcheck disable=SC2154 # `lab` is lab.bash's

# shellcheck source=timekeeping.bash
. "$top/tests/lib/timekeeping.bash"

clock=kept # what the kernel says of it, to the doctor

doctor() { # OPTION of portsmithctl...
    # shellcheck disable=SC2046 # words
    on server env $(clock_that_is "$clock" "$lab") portsmithctl "$@" doctor
}

# What one check finds, as "LEVEL WHAT -> ADVICE" lines.
found() { # CHECK [OPTION of portsmithctl...]
    local check=$1

    shift
    doctor "$@" --json >"$lab/found.json" || [ $? -eq 4 ] || return 1
    python3 -c 'import json, sys
it = json.load(open(sys.argv[1]))
assert sys.argv[2] in it["checks"], it["checks"]
assert it["problems"] == sum(f["level"] == "problem" for f in it["findings"])
for f in it["findings"]:
    if f["check"] == sys.argv[2]:
        print(f["level"], f["what"], "->", f["advice"])' "$lab/found.json" "$check" \
        >"$lab/found" || return 1
    cat "$lab/found"
}

finds() { # CHECK PATTERN [OPTION of portsmithctl...]
    found "$1" "${@:3}" | grep -q -E -e "$2" || {
        echo "$1 does not find '$2':"
        cat "$lab/found"
        return 1
    }
}

finds_nothing() { # CHECK [OPTION of portsmithctl...]
    found "$@" >/dev/null || return 1
    [ ! -s "$lab/found" ] || {
        echo "$1 finds:"
        cat "$lab/found"
        return 1
    }
}
