#!/usr/bin/env bats
# What systemd's journal is told, in its own protocol, and how often.
# bats file_tags=any
# shellcheck disable=SC2154,SC2030,SC2031 # net.bash and bats set the variables

. "$top/tests/lib/net.bash"

journal=/run/systemd/journal/socket

# With standard error where the service manager says that the journal is.
setup_file() {
    lab_setup
    configure
    add_fence
    add_profile ssh --open tcp/22
    entries=$lab/log/entries
    export entries
    spawn server "$lab/log/journal.log" "$top/tests/tools/journal.py" "$journal" "$entries"
    listener=$spawned
    export listener
    wait_until 5 test -e "$entries"
    : >>"$lab/log/portsmithd.log"
    JOURNAL_STREAM=$(stat -c %d:%i "$lab/log/portsmithd.log") spawn server \
        "$lab/log/portsmithd.log" portsmithd -c "$conf" -f
    echo "$spawned" >"$lab/daemon.pid"
    wait_until 15 grep -q '"MESSAGE": "ready: ' "$entries"
}

teardown_file() {
    end_process KILL "$listener"
    rm -f "$journal"
    lab_teardown
}

# An entry that has every one of these, such as PORTSMITH_VERDICT=opened.
has_entry() { # FIELD=PATTERN...
    python3 - "$entries" "$@" <<'END'
import json, re, sys
wanted = [w.split("=", 1) for w in sys.argv[2:]]
for line in open(sys.argv[1], encoding="utf-8"):
    entry = json.loads(line)
    if all(re.fullmatch(pattern, entry.get(name, "")) for name, pattern in wanted):
        sys.exit(0)
sys.exit(1)
END
}

wait_for_entry() { # FIELD=PATTERN...
    wait_until 10 has_entry "$@" || { cat "$entries" && return 1; }
}

@test "a grant's entries say for whom, what and which profile" {
    knock ssh
    wait_for_entry PORTSMITH_PROFILE=ssh PORTSMITH_ADDRESS="$client" PORTSMITH_SERVICE=tcp/22 \
        PORTSMITH_VERDICT=opened PRIORITY=6 SYSLOG_IDENTIFIER=portsmith-witness \
        "MESSAGE=ssh: opened tcp/22 for $client for .* s"
    knock --close ssh
    wait_for_entry PORTSMITH_PROFILE=ssh PORTSMITH_SERVICE=tcp/22 PORTSMITH_VERDICT=closed
}

@test "a refusal's entry says exactly why" {
    knock ssh tcp/8080
    wait_for_entry PORTSMITH_VERDICT=service_denied PORTSMITH_SERVICE=tcp/8080 PRIORITY=4 \
        "MESSAGE=ssh: refused for $client: tcp/8080 is not in this profile"
}

@test "a clock that is wrong is told with what is allowed" {
    other_knock ssh "$lab/bytes" --counter "$(microseconds -400)"
    send_bytes "$lab/bytes"
    wait_for_entry PORTSMITH_VERDICT=behind PORTSMITH_SERVICE=tcp/22 \
        "MESSAGE=.*its clock is 4[0-9][0-9] s behind this host's; allowed 300; it was for tcp/22"
}

@test "the supervisor speaks to the journal, too, and nobody to standard error" {
    has_entry SYSLOG_IDENTIFIER=portsmithd "MESSAGE=ready: .*"
    [ ! -s "$lab/log/portsmithd.log" ]
}
