#include "check.h"

#include <netinet/in.h>
#include <sodium.h>

#include "people.h"
#include "privsep/helper/grants.h"

enum { CAPACITY = 8 };

static const uint8_t alice[KEY_ID_SIZE] = {1}, bob[KEY_ID_SIZE] = {2};
static const struct service ssh = {.protocol = IPPROTO_TCP, .port = 22};
static const struct service dns = {.protocol = IPPROTO_UDP, .port = 53};
static struct address v4, v6;
static struct grants grants;

static int open_directory(void)
{
    return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int start_table(void **state)
{
    struct error why;

    if (scratch_enter(state) != 0)
        return -1;
    v4 = address_of("192.0.2.7");
    v6 = address_of("2001:db8::7");
    return helper_grants_create(&grants, open_directory(), CAPACITY, &why) ? 0 : -1;
}

static int end_table(void **state)
{
    close(grants.run_dir);
    helper_grants_free(&grants);
    return scratch_leave(state);
}

static enum grant_change open_grant(const uint8_t *who, const struct address *address,
                                    const struct service *service, int64_t deadline)
{
    return helper_grants_open(&grants, who, address, service, deadline);
}

/* As after a batch that the firewall took. */
static void settle(void)
{
    helper_grants_settle(&grants, false, true);
    helper_grants_settle(&grants, true, true);
}

static void grants_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(open_grant(alice, &v4, &ssh, 100), GRANT_ADDED);
    assert_int_equal(open_grant(bob, &v4, &ssh, 100), GRANT_ADDED);
    assert_int_equal(open_grant(alice, &v6, &ssh, 100), GRANT_ADDED);
    assert_int_equal(open_grant(alice, &v4, &dns, 100), GRANT_ADDED);
    assert_int_equal(grants.count, 4);
    assert_int_equal(helper_grants_of(&grants, alice), 3);
    assert_int_equal(helper_grants_of(&grants, bob), 1);
    assert_non_null(helper_grants_find(&grants, alice, &v6, &ssh));
    assert_null(helper_grants_find(&grants, bob, &v6, &ssh));
    assert_null(helper_grants_find(&grants, alice, &v6, &dns));
}

/* Key ids that share a chain: the table finds each by all that tells it apart. */
static void chains_hold_whatever_is_removed(void **state)
{
    uint8_t who[CAPACITY][KEY_ID_SIZE];

    (void)state;
    for (uint8_t i = 0; i < CAPACITY; i++) {
        memset(who[i], 0, KEY_ID_SIZE);
        who[i][0] = i % 2;
        who[i][KEY_ID_SIZE - 1] = i / 2 * 2;
        assert_int_equal(open_grant(who[i], &v4, &ssh, 100 + i), GRANT_ADDED);
    }
    for (size_t gone = 0; gone < CAPACITY; gone++) {
        size_t i = (gone * 3 + 1) % CAPACITY;

        assert_true(helper_grants_remove(&grants, who[i], &v4, &ssh));
        assert_null(helper_grants_next_of(&grants, who[i], NULL));
        memset(who[i], 0xff, KEY_ID_SIZE); /* nobody's */
        for (size_t k = 0; k < CAPACITY; k++) {
            const struct grant *found = helper_grants_find(&grants, who[k], &v4, &ssh);

            assert_int_equal(found != NULL, who[k][0] != 0xff);
            assert_true(!found || found->deadline == 100 + (int64_t)k);
            assert_int_equal(helper_grants_of(&grants, who[k]), found != NULL);
        }
    }
    assert_int_equal(grants.count, 0);
}

/* Of whichever profile; and whatever was removed from between them. */
static void the_grants_of_a_door_are_found(void **state)
{
    const struct door door = {v4, ssh}, other = {v6, ssh};
    const struct grant *grant = NULL;
    size_t count = 0;

    (void)state;
    for (uint8_t i = 0; i < CAPACITY; i++)
        open_grant((uint8_t[KEY_ID_SIZE]){i}, i % 4 == 3 ? &v6 : &v4, i % 4 == 2 ? &dns : &ssh, 100);
    while ((grant = helper_grants_next_of_door(&grants, &door, grant)))
        count += grant->key_id[0] % 4 < 2;
    assert_int_equal(count, CAPACITY / 2);
    for (uint8_t i = 0; i < CAPACITY - 1; i++)
        assert_int_equal(helper_grants_remove(&grants, (uint8_t[KEY_ID_SIZE]){i}, &v4, &ssh),
                         i % 4 < 2);
    assert_null(helper_grants_next_of_door(&grants, &door, NULL));
    count = 0;
    while ((grant = helper_grants_next_of_door(&grants, &other, grant)))
        count += grant->key_id[0] % 4 == 3;
    assert_int_equal(count, CAPACITY / 4);
}

static void the_later_deadline_stays(void **state)
{
    (void)state;
    assert_int_equal(open_grant(alice, &v4, &ssh, 100), GRANT_ADDED);
    assert_int_equal(open_grant(alice, &v4, &ssh, 200), GRANT_EXTENDED);
    assert_int_equal(grants.items[0].deadline, 200);
    assert_int_equal(open_grant(alice, &v4, &ssh, 150), GRANT_EXTENDED);
    assert_int_equal(grants.items[0].deadline, 200);
    assert_int_equal(grants.count, 1);
}

static void a_deadline_is_shortened_but_never_put_off(void **state)
{
    const int64_t second = NSEC_PER_SEC;
    int64_t last_second;

    (void)state;
    open_grant(alice, &v4, &ssh, 100 * second);
    last_second = grants.items[0].last_second;
    helper_grants_shorten(&grants, &grants.items[0], 200 * second);
    assert_int_equal(grants.items[0].deadline, 100 * second);
    assert_int_equal(grants.items[0].last_second, last_second);
    helper_grants_shorten(&grants, &grants.items[0], 40 * second);
    assert_int_equal(grants.items[0].deadline, 40 * second);
    assert_in_range(last_second - grants.items[0].last_second, 59, 61); /* the kernel's, too */
}

/* What the kernel is told follows the wall clock; how long it is open does not. */
static void the_kernel_s_second_follows_the_clock(void **state)
{
    int64_t last_second, deadline = clock_boot_ns() + 100 * (int64_t)NSEC_PER_SEC;

    (void)state;
    open_grant(alice, &v4, &ssh, deadline);
    last_second = grants.items[0].last_second;
    grants.items[0].last_second -= 3600; /* as it is once the clock is put forward */
    helper_grants_store(&grants);
    helper_grants_follow_clock(&grants);
    assert_in_range(grants.items[0].last_second, last_second - 1, last_second + 1);
    assert_true(grants.items[0].deadline == deadline);
    assert_int_equal(grants.stale[0], 1);
}

static void what_is_removed_is_gone(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v4, &ssh, 200);
    assert_false(helper_grants_remove(&grants, alice, &v4, &dns));
    assert_true(helper_grants_remove(&grants, alice, &v4, &ssh));
    assert_false(helper_grants_remove(&grants, alice, &v4, &ssh));
    assert_null(helper_grants_find(&grants, alice, &v4, &ssh));
    assert_non_null(helper_grants_find(&grants, bob, &v4, &ssh));
}

static void deadlines_are_kept_to_the_nanosecond(void **state)
{
    bool changed[2];

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(alice, &v6, &ssh, 101);
    assert_int_equal(helper_grants_next_deadline(&grants), 100);
    helper_grants_expire(&grants, 99, changed);
    assert_false(changed[0] || changed[1]);
    helper_grants_expire(&grants, 100, changed);
    assert_true(changed[0] && !changed[1]);
    assert_int_equal(helper_grants_next_deadline(&grants), 101);
    helper_grants_expire(&grants, 500, changed);
    assert_true(!changed[0] && changed[1]);
    assert_int_equal(grants.count, 0);
    assert_int_equal(helper_grants_next_deadline(&grants), INT64_MAX);
}

static void the_earliest_deadline_is_kept_whichever_it_is(void **state)
{
    bool changed[2];

    (void)state;
    open_grant(alice, &v4, &ssh, 500);
    open_grant(alice, &v6, &ssh, 400);
    assert_int_equal(helper_grants_next_deadline(&grants), 400);
    helper_grants_shorten(&grants, &grants.items[0], 300);
    assert_int_equal(helper_grants_next_deadline(&grants), 300);
    open_grant(alice, &v4, &ssh, 900);
    assert_int_equal(helper_grants_expire(&grants, 300, changed), 0);
    assert_int_equal(helper_grants_next_deadline(&grants), 400); /* looked, and knows */
    assert_int_equal(helper_grants_expire(&grants, 400, changed), 1);
    assert_int_equal(helper_grants_next_deadline(&grants), 900);
}

static void all_that_is_due_goes_at_once(void **state)
{
    bool changed[2];

    (void)state;
    for (int i = 0; i < CAPACITY; i++) {
        struct service service = {.protocol = IPPROTO_TCP, .port = (uint16_t)(i + 1)};

        open_grant(alice, i % 2 ? &v4 : &v6, &service, i < CAPACITY - 1 ? 50 : 500);
    }
    helper_grants_expire(&grants, 100, changed);
    assert_true(changed[0] && changed[1]);
    assert_int_equal(grants.count, 1);
    assert_int_equal(grants.items[0].deadline, 500);
}

static void a_full_table_refuses(void **state)
{
    (void)state;
    for (uint16_t port = 1; port <= CAPACITY; port++) {
        struct service service = {.protocol = IPPROTO_TCP, .port = port};

        assert_int_equal(open_grant(alice, &v4, &service, 100), GRANT_ADDED);
    }
    assert_int_equal(open_grant(alice, &v4, &dns, 100), GRANT_REFUSED);
    assert_int_equal(grants.count, CAPACITY);
    assert_null(helper_grants_find(&grants, alice, &v4, &dns));
    /* One that is there can still be extended. */
    assert_int_equal(open_grant(alice, &v4, &(struct service){IPPROTO_TCP, 1}, 200),
                     GRANT_EXTENDED);
}

/* ---- batches ------------------------------------------------------------ */

static void an_installed_batch_stays(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    settle();
    open_grant(alice, &v4, &ssh, 200);
    open_grant(bob, &v4, &ssh, 300);
    helper_grants_settle(&grants, false, true);
    helper_grants_settle(&grants, false, false); /* nothing is left to undo */
    assert_int_equal(grants.count, 2);
    assert_int_equal(grants.items[0].deadline, 200);
    assert_int_equal(grants.items[0].touched, 0);
}

static void a_failed_batch_is_undone(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    settle();
    open_grant(alice, &v4, &ssh, 200);
    open_grant(alice, &v4, &ssh, 300); /* twice in the batch */
    open_grant(bob, &v4, &ssh, 300);
    open_grant(bob, &v4, &ssh, 400);
    assert_int_equal(grants.touched_count, 2);
    helper_grants_settle(&grants, false, false);
    assert_int_equal(grants.touched_count, 0);
    assert_int_equal(grants.count, 1);
    assert_memory_equal(grants.items[0].key_id, alice, KEY_ID_SIZE);
    assert_int_equal(grants.items[0].deadline, 100);
}

static void what_a_batch_touched_is_found(void **state)
{
    struct grants_cursor cursor;

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v4, &ssh, 100);
    settle();
    cursor = helper_grants_begin(&grants);
    assert_null(helper_grants_next_touched(&grants, &cursor));
    open_grant(alice, &v4, &ssh, 200); /* extended; the next is new */
    open_grant(bob, &v6, &ssh, 100);
    open_grant(bob, &v6, &ssh, 300);
    cursor = helper_grants_begin(&grants);
    assert_ptr_equal(helper_grants_next_touched(&grants, &cursor), &grants.items[2]);
    assert_ptr_equal(helper_grants_next_touched(&grants, &cursor), &grants.items[0]);
    assert_null(helper_grants_next_touched(&grants, &cursor));
    cursor = helper_grants_begin(&grants);
    for (size_t i = grants.count; i > 0; i--)
        assert_ptr_equal(helper_grants_next(&grants, &cursor), &grants.items[i - 1]);
    assert_null(helper_grants_next(&grants, &cursor));
}

static void families_settle_each_for_itself(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(alice, &v6, &ssh, 100);
    helper_grants_settle(&grants, true, false);
    assert_non_null(helper_grants_find(&grants, alice, &v4, &ssh));
    assert_null(helper_grants_find(&grants, alice, &v6, &ssh));
    helper_grants_settle(&grants, false, true);
    assert_non_null(helper_grants_find(&grants, alice, &v4, &ssh));
}

/* ---- the file ----------------------------------------------------------- */

static void save(void)
{
    struct error why;

    if (!helper_grants_save(&grants, &why))
        fail_msg("%s", why.text);
}

/* How many grants a helper that starts at `now` takes over. */
static size_t load_count(int64_t now, size_t capacity)
{
    struct grants again;
    struct error why;
    size_t count;

    assert_true(helper_grants_create(&again, grants.run_dir, capacity, &why));
    helper_grants_load(&again, now);
    count = again.count;
    for (size_t i = 0; i < count; i++) {
        assert_true(again.items[i].deadline > now);
        assert_int_equal(again.items[i].touched, 0);
    }
    helper_grants_free(&again);
    return count;
}

static void saved_grants_are_taken_over(void **state)
{
    struct grants again;
    struct error why;

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v6, &dns, 200);
    save();
    assert_true(helper_grants_create(&again, grants.run_dir, CAPACITY, &why));
    helper_grants_load(&again, 50);
    assert_int_equal(again.count, 2);
    assert_non_null(helper_grants_find(&again, alice, &v4, &ssh));
    assert_non_null(helper_grants_find(&again, bob, &v6, &dns));
    assert_int_equal(again.items[1].deadline, 200);
    assert_int_not_equal(again.items[0].id, again.items[1].id);
    assert_int_equal(helper_grants_open(&again, bob, &v4, &ssh, 300), GRANT_ADDED);
    assert_int_equal(again.items[2].id, grants.last_id + 1);
    helper_grants_free(&again);
}

static void what_ended_meanwhile_is_not_taken_over(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v6, &dns, 200);
    save();
    assert_int_equal(load_count(99, CAPACITY), 2);
    assert_int_equal(load_count(100, CAPACITY), 1);
    assert_int_equal(load_count(200, CAPACITY), 0);
}

static void a_smaller_table_takes_what_fits(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v6, &dns, 200);
    save();
    assert_int_equal(load_count(0, 1), 1);
}

static void an_empty_table_is_saved(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    save();
    helper_grants_clear(&grants);
    save();
    assert_int_equal(load_count(0, CAPACITY), 0);
}

static void a_missing_file_is_an_empty_table(void **state)
{
    (void)state;
    assert_int_equal(load_count(0, CAPACITY), 0);
}

static void another_boot_s_file_is_ignored(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    save();
    assert_int_equal(load_count(0, CAPACITY), 1);
    grants.boot_id[0] ^= 1;
    save(); /* whole, checksums and all, but not of this boot */
    assert_int_equal(load_count(0, CAPACITY), 0);
}

static size_t read_grants(uint8_t *bytes, size_t room)
{
    int fd = open("grants", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, bytes, room);

    assert_true(n > 0);
    close(fd);
    return (size_t)n;
}

/* Of a damaged slot no more than its own grant is lost. */
static void what_is_damaged_is_ignored(void **state)
{
    enum { HEADER = 64, SLOT = 152 };
    uint8_t bytes[4096];
    size_t size;

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v6, &dns, 200);
    save();
    size = read_grants(bytes, sizeof bytes);
    assert_int_equal(size, HEADER + 2 * SLOT);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x01;
        scratch_write("grants", 0600, bytes, size);
        if (load_count(0, CAPACITY) != (i < HEADER ? 0 : 1))
            fail_msg("byte %zu was changed, and nobody noticed", i);
        bytes[i] ^= 0x01;
    }
    scratch_write("grants", 0600, bytes, size);
    assert_int_equal(load_count(0, CAPACITY), 2);
}

static void a_slot_that_is_not_whole_is_ignored(void **state)
{
    uint8_t bytes[4096] = {0};
    size_t size;

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    save();
    size = read_grants(bytes, sizeof bytes);
    for (size_t n = 0; n < size + 200; n++) {
        scratch_write("grants", 0600, bytes, n);
        assert_int_equal(load_count(0, CAPACITY), n >= size);
    }
}

/* As by a helper that was killed while it moved the grant to the place of another. */
static void a_grant_in_two_slots_is_one(void **state)
{
    enum { HEADER = 64, SLOT = 152 };
    uint8_t bytes[4096] = {0};

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v4, &ssh, 100);
    save();
    assert_int_equal(read_grants(bytes, sizeof bytes), HEADER + 2 * SLOT);
    memcpy(bytes + HEADER, bytes + HEADER + SLOT, SLOT);
    scratch_write("grants", 0600, bytes, HEADER + 2 * SLOT);
    assert_int_equal(load_count(0, CAPACITY), 1);
}

/* What a helper that starts now finds is the table, whatever was changed in whatever
 * order. */
static void assert_stored(void)
{
    struct grants again;
    struct error why;

    save();
    assert_true(helper_grants_create(&again, grants.run_dir, CAPACITY, &why));
    helper_grants_load(&again, 0);
    assert_int_equal(again.count, grants.count);
    assert_int_equal(again.last_id, grants.last_id);
    for (size_t i = 0; i < grants.count; i++) {
        struct grant *kept = &grants.items[i], *stored;

        stored = helper_grants_find(&again, kept->key_id, &kept->address, &kept->service);
        assert_non_null(stored);
        assert_int_equal(stored->id, kept->id);
        assert_int_equal(stored->deadline, kept->deadline);
        assert_int_equal(stored->used, kept->used);
    }
    helper_grants_free(&again);
}

static ino_t grants_inode(void)
{
    struct stat s;

    assert_int_equal(stat("grants", &s), 0);
    return s.st_ino;
}

static void every_change_is_stored_in_place(void **state)
{
    bool changed[2];
    ino_t first;

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    assert_stored();
    first = grants_inode();
    open_grant(bob, &v4, &ssh, 200);
    open_grant(bob, &v6, &dns, 300);
    assert_stored();
    open_grant(alice, &v4, &ssh, 400);
    helper_grants_shorten(&grants, &grants.items[1], 150);
    assert_stored();
    helper_grants_remove(&grants, alice, &v4, &ssh);
    assert_stored();
    helper_grants_settle(&grants, false, true);
    helper_grants_settle(&grants, true, true);
    open_grant(alice, &v4, &dns, 400);
    assert_stored();
    helper_grants_settle(&grants, false, false); /* the firewall did not take it */
    assert_stored();
    grants.items[0].used = 7;
    helper_grants_note_change(&grants, &grants.items[0]);
    assert_stored();
    helper_grants_expire(&grants, 250, changed);
    assert_stored();
    helper_grants_clear(&grants);
    assert_stored();
    open_grant(alice, &v4, &ssh, 100);
    assert_stored();
    assert_int_equal(grants_inode(), first);
}

/* Nor may a copy be left where it was before it took another's place. */
static void what_is_closed_stays_closed(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v4, &ssh, 100);
    save();
    helper_grants_remove(&grants, alice, &v4, &ssh);
    save();
    helper_grants_remove(&grants, bob, &v4, &ssh);
    save();
    assert_int_equal(load_count(0, CAPACITY), 0);
}

static void a_file_that_was_removed_is_written_anew(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v4, &ssh, 100);
    save();
    assert_int_equal(unlink("grants"), 0);
    open_grant(bob, &v6, &ssh, 100);
    assert_stored();
}

/* Also by whoever can make a right checksum. */
static void what_could_not_be_granted_is_ignored(void **state)
{
    struct grant wrong[8];

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        wrong[i] = grants.items[0];
    wrong[0].address = address_of("0.0.0.0");
    wrong[1].address = address_of("ff02::1");
    wrong[2].service.port = 0;
    wrong[3].service.protocol = 0;
    wrong[4].signed_address = GRANT_SIGNED_ELSEWHERE + 1;
    wrong[5].deadline = INT64_MAX;
    wrong[6].used = GRANT_FLOWS + 1;
    wrong[7].watched = 2;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        grants.items[0] = wrong[i];
        helper_grants_note_change(&grants, &grants.items[0]);
        save();
        assert_int_equal(load_count(0, CAPACITY), 0);
    }
}

static void what_is_no_file_is_ignored(void **state)
{
    (void)state;
    assert_int_equal(mkdir("grants", 0700), 0);
    assert_int_equal(load_count(0, CAPACITY), 0);
    assert_int_equal(rmdir("grants"), 0);
    open_grant(alice, &v4, &ssh, 100);
    save();
    assert_int_equal(rename("grants", "elsewhere"), 0);
    assert_int_equal(symlink("elsewhere", "grants"), 0);
    assert_int_equal(load_count(0, CAPACITY), 0);
}

static void a_file_that_cannot_be_written_is_an_error(void **state)
{
    struct error why;
    int right = grants.run_dir, wrong = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    grants.run_dir = wrong;
    assert_false(helper_grants_save(&grants, &why));
    assert_true(why.text[0] != '\0');
    grants.run_dir = right;
    close(wrong);
}

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, start_table, end_table)

static int start(void **state)
{
    (void)state;
    return sodium_init() < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(grants_are_told_apart),
        WITH_TABLE(chains_hold_whatever_is_removed),
        WITH_TABLE(the_grants_of_a_door_are_found),
        WITH_TABLE(the_later_deadline_stays),
        WITH_TABLE(a_deadline_is_shortened_but_never_put_off),
        WITH_TABLE(the_kernel_s_second_follows_the_clock),
        WITH_TABLE(what_is_removed_is_gone),
        WITH_TABLE(deadlines_are_kept_to_the_nanosecond),
        WITH_TABLE(the_earliest_deadline_is_kept_whichever_it_is),
        WITH_TABLE(all_that_is_due_goes_at_once),
        WITH_TABLE(a_full_table_refuses),
        WITH_TABLE(an_installed_batch_stays),
        WITH_TABLE(a_failed_batch_is_undone),
        WITH_TABLE(what_a_batch_touched_is_found),
        WITH_TABLE(families_settle_each_for_itself),
        WITH_TABLE(saved_grants_are_taken_over),
        WITH_TABLE(what_ended_meanwhile_is_not_taken_over),
        WITH_TABLE(a_smaller_table_takes_what_fits),
        WITH_TABLE(an_empty_table_is_saved),
        WITH_TABLE(a_missing_file_is_an_empty_table),
        WITH_TABLE(another_boot_s_file_is_ignored),
        WITH_TABLE(what_is_damaged_is_ignored),
        WITH_TABLE(a_slot_that_is_not_whole_is_ignored),
        WITH_TABLE(a_grant_in_two_slots_is_one),
        WITH_TABLE(every_change_is_stored_in_place),
        WITH_TABLE(what_is_closed_stays_closed),
        WITH_TABLE(a_file_that_was_removed_is_written_anew),
        WITH_TABLE(what_could_not_be_granted_is_ignored),
        WITH_TABLE(what_is_no_file_is_ignored),
        WITH_TABLE(a_file_that_cannot_be_written_is_an_error),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
