#include "check.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "netspace.h"
#include "privsep/helper/events.h"
#include "privsep/netlink.h"
#include "privsep/prepare/takeover.h"
#include "table.h"

enum { CAPACITY = 4 };

static struct grants grants;
static struct events events;
static int witness; /* the other end */

static int begin(void **state)
{
    struct error why;
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    events = (struct events){.witness = ends[0], .news = netlink_open(NETLINK_NETFILTER)};
    witness = ends[1];
    unlink(GRANTTABLE_FILE);
    return helper_grants_create(&grants, AT_FDCWD, CAPACITY, clock_boot_ns(), &why) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    if (events.witness >= 0)
        close(events.witness);
    if (witness >= 0)
        close(witness);
    close(events.news);
    helper_grants_free(&grants);
    return 0;
}

static struct grant *grant_of(uint8_t who, uint32_t connections)
{
    const uint8_t key_id[KEY_ID_SIZE] = {who}, v4[4] = {192, 0, 2, 7};
    const struct address address = address_from_ipv4(v4);
    const struct service service = {6, 22};
    struct grant *grant = table_open(&grants, key_id, &address, &service,
                                     clock_boot_ns() + 60 * (int64_t)NSEC_PER_SEC);

    grant->connections = connections;
    grant_seal(grant);
    return grant;
}

static void say(uint8_t kind, uint32_t id, uint16_t allowance)
{
    const struct witness_word word = {.kind = kind, .id = id, .allowance = allowance};

    assert_int_equal(send(witness, &word, sizeof word, 0), sizeof word);
}

static void only_what_counts_ends_by_a_word(void **state)
{
    struct grant *counting = grant_of(1, 2), *other = grant_of(2, 0);
    struct witness_word word = {.kind = WORD_END, .id = counting->id};

    (void)state;
    counting->allowance = 0x10002;
    word.allowance = 1;
    helper_events_obey(&grants, &word);
    assert_int_equal(counting->end, END_NONE);
    word.allowance = 2;
    helper_events_obey(&grants, &word);
    assert_int_equal(counting->end, END_COUNTED);
    assert_true(counting->deadline <= clock_boot_ns());
    word = (struct witness_word){.kind = WORD_END, .id = other->id};
    helper_events_obey(&grants, &word);
    assert_int_equal(other->end, END_NONE);
    assert_true(other->deadline > clock_boot_ns());
}

static void words_are_heard_one_by_one(void **state)
{
    struct witness_word word;

    (void)state;
    assert_false(helper_events_hear(&events, &word));
    say(WORD_LOOK, 0, 0);
    say(WORD_HUSH, 9, 0);
    assert_true(helper_events_hear(&events, &word));
    assert_int_equal(word.kind, WORD_LOOK);
    assert_true(helper_events_hear(&events, &word));
    assert_int_equal(word.id, 9);
    assert_false(helper_events_hear(&events, &word));
    assert_true(events.witness >= 0 && !events.is_unwitnessed);
}

/* From then on what counts ends. */
static void whoever_says_nonsense_is_not_heard_any_more(void **state)
{
    static const struct witness_word wrong[] = {{.kind = 0}, {.kind = WORD_LOOK + 1},
                                                {.kind = WORD_LOOK, .zero = 1}};
    struct witness_word word;

    for (size_t i = 0; i < COUNT_OF(wrong) + 3; i++) {
        const size_t size = i < COUNT_OF(wrong) ? sizeof word : i == COUNT_OF(wrong) ? 7 : 9;
        uint8_t bytes[9] = {WORD_LOOK};

        if (i < COUNT_OF(wrong))
            memcpy(bytes, &wrong[i], sizeof wrong[i]);
        if (i == COUNT_OF(wrong) + 2) {
            close(witness); /* or has ended */
            witness = -1;
        } else {
            assert_int_equal(send(witness, bytes, size, 0), size);
        }
        assert_false(helper_events_hear(&events, &word));
        assert_int_equal(events.witness, -1);
        assert_true(events.is_unwitnessed);
        end(state);
        begin(state);
    }
}

static void without_a_witness_all_that_counts_ends(void **state)
{
    struct grant *counting = grant_of(1, 2), *other = grant_of(2, 0);

    (void)state;
    events.is_unwitnessed = true;
    helper_events_end_unwitnessed(&events, &grants);
    assert_int_equal(counting->end, END_UNWITNESSED);
    assert_true(counting->deadline <= clock_boot_ns());
    assert_true(other->deadline > clock_boot_ns());
    assert_false(events.is_unwitnessed);
}

static bool is_member(void)
{
    uint32_t groups[8] = {0};
    socklen_t size = sizeof groups;

    assert_int_equal(getsockopt(events.news, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &size),
                     0);
    return groups[0] != 0;
}

static void news_end_unless_another_grant_has_begun(void **state)
{
    struct grant *grant = grant_of(1, 0);

    (void)state;
    helper_events_begin(&events, &grants, grant, false);
    assert_false(is_member());
    helper_events_begin(&events, &grants, grant, true);
    assert_true(is_member());
    helper_events_begin(&events, &grants, grant_of(2, 0), true);
    helper_events_hush(&events, &grants, grant->id);
    assert_true(is_member());
    helper_events_hush(&events, &grants, grants.table->last_id);
    assert_false(is_member());
    helper_events_begin(&events, &grants, grant_of(3, 0), true);
    assert_true(is_member());
}

/* By the supervisor, for a list or to end its connections, as soon as anybody is told. */
static void a_grant_that_has_begun_anew_can_be_read(void **state)
{
    struct grant *grant = grant_of(1, 2);

    (void)state;
    grant->allowance++;
    helper_events_begin(&events, &grants, grant, true);
    assert_true(seal_is_right(grant->seal, grant, offsetof(struct grant, seal)));
}

/* 0 is the number of news. */
static void no_grant_begins_with_the_number_zero(void **state)
{
    (void)state;
    grants.table->begun = UINT32_MAX;
    helper_events_begin(&events, &grants, grant_of(1, 1), true);
    assert_int_equal(grants.table->begun, 1);
}

static void the_next_helper_counts_on(void **state)
{
    struct error why;

    (void)state;
    helper_events_begin(&events, &grants, grant_of(1, 1), true);
    helper_events_begin(&events, &grants, grant_of(2, 0), true);
    helper_events_begin(&events, &grants, grant_of(1, 1), true);
    assert_int_equal(grants.table->last_id_before, 0);
    grants.table->restores[IPV6][0] = 6;
    helper_grants_free(&grants);
    assert_true(helper_grants_create(&grants, AT_FDCWD, CAPACITY, clock_boot_ns(), &why));
    assert_int_equal(grants.table->begun, 2);
    assert_int_equal(grants.table->last_id_before, 2);
    assert_int_equal(grants.table->restores[IPV6][0], 0);
}

#define WITH_EVENTS(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_EVENTS(only_what_counts_ends_by_a_word),
        WITH_EVENTS(words_are_heard_one_by_one),
        WITH_EVENTS(whoever_says_nonsense_is_not_heard_any_more),
        WITH_EVENTS(without_a_witness_all_that_counts_ends),
        WITH_EVENTS(news_end_unless_another_grant_has_begun),
        WITH_EVENTS(a_grant_that_has_begun_anew_can_be_read),
        WITH_EVENTS(no_grant_begins_with_the_number_zero),
        WITH_EVENTS(the_next_helper_counts_on),
    };

    return cmocka_run_group_tests_name("events", tests, netspace_enter, scratch_leave);
}
