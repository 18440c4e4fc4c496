#include "check.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "privsep/helper/marks.h"
#include "privsep/prepare/lock.h"
#include "privsep/prepare/floor.h"
#include "privsep/prepare/repair.h"

enum { SLOT_SIZE = 128, RECORD_SIZE = 2 * SLOT_SIZE, MANY = 1000, FILE_SIZE_MAX = 8192 };

/* Later than any date of a build, so that it decides the floor. */
static const uint64_t start_time = 4000000000000000;

static const uint8_t ids[MANY][KEY_ID_SIZE] = {{1, 1}, {2, 2}, {3, 3}};
static int directory;
static struct marks marks;
static uint64_t skew; /* microseconds; UINT64_MAX: MaxSkew is off */
static unsigned syncs;

/* In place of libc's, to be counted. */
int fdatasync(int fd)
{
    syncs++;
    return (int)syscall(SYS_fdatasync, fd);
}

static int enter(void **state)
{
    if (scratch_enter(state) != 0)
        return -1;
    directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    marks.fd = -1;
    skew = 0;
    return directory < 0;
}

static int leave(void **state)
{
    helper_marks_close(&marks);
    close(directory);
    return scratch_leave(state);
}

/* Closes and opens again, as after a restart at that time. */
static void restart_at(uint64_t now, size_t clients)
{
    struct error why;

    helper_marks_close(&marks);
    if (!helper_marks_open(&marks, directory, ids[0], sizeof *ids, clients, now, skew,
                           &why))
        fail_msg("%s", why.text);
}

static bool is_new(size_t client, uint64_t counter)
{
    const struct mark *mark = helper_marks_find(&marks, ids[client]);

    assert_non_null(mark);
    return helper_mark_is_new(mark, counter);
}

static void spend(size_t client, uint64_t counter)
{
    helper_marks_spend(&marks, helper_marks_find(&marks, ids[client]), counter);
}

static void commit(void)
{
    struct error why;

    if (!helper_marks_commit(&marks, &why))
        fail_msg("%s", why.text);
}

static void spend_durably(size_t client, uint64_t counter)
{
    assert_true(is_new(client, counter));
    spend(client, counter);
    commit();
}

static size_t read_marks(uint8_t bytes[static FILE_SIZE_MAX])
{
    int fd = open("marks", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, bytes, FILE_SIZE_MAX);

    assert_true(n >= 0);
    close(fd);
    return (size_t)n;
}

/* ---- new and spent ------------------------------------------------------ */

static void a_new_client_starts_at_the_floor(void **state)
{
    (void)state;
    restart_at(start_time, 1);
    assert_false(is_new(0, 0));
    assert_false(is_new(0, 1));
    assert_false(is_new(0, start_time));
    assert_true(is_new(0, start_time + 1));
    assert_true(is_new(0, UINT64_MAX));
}

static void a_counter_is_spent_once(void **state)
{
    (void)state;
    restart_at(start_time, 2);
    spend(0, start_time + 10);
    assert_false(is_new(0, start_time + 10));
    assert_true(is_new(0, start_time + 11));
    assert_true(is_new(1, start_time + 10)); /* another client's own */
}

static void knocks_may_overtake_each_other(void **state)
{
    (void)state;
    restart_at(start_time, 1);
    for (uint64_t i = 8; i > 0; i--) {
        assert_true(is_new(0, start_time + i));
        spend(0, start_time + i);
    }
    for (uint64_t i = 0; i <= 8; i++)
        assert_false(is_new(0, start_time + i));
}

static void the_eight_highest_count(void **state)
{
    (void)state;
    restart_at(start_time, 1);
    for (uint64_t i = 1; i <= 9; i++)
        spend(0, start_time + 10 * i);
    /* 10 has fallen out: 20 is the lowest now. */
    for (uint64_t i = 1; i <= 9; i++)
        assert_false(is_new(0, start_time + 10 * i));
    assert_false(is_new(0, start_time + 11));
    assert_false(is_new(0, start_time + 19));
    assert_true(is_new(0, start_time + 21));
    assert_true(is_new(0, start_time + 89));
    assert_true(is_new(0, start_time + 91));
}

static void a_far_counter_shuts_nobody_out(void **state)
{
    (void)state;
    restart_at(start_time, 1);
    spend(0, UINT64_MAX);
    assert_false(is_new(0, UINT64_MAX));
    assert_true(is_new(0, start_time + 1));
}

static void strangers_have_no_mark(void **state)
{
    static const uint8_t stranger[KEY_ID_SIZE] = {9, 9};

    (void)state;
    restart_at(start_time, 3);
    assert_null(helper_marks_find(&marks, stranger));
}

/* ---- across restarts ---------------------------------------------------- */

static void what_was_committed_stays_spent(void **state)
{
    (void)state;
    restart_at(start_time, 2);
    for (uint64_t i = 1; i <= 20; i++) {
        spend_durably(0, start_time + 10 * i);
        restart_at(start_time, 2);
        for (uint64_t j = 1; j <= i; j++)
            assert_false(is_new(0, start_time + 10 * j));
        assert_true(is_new(0, start_time + 10 * i + 1));
        assert_true(is_new(1, start_time + 10 * i));
    }
}

static void a_restart_does_not_raise_a_mark(void **state)
{
    (void)state;
    restart_at(start_time, 1);
    spend_durably(0, start_time + 5);
    restart_at(start_time + 1000, 1);
    assert_true(is_new(0, start_time + 6));
}

static void the_floor_is_stored_at_once(void **state)
{
    (void)state;
    skew = 10000;
    restart_at(start_time + 1000, 1);
    restart_at(start_time, 1); /* the clock was set back meanwhile, by less than MaxSkew */
    assert_false(is_new(0, start_time + 1000));
    assert_true(is_new(0, start_time + 1001));
}

static void a_clock_in_the_past_counts_from_the_build(void **state)
{
    (void)state;
    restart_at(0, 1);
    assert_false(is_new(0, (uint64_t)1600000000 * 1000000));
    assert_true(is_new(0, start_time));
}

/* One whose clock is in 2099, or who means harm, must not shut others out. */
static void one_client_s_counter_is_no_other_client_s_floor(void **state)
{
    (void)state;
    restart_at(start_time, 1);
    spend_durably(0, UINT64_MAX);
    restart_at(start_time, 2);
    assert_true(is_new(1, start_time + 1));
}

static void a_revoked_client_s_mark_stays(void **state)
{
    struct error why;

    (void)state;
    restart_at(start_time, 2);
    spend_durably(0, start_time + 10);
    helper_marks_close(&marks);
    assert_true(helper_marks_open(&marks, directory, ids[1], sizeof *ids, 1, start_time, 0,
                                  &why));
    commit();
    restart_at(start_time, 2);
    assert_false(is_new(0, start_time + 10));
    assert_true(is_new(0, start_time + 9));
}

static void a_thousand_clients_keep_their_marks(void **state)
{
    static uint8_t many[MANY][KEY_ID_SIZE];
    struct error why;

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        many[i][0] = (uint8_t)(i * 7);
        many[i][6] = (uint8_t)(i >> 8);
        many[i][7] = (uint8_t)i;
    }
    for (int round = 0; round < 3; round++) {
        assert_true(helper_marks_open(&marks, directory, many[0], sizeof *many, MANY, start_time, 0,
                                      &why));
        for (size_t i = 0; i < MANY; i++) {
            struct mark *mark = helper_marks_find(&marks, many[i]);

            assert_non_null(mark);
            assert_int_equal(helper_mark_is_new(mark, start_time + 1 + i), round == 0);
            if (round == 0)
                helper_marks_spend(&marks, mark, start_time + 1 + i);
        }
        commit();
        helper_marks_close(&marks);
    }
}

/* ---- damage ------------------------------------------------------------- */

/* The file before and after the mark of start_time + 30 was written; those of
 * + 10 and + 20 had been before. */
struct crash {
    uint8_t before[FILE_SIZE_MAX], after[FILE_SIZE_MAX];
    size_t size, slot; /* of the file; where the writing happened */
};

static void crash_prepare(struct crash *crash, size_t clients)
{
    restart_at(start_time, clients);
    spend_durably(0, start_time + 10);
    spend_durably(0, start_time + 20);
    crash->size = read_marks(crash->before);
    spend_durably(0, start_time + 30);
    assert_int_equal(read_marks(crash->after), crash->size);
    for (crash->slot = 0; memcmp(crash->before + crash->slot, crash->after + crash->slot,
                                 SLOT_SIZE) == 0;)
        crash->slot += SLOT_SIZE;
    assert_memory_equal(crash->before + crash->slot + SLOT_SIZE,
                        crash->after + crash->slot + SLOT_SIZE,
                        crash->size - crash->slot - SLOT_SIZE);
}

/* Starts with this file. What was acknowledged must not be new. */
static void crash_restart(const uint8_t *bytes, size_t size)
{
    helper_marks_close(&marks);
    scratch_write("marks", 0600, bytes, size);
    restart_at(start_time, 1);
    assert_false(is_new(0, start_time + 10));
    assert_false(is_new(0, start_time + 20));
}

static void a_write_that_was_cut_leaves_the_older_state(void **state)
{
    static struct crash crash;

    (void)state;
    crash_prepare(&crash, 1);
    for (size_t cut = 0; cut < SLOT_SIZE; cut++) {
        uint8_t bytes[FILE_SIZE_MAX];

        memcpy(bytes, crash.before, crash.size);
        memcpy(bytes + crash.slot, crash.after + crash.slot, cut);
        crash_restart(bytes, crash.size);
        assert_true(is_new(0, start_time + 30)); /* was not yet acknowledged */
        /* The other way round: the end came first. */
        memcpy(bytes, crash.after, crash.size);
        memcpy(bytes + crash.slot, crash.before + crash.slot, SLOT_SIZE - cut);
        crash_restart(bytes, crash.size);
    }
}

static void a_damaged_write_leaves_the_older_state(void **state)
{
    static struct crash crash;

    (void)state;
    crash_prepare(&crash, 1);
    for (size_t bit = 0; bit < SLOT_SIZE * 8; bit++) {
        uint8_t bytes[FILE_SIZE_MAX];

        memcpy(bytes, crash.after, crash.size);
        bytes[crash.slot + bit / 8] ^= (uint8_t)(1 << bit % 8);
        crash_restart(bytes, crash.size);
        if (!is_new(0, start_time + 30))
            fail_msg("bit %zu was changed, and nobody noticed", bit);
        spend_durably(0, start_time + 30);
        restart_at(start_time, 1);
        assert_false(is_new(0, start_time + 30));
    }
}

static void zeros_in_place_of_a_write_leave_the_older_state(void **state)
{
    static struct crash crash;

    (void)state;
    crash_prepare(&crash, 1);
    memset(crash.after + crash.slot, 0, SLOT_SIZE);
    crash_restart(crash.after, crash.size);
    assert_true(is_new(0, start_time + 30));
}

static void without_a_whole_slot_the_floor_counts(void **state)
{
    static struct crash crash;

    (void)state;
    crash_prepare(&crash, 1);
    crash.after[5] ^= 1;
    crash.after[SLOT_SIZE + 5] ^= 1;
    helper_marks_close(&marks);
    scratch_write("marks", 0600, crash.after, crash.size);
    restart_at(start_time + 500, 1);
    assert_false(is_new(0, start_time + 10));
    assert_false(is_new(0, start_time + 30));
    assert_false(is_new(0, start_time + 500));
    assert_true(is_new(0, start_time + 501));
    skew = 10000;
    restart_at(start_time, 1); /* it was stored */
    assert_false(is_new(0, start_time + 500));
}

static void damage_hits_one_client_alone(void **state)
{
    static struct crash crash;

    (void)state;
    crash_prepare(&crash, 3);
    memset(crash.after, 0xa5, RECORD_SIZE); /* the first client's */
    helper_marks_close(&marks);
    scratch_write("marks", 0600, crash.after, crash.size);
    restart_at(start_time + 500, 3);
    assert_false(is_new(0, start_time + 500));
    assert_true(is_new(1, start_time + 1));
    assert_true(is_new(2, start_time + 1));
}

/* Whatever is left of the file: nothing acknowledged is new again. */
static void a_truncated_file_makes_nothing_new(void **state)
{
    static struct crash crash;

    (void)state;
    crash_prepare(&crash, 2);
    for (size_t size = 0; size < crash.size; size++) {
        helper_marks_close(&marks);
        scratch_write("marks", 0600, crash.after, size);
        restart_at(start_time + 100, 2);
        for (uint64_t i = 1; i <= 3; i++)
            assert_false(is_new(0, start_time + 10 * i));
        spend_durably(0, start_time + 101);
        spend_durably(1, start_time + 101);
        restart_at(start_time + 100, 2);
        assert_false(is_new(0, start_time + 101));
        assert_false(is_new(1, start_time + 101));
    }
}

/* What is left of the last record still counts, even by a clock that is behind,
 * is no floor of anybody else's, and no place for anybody else's mark. */
static void a_record_cut_short_counts(void **state)
{
    uint8_t bytes[FILE_SIZE_MAX];

    (void)state;
    restart_at(start_time, 1);
    spend_durably(0, start_time + 10);
    spend_durably(0, start_time + 20);
    read_marks(bytes);
    for (size_t size = SLOT_SIZE; size < RECORD_SIZE; size++) {
        helper_marks_close(&marks);
        scratch_write("marks", 0600, bytes, size);
        restart_at(start_time, 2);
        assert_false(is_new(0, start_time + 10));
        assert_false(is_new(1, start_time));
        assert_true(is_new(1, start_time + 1));
        spend_durably(1, start_time + 30);
        restart_at(start_time, 2);
        assert_false(is_new(0, start_time + 10));
        assert_false(is_new(1, start_time + 30));
    }
}

static void a_missing_file_makes_nothing_new(void **state)
{
    (void)state;
    restart_at(start_time, 1);
    spend_durably(0, start_time + 10);
    helper_marks_close(&marks);
    assert_int_equal(unlink("marks"), 0);
    restart_at(start_time + 100, 1);
    assert_false(is_new(0, start_time + 10));
}

/* ---- floors ------------------------------------------------------------- */

#define SKEW (UINT64_C(300) * 1000000)

static const uint64_t year_2099 = UINT64_C(4070908800000000);

/* Of a client's record in a file of `clients`, as they were added. */
static void damage(size_t record, const uint8_t *change, size_t at, size_t size)
{
    int fd = open("marks", O_RDWR | O_CLOEXEC);

    helper_marks_close(&marks);
    for (size_t slot = 0; slot < RECORD_SIZE; slot += SLOT_SIZE)
        assert_int_equal(pwrite(fd, change, size, (off_t)(record * RECORD_SIZE + slot + at)), size);
    close(fd);
}

static void damage_checksum(size_t record)
{
    static const uint8_t wrong[16] = {1};

    damage(record, wrong, SLOT_SIZE - sizeof wrong, sizeof wrong);
}

static void damage_all(size_t record)
{
    uint8_t garbage[SLOT_SIZE];

    memset(garbage, 0xa5, sizeof garbage);
    damage(record, garbage, 0, sizeof garbage);
}

static bool is_lost(size_t client)
{
    return helper_mark_is_lost(helper_marks_find(&marks, ids[client]));
}

/* Both clients have spent something; the second's record is written twice, so that both of its
 * slots say whose it is. */
static void spend_both(uint64_t counter)
{
    restart_at(start_time, 2);
    spend_durably(0, counter);
    spend_durably(1, start_time + 10);
    spend_durably(0, counter + 1);
    spend_durably(1, start_time + 20);
}

/* Once a client's clock was in 2099, and another's record is damaged. */
static void a_lost_mark_starts_from_as_late_as_its_knocks_could_be(void **state)
{
    (void)state;
    skew = SKEW;
    spend_both(year_2099);
    damage_checksum(1);
    restart_at(start_time + 1000, 3);
    assert_true(is_lost(1));
    assert_false(is_new(1, start_time + 1000 + SKEW));
    assert_true(is_new(1, start_time + 1000 + SKEW + 1));
    assert_true(is_new(2, start_time + 1001)); /* it is new, and the damage another's */
    assert_false(is_new(0, year_2099));
    assert_true(is_new(0, start_time + 1));
}

static void without_skew_a_lost_mark_is_never_heard(void **state)
{
    (void)state;
    skew = UINT64_MAX;
    spend_both(year_2099);
    damage_checksum(1);
    for (int i = 0; i < 3; i++) {
        restart_at(start_time + 1000, 3);
        assert_true(is_lost(1) && !is_lost(0) && !is_lost(2));
        assert_false(is_new(1, UINT64_MAX));
        helper_marks_follow_clock(&marks, start_time + 2000);
        assert_false(is_new(1, UINT64_MAX));
        assert_true(is_new(2, start_time + 1001));
        assert_true(is_new(0, start_time + 1));
    }
}

/* With MaxSkew again, it is. */
static void with_skew_again_a_lost_mark_is_heard(void **state)
{
    (void)state;
    skew = UINT64_MAX;
    spend_both(start_time + 5);
    damage_checksum(1);
    restart_at(start_time + 1000, 2);
    skew = SKEW;
    restart_at(start_time + 2000, 2);
    helper_marks_follow_clock(&marks, start_time + 2000);
    assert_false(is_new(1, start_time + 2000 + SKEW));
    assert_true(is_new(1, start_time + 2000 + SKEW + 1));
}

/* Where nothing tells whose the record was, it was any of those that have none; but once
 * that is settled, who is added later is new. */
static void a_nameless_record_is_anybody_s_once(void **state)
{
    uint8_t bytes[FILE_SIZE_MAX];

    (void)state;
    skew = UINT64_MAX;
    spend_both(start_time + 5);
    damage_all(1);
    restart_at(start_time + 1000, 2);
    assert_true(is_lost(1) && !is_lost(0));
    restart_at(start_time + 1000, 3);
    assert_true(is_lost(1) && !is_lost(2));
    assert_true(is_new(2, start_time + 1001));
    read_marks(bytes);
    for (size_t i = 0; i < RECORD_SIZE; i++)
        assert_int_equal(bytes[RECORD_SIZE + i], 0); /* what was damaged is wiped */
}

/* Its owner was revoked meanwhile: that does not give it back. */
static void a_revoked_client_s_lost_mark_stays_lost(void **state)
{
    (void)state;
    skew = UINT64_MAX;
    spend_both(start_time + 5);
    damage_checksum(1);
    restart_at(start_time + 1000, 1);
    restart_at(start_time + 1000, 3);
    assert_true(is_lost(1) && !is_lost(2));
}

/* The helper was killed between the new mark and the wiping, or it was an older build. */
static void damage_that_was_replaced_is_no_damage(void **state)
{
    uint8_t bytes[FILE_SIZE_MAX], wiped[FILE_SIZE_MAX];
    size_t size;

    (void)state;
    skew = SKEW;
    spend_both(start_time + 5);
    damage_checksum(1);
    read_marks(bytes);
    restart_at(start_time + 1000, 2);
    spend_durably(1, start_time + 1000 + SKEW + 10);
    size = read_marks(wiped);
    helper_marks_close(&marks);
    memcpy(wiped + RECORD_SIZE, bytes + RECORD_SIZE, RECORD_SIZE);
    scratch_write("marks", 0600, wiped, size);
    skew = UINT64_MAX;
    restart_at(start_time + 2000, 2);
    assert_false(is_lost(1));
    assert_false(is_new(1, start_time + 1000 + SKEW + 10));
    assert_true(is_new(1, start_time + 1000 + SKEW + 11));
}

/* What is cut short there was never acknowledged, and nothing was spent from it. */
static void a_first_write_that_was_cut_is_no_damage(void **state)
{
    uint8_t bytes[FILE_SIZE_MAX];

    (void)state;
    skew = UINT64_MAX;
    restart_at(start_time, 1);
    assert_int_equal(read_marks(bytes), RECORD_SIZE);
    for (size_t cut = 0; cut < SLOT_SIZE; cut++) {
        helper_marks_close(&marks);
        scratch_write("marks", 0600, bytes, SLOT_SIZE + cut);
        restart_at(start_time, 2);
        assert_true(!is_lost(0) && !is_lost(1));
        spend_durably(0, start_time + 1);
    }
}

/* A profile that was added while the server's clock was in 2099. */
static void a_floor_follows_a_clock_that_was_ahead(void **state)
{
    (void)state;
    skew = SKEW;
    restart_at(year_2099, 1);
    helper_marks_follow_clock(&marks, start_time + 500);
    assert_false(is_new(0, start_time + 500));
    assert_true(is_new(0, start_time + 501));
    commit();
    restart_at(start_time + 400, 1);
    assert_false(is_new(0, start_time + 500)); /* stored, and comes down no further */
    assert_true(is_new(0, start_time + 501));
}

/* Its place among the others changes at the same start. */
static void a_floor_that_came_down_is_spent_from_durably(void **state)
{
    struct error why;

    (void)state;
    skew = SKEW;
    assert_true(helper_marks_open(&marks, directory, ids[1], sizeof *ids, 1, year_2099, SKEW,
                                  &why));
    restart_at(start_time, 3);
    spend_durably(1, start_time + 1);
    restart_at(start_time, 3);
    assert_false(is_new(1, start_time + 1));
    assert_true(is_new(1, start_time + 2));
}

static void without_skew_no_floor_comes_down(void **state)
{
    (void)state;
    skew = UINT64_MAX;
    restart_at(year_2099, 1);
    helper_marks_follow_clock(&marks, start_time);
    assert_false(is_new(0, year_2099));
    assert_true(is_new(0, year_2099 + 1));
}

static void no_floor_comes_down_below_the_build(void **state)
{
    (void)state;
    skew = SKEW;
    restart_at(year_2099, 1);
    helper_marks_follow_clock(&marks, 0);
    assert_false(is_new(0, (uint64_t)1600000000 * 1000000));
    assert_true(is_new(0, start_time));
}

/* Those that fell out of it were spent, too. */
static void a_spent_mark_does_not_come_down(void **state)
{
    (void)state;
    skew = SKEW;
    restart_at(start_time, 1);
    for (uint64_t i = 1; i <= 9; i++)
        spend(0, year_2099 + i);
    for (int again = 0; again < 2; again++) {
        helper_marks_follow_clock(&marks, start_time);
        for (uint64_t i = 0; i <= 9; i++)
            assert_false(is_new(0, year_2099 + i));
        assert_false(is_new(0, start_time));
        commit();
        restart_at(start_time, 1);
    }
}

/* So that one that is a little ahead now and then brings nothing back. */
static void within_skew_a_floor_stays(void **state)
{
    (void)state;
    skew = SKEW;
    restart_at(start_time + 100, 1);
    helper_marks_follow_clock(&marks, start_time);
    assert_false(is_new(0, start_time + 100));
    assert_true(is_new(0, start_time + 101));
}

/* ---- refused for good --------------------------------------------------- */

static bool refuse(size_t client, uint64_t counter, uint64_t now)
{
    return helper_marks_refuse(&marks, helper_marks_find(&marks, ids[client]), counter, now);
}

static void what_was_refused_never_counts_and_nothing_else(void **state)
{
    (void)state;
    skew = SKEW;
    restart_at(start_time, 2);
    assert_true(refuse(0, year_2099, start_time));
    assert_true(refuse(0, year_2099 - 10, start_time));
    assert_true(refuse(0, year_2099, start_time)); /* again */
    commit();
    for (int again = 0; again < 2; again++) {
        assert_false(is_new(0, year_2099) || is_new(0, year_2099 - 10));
        assert_true(is_new(0, year_2099 + 1) && is_new(0, year_2099 - 1));
        assert_true(is_new(0, year_2099 - 5) && is_new(0, year_2099 - 11));
        assert_true(is_new(1, year_2099));
        assert_true(is_new(0, start_time + 1 + (uint64_t)again)); /* by a right clock, at once */
        spend_durably(0, start_time + 1 + (uint64_t)again);
        restart_at(start_time, 2);
    }
}

static void of_too_many_the_lowest_stay_refused(void **state)
{
    static const uint64_t ahead[] = {50, 30, 40, 20, 60, 10};
    static const bool has_room[] = {true, true, false, false, false, false};

    (void)state;
    skew = SKEW;
    restart_at(start_time, 1);
    for (size_t i = 0; i < COUNT_OF(ahead); i++)
        assert_int_equal(refuse(0, year_2099 + ahead[i], start_time), has_room[i]);
    for (size_t i = 0; i < COUNT_OF(ahead); i++)
        assert_int_equal(is_new(0, year_2099 + ahead[i]), ahead[i] > 20);
}

static void what_is_out_of_time_again_makes_room(void **state)
{
    uint64_t later = start_time + 10 * SKEW;

    (void)state;
    skew = SKEW;
    restart_at(start_time, 1);
    assert_true(refuse(0, later, start_time));
    assert_true(refuse(0, later + 1, start_time));
    assert_false(refuse(0, later + 9 * SKEW, later + SKEW)); /* they could still come */
    assert_true(refuse(0, later + 9 * SKEW, later + SKEW + 1));
    assert_true(refuse(0, later + 10 * SKEW, later + SKEW + 2));
}

static void one_that_is_refused_again_writes_nothing(void **state)
{
    (void)state;
    skew = SKEW;
    restart_at(start_time, 1);
    refuse(0, year_2099, start_time);
    commit();
    syncs = 0;
    refuse(0, year_2099, start_time);
    commit();
    assert_int_equal(syncs, 0);
}

/* ---- the highest close -------------------------------------------------- */

static void close_at(size_t client, uint64_t counter, uint64_t now)
{
    helper_marks_close_at(&marks, helper_marks_find(&marks, ids[client]), counter, now);
}

static bool was_closed_since(size_t client, uint64_t counter, uint64_t now)
{
    return helper_mark_was_closed_since(&marks, helper_marks_find(&marks, ids[client]), counter,
                                        now);
}

static void the_highest_close_counts_and_is_stored(void **state)
{
    (void)state;
    skew = SKEW;
    restart_at(start_time, 2);
    assert_false(was_closed_since(0, start_time + 10, start_time));
    spend(0, start_time + 10);
    close_at(0, start_time + 10, start_time);
    spend(0, start_time + 5);
    close_at(0, start_time + 5, start_time);
    commit();
    for (int again = 0; again < 2; again++) {
        assert_true(was_closed_since(0, start_time + 9, start_time));
        assert_false(was_closed_since(0, start_time + 10, start_time));
        assert_false(was_closed_since(1, start_time + 9, start_time));
        restart_at(start_time, 2);
    }
}

/* By a clock, the server's or the client's, that was ahead. */
static void a_close_that_is_ahead_shuts_nobody_out(void **state)
{
    (void)state;
    skew = SKEW;
    restart_at(start_time, 1);
    spend(0, year_2099);
    close_at(0, year_2099, start_time); /* no more than what counts */
    assert_false(was_closed_since(0, start_time + 1, start_time));
    close_at(0, year_2099, year_2099);
    assert_true(was_closed_since(0, year_2099 - 1, year_2099));
    assert_false(was_closed_since(0, start_time + 1, start_time));
    commit();
    skew = UINT64_MAX;
    restart_at(start_time, 1);
    assert_false(was_closed_since(0, start_time + 1, start_time));
    assert_true(was_closed_since(0, year_2099 - 1, year_2099));
}

/* Where the newest state of a client's mark lies. */
static size_t newest_slot(const uint8_t *bytes)
{
    uint64_t a, b;

    memcpy(&a, bytes + 8, sizeof a);
    memcpy(&b, bytes + SLOT_SIZE + 8, sizeof b);
    return a > b ? 0 : SLOT_SIZE;
}

/* An older build wrote zeros in these places, and does when it takes the file over: it knows
 * all that was spent, and forgets what was refused and when it was closed. */
static void an_older_build_keeps_what_was_spent(void **state)
{
    enum { REFUSED = 88, CHECKSUM = 112 };
    uint8_t bytes[FILE_SIZE_MAX];
    size_t size, at;

    (void)state;
    skew = SKEW;
    restart_at(start_time, 1);
    spend_durably(0, start_time + 10);
    refuse(0, year_2099, start_time);
    close_at(0, start_time + 10, start_time + 20);
    commit();
    size = read_marks(bytes);
    at = newest_slot(bytes);
    crypto_generichash(bytes + size, 16, bytes + at, CHECKSUM, NULL, 0);
    assert_memory_equal(bytes + at, "PSMARK1", 8);
    assert_memory_equal(bytes + at + CHECKSUM, bytes + size, 16); /* whole to any build */
    memset(bytes + at + REFUSED, 0, CHECKSUM - REFUSED);
    crypto_generichash(bytes + at + CHECKSUM, 16, bytes + at, CHECKSUM, NULL, 0);
    helper_marks_close(&marks);
    scratch_write("marks", 0600, bytes, size);
    restart_at(start_time, 1);
    assert_false(is_new(0, start_time + 10));
    assert_true(is_new(0, start_time + 11) && is_new(0, year_2099));
    assert_false(was_closed_since(0, start_time + 9, start_time + 20));
    assert_true(refuse(0, year_2099, start_time) && refuse(0, year_2099 + 1, start_time));
}

/* ---- two records for one client ----------------------------------------- */

/* A client's record becomes unreadable, a new one is made, the old one comes
 * back: what either of them says is spent. */
static void of_two_records_both_count(void **state)
{
    uint8_t whole[FILE_SIZE_MAX], bytes[FILE_SIZE_MAX];
    size_t size;

    (void)state;
    restart_at(start_time, 1);
    for (uint64_t i = 1; i <= 5; i++) /* so that the old one was written more often */
        spend_durably(0, start_time + 100 * i);
    read_marks(whole);
    helper_marks_close(&marks);
    memset(bytes, 0, RECORD_SIZE);
    scratch_write("marks", 0600, bytes, RECORD_SIZE);
    restart_at(start_time + 250, 1);
    spend_durably(0, start_time + 270);
    helper_marks_close(&marks);
    size = read_marks(bytes);
    assert_int_equal(size, 2 * RECORD_SIZE);
    memcpy(bytes, whole, RECORD_SIZE);
    scratch_write("marks", 0600, bytes, size);
    for (int i = 0; i < 2; i++) {
        restart_at(start_time, 1);
        assert_int_equal(marks.count, 1);
        assert_false(is_new(0, start_time + 270));
        assert_false(is_new(0, start_time + 500));
        assert_false(is_new(0, start_time + 10));
        if (i == 0)
            spend_durably(0, start_time + 600);
    }
    assert_false(is_new(0, start_time + 600));
}

/* One of them is a floor of a time when the clock was ahead, and above all of the other: it
 * does not come down, for that one was spent. */
static void of_two_records_no_floor_comes_down(void **state)
{
    uint8_t whole[FILE_SIZE_MAX], bytes[FILE_SIZE_MAX] = {0};

    (void)state;
    skew = SKEW;
    restart_at(start_time, 1);
    spend_durably(0, year_2099 - 10);
    read_marks(whole);
    helper_marks_close(&marks);
    scratch_write("marks", 0600, bytes, RECORD_SIZE);
    restart_at(year_2099, 1);
    helper_marks_close(&marks);
    assert_int_equal(read_marks(bytes), 2 * RECORD_SIZE);
    memcpy(bytes, whole, RECORD_SIZE);
    scratch_write("marks", 0600, bytes, 2 * RECORD_SIZE);
    restart_at(start_time, 1);
    helper_marks_follow_clock(&marks, start_time);
    assert_false(is_new(0, year_2099 - 10));
    assert_false(is_new(0, year_2099));
    assert_true(is_new(0, year_2099 + 1));
}

/* ---- when storing fails ------------------------------------------------- */

static void limit_files_to(rlim_t size)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool commit_with_limit(rlim_t size)
{
    struct error why = {0};
    bool committed;

    limit_files_to(size);
    committed = helper_marks_commit(&marks, &why);
    limit_files_to(RLIM_INFINITY);
    assert_int_equal(committed, why.text[0] == '\0');
    return committed;
}

static void a_failed_commit_is_told_and_tried_again(void **state)
{
    (void)state;
    restart_at(start_time, 1);
    spend(0, start_time + 10);
    assert_false(commit_with_limit(0));
    assert_false(commit_with_limit(0)); /* still not */
    assert_false(is_new(0, start_time + 10));
    commit();
    restart_at(start_time, 1);
    assert_false(is_new(0, start_time + 10));
}

/* The disk is full in the middle of a slot, again and again. */
static void a_commit_cut_short_is_told_and_tried_again(void **state)
{
    (void)state;
    restart_at(start_time, 1);
    spend_durably(0, start_time + 5);
    for (rlim_t cut = 0; cut < SLOT_SIZE; cut++) {
        /* The slot that is written next is the second, of two. */
        spend(0, start_time + 10 + cut);
        assert_false(commit_with_limit(SLOT_SIZE + cut));
        commit();
        spend(0, start_time + 1000 + cut);
        commit();
        restart_at(start_time, 1);
        assert_false(is_new(0, start_time + 10 + cut));
        assert_false(is_new(0, start_time + 1000 + cut));
    }
}

/* By a helper that was killed before its fdatasync(2). */
static void what_was_found_written_is_synced_before_it_counts(void **state)
{
    (void)state;
    restart_at(start_time, 1);
    spend_durably(0, start_time + 1);
    syncs = 0;
    restart_at(start_time, 1);
    assert_int_equal(syncs, 1);
}

static void one_that_cannot_be_written_fails_all(void **state)
{
    (void)state;
    restart_at(start_time, 2);
    spend(0, start_time + 10);
    spend(1, start_time + 10);
    assert_false(commit_with_limit(RECORD_SIZE)); /* the first would fit */
    commit();
    restart_at(start_time, 2);
    assert_false(is_new(0, start_time + 10));
    assert_false(is_new(1, start_time + 10));
}

/* In a child, as the mount is to go away again. */
static void a_full_disk_is_an_error_at_the_start(void **state)
{
    static uint8_t many[MANY][KEY_ID_SIZE];
    struct error why;
    pid_t child;
    int status;

    for (uint64_t i = 0; i < MANY; i++)
        memcpy(many[i], &i, KEY_ID_SIZE);
    child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("tmpfs", *state, "tmpfs", 0, "size=8k") != 0)
            child_exit(2);
        directory = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        child_exit(helper_marks_open(&marks, directory, many[0], sizeof *many, MANY, start_time, 0,
                                     &why) ||
                   !strstr(why.text, "No space left"));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void an_unusable_directory_is_an_error(void **state)
{
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct error why;

    (void)state;
    assert_false(helper_marks_open(&marks, proc, ids[0], sizeof *ids, 1, start_time, 0, &why));
    assert_non_null(strstr(why.text, "cannot open the marks"));
    close(proc);
}

static void a_symbolic_link_is_not_followed(void **state)
{
    struct error why;

    (void)state;
    scratch_write_text("elsewhere", 0600, "");
    assert_int_equal(symlink("elsewhere", "marks"), 0);
    assert_false(helper_marks_open(&marks, directory, ids[0], sizeof *ids, 1, start_time, 0, &why));
}

/* ---- the lock ----------------------------------------------------------- */

/* A process that holds the lock until the returned descriptor is closed. */
static pid_t start_holder(int *until)
{
    int told[2], held[2];
    struct error why;
    pid_t child;
    char byte;

    assert_int_equal(pipe(told), 0);
    assert_int_equal(pipe(held), 0);
    child = fork();
    if (child == 0) {
        close(told[1]);
        if (helper_marks_lock(directory, &why) && write(held[1], "", 1) == 1 &&
            read(told[0], &byte, 1) == 0)
            child_exit(0);
        child_exit(1);
    }
    close(told[0]);
    close(held[1]);
    assert_int_equal(read(held[0], &byte, 1), 1);
    close(held[0]);
    *until = told[1];
    return child;
}

static void only_one_process_has_the_lock(void **state)
{
    struct error why;
    int until, status;
    pid_t holder = start_holder(&until);

    (void)state;
    assert_false(helper_marks_lock(directory, &why));
    assert_non_null(strstr(why.text, "in use"));
    close(until);
    assert_int_equal(waitpid(holder, &status, 0), holder);
    assert_int_equal(status, 0);
    holder = start_holder(&until); /* its end freed it */
    close(until);
    assert_int_equal(waitpid(holder, &status, 0), holder);
}

/* ------------------------------------------------------------------------- */

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter, leave)

static int start(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    return sodium_init() < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(a_new_client_starts_at_the_floor),
        IN_DIRECTORY(a_counter_is_spent_once),
        IN_DIRECTORY(knocks_may_overtake_each_other),
        IN_DIRECTORY(the_eight_highest_count),
        IN_DIRECTORY(a_far_counter_shuts_nobody_out),
        IN_DIRECTORY(strangers_have_no_mark),
        IN_DIRECTORY(what_was_committed_stays_spent),
        IN_DIRECTORY(a_restart_does_not_raise_a_mark),
        IN_DIRECTORY(the_floor_is_stored_at_once),
        IN_DIRECTORY(a_clock_in_the_past_counts_from_the_build),
        IN_DIRECTORY(one_client_s_counter_is_no_other_client_s_floor),
        IN_DIRECTORY(a_revoked_client_s_mark_stays),
        IN_DIRECTORY(a_thousand_clients_keep_their_marks),
        IN_DIRECTORY(a_write_that_was_cut_leaves_the_older_state),
        IN_DIRECTORY(a_damaged_write_leaves_the_older_state),
        IN_DIRECTORY(zeros_in_place_of_a_write_leave_the_older_state),
        IN_DIRECTORY(without_a_whole_slot_the_floor_counts),
        IN_DIRECTORY(damage_hits_one_client_alone),
        IN_DIRECTORY(a_truncated_file_makes_nothing_new),
        IN_DIRECTORY(a_record_cut_short_counts),
        IN_DIRECTORY(a_missing_file_makes_nothing_new),
        IN_DIRECTORY(a_lost_mark_starts_from_as_late_as_its_knocks_could_be),
        IN_DIRECTORY(without_skew_a_lost_mark_is_never_heard),
        IN_DIRECTORY(with_skew_again_a_lost_mark_is_heard),
        IN_DIRECTORY(a_nameless_record_is_anybody_s_once),
        IN_DIRECTORY(a_revoked_client_s_lost_mark_stays_lost),
        IN_DIRECTORY(damage_that_was_replaced_is_no_damage),
        IN_DIRECTORY(a_first_write_that_was_cut_is_no_damage),
        IN_DIRECTORY(a_floor_follows_a_clock_that_was_ahead),
        IN_DIRECTORY(a_floor_that_came_down_is_spent_from_durably),
        IN_DIRECTORY(without_skew_no_floor_comes_down),
        IN_DIRECTORY(no_floor_comes_down_below_the_build),
        IN_DIRECTORY(a_spent_mark_does_not_come_down),
        IN_DIRECTORY(within_skew_a_floor_stays),
        IN_DIRECTORY(what_was_refused_never_counts_and_nothing_else),
        IN_DIRECTORY(of_too_many_the_lowest_stay_refused),
        IN_DIRECTORY(what_is_out_of_time_again_makes_room),
        IN_DIRECTORY(one_that_is_refused_again_writes_nothing),
        IN_DIRECTORY(the_highest_close_counts_and_is_stored),
        IN_DIRECTORY(a_close_that_is_ahead_shuts_nobody_out),
        IN_DIRECTORY(an_older_build_keeps_what_was_spent),
        IN_DIRECTORY(of_two_records_both_count),
        IN_DIRECTORY(of_two_records_no_floor_comes_down),
        IN_DIRECTORY(a_failed_commit_is_told_and_tried_again),
        IN_DIRECTORY(a_commit_cut_short_is_told_and_tried_again),
        IN_DIRECTORY(what_was_found_written_is_synced_before_it_counts),
        IN_DIRECTORY(one_that_cannot_be_written_fails_all),
        IN_DIRECTORY(a_full_disk_is_an_error_at_the_start),
        IN_DIRECTORY(an_unusable_directory_is_an_error),
        IN_DIRECTORY(a_symbolic_link_is_not_followed),
        IN_DIRECTORY(only_one_process_has_the_lock),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
