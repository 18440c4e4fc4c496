#include "check.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "netspace.h"
#include "privsep/helper/usage.h"
#include "privsep/netlink.h"
#include "stored.h"
#include "table.h"

enum { FIRST_PORT = 2222, CAPACITY = 8 };

static struct news news;
static struct grants grants;
static struct service service = {IPPROTO_TCP, FIRST_PORT};
static int listener, client, accepted;

static void make_socket(int *fd, struct sockaddr_in *at)
{
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(service.port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(*fd >= 0);
}

static void let_in(void)
{
    struct sockaddr_in at;

    make_socket(&client, &at);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof at), 0);
    accepted = accept(listener, NULL, NULL);
    assert_true(accepted >= 0);
}

static void hang_up(void)
{
    close(client);
    close(accepted);
}

/* What an event would tell of its use. */
static enum grant_use use_of(const struct grant *grant)
{
    struct helper_event event = {0};

    helper_event_add_end(&event, grant);
    return event.use;
}

static int begin(void **state)
{
    struct sockaddr_in at;
    struct error why;

    (void)state;
    service.port++;
    make_socket(&listener, &at);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 8), 0);
    helper_news_open(&news, netlink_open(NETLINK_NETFILTER), &service, 1);
    unlink(GRANTTABLE_FILE);
    return helper_grants_create(&grants, AT_FDCWD, CAPACITY, clock_boot_ns(), &why) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    close(news.fd);
    helper_grants_free(&grants);
    return close(listener);
}

/* A grant that admits so many connections, or any number (0). */
static struct grant *grant_for(const char *whom, uint8_t who, uint32_t connections)
{
    const uint8_t key_id[KEY_ID_SIZE] = {who};
    struct address address;
    struct grant *grant;

    assert_true(address_parse(&address, whom));
    grant = table_open(&grants, key_id, &address, &service,
                       clock_boot_ns() + 86400 * (int64_t)NSEC_PER_SEC);
    grant->connections = connections;
    helper_usage_begin(&news, &grants, grant, true);
    helper_grants_settle(&grants, IPV4, true);
    return grant;
}

static struct grant *grant_of(uint8_t who, uint32_t connections)
{
    return grant_for("127.0.0.1", who, connections);
}

static bool hear(void)
{
    return helper_usage_hear(&news, &grants);
}

static void finish(struct grant *grant)
{
    helper_usage_finish(&news, &grants, grant, 1);
}

static void visit(void)
{
    let_in();
    hang_up();
}

/* The one grant, used so often. */
static void check_stored(uint32_t used)
{
    struct grant grant = {.id = 0};

    assert_int_equal(stored_grants(&grant, 1), 1);
    assert_int_equal(grant.used, used);
}

static bool has_ended(const struct grant *grant)
{
    return grant->deadline <= clock_boot_ns();
}

static void without_grants_nobody_listens(void **state)
{
    struct grant *grant = grant_of(1, 0);

    (void)state;
    helper_usage_rest(&news, &grants);
    assert_true(news.listening);
    table_remove(&grants, grant->key_id, &grant->address, &grant->service);
    helper_usage_rest(&news, &grants);
    assert_false(news.listening);
    assert_false(hear());
}

static void the_first_connection_is_enough(void **state)
{
    struct grant *grant = grant_of(1, 0);

    (void)state;
    assert_false(hear());
    assert_int_equal(grant->used, 0);
    visit();
    assert_true(hear());
    assert_int_equal(grant->used, 1);
    check_stored(1);
    assert_int_equal(use_of(grant), USE_SOME);
    assert_false(has_ended(grant));
    assert_int_equal(helper_usage_end(grant), END_NONE);
    helper_usage_rest(&news, &grants);
    assert_false(news.listening);
}

static void what_was_there_before_does_not_count(void **state)
{
    struct grant *grant;

    (void)state;
    grant_of(2, 8); /* somebody listens */
    let_in();
    grant = grant_of(1, 0);
    assert_false(hear());
    hang_up();
    assert_false(hear());
    finish(grant);
    assert_int_equal(use_of(grant), USE_NONE);
    visit();
    finish(grant);
    assert_int_equal(use_of(grant), USE_SOME);
    assert_int_equal(grants.items[0].used, 2);
}

static void it_counts_for_whom_it_is_and_for_no_other(void **state)
{
    struct grant *other;

    (void)state;
    grant_of(1, 0);
    grant_of(2, 4);
    grant_for("127.0.0.2", 3, 0);
    service.port++;
    other = grant_of(4, 0);
    service.port--;
    visit();
    assert_true(hear());
    assert_int_equal(grants.items[0].used, 1);
    assert_int_equal(grants.items[1].used, 1);
    assert_int_equal(grants.items[2].used, 0);
    assert_int_equal(other->used, 0);
}

/* What is heard then is for others, too. */
static void the_end_of_one_tells_of_others(void **state)
{
    struct grant *ended = grant_of(1, 0), *other = grant_of(2, 0);
    struct grant copy = *ended;

    (void)state;
    visit();
    table_remove(&grants, ended->key_id, &ended->address, &ended->service);
    other = &grants.items[0];
    finish(&copy);
    assert_int_equal(copy.used, 1);
    assert_int_equal(other->used, 1);
    check_stored(1);
}

static void a_grant_for_two_ends_with_the_second(void **state)
{
    struct grant *grant = grant_of(1, 2);

    (void)state;
    visit();
    assert_true(hear());
    assert_false(has_ended(grant));
    assert_int_equal(helper_usage_end(grant), END_NONE);
    visit();
    assert_true(hear());
    assert_true(has_ended(grant));
    assert_int_equal(helper_usage_end(grant), END_USED_UP);
}

static void another_knock_admits_as_many_again(void **state)
{
    struct grant *grant = grant_of(1, 2);

    (void)state;
    visit();
    assert_true(hear());
    visit(); /* is not heard yet, and came in by the first */
    assert_ptr_equal(grant_of(1, 2), grant);
    assert_int_equal(grant->used, 0);
    visit();
    hear();
    assert_false(has_ended(grant));
    visit();
    hear();
    assert_true(has_ended(grant));
}

static void fill_up(void)
{
    const int little = 1;

    assert_int_equal(setsockopt(news.fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little), 0);
    for (int i = 0; i < GRANT_FLOWS; i++)
        visit();
}

/* More than there is room for. */
static void of_lost_news_nothing_is_said_and_what_counts_ends(void **state)
{
    struct grant *counting = grant_for("127.0.0.2", 2, 1), *grant = grant_of(1, 0), copy;

    (void)state;
    copy = *grant;
    fill_up();
    finish(&copy);
    assert_int_equal(use_of(&grants.items[0]), USE_UNKNOWN);
    assert_true(news.was_lost);
    assert_true(has_ended(counting));
    assert_int_equal(helper_usage_end(counting), END_UNCOUNTED);
    assert_int_equal(helper_usage_end(grant), END_NONE);
    assert_false(has_ended(grant));
    helper_usage_rest(&news, &grants);
    assert_false(news.listening);
}

static void what_is_known_is_not_lost(void **state)
{
    struct grant *used = grant_of(1, 0);

    (void)state;
    visit();
    assert_true(hear());
    grant_for("127.0.0.2", 2, 0);
    fill_up();
    assert_true(hear());
    assert_int_equal(use_of(used), USE_SOME);
}

static void without_a_socket_nothing_is_counted(void **state)
{
    struct grant *grant, *counting;

    (void)state;
    close(news.fd);
    news.fd = open("/dev/null", O_RDONLY);
    grant = grant_of(1, 0);
    counting = grant_of(2, 1);
    assert_int_equal(use_of(grant), USE_UNKNOWN);
    assert_true(has_ended(counting));
    assert_false(has_ended(grant));
}

static void what_is_taken_over_was_listened_for(void **state)
{
    struct grant *grant = grant_of(1, 1);

    (void)state;
    helper_usage_take_over(&news, &grants);
    assert_false(has_ended(grant));
    visit();
    hear();
    assert_int_equal(helper_usage_end(grant), END_USED_UP);
}

static void what_nobody_listened_for_is_not_taken_over(void **state)
{
    struct grant *grant = grant_of(1, 0), *counting = grant_of(2, 1), *used;

    (void)state;
    used = grant_for("127.0.0.2", 3, 0);
    used->used = 1;
    helper_news_leave(&news);
    helper_usage_take_over(&news, &grants);
    assert_int_equal(use_of(grant), USE_UNKNOWN);
    assert_true(has_ended(counting));
    assert_int_equal(use_of(used), USE_SOME);
    assert_false(has_ended(used));
}

/* By another configuration. */
static void one_that_admits_fewer_by_now_ends(void **state)
{
    struct grant *grant = grant_of(1, 3);

    (void)state;
    visit();
    visit();
    hear();
    grant->connections = 2;
    helper_usage_take_over(&news, &grants);
    assert_true(has_ended(grant));
}

static int enter(void **state)
{
    if (netspace_enter(state) != 0)
        return -1;
    return system("ip link set lo up && iptables -A INPUT -m conntrack --ctstate NEW");
}

#define WITH_GRANTS(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_GRANTS(without_grants_nobody_listens),
        WITH_GRANTS(the_first_connection_is_enough),
        WITH_GRANTS(what_was_there_before_does_not_count),
        WITH_GRANTS(it_counts_for_whom_it_is_and_for_no_other),
        WITH_GRANTS(the_end_of_one_tells_of_others),
        WITH_GRANTS(a_grant_for_two_ends_with_the_second),
        WITH_GRANTS(another_knock_admits_as_many_again),
        WITH_GRANTS(of_lost_news_nothing_is_said_and_what_counts_ends),
        WITH_GRANTS(what_is_known_is_not_lost),
        WITH_GRANTS(without_a_socket_nothing_is_counted),
        WITH_GRANTS(what_is_taken_over_was_listened_for),
        WITH_GRANTS(what_nobody_listened_for_is_not_taken_over),
        WITH_GRANTS(one_that_admits_fewer_by_now_ends),
    };

    return cmocka_run_group_tests_name("usage", tests, enter, scratch_leave);
}
