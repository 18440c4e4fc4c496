#include "check.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "daemon/supervisor/reply.h"
#include "privsep/grantfile.h"
#include "privsep/helper/grants.h"
#include "privsep/prepare/takeover.h"
#include "privsep/uses.h"
#include "table.h"

static struct profile profiles[] = {
    {.policy = &(const struct helper_profile){.name = "laptop"}, .key_id = {1}},
    {.policy = &(const struct helper_profile){.name = "phone"}, .key_id = {2}},
};
static struct config config = {.profiles = profiles, .profile_count = 2, .interface_count = 2,
                               .interfaces = {"one", "two"}};
static struct control_reply reply;

static void an_order_names_the_profile_by_its_key_id(void **state)
{
    struct control_request request = {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_PROFILE,
                                      .profile = "phone", .kill = 1};
    struct helper_order order;
    struct error why;

    (void)state;
    assert_true(reply_make_order(&order, &request, &config, &why));
    assert_int_equal(order.command, HELPER_CLOSE);
    assert_int_equal(order.kill, 1);
    assert_memory_equal(order.key_id, profiles[1].key_id, KEY_ID_SIZE);
    request.verb = CONTROL_REVOKE;
    assert_true(reply_make_order(&order, &request, &config, &why));
    assert_int_equal(order.command, HELPER_CLOSE);
    request = (struct control_request){.verb = CONTROL_LIST, .id = 7};
    assert_true(reply_make_order(&order, &request, &config, &why));
    assert_int_equal(order.command, HELPER_TELL);
    assert_int_equal(order.id, 0);
    request = (struct control_request){.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_PROFILE};
    strcpy(request.profile, "tablet");
    assert_false(reply_make_order(&order, &request, &config, &why));
    assert_string_equal(why.text, "there is no profile 'tablet'");
}

static void a_status_adds_up_what_helpers_counted(void **state)
{
    static const struct helper_report report = {.backend = BACKEND_NFT, .families = 3,
                                                .grant_store = GRANT_STORE_SET, .live = 4};
    struct pair pair = {.sniffer = 5, .helper = 6, .witness = 7, .interfaces = {1, 0},
                        .verdicts = {[VERDICT_OPENED] = 2},
                        .verdicts_before = {[VERDICT_OPENED] = 40}};
    struct counters counters = {.captured = 9, .dropped = 8};

    (void)state;
    reply_status(&reply, &config, &pair, &counters, &report);
    assert_int_equal(reply.result, CONTROL_DONE);
    assert_int_equal(reply.status.verdicts[VERDICT_OPENED], 42);
    assert_int_equal(reply.status.counters.dropped, 8);
    assert_int_equal(reply.status.live, 4);
    assert_int_equal(reply.status.witness, 7);
    assert_int_equal(reply.status.grant_store, GRANT_STORE_SET);
    assert_int_equal(reply.status.interfaces[0].captured, 1);
    assert_int_equal(reply.status.interfaces[1].captured, 0);
    assert_int_equal(reply.status.owned, 0);
    reply_status(&reply, &config, &pair, &counters,
                 &(struct helper_report){.backend = BACKEND_NFTABLES, .owned = 1});
    assert_int_equal(reply.status.owned, 1);
    pair.sniffer = pair.helper = 0;
    reply_status(&reply, &config, &pair, &counters, NULL);
    assert_int_equal(reply.status.interfaces[0].captured, 0);
    assert_int_equal(reply.status.backend, BACKEND_AUTO);
    assert_int_equal(reply.status.grant_store, GRANT_STORE_AUTO);
    assert_int_equal(reply.status.owned, 0);
}

/* ---- the list ------------------------------------------------------------- */

enum { CAPACITY = 1000, LEFT = 30 };

static struct {
    struct granttable head;
    struct grant grants[CAPACITY];
} *table; /* mapped */
static struct granttable_view view = {.capacity = CAPACITY};
static int uses;

/* A grant with some seconds left, in a record. */
static void put_grant(size_t record, uint32_t id, uint8_t profile, int64_t left)
{
    struct grant *grant = &table->grants[record];

    *grant = (struct grant){.key_id = {profile}, .id = id,
                            .deadline = clock_boot_ns() + left * NSEC_PER_SEC};
    grant_seal(grant);
}

static void list_above(uint32_t id)
{
    const struct control_request request = {.verb = CONTROL_LIST, .id = id};

    reply_list(&reply, &request, &config, &view, uses);
    assert_int_equal(reply.verb, CONTROL_LIST);
    assert_int_equal(reply.result, CONTROL_DONE);
}

static int enter_with_table(void **state)
{
    if (scratch_enter(state) != 0)
        return -1;
    uses = open(USES_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    view.file = open("table", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (view.file < 0 || ftruncate(view.file, sizeof *table) != 0)
        return -1;
    table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, view.file, 0);
    return table == MAP_FAILED ? -1 : 0;
}

static int leave_with_table(void **state)
{
    munmap(table, sizeof *table);
    close(view.file);
    return scratch_leave(state);
}

static void put_use(const struct use *use)
{
    assert_int_equal(write(uses, use, sizeof *use), sizeof *use);
}

static int clear_table(void **state)
{
    (void)state;
    memset(table, 0, sizeof *table);
    assert_int_equal(ftruncate(uses, 0), 0);
    assert_int_equal(lseek(uses, 0, SEEK_SET), 0);
    return 0;
}

static void grants_are_named(void **state)
{
    (void)state;
    put_grant(0, 7, 1, LEFT);
    put_grant(1, 8, 9, LEFT);
    table->grants[1].allowance = 2;
    put_use(&(struct use){.id = 7, .allowance = 1, .known = USE_COUNTED, .used = 5});
    put_use(&(struct use){.id = 8, .allowance = 2, .known = USE_COUNTED, .used = 3});
    table->grants[1].signed_address = GRANT_SIGNED_ELSEWHERE;
    table->grants[1].service = (struct service){.protocol = 6, .port = 22};
    table->grants[1].address.bytes[15] = 1;
    grant_seal(&table->grants[1]);
    list_above(0);
    assert_int_equal(reply.count, 2);
    assert_int_equal(reply.more, 0);
    assert_string_equal(reply.grants[0].profile, "laptop");
    assert_int_equal(reply.grants[0].id, 7);
    assert_int_equal(reply.grants[0].seconds_left, LEFT);
    assert_int_equal(reply.grants[0].is_counted, 0);
    assert_string_equal(reply.grants[1].profile, "");
    assert_int_equal(reply.grants[1].is_counted, 1);
    assert_int_equal(reply.grants[1].used, 3);
    assert_int_equal(reply.grants[1].elsewhere, 1);
    assert_int_equal(reply.grants[1].service.port, 22);
    assert_int_equal(reply.grants[1].address.bytes[15], 1);
}

/* Whatever the order of their records; removed ones have left gaps in the ids. */
static void pages_hold_every_grant_once_in_the_order_of_ids(void **state)
{
    uint32_t last = 0, count = 0, pages = 0;

    (void)state;
    for (uint32_t i = 0; i < CAPACITY; i++)
        put_grant(i * 7 % CAPACITY, 3 * i + 1, 1 + i % 2, LEFT);
    do {
        list_above(last);
        for (uint32_t i = 0; i < reply.count; i++) {
            assert_int_equal(reply.grants[i].id, 3 * count++ + 1);
            last = reply.grants[i].id;
        }
        pages++;
    } while (reply.more);
    assert_int_equal(count, CAPACITY);
    assert_int_equal(pages, (CAPACITY + CONTROL_GRANTS - 1) / CONTROL_GRANTS);
}

static void a_full_last_page_says_that_there_is_no_more(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < CONTROL_GRANTS; i++)
        put_grant(i, i + 1, 1, LEFT);
    list_above(0);
    assert_int_equal(reply.count, CONTROL_GRANTS);
    assert_int_equal(reply.more, 0);
    put_grant(CONTROL_GRANTS, CONTROL_GRANTS + 1, 1, LEFT);
    list_above(0);
    assert_int_equal(reply.count, CONTROL_GRANTS);
    assert_int_equal(reply.more, 1);
}

static void what_is_no_live_grant_is_not_listed(void **state)
{
    (void)state;
    put_grant(0, 1, 1, LEFT);
    put_grant(1, 2, 1, LEFT);
    table->grants[1].address.bytes[0] ^= 1; /* torn */
    put_grant(2, 3, 1, -1);                /* over */
    put_grant(3, 1, 1, LEFT);              /* met while it moves */
    put_grant(4, 4, 1, LEFT);
    table->grants[4].touched = 1;           /* not in the firewall yet */
    grant_seal(&table->grants[4]);
    put_grant(5, 5, 1, 2 * LEFT);
    table->grants[5].touched = 1;           /* as long as the firewall lets it be */
    table->grants[5].deadline_before = clock_boot_ns() + (int64_t)LEFT * NSEC_PER_SEC;
    grant_seal(&table->grants[5]);
    list_above(0);
    assert_int_equal(reply.count, 2);
    assert_int_equal(reply.grants[0].id, 1);
    assert_int_equal(reply.grants[1].id, 5);
    assert_int_equal(reply.grants[1].seconds_left, LEFT);
}

/* ---- while the helper changes it ---------------------------------------- */

enum { LIVE = 24, ROUNDS = 300000, WALKS = 20000, LOOKS = 20 };

/* The grant with this id is for an address, a port and a time that follow from it. */
static struct address address_of_id(uint32_t id)
{
    const uint8_t bytes[4] = {10, (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

    return address_from_ipv4(bytes);
}

static struct service service_of_id(uint32_t id)
{
    return (struct service){.protocol = 6, .port = (uint16_t)(1 + id % 60000)};
}

/* As the helper does it: the newest is opened, then the oldest removed, so that there are
 * always LIVE or one more. With each the last record moves to where a removed one was.
 * The first stays, and is for elsewhere and not, by turns. */
static void change_all_the_time(struct grants *grants, volatile uint32_t *newest)
{
    const uint8_t key_id[KEY_ID_SIZE] = {1};

    for (uint32_t id = 1; id <= ROUNDS; id++) {
        struct address address = address_of_id(id);
        struct service service = service_of_id(id);

        table_open(grants, key_id, &address, &service,
                   clock_boot_ns() + (int64_t)3600 * NSEC_PER_SEC);
        helper_grants_settle(grants, IPV4, true);
        *newest = id;
        for (int i = 0; i < LOOKS; i++) /* whoever lists comes in between */
            assert_true(table_count_of(grants, key_id) >= (id < LIVE ? id : LIVE));
        grants->items[0].signed_address = id % 2 ? GRANT_SIGNED_ELSEWHERE : GRANT_OBSERVED;
        grant_seal(&grants->items[0]);
        if (id <= LIVE + 1)
            continue;
        address = address_of_id(id - LIVE);
        service = service_of_id(id - LIVE);
        table_close(grants, key_id, &address, &service);
    }
}

/* A grant may be opened while it is listed, and on a slow machine a list takes seconds. */
static void check_whole(const struct control_grant *grant, int64_t listed_from)
{
    const int64_t took = (clock_boot_ns() - listed_from) / NSEC_PER_SEC;
    const struct address address = address_of_id(grant->id);
    const struct service service = service_of_id(grant->id);

    assert_true(address_equal(&grant->address, &address));
    assert_int_equal(service_compare(&grant->service, &service), 0);
    assert_string_equal(grant->profile, "laptop");
    assert_in_range(grant->seconds_left, 3000, 3601 + took);
}

static bool has_id(uint32_t id)
{
    for (uint32_t i = 0; i < reply.count; i++)
        if (reply.grants[i].id == id)
            return true;
    return false;
}

/* Each grant is whole, and those are there that were there all the time. */
static void a_table_that_is_being_changed_is_listed_whole(void **state)
{
    static const struct control_request request = {.verb = CONTROL_LIST};
    volatile uint32_t *newest = mmap(NULL, sizeof *newest, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct granttable_view changing;
    struct grants grants;
    struct error why;
    uint32_t walks = 0;
    int status;
    pid_t child;

    (void)state;
    assert_ptr_not_equal(newest, MAP_FAILED);
    assert_done(helper_grants_create(&grants, AT_FDCWD, CONTROL_GRANTS, 0, &why), why);
    assert_done(granttable_open(&changing, AT_FDCWD, &why), why);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        change_all_the_time(&grants, newest);
        child_exit(0);
    }
    while (walks < WALKS && *newest < ROUNDS) {
        const int64_t listed_from = clock_boot_ns();
        uint32_t before = *newest;

        reply_list(&reply, &request, &config, &changing, -1);
        for (uint32_t i = 0; i < reply.count; i++)
            check_whole(&reply.grants[i], listed_from);
        for (uint32_t id = *newest + 2; id <= before + LIVE; id++) /* one more may be on its way */
            if (id > LIVE + 1 && !has_id(id - LIVE))
                fail_msg("grant %u was there, and is not listed", id - LIVE);
        walks++;
    }
    assert_true(walks > 100);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    granttable_close(&changing);
    helper_grants_free(&grants);
    munmap((void *)(uintptr_t)newest, sizeof *newest);
}

static void a_close_says_what_was_not_done(void **state)
{
    static const struct control_request by_id = {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_ID},
                                        all = {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_ALL};
    static const struct cut_result done, ended = {.ended = 3},
                                   left = {.ended = 3, .trouble = CUT_TOO_MANY};

    (void)state;
    reply_closed(&reply, &by_id, &(struct helper_report){0}, &done);
    assert_int_equal(reply.result, CONTROL_FAILED);
    reply_closed(&reply, &by_id, &(struct helper_report){0}, &ended);
    assert_int_equal(reply.result, CONTROL_DONE);
    reply_closed(&reply, &all, &(struct helper_report){0}, &done);
    assert_int_equal(reply.result, CONTROL_DONE);
    reply_closed(&reply, &all, &(struct helper_report){.closed = 2, .failed = 1}, &done);
    assert_int_equal(reply.result, CONTROL_FAILED);
    reply_closed(&reply, &all, &(struct helper_report){.closed = 2}, &left);
    assert_int_equal(reply.result, CONTROL_FAILED);
    reply_closed(&reply, &all, &(struct helper_report){.closed = 2}, &ended);
    assert_int_equal(reply.closed, 2);
    assert_int_equal(reply.ended, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_names_the_profile_by_its_key_id),
        cmocka_unit_test(a_status_adds_up_what_helpers_counted),
        cmocka_unit_test_setup(grants_are_named, clear_table),
        cmocka_unit_test_setup(pages_hold_every_grant_once_in_the_order_of_ids, clear_table),
        cmocka_unit_test_setup(a_full_last_page_says_that_there_is_no_more, clear_table),
        cmocka_unit_test_setup(what_is_no_live_grant_is_not_listed, clear_table),
        cmocka_unit_test(a_table_that_is_being_changed_is_listed_whole),
        cmocka_unit_test(a_close_says_what_was_not_done),
    };

    return cmocka_run_group_tests(tests, enter_with_table, leave_with_table);
}
