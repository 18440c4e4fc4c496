#include "check.h"

#include <netinet/in.h>
#include <sodium.h>
#include <sys/mman.h>

#include "people.h"
#include "privsep/grantfile.h"
#include "privsep/helper/grants.h"
#include "privsep/prepare/takeover.h"
#include "stored.h"
#include "table.h"

enum { CAPACITY = 8 };

static const uint8_t alice[KEY_ID_SIZE] = {1}, bob[KEY_ID_SIZE] = {2};
static const struct service ssh = {.protocol = IPPROTO_TCP, .port = 22};
static const struct service dns = {.protocol = IPPROTO_UDP, .port = 53};
static struct address v4, v6;
static struct grants grants;

static int start_table(void **state)
{
    struct error why;

    if (scratch_enter(state) != 0)
        return -1;
    v4 = address_of("192.0.2.7");
    v6 = address_of("2001:db8::7");
    return helper_grants_create(&grants, AT_FDCWD, CAPACITY, 0, &why) ? 0 : -1;
}

static int end_table(void **state)
{
    helper_grants_free(&grants);
    return scratch_leave(state);
}

/* Whether it was added: else it was there, and is extended. */
static bool open_grant(const uint8_t *who, const struct address *address,
                       const struct service *service, int64_t deadline)
{
    const size_t before = grants.count;

    table_open(&grants, who, address, service, deadline);
    return grants.count > before;
}

/* As after a batch that the firewall took. */
static void settle(void)
{
    helper_grants_settle(&grants, IPV4, true);
    helper_grants_settle(&grants, IPV6, true);
}

static void check_changes(enum grants_change in_ipv4, enum grants_change in_ipv6)
{
    assert_int_equal(grants.changes[IPV4], in_ipv4);
    assert_int_equal(grants.changes[IPV6], in_ipv6);
}

/* In the file are these grants, as they are, and no others. */
static void assert_stored(void)
{
    struct grant stored[CAPACITY];

    assert_int_equal(stored_grants(stored, CAPACITY), grants.count);
    assert_memory_equal(stored, grants.items, grants.count * sizeof *stored);
}

static void grants_are_told_apart(void **state)
{
    (void)state;
    assert_true(open_grant(alice, &v4, &ssh, 100));
    assert_true(open_grant(bob, &v4, &ssh, 100));
    assert_true(open_grant(alice, &v6, &ssh, 100));
    assert_true(open_grant(alice, &v4, &dns, 100));
    assert_int_equal(grants.count, 4);
    assert_int_equal(table_count_of(&grants, alice), 3);
    assert_int_equal(table_count_of(&grants, bob), 1);
    assert_non_null(table_find(&grants, alice, &v6, &ssh));
    assert_null(table_find(&grants, bob, &v6, &ssh));
    assert_null(table_find(&grants, alice, &v6, &dns));
}

static void the_later_deadline_stays(void **state)
{
    (void)state;
    assert_true(open_grant(alice, &v4, &ssh, 100));
    assert_false(open_grant(alice, &v4, &ssh, 200));
    assert_int_equal(grants.items[0].deadline, 200);
    assert_false(open_grant(alice, &v4, &ssh, 150));
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

static void what_is_removed_is_gone(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v4, &ssh, 200);
    assert_false(table_close(&grants, alice, &v4, &dns));
    assert_true(table_close(&grants, alice, &v4, &ssh));
    assert_false(table_close(&grants, alice, &v4, &ssh));
    assert_null(table_find(&grants, alice, &v4, &ssh));
    assert_non_null(table_find(&grants, bob, &v4, &ssh));
}

/* As many as there are, each once. */
static void check_door(const struct grants *table, const struct address *address,
                       const struct service *service, size_t expected)
{
    const struct door door = {.address = *address, .service = *service};
    const struct grant *grant = NULL;
    size_t found = 0, there = 0;

    while ((grant = helper_grants_next_at(table, &door, grant))) {
        assert_in_range(grant - table->items, 0, table->count - 1);
        found++;
        assert_true(found <= table->count);
    }
    for (size_t i = 0; i < table->count; i++)
        there += address_equal(&table->items[i].address, address) &&
                 service_compare(&table->items[i].service, service) == 0;
    assert_int_equal(found, there);
    assert_int_equal(found, expected);
}

static void the_grants_of_a_door_are_found(void **state)
{
    static struct grants mapped;
    struct error why;

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v6, &dns, 150);
    open_grant(bob, &v4, &ssh, 200);
    open_grant(bob, &v4, &dns, 300);
    check_door(&grants, &v4, &ssh, 2);
    check_door(&grants, &v4, &dns, 1);
    check_door(&grants, &v6, &ssh, 0);
    assert_done(helper_grants_map(&mapped, grants.file, CAPACITY, &why), why); /* as the helper */
    check_door(&mapped, &v4, &ssh, 2);
    check_door(&mapped, &v6, &dns, 1);
    helper_grants_remove_at(&grants, 0); /* the last one takes its place */
    check_door(&grants, &v4, &ssh, 1);
    check_door(&grants, &v4, &dns, 1);
    helper_grants_remove_at(&grants, grants.count - 1);
    helper_grants_remove_at(&grants, 0);
    check_door(&grants, &v4, &dns, 0);
    assert_int_equal(grants.count, 1);
    helper_grants_clear(&grants);
    check_door(&grants, &v6, &dns, 0);
    munmap(mapped.table, granttable_size(CAPACITY));
}

static void deadlines_are_kept_to_the_nanosecond(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(alice, &v6, &ssh, 101);
    check_changes(GRANTS_ADDED, GRANTS_ADDED);
    settle();
    assert_int_equal(helper_grants_next_deadline(&grants), 100);
    helper_grants_expire(&grants, 99);
    check_changes(GRANTS_UNCHANGED, GRANTS_UNCHANGED);
    helper_grants_expire(&grants, 100);
    check_changes(GRANTS_REMOVED, GRANTS_UNCHANGED);
    assert_int_equal(helper_grants_next_deadline(&grants), 101);
    settle();
    helper_grants_expire(&grants, 500);
    check_changes(GRANTS_UNCHANGED, GRANTS_REMOVED);
    assert_int_equal(grants.count, 0);
    assert_int_equal(helper_grants_next_deadline(&grants), INT64_MAX);
}

static void the_earliest_deadline_is_kept_whichever_it_is(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 500);
    open_grant(alice, &v6, &ssh, 400);
    assert_int_equal(helper_grants_next_deadline(&grants), 400);
    helper_grants_shorten(&grants, &grants.items[0], 300);
    assert_int_equal(helper_grants_next_deadline(&grants), 300);
    open_grant(alice, &v4, &ssh, 900);
    assert_int_equal(helper_grants_expire(&grants, 300), 0);
    assert_int_equal(helper_grants_next_deadline(&grants), 400); /* looked, and knows */
    assert_int_equal(helper_grants_expire(&grants, 400), 1);
    assert_int_equal(helper_grants_next_deadline(&grants), 900);
}

static void all_that_is_due_goes_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < CAPACITY; i++) {
        struct service service = {.protocol = IPPROTO_TCP, .port = (uint16_t)(i + 1)};

        open_grant(alice, i % 2 ? &v4 : &v6, &service, i < CAPACITY - 1 ? 50 : 500);
    }
    helper_grants_expire(&grants, 100);
    check_changes(GRANTS_REMOVED, GRANTS_REMOVED);
    assert_int_equal(grants.count, 1);
    assert_int_equal(grants.items[0].deadline, 500);
}

/* A timer that is set to 0 is off: the helper would not wake for what it has taken up. */
static void a_mapped_table_has_deadlines_once_it_was_looked_at(void **state)
{
    static struct grants mapped;
    struct error why;

    (void)state;
    open_grant(alice, &v4, &ssh, 300);
    open_grant(bob, &v6, &dns, 200);
    settle();
    assert_done(helper_grants_map(&mapped, grants.file, CAPACITY, &why), why);
    assert_in_range(helper_grants_next_deadline(&mapped), 1, 200);
    assert_int_equal(helper_grants_expire(&mapped, 199), 0);
    assert_int_equal(helper_grants_next_deadline(&mapped), 200);
}

/* ---- batches ------------------------------------------------------------ */

static void an_installed_batch_stays(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    settle();
    open_grant(alice, &v4, &ssh, 200);
    open_grant(bob, &v4, &ssh, 300);
    helper_grants_settle(&grants, IPV4, true);
    helper_grants_settle(&grants, IPV4, false); /* nothing is left to undo */
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
    helper_grants_settle(&grants, IPV4, false);
    assert_int_equal(grants.touched_count, 0);
    assert_int_equal(grants.count, 1);
    assert_memory_equal(grants.items[0].key_id, alice, KEY_ID_SIZE);
    assert_int_equal(grants.items[0].deadline, 100);
}

/* A grant may have had its connections while its batch was under way. */
static void what_is_shortened_in_a_batch_that_fails_stays_short(void **state)
{
    struct grant stored;

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    settle();
    open_grant(alice, &v4, &ssh, 200);
    helper_grants_shorten(&grants, &grants.items[0], 150);
    assert_int_equal(stored_grants(&stored, 1), 1);
    assert_int_equal(stored.deadline, 100);
    helper_grants_shorten(&grants, &grants.items[0], 50);
    assert_int_equal(stored_grants(&stored, 1), 1);
    assert_int_equal(stored.deadline, 50);
    helper_grants_settle(&grants, IPV4, false);
    assert_int_equal(grants.items[0].deadline, 50);
}

static void families_settle_each_for_itself(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(alice, &v6, &ssh, 100);
    helper_grants_settle(&grants, IPV6, false);
    assert_non_null(table_find(&grants, alice, &v4, &ssh));
    assert_null(table_find(&grants, alice, &v6, &ssh));
    helper_grants_settle(&grants, IPV4, true);
    assert_non_null(table_find(&grants, alice, &v4, &ssh));
}

/* ---- the file ----------------------------------------------------------- */

enum { HEAD = sizeof(struct granttable), RECORD = sizeof(struct grant),
       FILE_SIZE = HEAD + CAPACITY * RECORD };

static void read_file(uint8_t bytes[static FILE_SIZE])
{
    int fd = open("grants", O_RDONLY | O_CLOEXEC);

    assert_int_equal(read(fd, bytes, FILE_SIZE), FILE_SIZE);
    close(fd);
}

/* Grants of two profiles, in the firewall. */
static void give_two(void)
{
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v6, &dns, 200);
    settle();
}

static size_t ended_meanwhile;

/* As a helper that starts at `now`, after this one was killed. */
static void start_again(int64_t now, size_t capacity)
{
    struct error why;

    helper_grants_free(&grants);
    assert_done(helper_grants_create(&grants, AT_FDCWD, capacity, now, &why), why);
    ended_meanwhile = helper_grants_expire(&grants, now);
    for (size_t i = 0; i < grants.count; i++) {
        assert_true(grants.items[i].deadline > now);
        assert_int_equal(grants.items[i].touched, 0);
    }
}

/* How many grants it takes over from a file. */
static size_t count_in(const uint8_t *bytes, size_t size, int64_t now)
{
    scratch_write("grants", 0600, bytes, size);
    start_again(now, CAPACITY);
    return grants.count;
}

static void grants_are_taken_over(void **state)
{
    struct grant before[2];

    (void)state;
    give_two();
    memcpy(before, grants.items, sizeof before);
    start_again(50, CAPACITY);
    assert_int_equal(grants.count, 2);
    assert_memory_equal(grants.items, before, offsetof(struct grant, last_second));
    assert_memory_equal(grants.items + 1, before + 1, offsetof(struct grant, last_second));
    assert_int_equal(grants.items[1].id, before[1].id);
    assert_stored();
}

/* Nor is an id given twice once the grant that had it is gone. */
static void the_ids_of_a_boot_count_on(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v4, &ssh, 100);
    helper_grants_clear(&grants);
    start_again(0, CAPACITY);
    open_grant(alice, &v4, &ssh, 100);
    assert_int_equal(grants.items[0].id, 3);
}

/* But known, behind those that live: nobody has told of its end. */
static void what_ended_meanwhile_is_no_grant(void **state)
{
    uint8_t bytes[FILE_SIZE];

    (void)state;
    give_two();
    read_file(bytes);
    assert_int_equal(count_in(bytes, sizeof bytes, 99), 2);
    assert_int_equal(ended_meanwhile, 0);
    assert_int_equal(count_in(bytes, sizeof bytes, 100), 1);
    assert_int_equal(ended_meanwhile, 1);
    assert_memory_equal(grants.items[1].key_id, alice, KEY_ID_SIZE);
    assert_int_equal(count_in(bytes, sizeof bytes, 200), 0);
    assert_int_equal(ended_meanwhile, 2);
    start_again(200, CAPACITY); /* which is told once */
    assert_int_equal(ended_meanwhile, 0);
}

static void what_lives_has_the_place_of_what_ended(void **state)
{
    (void)state;
    give_two();
    start_again(100, 1);
    assert_int_equal(grants.count, 1);
    assert_memory_equal(grants.items[0].key_id, bob, KEY_ID_SIZE);
    assert_int_equal(ended_meanwhile, 0);
}

/* As no helper grants it, though the seal is right. */
static void what_no_helper_could_have_granted_is_not_taken_over(void **state)
{
    struct grant sound;

    (void)state;
    give_two();
    sound = grants.items[0];
    for (int way = 0; way < 5; way++) {
        struct grant wrong = sound;

        wrong.destination_port = way < 2 ? 22 : 0; /* at no address */
        if (way == 1)
            wrong.destination = v6; /* of the other family */
        else if (way == 2)
            wrong.service.protocol = 1;
        else if (way == 3)
            wrong.signed_address = GRANT_SIGNED_ELSEWHERE + 1;
        else if (way == 4)
            wrong.address = (struct address){.bytes = {0}};
        grant_seal(&wrong);
        grants.items[0] = wrong;
        start_again(0, CAPACITY);
        assert_int_equal(grants.count, 1);
        assert_memory_equal(grants.items[0].key_id, bob, KEY_ID_SIZE);
        helper_grants_clear(&grants);
        give_two();
    }
}

/* A reload may bring another MaxGrants. */
static void another_size_takes_what_fits(void **state)
{
    (void)state;
    give_two();
    start_again(0, 2 * CAPACITY);
    assert_int_equal(grants.count, 2);
    start_again(0, 1);
    assert_int_equal(grants.count, 1);
    assert_int_equal(grants.capacity, 1);
}

/* Killed while the firewall was being changed: nobody was told that it was open. */
static void what_a_batch_touched_goes_back(void **state)
{
    struct grant stored;

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    settle();
    open_grant(alice, &v4, &ssh, 200);
    open_grant(bob, &v4, &ssh, 300);
    assert_int_equal(stored_grants(&stored, 1), 1);
    assert_int_equal(stored.deadline, 100);
    start_again(50, CAPACITY);
    assert_int_equal(grants.count, 1);
    assert_memory_equal(grants.items[0].key_id, alice, KEY_ID_SIZE);
    assert_int_equal(grants.items[0].deadline, 100);
}

/* Of the head each byte counts but for the last id; of a record its own grant is lost. */
static void what_is_torn_is_shut_and_nothing_else(void **state)
{
    uint8_t bytes[FILE_SIZE];

    (void)state;
    give_two();
    read_file(bytes);
    for (size_t i = 0; i < HEAD + 2 * RECORD; i++) {
        size_t expected = i < offsetof(struct granttable, last_id) ? 0 : i < HEAD ? 2 : 1;

        bytes[i] ^= 0x01;
        if (count_in(bytes, sizeof bytes, 0) != expected)
            fail_msg("byte %zu was changed: %zu grants, not %zu", i, grants.count, expected);
        if (expected == 1)
            assert_memory_equal(grants.items[0].key_id, i < HEAD + RECORD ? bob : alice,
                                KEY_ID_SIZE);
        bytes[i] ^= 0x01;
    }
    assert_int_equal(count_in(bytes, sizeof bytes, 0), 2);
}

static void a_file_that_is_not_whole_is_none(void **state)
{
    uint8_t bytes[FILE_SIZE + 1] = {0};

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    settle();
    read_file(bytes);
    for (size_t size = 0; size <= sizeof bytes; size++)
        assert_int_equal(count_in(bytes, size, 0), size == FILE_SIZE);
}

/* By whoever else can write there: nobody who reads it is to end by that. */
static void a_file_that_is_cut_while_it_is_read_has_no_more_grants(void **state)
{
    struct granttable_view view;
    struct grant grant;
    struct error why;

    (void)state;
    give_two();
    assert_done(granttable_open(&view, AT_FDCWD, &why), why);
    assert_int_equal(truncate("grants", HEAD + RECORD), 0);
    assert_true(granttable_read(&view, 0, &grant));
    assert_false(granttable_read(&view, 1, &grant));
    assert_int_equal(truncate("grants", 0), 0);
    assert_false(granttable_read(&view, 0, &grant));
    granttable_close(&view);
}

/* To go through it would take a while. */
static void a_file_with_room_for_more_than_there_can_be_is_none(void **state)
{
    enum { MOST = MAX_GRANTS_MOST };
    struct granttable *table = grants.table;

    (void)state;
    for (uint32_t capacity = MOST; capacity <= MOST + 1; capacity++) {
        struct granttable_view view;
        struct error why;
        bool is_opened;

        assert_true(granttable_begin(table, capacity));
        assert_int_equal(truncate("grants", (off_t)granttable_size(capacity)), 0);
        is_opened = granttable_open(&view, AT_FDCWD, &why);
        if (is_opened)
            granttable_close(&view);
        assert_int_equal(is_opened, capacity == MOST);
    }
}

/* Whole, with a right seal, but deadlines mean something else there. */
static void another_boot_s_file_is_none(void **state)
{
    uint8_t bytes[FILE_SIZE];

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    settle();
    grants.table->boot_id[0] ^= 1;
    seal_make(grants.table->seal, grants.table, offsetof(struct granttable, seal));
    read_file(bytes);
    assert_int_equal(count_in(bytes, sizeof bytes, 0), 0);
}

/* As by a helper that was killed while it moved the grant to the place of another. */
static void a_grant_in_two_records_is_one(void **state)
{
    uint8_t bytes[FILE_SIZE];

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v4, &ssh, 100);
    settle();
    read_file(bytes);
    memcpy(bytes + HEAD, bytes + HEAD + RECORD, RECORD);
    assert_int_equal(count_in(bytes, sizeof bytes, 0), 1);
    assert_memory_equal(grants.items[0].key_id, bob, KEY_ID_SIZE);
}

static ino_t grants_inode(void)
{
    struct stat s;

    assert_int_equal(stat("grants", &s), 0);
    return s.st_ino;
}

static void every_change_is_in_the_file_at_once(void **state)
{
    ino_t first = grants_inode();
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v4, &ssh, 200);
    open_grant(bob, &v6, &dns, 300);
    settle();
    assert_stored();
    open_grant(alice, &v4, &ssh, 400);
    helper_grants_shorten(&grants, &grants.items[1], 150);
    settle();
    assert_stored();
    table_close(&grants, alice, &v4, &ssh);
    assert_stored();
    open_grant(alice, &v4, &dns, 400);
    helper_grants_settle(&grants, IPV4, false); /* the firewall did not take it */
    assert_stored();
    grants.items[0].counter = 7;
    grant_seal(&grants.items[0]);
    assert_stored();
    helper_grants_expire(&grants, 250);
    assert_stored();
    helper_grants_clear(&grants);
    assert_stored();
    open_grant(alice, &v4, &ssh, 100);
    settle();
    assert_stored();
    assert_int_equal(grants_inode(), first);
}

/* Nor may a copy be left where it was before it took another's place. */
static void what_is_closed_stays_closed(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    open_grant(bob, &v4, &ssh, 100);
    settle();
    table_close(&grants, alice, &v4, &ssh);
    table_close(&grants, bob, &v4, &ssh);
    start_again(0, CAPACITY);
    assert_int_equal(grants.count, 0);
}

/* Also by whoever can make a right seal. */
static void what_could_not_be_granted_is_ignored(void **state)
{
    struct grant wrong[6];

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    settle();
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        wrong[i] = grants.items[0];
    wrong[0].address = address_of("0.0.0.0");
    wrong[1].address = address_of("ff02::1");
    wrong[2].service.port = 0;
    wrong[3].service.protocol = 0;
    wrong[4].signed_address = GRANT_SIGNED_ELSEWHERE + 1;
    wrong[5].deadline = INT64_MAX;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        grants.items[0] = wrong[i];
        grant_seal(&grants.items[0]);
        start_again(0, CAPACITY);
        assert_int_equal(grants.count, 0);
    }
}

static void a_file_that_is_gone_or_another_is_noticed(void **state)
{
    (void)state;
    assert_false(helper_grants_lost_file(&grants));
    assert_int_equal(unlink("grants"), 0);
    assert_true(helper_grants_lost_file(&grants));
    start_again(0, CAPACITY);
    assert_false(helper_grants_lost_file(&grants));
    scratch_write_text("other", 0600, "");
    assert_int_equal(rename("other", "grants"), 0);
    assert_true(helper_grants_lost_file(&grants));
    start_again(0, CAPACITY);
    assert_int_equal(truncate("grants", FILE_SIZE - 1), 0);
    assert_true(helper_grants_lost_file(&grants));
}

/* What was left by one who was killed while it made its file is no hindrance; a directory
 * in its place is. */
static void what_stands_in_the_way(void **state)
{
    struct grants none;
    struct error why;

    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    settle();
    scratch_write_text("grants.new", 0, "");
    start_again(0, CAPACITY);
    assert_int_equal(grants.count, 1);
    assert_int_equal(mkdir("grants.new", 0700), 0);
    assert_false(helper_grants_create(&none, AT_FDCWD, CAPACITY, 0, &why));
    assert_string_equal(why.text, "cannot make the table of grants: File exists");
    assert_int_equal(none.count, 0);
    assert_int_equal(none.capacity, 0);
    assert_int_equal(rmdir("grants.new"), 0);
    assert_stored(); /* the file that was there */
}

/* Who opens it through a link may be shown another's. */
static void what_is_no_file_is_none(void **state)
{
    (void)state;
    open_grant(alice, &v4, &ssh, 100);
    settle();
    assert_int_equal(rename("grants", "elsewhere"), 0);
    assert_int_equal(symlink("elsewhere", "grants"), 0);
    start_again(0, CAPACITY);
    assert_int_equal(grants.count, 0);
    assert_int_equal(unlink("grants"), 0);
    assert_int_equal(mkfifo("grants", 0600), 0);
    start_again(0, CAPACITY);
    assert_int_equal(grants.count, 0);
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
        WITH_TABLE(the_later_deadline_stays),
        WITH_TABLE(a_mapped_table_has_deadlines_once_it_was_looked_at),
        WITH_TABLE(a_deadline_is_shortened_but_never_put_off),
        WITH_TABLE(what_is_removed_is_gone),
        WITH_TABLE(the_grants_of_a_door_are_found),
        WITH_TABLE(deadlines_are_kept_to_the_nanosecond),
        WITH_TABLE(the_earliest_deadline_is_kept_whichever_it_is),
        WITH_TABLE(all_that_is_due_goes_at_once),
        WITH_TABLE(an_installed_batch_stays),
        WITH_TABLE(a_failed_batch_is_undone),
        WITH_TABLE(what_is_shortened_in_a_batch_that_fails_stays_short),
        WITH_TABLE(families_settle_each_for_itself),
        WITH_TABLE(grants_are_taken_over),
        WITH_TABLE(the_ids_of_a_boot_count_on),
        WITH_TABLE(what_ended_meanwhile_is_no_grant),
        WITH_TABLE(what_lives_has_the_place_of_what_ended),
        WITH_TABLE(what_no_helper_could_have_granted_is_not_taken_over),
        WITH_TABLE(another_size_takes_what_fits),
        WITH_TABLE(what_a_batch_touched_goes_back),
        WITH_TABLE(what_is_torn_is_shut_and_nothing_else),
        WITH_TABLE(a_file_that_is_not_whole_is_none),
        WITH_TABLE(a_file_that_is_cut_while_it_is_read_has_no_more_grants),
        WITH_TABLE(a_file_with_room_for_more_than_there_can_be_is_none),
        WITH_TABLE(another_boot_s_file_is_none),
        WITH_TABLE(a_grant_in_two_records_is_one),
        WITH_TABLE(every_change_is_in_the_file_at_once),
        WITH_TABLE(what_is_closed_stays_closed),
        WITH_TABLE(what_could_not_be_granted_is_ignored),
        WITH_TABLE(a_file_that_is_gone_or_another_is_noticed),
        WITH_TABLE(what_stands_in_the_way),
        WITH_TABLE(what_is_no_file_is_none),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
