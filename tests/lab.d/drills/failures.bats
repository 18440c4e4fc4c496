#!/usr/bin/env bats
# The table of failures against the tests that it names.
# Once: text against text.
# bats file_tags=once:legacy
# shellcheck disable=SC2154 # tests/lab sets `top`

rows=22

# Every line with a test that is not there.
missing() {
    local line file name

    grep '^    ' "$top/tests/lab.d/drills/failures" | while IFS= read -r line; do
        file=${line#    }
        name=${file#*: } file=${file%%: *}
        grep -q -F -x "@test \"$name\" {" "$top/tests/lab.d/$file" || echo "$file has no test '$name'"
    done
}

# Every row that names no test.
unproved() {
    awk '/^[^ #]/ { if (row != "" && !proved) print row; row = $0; proved = 0 }
         /^    / { proved = 1 }
         END { if (row != "" && !proved) print row }' "$top/tests/lab.d/drills/failures"
}

@test "every row of the table of failures names tests, and they are there" {
    local found

    [ "$(grep -c '^[^ #]' "$top/tests/lab.d/drills/failures")" -eq "$rows" ]
    found=$(missing; unproved)
    echo "$found"
    [ -z "$found" ]
}

@test "every drill is in the table of failures" {
    local file name

    for file in "$top"/tests/lab.d/drills/*.bats; do
        [ "$file" != "$BATS_TEST_FILENAME" ] || continue
        while IFS= read -r name; do
            grep -q -F -x "    drills/${file##*/}: $name" "$top/tests/lab.d/drills/failures" || {
                echo "not in the table: $name"
                false
            }
        done < <(sed -n 's/^@test "\(.*\)" {$/\1/p' "$file")
    done
}
