/* The client's file of the last counter, and that of the last failure: the first byte says
 * how many counters are taken, the rest is the file. */
#include "fuzz.h"

#include "client/counter.h"
#include "client/failure.h"

static const uint64_t now = 4000000000000000; /* microseconds */

static const char directory[] = "/run/portsmith", path[] = "/run/portsmith/counter";

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    struct error warning, why;
    uint64_t first;

    (void)count, (void)arguments;
    fuzz_enter();
    REQUIRE(mkdir(directory, 0700) == 0 && setenv("XDG_STATE_HOME", "/run", 1) == 0);
    REQUIRE(!counter_last_own(&first)); /* there is none */
    REQUIRE(mkdir(path, 0700) == 0 && !counter_take_own(1, &first, &warning, &why));
    REQUIRE(rmdir(path) == 0);
    return 0;
}

/* Never before the clock, nor further ahead of it than servers accept. */
static uint64_t take(unsigned count, struct error *warning)
{
    struct error why;
    uint64_t first;

    REQUIRE(counter_take(directory, now, count, &first, warning, &why));
    REQUIRE(first >= now && first - now <= COUNTER_SKEW + 1);
    return first;
}

/* The file of the last failure beside it. */
static void check_failure(const struct input *in)
{
    char text[FAILURE_TEXT_SIZE];
    time_t when;

    failure_forget();
    REQUIRE(!failure_read(text, &when));
    fuzz_write("/run/portsmith/failure", in->bytes, in->size);
    REQUIRE(failure_read(text, &when) == (in->size > 0));
    REQUIRE(memchr(text, '\0', sizeof text));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    unsigned count = input_byte(&in) % 16 + 1u;
    struct error warning;
    uint64_t first, again, last;
    bool had_one;

    check_failure(&in);
    fuzz_write(path, in.bytes, in.size);
    had_one = counter_last_own(&last);
    first = take(count, &warning);
    REQUIRE(had_one ? first == now || first == last + 1 : first == now);
    REQUIRE(warning.text[0] == '\0' || first == now);
    REQUIRE(counter_last_own(&last) && last == first + count - 1);
    again = take(1, &warning);
    REQUIRE(again == first + count || (warning.text[0] && again == now));
    return 0;
}
