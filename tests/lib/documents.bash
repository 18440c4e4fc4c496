# shellcheck shell=bash
# shellcheck disable=SC2154 # what it wants is set where it is read
# The commands and files that README.md and the manual pages show. Wants `lab`.

# README's sections for two hosts, which tests/lab.d/install/hosts/newcomer.bats runs, and
# tests/lab.d/examples does not.
# shellcheck disable=SC2034 # for those who read this
newcomer_sections='^## (Install|Shut the rest|Locked out.|More)$'

# One line for each command, "# COMMAND" or "$ COMMAND", continuations joined,
# and one for each file shown: "file PATH" with the content in $lab/shown/N. For what the
# reader is to paste into `PATH`: "paste PATH".
# Understands fenced blocks (Markdown), .Dl lines and literal displays (mdoc). Of
# Markdown those sections that PATTERN matches, or, with a "!", all others.
extract() { # DOCUMENT [[!]PATTERN]
    awk -v directory="$lab/shown" -v wanted="${2:-}" '
        function command(line) {
            sub(/^sudo tests/, "# tests", line); sub(/  +#.*/, "", line)
            if (held != "") { sub(/^ +/, "", line); line = held line; held = "" }
            if (line !~ /^[#$] /) return
            if (line ~ /\\$/) { held = substr(line, 1, length(line) - 1); return }
            if (line ~ /\|$/) { held = line " "; return }
            print line
        }
        function begin_block() { inside = 1; shown = ""; first = 1 }
        function end_block() { inside = 0; if (shown != "") close(shown); held = "" }
        /^\.Sh / { examples = /EXAMPLES/; path = "" }
        !examples && /^\.Dl [#$] / { sub(/^\.Dl /, ""); command($0); next } # wherever it stands
        /^## / && FILENAME ~ /\.md$/ {
            examples = wanted ~ /^!/ ? $0 !~ substr(wanted, 2) : $0 ~ wanted
        }
        !examples { next }
        /^```/ || /^\.Bd / || /^\.Ed/ { if (inside) end_block(); else begin_block(); next }
        /^\.Pa / { path = $2 }
        !inside && /^$/ { pasting = 0 }
        !inside && / paste / { pasting = 1 }
        match($0, /`[~\/][^`]*`/) {
            path = substr($0, RSTART + 1, RLENGTH - 2)
            if (pasting) print "paste", path
        }
        /^\.Dl / { sub(/^\.Dl /, ""); gsub(/\\e/, "\\"); command($0); next }
        !inside { next }
        { gsub(/\\e/, "\\") }
        first && /^(\[|Match |Host )/ { shown = directory "/" ++shown_count; print "file", shown, path }
        { first = 0 }
        shown != "" { print > shown; next }
        { command($0) }
    ' "$1"
}
