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
} world;

static const struct service ssh = {.protocol = 6, .port = 22};

static int start(void **state)
{
    struct error why;

    if (scratch_enter(state) != 0)
        return -1;
    memset(&world, 0, sizeof world);
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

/* Ends what the order means, and returns how many grants that were. */
static uint32_t end_by(struct helper_order order)
{
    uint32_t count;

    order.serial = 7;
    assert_true(helper_order_is_canonical(&order));
    count = helper_order_end(&order, &world.grants);
    assert_int_equal(helper_grants_expire(&world.grants, clock_boot_ns()), count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(world.grants.items[world.grants.count + i].end,
                         order.kill ? END_KILLED : END_CLOSED);
    return count;
}

static struct helper_order close_of(uint8_t who)
{
    struct helper_order order = {.command = HELPER_CLOSE, .scope = HELPER_SCOPE_PROFILE,
                                 .last_id = UINT32_MAX};

    memcpy(order.key_id, key_id_of(who), KEY_ID_SIZE);
    return order;
}

static void an_id_closes_its_grant_alone_and_is_not_given_again(void **state)
{
    const struct helper_order order = {.command = HELPER_CLOSE, .scope = HELPER_SCOPE_ID, .id = 3};

    (void)state;
    give(1, 1, 3);
    assert_int_equal(end_by(order), 1);
    assert_int_equal(end_by(order), 0);
    assert_int_equal(world.grants.count, 2);
    give(1, 3, 1);
    assert_int_equal(world.grants.items[2].id, 4);
}

static void a_profile_loses_its_own_alone_and_all_is_all(void **state)
{
    (void)state;
    give(1, 1, 3);
    give(2, 11, 2);
    assert_int_equal(end_by(close_of(1)), 3);
    assert_int_equal(table_count_of(&world.grants, key_id_of(2)), 2);
    assert_int_equal(end_by(close_of(1)), 0);
    assert_int_equal(end_by((struct helper_order){.command = HELPER_CLOSE,
                                                  .scope = HELPER_SCOPE_ALL,
                                                  .last_id = UINT32_MAX}),
                     2);
    assert_int_equal(world.grants.count, 0);
}

static void what_was_opened_since_stays(void **state)
{
    struct helper_order order = close_of(1);

    (void)state;
    give(1, 1, 3);
    order.last_id = 2;
    assert_int_equal(end_by(order), 2);
    assert_int_equal(world.grants.items[0].id, 3);
    order = (struct helper_order){.command = HELPER_CLOSE, .scope = HELPER_SCOPE_ALL, .last_id = 2,
                                  .kill = 1};
    assert_int_equal(end_by(order), 0);
    order.last_id = 3;
    assert_int_equal(end_by(order), 1);
}

static void what_was_closed_does_not_come_back_with_the_next_helper(void **state)
{
    struct grant next;

    (void)state;
    give(1, 1, 2);
    helper_grants_settle(&world.grants, IPV4, true);
    end_by((struct helper_order){.command = HELPER_CLOSE, .scope = HELPER_SCOPE_ID, .id = 1});
    assert_int_equal(stored_grants(&next, 1), 1);
    assert_int_equal(next.id, 2);
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
        IN_WORLD(an_id_closes_its_grant_alone_and_is_not_given_again),
        IN_WORLD(a_profile_loses_its_own_alone_and_all_is_all),
        IN_WORLD(what_was_opened_since_stays),
        IN_WORLD(what_was_closed_does_not_come_back_with_the_next_helper),
        cmocka_unit_test(other_orders_are_not_canonical),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
