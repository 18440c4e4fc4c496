/* The client's file of the last counter: the first byte says how many counters are
 * taken, the rest is the file. */
#include "fuzz.h"

#include "counter.h"

static const uint64_t now = 4000000000000000; /* microseconds */

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    return 0;
}

/* Never before the clock, nor further ahead of it than servers accept. */
static uint64_t take(unsigned count, struct error *warning)
{
    struct error why;
    uint64_t first;

    REQUIRE(counter_take("/run", now, count, &first, warning, &why));
    REQUIRE(first >= now && first - now <= COUNTER_SKEW + 1);
    return first;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    unsigned count = input_byte(&in) % 16 + 1u;
    struct error warning;
    uint64_t first, again;

    fuzz_write("/run/counter", in.bytes, in.size);
    first = take(count, &warning);
    REQUIRE(warning.text[0] == '\0' || first == now);
    again = take(1, &warning);
    REQUIRE(again == first + count || (warning.text[0] && again == now));
    return 0;
}
