#include "check.h"

#include <sodium.h>

#include "common/clock.h"
#include "privsep/helper/orders.h"
#include "privsep/prepare/takeover.h"
#include "stored.h"
#include "table.h"

enum { CAPACITY = 100 };

static struct {
    struct grants grants;
    struct firewall firewall;
    struct requests requests;
} world;

static const struct service ssh = {.protocol = 6, .port = 22};

/* No family is in use: the table alone is looked at. */
static int start(void **state)
{
    struct error why;

    if (scratch_enter(state) != 0)
        return -1;
    memset(&world, 0, sizeof world);
    world.firewall.xtables.backend = BACKEND_NFT;
    world.requests = (struct requests){.grants = &world.grants, .firewall = &world.firewall,
                                       .sniffer = -1};
    return helper_grants_create(&world.grants, AT_FDCWD, CAPACITY, 0, &why) ? 0 : -1;
}

static int end(void **state)
{
    helper_grants_free(&world.grants);
    return scratch_leave(state);
}

static const uint8_t *key_id_of(uint8_t who)
{
    static uint8_t key_id[KEY_ID_SIZE];

    memset(key_id, who, sizeof key_id);
    return key_id;
}

/* `count` grants of a profile, at addresses that begin with 192.0.2.`first`. */
static void give(uint8_t who, uint8_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t v4[4] = {192, 0, 2, (uint8_t)(first + i)};
        struct address address = address_from_ipv4(v4);

        table_open(&world.grants, key_id_of(who), &address, &ssh,
                   clock_boot_ns() + INT64_C(30) * NSEC_PER_SEC);
    }
}

static struct helper_report report_on(struct helper_order order)
{
    struct helper_report report;
    struct grant *ended;

    order.serial = 7;
    assert_true(helper_order_is_canonical(&order));
    helper_orders_serve(&world.requests, &order, &report, &ended);
    assert_int_equal(report.kind, HELPER_REPORT);
    assert_int_equal(report.serial, 7);
    assert_true((ended != NULL) == (order.command == HELPER_CLOSE));
    free(ended);
    return report;
}

static struct helper_order close_of(uint8_t who)
{
    struct helper_order order = {.command = HELPER_CLOSE, .scope = HELPER_SCOPE_PROFILE,
                                 .last_id = UINT32_MAX};

    memcpy(order.key_id, key_id_of(who), KEY_ID_SIZE);
    return order;
}

static void what_is_told_is_the_number_and_the_counts(void **state)
{
    struct helper_report report;

    (void)state;
    give(1, 1, 70);
    world.requests.verdicts[VERDICT_REPEATED] = 5;
    report = report_on((struct helper_order){.command = HELPER_TELL});
    assert_int_equal(report.live, 70);
    assert_int_equal(report.verdicts[VERDICT_REPEATED], 5);
    assert_int_equal(report.backend, BACKEND_NFT);
    assert_int_equal(report.grant_store, GRANT_STORE_RULES);
}

static void an_id_closes_its_grant_alone_and_is_not_given_again(void **state)
{
    const struct helper_order order = {.command = HELPER_CLOSE, .scope = HELPER_SCOPE_ID, .id = 3};
    struct helper_report report;

    (void)state;
    give(1, 1, 3);
    assert_int_equal(report_on(order).closed, 1);
    report = report_on(order);
    assert_int_equal(report.closed, 0);
    assert_int_equal(report.live, 2);
    give(1, 3, 1);
    assert_int_equal(world.grants.items[2].id, 4);
}

static void a_profile_loses_its_own_alone_and_all_is_all(void **state)
{
    (void)state;
    give(1, 1, 3);
    give(2, 11, 2);
    assert_int_equal(report_on(close_of(1)).closed, 3);
    assert_int_equal(table_count_of(&world.grants, key_id_of(2)), 2);
    assert_int_equal(report_on(close_of(1)).closed, 0);
    assert_int_equal(report_on((struct helper_order){.command = HELPER_CLOSE,
                                                     .scope = HELPER_SCOPE_ALL,
                                                     .last_id = UINT32_MAX})
                         .closed,
                     2);
    assert_int_equal(world.grants.count, 0);
}

static void what_was_opened_since_stays(void **state)
{
    struct helper_order order = close_of(1);

    (void)state;
    give(1, 1, 3);
    order.last_id = 2;
    assert_int_equal(report_on(order).closed, 2);
    assert_int_equal(world.grants.items[0].id, 3);
    order = (struct helper_order){.command = HELPER_CLOSE, .scope = HELPER_SCOPE_ALL, .last_id = 2,
                                  .kill = 1};
    assert_int_equal(report_on(order).closed, 0);
    order.last_id = 3;
    assert_int_equal(report_on(order).closed, 1);
}

static void what_was_closed_does_not_come_back_with_the_next_helper(void **state)
{
    struct grant next;

    (void)state;
    give(1, 1, 2);
    helper_grants_settle(&world.grants, IPV4, true);
    report_on((struct helper_order){.command = HELPER_CLOSE, .scope = HELPER_SCOPE_ID, .id = 1});
    assert_int_equal(stored_grants(&next, 1), 1);
    assert_int_equal(next.id, 2);
}

static void the_last_words_are_the_counts(void **state)
{
    struct helper_report report;

    (void)state;
    world.requests.verdicts[VERDICT_REPEATED] = 5;
    helper_report_unasked(&world.requests, &report);
    assert_int_equal(report.serial, 0);
    assert_int_equal(report.verdicts[VERDICT_REPEATED], 5);
}

static void other_orders_are_not_canonical(void **state)
{
    struct helper_order wrong[] = {
        {0},
        {.command = HELPER_TELL},
        {.command = HELPER_TELL, .serial = 1, .id = 1},
        {.command = HELPER_TELL, .serial = 1, .last_id = 1},
        {.command = HELPER_TELL, .serial = 1, .kill = 1},
        {.command = HELPER_TELL, .serial = 1, .scope = HELPER_SCOPE_ALL},
        {.command = HELPER_TELL, .serial = 1, .key_id = {1}},
        {.command = HELPER_STOP, .id = 1},
        {.command = HELPER_STOP, .kill = 1},
        {.command = HELPER_STOP, .last_id = 1},
        {.command = HELPER_CLOSE, .serial = 1},
        {.command = HELPER_CLOSE, .serial = 1, .scope = 4},
        {.command = HELPER_CLOSE, .serial = 1, .scope = HELPER_SCOPE_ID},
        {.command = HELPER_CLOSE, .serial = 1, .scope = HELPER_SCOPE_ID, .id = 1, .last_id = 1},
        {.command = HELPER_CLOSE, .serial = 1, .scope = HELPER_SCOPE_ALL, .id = 1},
        {.command = HELPER_CLOSE, .serial = 1, .scope = HELPER_SCOPE_ALL, .key_id = {1}},
        {.command = HELPER_CLOSE, .serial = 1, .scope = HELPER_SCOPE_ALL, .kill = 2},
        {.command = HELPER_CLOSE, .scope = HELPER_SCOPE_ALL},
        {.command = HELPER_CLOSE + 1, .serial = 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(helper_order_is_canonical(&wrong[i]));
    assert_true(helper_order_is_canonical(&(struct helper_order){.command = HELPER_STOP}));
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(what_is_told_is_the_number_and_the_counts),
        IN_WORLD(an_id_closes_its_grant_alone_and_is_not_given_again),
        IN_WORLD(a_profile_loses_its_own_alone_and_all_is_all),
        IN_WORLD(what_was_opened_since_stays),
        IN_WORLD(what_was_closed_does_not_come_back_with_the_next_helper),
        IN_WORLD(the_last_words_are_the_counts),
        cmocka_unit_test(other_orders_are_not_canonical),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
