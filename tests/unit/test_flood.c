#include "check.h"

#include "daemon/sniffer/capture.h"
#include "daemon/sniffer/flood.h"

enum { QUIET_NS = 1000 * 1000 * 1000 };

/* What the sniffer has seen, and when. */
static struct {
    struct flood flood;
    struct counters counters;
    int64_t now;
} world;

static int begin(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    world.now = QUIET_NS;
    return 0;
}

/* Whether it pauses once it has read `frames` of garbage, `later` than the last time. */
static bool pauses(int64_t later, unsigned frames)
{
    int64_t pause;

    world.now += later;
    world.counters.captured += frames;
    world.counters.garbage += frames;
    pause = flood_pause(&world.flood, &world.counters, world.now);
    assert_true(pause == 0 || pause == FLOOD_PAUSE_NS);
    return pause != 0;
}

static void a_quiet_host_never_pauses(void **state)
{
    (void)state;
    assert_false(pauses(0, 1)); /* the first of all */
    for (int i = 0; i < 10; i++)
        assert_false(pauses(QUIET_NS, 1));
    assert_false(pauses(FLOOD_PAUSE_NS, 1));
}

static void fast_garbage_makes_it_pause(void **state)
{
    (void)state;
    assert_false(pauses(0, 1));
    assert_true(pauses(FLOOD_PAUSE_NS - 1, 1));
    for (int i = 0; i < 10; i++) /* and again, as long as the pause brings several */
        assert_true(pauses(FLOOD_PAUSE_NS + FLOOD_PAUSE_NS / 2, 2));
    assert_false(pauses(FLOOD_PAUSE_NS + FLOOD_PAUSE_NS / 2, 1));
}

static void a_flood_that_ends_is_not_waited_for(void **state)
{
    (void)state;
    assert_false(pauses(0, 1));
    assert_true(pauses(1000, 20));
    assert_false(pauses(FLOOD_PAUSE_NS, 0));
    assert_false(pauses(1000, 0)); /* woken for a reply */
    assert_false(pauses(QUIET_NS, 1));
}

/* More wait than were read: a pause could let the buffer overflow. */
static void it_does_not_pause_while_more_wait(void **state)
{
    (void)state;
    assert_false(pauses(0, 1));
    assert_false(pauses(1000, CAPTURE_FRAMES_AT_ONCE));
    assert_false(pauses(1000, 2 * CAPTURE_FRAMES_AT_ONCE)); /* of two interfaces */
    assert_true(pauses(1000, CAPTURE_FRAMES_AT_ONCE - 1));
}

static void it_does_not_pause_where_knocks_come_in(void **state)
{
    (void)state;
    assert_false(pauses(0, 1));
    world.counters.passed++;
    assert_false(pauses(1000, 30));
    assert_true(pauses(1000, 1)); /* only garbage came after it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_quiet_host_never_pauses, begin),
        cmocka_unit_test_setup(fast_garbage_makes_it_pause, begin),
        cmocka_unit_test_setup(a_flood_that_ends_is_not_waited_for, begin),
        cmocka_unit_test_setup(it_does_not_pause_while_more_wait, begin),
        cmocka_unit_test_setup(it_does_not_pause_where_knocks_come_in, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
