#include "people.h"

#include "privsep/helper/decide.h"
#include "privsep/prepare/takeover.h"

enum { CAPACITY = 4, WINDOW = 30, MAX_WINDOW = 60, MAX_GRANTS = 3 };

static const struct moment now = {.wall = 1750000000, .boot = INT64_C(1000) * NSEC_PER_SEC};

/* A profile for tcp/22 and tcp/80, the address that its client knocks from, and a table. */
static struct {
    struct helper_profile profile;
    struct helper_destination destination;
    struct address here;
    struct grants grants;
    struct request request;
    struct decision decision;
} world;

static int start(void **state)
{
    struct error why;

    if (scratch_enter(state) != 0)
        return -1;
    memset(&world, 0, sizeof world);
    world.here = address_of("192.0.2.7");
    world.profile = (struct helper_profile){.service_count = 2, .window = WINDOW,
                                            .max_window = MAX_WINDOW, .max_grants = MAX_GRANTS,
                                            .services = {service_of("tcp/22"),
                                                         service_of("tcp/80")}};
    world.request = (struct request){.action = ACTION_OPEN, .counter = 10};
    return helper_grants_create(&world.grants, AT_FDCWD, CAPACITY, 0, &why) ? 0 : -1;
}

static int end(void **state)
{
    helper_grants_free(&world.grants);
    return scratch_leave(state);
}

/* A grant of the profile, or of another one, set by a knock with this counter. */
static void give(uint8_t who, const char *address, const char *service, uint64_t counter)
{
    struct grant grant = {.key_id = {who}, .address = address_of(address),
                          .deadline = now.boot + NSEC_PER_SEC, .counter = counter};
    const struct service to = service_of(service);

    grant.service.protocol = to.protocol;
    grant.service.port = to.port;
    helper_grants_add(&world.grants, &grant);
}

static void ask_for(const char *service)
{
    world.request.service_count = 1;
    world.request.services[0] = service_of(service);
}

static int64_t in(int64_t seconds)
{
    return now.boot + seconds * NSEC_PER_SEC;
}

static struct knock knock(void)
{
    static const uint8_t key_id[KEY_ID_SIZE] = {1};

    return (struct knock){.profile = &world.profile, .key_id = key_id,
                          .request = &world.request, .observed = &world.here,
                          .is_newest = true, .is_credible = true};
}

static enum verdict decide_at(const struct knock *k, const struct moment *when)
{
    struct grants before = world.grants;
    enum verdict verdict;

    helper_decide_begin(&world.decision, k);
    helper_decide(&world.decision, k, &world.grants, when);
    verdict = world.decision.verdict;
    assert_memory_equal(&world.grants, &before, sizeof before);
    assert_true(world.decision.service_count > 0);
    assert_true(verdict_is_grant(verdict) || !world.decision.moves);
    return verdict;
}

static enum verdict decide(void)
{
    const struct knock k = knock();

    return decide_at(&k, &now);
}

enum { NEW = -1 };

/* That a grant is new, or is the one at a place of the table. */
static void check_change(size_t i, const char *service, int at)
{
    const struct service expected = service_of(service);

    assert_true(i < world.decision.service_count);
    assert_int_equal(service_compare(&world.decision.services[i], &expected), 0);
    assert_ptr_equal(world.decision.grants[i], at == NEW ? NULL : &world.grants.items[at]);
}

static void check_refused(enum verdict verdict)
{
    assert_int_equal(decide(), verdict);
}

/* ---- what policy says --------------------------------------------------- */

static void an_expired_profile_gets_nothing(void **state)
{
    (void)state;
    world.profile.expires = now.wall;
    check_refused(VERDICT_EXPIRED_PROFILE);
    world.profile.expires = now.wall + 1;
    assert_int_equal(decide(), VERDICT_OPENED);
}

static void a_service_of_no_profile_is_named(void **state)
{
    const struct service denied = service_of("udp/53");

    (void)state;
    world.request.service_count = 2;
    world.request.services[0] = service_of("tcp/22");
    world.request.services[1] = denied;
    check_refused(VERDICT_SERVICE_DENIED);
    assert_int_equal(world.decision.service_count, 1);
    assert_memory_equal(&world.decision.services[0], &denied, sizeof denied);
}

static void each_address_that_is_denied_has_its_reason(void **state)
{
    const struct prefix only = {.address = address_of("192.0.2.0"), .length = 96 + 24};

    (void)state;
    world.here = address_of("fe80::1");
    check_refused(VERDICT_ADDRESS_DENIED);
    world.profile.prefixes[0] = only;
    world.profile.prefix_count = 1;
    world.here = address_of("198.51.100.7");
    check_refused(VERDICT_ADDRESS_DENIED);
    world.here = address_of("192.0.2.7");
    world.profile.needs_signed_address = true;
    check_refused(VERDICT_ADDRESS_DENIED);
    world.request.has_address = true;
    world.request.address = world.here;
    assert_int_equal(decide(), VERDICT_OPENED);
    assert_int_equal(world.decision.signing, GRANT_SIGNED);
    world.request.address = address_of("192.0.2.8");
    assert_int_equal(decide(), VERDICT_OPENED);
    assert_int_equal(world.decision.signing, GRANT_SIGNED_ELSEWHERE);
    assert_true(address_equal(&world.decision.address, &world.request.address));
}

static void what_no_host_is_behind_is_left_out(void **state)
{
    struct helper_destination behind = {.service = service_of("tcp/80"), .port = 8080,
                                        .address = address_of("2001:db8::9")};

    (void)state;
    world.profile.destinations[0] = behind;
    world.profile.destination_count = 1;
    assert_int_equal(decide(), VERDICT_OPENED);
    assert_int_equal(world.decision.service_count, 1);
    check_change(0, "tcp/22", NEW);
    ask_for("tcp/80");
    check_refused(VERDICT_NO_DESTINATION);
    world.here = address_of("2001:db8::7");
    assert_int_equal(decide(), VERDICT_OPENED);
}

static void a_window_has_three_limits(void **state)
{
    (void)state;
    assert_int_equal(decide(), VERDICT_OPENED);
    assert_true(world.decision.deadline == in(WINDOW));
    assert_false(world.decision.is_cut);
    world.request.window = MAX_WINDOW + 1;
    assert_int_equal(decide(), VERDICT_OPENED);
    assert_true(world.decision.deadline == in(MAX_WINDOW));
    assert_true(world.decision.is_cut);
    world.profile.expires = now.wall + 5;
    assert_int_equal(decide(), VERDICT_OPENED);
    assert_true(world.decision.deadline == in(5));
}

/* ---- what there is ------------------------------------------------------ */

static void what_is_there_is_extended_and_the_rest_added(void **state)
{
    (void)state;
    give(2, "192.0.2.7", "tcp/22", 1); /* another's */
    give(1, "192.0.2.8", "tcp/80", 1); /* elsewhere */
    give(1, "192.0.2.7", "tcp/80", 1);
    assert_int_equal(decide(), VERDICT_OPENED);
    assert_int_equal(world.decision.service_count, 2);
    check_change(0, "tcp/22", NEW);
    check_change(1, "tcp/80", 2);
    ask_for("tcp/80");
    assert_int_equal(decide(), VERDICT_EXTENDED);
    check_change(0, "tcp/80", 2);
}

/* Of the profile, and of all; what is there already needs no new room. */
static void room_is_for_what_is_new(void **state)
{
    (void)state;
    world.profile.max_grants = 2;
    give(1, "192.0.2.8", "tcp/22", 1);
    check_refused(VERDICT_TOO_MANY_GRANTS);
    give(1, "192.0.2.7", "tcp/22", 1);
    ask_for("tcp/22");
    assert_int_equal(decide(), VERDICT_EXTENDED);
    world.profile.max_grants = 9;
    give(2, "192.0.2.7", "tcp/22", 1);
    give(2, "192.0.2.7", "tcp/80", 1);
    assert_int_equal(decide(), VERDICT_EXTENDED);
    ask_for("tcp/80");
    check_refused(VERDICT_TOO_MANY_GRANTS);
}

/* iptables knows no later date. */
static void no_rule_ends_after_2038(void **state)
{
    const struct moment late = {.wall = INT64_C(0x7fffffff), .boot = now.boot};
    const struct knock k = knock();

    (void)state;
    assert_int_equal(decide_at(&k, &late), VERDICT_FIREWALL_FAILED);
    world.profile.max_grants = 1;
    ask_for("tcp/22");
    give(1, "192.0.2.8", "tcp/22", 1); /* which stays where it is */
    assert_int_equal(decide_at(&k, &late), VERDICT_FIREWALL_FAILED);
}

static void a_counter_that_is_not_credible_is_no_measure(void **state)
{
    struct knock k = knock();

    (void)state;
    assert_int_equal(decide_at(&k, &now), VERDICT_OPENED);
    assert_int_equal(world.decision.counter, 10);
    k.is_credible = false;
    assert_int_equal(decide_at(&k, &now), VERDICT_OPENED);
    assert_int_equal(world.decision.counter, 0);
}

/* ---- a client that moves ------------------------------------------------ */

static void with_room_for_one_the_newest_knock_moves(void **state)
{
    struct knock k;

    (void)state;
    world.profile.max_grants = 1;
    ask_for("tcp/22");
    assert_int_equal(decide(), VERDICT_OPENED);
    assert_false(world.decision.moves);
    give(1, "192.0.2.8", "tcp/22", 1);
    assert_int_equal(decide(), VERDICT_OPENED);
    assert_true(world.decision.moves);
    assert_false(world.decision.leaves_other);
    world.here = address_of("2001:db8::7");
    assert_int_equal(decide(), VERDICT_OPENED);
    assert_true(world.decision.moves && world.decision.leaves_other);
    k = knock();
    k.is_newest = false;
    assert_int_equal(decide_at(&k, &now), VERDICT_TOO_MANY_GRANTS);
    assert_false(world.decision.moves);
    world.profile.max_grants = 2;
    assert_int_equal(decide(), VERDICT_OPENED);
    assert_false(world.decision.moves);
}

/* Else both would be opened: the one that is there, and another. */
static void a_second_service_is_no_move(void **state)
{
    (void)state;
    world.profile.max_grants = 1;
    give(1, "192.0.2.7", "tcp/22", 1);
    check_refused(VERDICT_TOO_MANY_GRANTS);
    assert_false(world.decision.moves);
}

/* ---- closing ------------------------------------------------------------ */

static void closing_finds_what_is_there(void **state)
{
    (void)state;
    world.request.action = ACTION_CLOSE;
    give(1, "192.0.2.7", "tcp/22", 1);
    give(1, "192.0.2.7", "tcp/80", 1);
    assert_int_equal(decide(), VERDICT_CLOSED);
    assert_int_equal(world.decision.service_count, 2);
    check_change(0, "tcp/22", 0);
    check_change(1, "tcp/80", 1);
}

/* Nor is it said to be closed. */
static void closing_leaves_what_a_newer_knock_opened(void **state)
{
    (void)state;
    world.request.action = ACTION_CLOSE;
    give(1, "192.0.2.7", "tcp/22", 11);
    assert_int_equal(decide(), VERDICT_OVERTAKEN);
    assert_int_equal(world.decision.service_count, 2);
    give(1, "192.0.2.7", "tcp/80", 10);
    assert_int_equal(decide(), VERDICT_CLOSED);
    check_change(0, "tcp/80", 1);
    assert_int_equal(world.decision.service_count, 1);
    assert_memory_equal(&world.decision.services[0], &world.profile.services[1],
                        sizeof *world.profile.services);
}

static void closing_nothing_says_so(void **state)
{
    (void)state;
    world.request.action = ACTION_CLOSE;
    give(2, "192.0.2.7", "tcp/22", 1);
    give(1, "192.0.2.8", "tcp/22", 1);
    check_refused(VERDICT_NOTHING_TO_CLOSE);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(an_expired_profile_gets_nothing),
        IN_WORLD(a_service_of_no_profile_is_named),
        IN_WORLD(each_address_that_is_denied_has_its_reason),
        IN_WORLD(what_no_host_is_behind_is_left_out),
        IN_WORLD(a_window_has_three_limits),
        IN_WORLD(what_is_there_is_extended_and_the_rest_added),
        IN_WORLD(room_is_for_what_is_new),
        IN_WORLD(no_rule_ends_after_2038),
        IN_WORLD(a_counter_that_is_not_credible_is_no_measure),
        IN_WORLD(with_room_for_one_the_newest_knock_moves),
        IN_WORLD(a_second_service_is_no_move),
        IN_WORLD(closing_finds_what_is_there),
        IN_WORLD(closing_leaves_what_a_newer_knock_opened),
        IN_WORLD(closing_nothing_says_so),
    };

    return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
