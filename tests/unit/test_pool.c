#include "check.h"

#include "common/pool.h"

enum { COPIES = 1000 };

/* Of the bytes that a piece of that number has. */
static const uint8_t *piece(uint8_t bytes[static POOL_PIECE_MAX], size_t number)
{
    for (size_t i = 0; i < POOL_PIECE_MAX; i++)
        bytes[i] = (uint8_t)(number * 7 + i);
    return bytes;
}

static size_t size_of(size_t number)
{
    return number * 37 % (POOL_PIECE_MAX + 1);
}

static void every_copy_stays_as_it_is(void **state)
{
    uint8_t bytes[POOL_PIECE_MAX];
    uint8_t *copies[COPIES];
    struct pool pool = {0};

    (void)state;
    for (size_t i = 0; i < COPIES; i++) {
        copies[i] = pool_copy(&pool, piece(bytes, i), size_of(i));
        assert_non_null(copies[i]);
        assert_int_equal((uintptr_t)copies[i] % POOL_ALIGNMENT, 0);
    }
    for (size_t i = 0; i < COPIES; i++)
        assert_memory_equal(copies[i], piece(bytes, i), size_of(i));
    pool_free(&pool);
    assert_null(pool.newest);
}

static void a_copy_may_be_empty(void **state)
{
    struct pool pool = {0};

    (void)state;
    assert_non_null(pool_copy(&pool, NULL, 0));
    assert_int_equal(pool.used, 0);
    pool_free(&pool);
}

/* What it is for: a thousand small ones take a few pages. */
static void small_copies_lie_close_together(void **state)
{
    struct pool pool = {0};
    uintptr_t last = 0;
    size_t apart = 0;

    (void)state;
    for (size_t i = 0; i < COPIES; i++) {
        const uintptr_t copy = (uintptr_t)pool_copy(&pool, "ab", 3);

        apart += copy - last != POOL_ALIGNMENT;
        last = copy;
    }
    assert_true(apart <= 1 + COPIES * POOL_ALIGNMENT / 4000);
    pool_free(&pool);
}

static void a_pool_that_was_freed_can_be_used_again(void **state)
{
    struct pool pool = {0};

    (void)state;
    pool_free(&pool);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(pool_copy(&pool, "again", sizeof "again"), "again");
        pool_free(&pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_copy_stays_as_it_is),
        cmocka_unit_test(a_copy_may_be_empty),
        cmocka_unit_test(small_copies_lie_close_together),
        cmocka_unit_test(a_pool_that_was_freed_can_be_used_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
