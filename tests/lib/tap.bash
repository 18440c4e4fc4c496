# shellcheck shell=bash
# Test scripts that are not bats: one line of TAP for each check.

tap_count=0
tap_failed=0

# Passes if the command does; its output is shown if it does not.
check() { # NAME COMMAND...
    local name=$1 output

    shift
    tap_count=$((tap_count + 1))
    if output=$("$@" 2>&1 </dev/null); then
        echo "ok $tap_count - $name"
    else
        tap_failed=$((tap_failed + 1))
        echo "not ok $tap_count - $name"
        [ -z "$output" ] || printf '#   %s\n' "${output//$'\n'/$'\n#   '}"
    fi
}

# What cannot be tried here is said to be so.
skip() { # NAME WHY
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # skip $2"
}

# Neither can what wants a tool that is not here; where all is to be here, it has failed.
lack() { # NAME WHY
    [ "${CI:-}" = true ] || { skip "$@" && return; }
    tap_count=$((tap_count + 1)) tap_failed=$((tap_failed + 1))
    echo "not ok $tap_count - $1: $2"
}

# The plan, and the script's exit status.
tap_end() {
    echo "1..$tap_count"
    [ "$tap_count" -gt 0 ] && [ "$tap_failed" -eq 0 ]
}
