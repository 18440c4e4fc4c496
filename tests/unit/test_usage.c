#include "check.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include "clock.h"
#include "netspace.h"
#include "usage.h"

enum { FIRST_PORT = 2222, CAPACITY = 40 };

static struct flows flows;
static struct grants grants;
static struct service service = {IPPROTO_TCP, FIRST_PORT};
static int listener, client, accepted;

/* How long the kernel takes to tell, besides: as with a large table. */
static int64_t slowness;

static unsigned questions; /* that the kernel was asked */

bool __wrap_helper_flows_each(struct flows *f, bool ipv6, const struct address *from,
                              const struct service *to, flow_handler *handle, void *into,
                              struct error *why);
bool __real_helper_flows_each(struct flows *f, bool ipv6, const struct address *from,
                              const struct service *to, flow_handler *handle, void *into,
                              struct error *why);

bool __wrap_helper_flows_each(struct flows *f, bool ipv6, const struct address *from,
                              const struct service *to, flow_handler *handle, void *into,
                              struct error *why)
{
    const struct timespec pause = {.tv_nsec = (long)slowness};

    questions++;
    nanosleep(&pause, NULL);
    return __real_helper_flows_each(f, ipv6, from, to, handle, into, why);
}

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

static int begin(void **state)
{
    struct sockaddr_in at;
    struct error why;

    (void)state;
    service.port++;
    questions = 0;
    make_socket(&listener, &at);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 8), 0);
    helper_flows_open(&flows);
    return helper_grants_create(&grants, open(".", O_RDONLY), CAPACITY, &why) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    helper_flows_close(&flows);
    close(grants.run_dir);
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
    helper_grants_open(&grants, key_id, &address, &service,
                       clock_boot_ns() + 86400 * (int64_t)NSEC_PER_SEC);
    grant = helper_grants_find(&grants, key_id, &address, &service);
    grant->connections = connections;
    helper_usage_begin(&flows, &grants, grant);
    return grant;
}

static struct grant *grant_of(uint8_t who, uint32_t connections)
{
    return grant_for("127.0.0.1", who, connections);
}

static void finish(struct grant *grant)
{
    helper_usage_finish(&flows, &grants, grant, 1);
}

static bool look(void)
{
    return helper_usage_look(&flows, &grants, helper_usage_next(&grants));
}

static void without_grants_there_is_no_look(void **state)
{
    (void)state;
    assert_int_equal(helper_usage_next(&grants), 0);
    assert_false(helper_usage_look(&flows, &grants, INT64_MAX));
}

static void a_used_grant_is_looked_at_no_more(void **state)
{
    struct grant *grant = grant_of(1, 0);

    (void)state;
    assert_true(look());
    assert_false(look());
    assert_int_equal(grant->used, 0);
    assert_true(helper_usage_next(&grants) > 0);
    let_in();
    assert_true(look());
    assert_int_equal(grant->used, 1);
    assert_int_equal(helper_usage_next(&grants), 0);
    assert_string_equal(helper_usage_text(grant), "it was used");
    assert_true(grant->deadline > clock_boot_ns());
    hang_up();
}

static void what_comes_before_the_first_look_counts(void **state)
{
    struct grant *grant;
    int older[2];

    (void)state;
    let_in();
    older[0] = client;
    older[1] = accepted;
    grant = grant_of(1, 0);
    assert_int_equal(questions, 0); /* nobody waits for an answer */
    let_in();
    assert_true(look());
    assert_int_equal(grant->used, 1);
    assert_int_equal(helper_usage_next(&grants), 0);
    hang_up();
    close(older[0]);
    close(older[1]);
}

static void looks_become_rare_but_miss_nothing(void **state)
{
    struct grant *grant = grant_of(1, 0);
    int64_t before = clock_boot_ns();

    (void)state;
    assert_true(grant->look_at <= before + NSEC_PER_SEC);
    assert_true(look());
    helper_grants_store(&grants);
    for (int i = 0; i < 10; i++) {
        before = clock_boot_ns();
        assert_false(look());
        assert_true(grant->look_at > before);
        assert_int_equal(grants.stale[0], 0); /* nothing is known that is not stored */
    }
    assert_true(grant->look_at >= before + 60 * (int64_t)NSEC_PER_SEC);
    assert_true(grant->look_at <= clock_boot_ns() + 60 * (int64_t)NSEC_PER_SEC);
    let_in();
    hang_up(); /* it is told of for 120 s more */
    assert_true(look());
    assert_int_equal(grant->used, 1);
}

static void what_was_there_before_does_not_count(void **state)
{
    struct grant *grant;

    (void)state;
    let_in();
    grant = grant_of(1, 0);
    assert_true(look());
    assert_int_equal(grant->used, 0);
    hang_up();
    assert_false(look());
    finish(grant);
    assert_string_equal(helper_usage_text(grant), "no connection came");
    let_in();
    finish(grant);
    assert_string_equal(helper_usage_text(grant), "it was used");
    hang_up();
}

/* What began is told once. */
static void the_end_of_one_is_the_first_look_at_others(void **state)
{
    struct grant *ended = grant_of(1, 0), *other = grant_of(2, 0);
    struct grant copy = *ended;

    (void)state;
    let_in();
    helper_grants_remove(&grants, ended->key_id, &ended->address, &ended->service);
    other = &grants.items[0];
    helper_grants_store(&grants);
    finish(&copy);
    assert_int_equal(copy.used, 1);
    assert_int_equal(other->used, 1);
    assert_false(flows.listening);
    assert_int_equal(grants.stale[0], 0); /* that is stored */
    hang_up();
}

/* What is there may have come in before the door was opened, or after. */
static void where_something_was_missed_nothing_counts(void **state)
{
    struct grant *grant = grant_of(1, 0);

    (void)state;
    grant->watched = UNWATCHED;
    let_in();
    assert_true(helper_usage_look(&flows, &grants, INT64_MAX));
    assert_int_equal(grant->used, 0);
    assert_int_equal(grant->look_at, 0);
    assert_non_null(strstr(helper_usage_text(grant), "not known"));
    hang_up();
}

static void the_next_helper_knows_what_this_one_heard(void **state)
{
    struct grant *grant;

    (void)state;
    assert_false(helper_usage_hand_over(&flows, &grants));
    let_in();
    grant = grant_of(1, 0);
    assert_true(helper_usage_hand_over(&flows, &grants));
    assert_int_equal(grant->watched, WATCHED);
    assert_int_equal(grant->flow_count, 1);
    assert_int_equal(grant->used, 0);
    assert_false(helper_usage_hand_over(&flows, &grants));
    hang_up();
}

static void without_the_news_it_is_asked_before(void **state)
{
    struct grant *grant;

    (void)state;
    close(flows.news);
    flows.news = -1;
    let_in();
    grant = grant_of(1, 0);
    assert_int_equal(questions, 1);
    assert_int_equal(grant->flow_count, 1);
    assert_false(look());
    hang_up();
    let_in();
    assert_true(look());
    assert_int_equal(grant->used, 1);
    hang_up();
}

/* More than there is room for. */
static void of_lost_news_nothing_is_said(void **state)
{
    enum { MANY = GRANT_FLOWS / 2 };
    struct grant *grant;
    const int little = 1, enough = 65536;

    (void)state;
    assert_int_equal(setsockopt(flows.news, SOL_SOCKET, SO_RCVBUF, &little, sizeof little), 0);
    grant = grant_of(1, 0);
    for (int i = 0; i < MANY; i++) {
        let_in();
        hang_up();
    }
    assert_true(look());
    assert_int_equal(helper_usage_next(&grants), 0);
    assert_non_null(strstr(helper_usage_text(grant), "not known"));
    /* Nor is what was left then news later. */
    assert_int_equal(setsockopt(flows.news, SOL_SOCKET, SO_RCVBUF, &enough, sizeof enough), 0);
    grant = grant_of(2, 0);
    assert_true(look());
    assert_int_equal(grant->used, 0);
    assert_string_equal(helper_usage_text(grant), "no connection came");
}

static void what_is_taken_back_is_not_listened_for(void **state)
{
    struct grant *grant = grant_of(1, 0);

    (void)state;
    grant_of(2, 0);
    helper_grants_remove(&grants, grant->key_id, &grant->address, &grant->service);
    helper_usage_take_back(&flows, &grants);
    assert_true(flows.listening); /* for the other */
    grant = &grants.items[0];
    helper_grants_remove(&grants, grant->key_id, &grant->address, &grant->service);
    helper_usage_take_back(&flows, &grants);
    assert_false(flows.listening);
}

static void a_grant_for_two_ends_with_the_second(void **state)
{
    struct grant *grant = grant_of(1, 2);

    (void)state;
    assert_true(grant->look_at <= clock_boot_ns() + NSEC_PER_SEC / 4);
    let_in();
    hang_up();
    assert_true(look());
    assert_false(look());
    assert_false(helper_usage_is_full(grant));
    assert_true(grant->deadline > clock_boot_ns());
    let_in();
    assert_true(look());
    assert_true(helper_usage_is_full(grant));
    assert_true(grant->deadline <= clock_boot_ns() + NSEC_PER_SEC);
    hang_up();
}

/* More connections than can be kept apart: full too early rather than too late. */
static void too_many_older_ones_fill_it(void **state)
{
    enum { OLDER = GRANT_FLOWS + 1 };
    int ends[OLDER][2];
    struct grant *grant;

    (void)state;
    for (int i = 0; i < OLDER; i++) {
        let_in();
        ends[i][0] = client;
        ends[i][1] = accepted;
    }
    grant = grant_of(1, 1);
    assert_int_equal(grant->flow_count, GRANT_FLOWS);
    assert_true(look());
    assert_true(helper_usage_is_full(grant));
    for (int i = 0; i < OLDER; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
}

static void many_grants_take_one_question(void **state)
{
    int64_t due;

    (void)state;
    for (uint8_t i = 1; i < CAPACITY / 2; i++)
        grant_of(i, 0);
    for (uint8_t i = CAPACITY / 2; i < CAPACITY; i++)
        grant_for("10.0.0.1", i, 0); /* before the other in every order */
    assert_int_equal(questions, 0);
    let_in();
    due = clock_boot_ns() + NSEC_PER_SEC;
    assert_true(helper_usage_look(&flows, &grants, due));
    assert_int_equal(questions, 1);
    for (size_t i = 0; i < grants.count; i++) {
        const struct grant *grant = &grants.items[i];

        assert_int_equal(grant->used, grant->key_id[0] < CAPACITY / 2);
        assert_true(grant->look_at == 0 || grant->look_at > due - NSEC_PER_SEC);
    }
    hang_up();
    grant_for("::1", CAPACITY, 0); /* of each family its own */
    helper_usage_finish(&flows, &grants, grants.items, grants.count);
    assert_int_equal(questions, 3);
}

static void open_ports(uint16_t first, uint16_t count)
{
    const struct service own = service;

    for (uint16_t i = 0; i < count; i++) {
        service.port = first + i;
        grant_of((uint8_t)(first + i), 0);
    }
    service = own;
}

/* The kernel picks out a service's connections, and a host may have very many others. */
static void few_services_are_asked_for_one_by_one(void **state)
{
    (void)state;
    grant_for("10.0.0.1", 100, 0);
    grant_of(101, 0);
    open_ports(1, 7);
    let_in();
    assert_true(helper_usage_look(&flows, &grants, INT64_MAX));
    assert_int_equal(questions, 8);
    assert_int_equal(grants.items[1].used, 1);
    open_ports(8, 1);
    questions = 0;
    helper_usage_look(&flows, &grants, INT64_MAX);
    assert_int_equal(questions, 1);
    hang_up();
}

/* Their answer is the sooner there. */
static void limited_grants_are_asked_about_apart(void **state)
{
    (void)state;
    open_ports(1, 9);
    grant_of(101, 2);
    let_in();
    questions = 0;
    assert_true(helper_usage_look(&flows, &grants, INT64_MAX));
    assert_int_equal(questions, 2);
    assert_int_equal(grants.items[9].used, 1);
    hang_up();
}

static void a_slow_look_is_followed_by_a_rest(void **state)
{
    struct grant *grant = grant_of(1, 2);
    const int64_t far = clock_boot_ns() + 60 * (int64_t)NSEC_PER_SEC;
    int64_t end;

    (void)state;
    grant_of(2, 2);
    slowness = 50 * (int64_t)NSEC_PER_MSEC;
    assert_false(helper_usage_look(&flows, &grants, far));
    end = clock_boot_ns();
    slowness = 0;
    assert_true(grant->look_at > 0 && grant->look_at < end + NSEC_PER_SEC / 2);
    assert_true(helper_usage_next(&grants) > end + 400 * (int64_t)NSEC_PER_MSEC); /* neither is */
    let_in();
    assert_false(helper_usage_look(&flows, &grants, end + 400 * (int64_t)NSEC_PER_MSEC));
    assert_true(look());
    hang_up();
}

static void where_it_is_not_told_it_is_not_known(void **state)
{
    struct grant *grant;
    struct error why;

    (void)state;
    assert_true(helper_usage_try(&flows, &why));
    close(flows.conntrack);
    flows.conntrack = -1;
    assert_false(helper_usage_try(&flows, &why));
    assert_non_null(strstr(why.text, "nf_conntrack_netlink"));
    grant = grant_of(1, 0);
    assert_true(look());
    assert_int_equal(helper_usage_next(&grants), 0);
    finish(grant);
    assert_non_null(strstr(helper_usage_text(grant), "not known"));
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
        WITH_GRANTS(without_grants_there_is_no_look),
        WITH_GRANTS(a_used_grant_is_looked_at_no_more),
        WITH_GRANTS(what_comes_before_the_first_look_counts),
        WITH_GRANTS(looks_become_rare_but_miss_nothing),
        WITH_GRANTS(what_was_there_before_does_not_count),
        WITH_GRANTS(the_end_of_one_is_the_first_look_at_others),
        WITH_GRANTS(where_something_was_missed_nothing_counts),
        WITH_GRANTS(the_next_helper_knows_what_this_one_heard),
        WITH_GRANTS(without_the_news_it_is_asked_before),
        WITH_GRANTS(of_lost_news_nothing_is_said),
        WITH_GRANTS(what_is_taken_back_is_not_listened_for),
        WITH_GRANTS(a_grant_for_two_ends_with_the_second),
        WITH_GRANTS(too_many_older_ones_fill_it),
        WITH_GRANTS(many_grants_take_one_question),
        WITH_GRANTS(few_services_are_asked_for_one_by_one),
        WITH_GRANTS(limited_grants_are_asked_about_apart),
        WITH_GRANTS(a_slow_look_is_followed_by_a_rest),
        WITH_GRANTS(where_it_is_not_told_it_is_not_known),
    };

    return cmocka_run_group_tests_name("usage", tests, enter, scratch_leave);
}
