#include "check.h"

#include "daemon/supervisor/reply.h"

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
    strcpy(request.profile, "tablet");
    assert_false(reply_make_order(&order, &request, &config, &why));
    assert_string_equal(why.text, "there is no profile 'tablet'");
}

static void a_status_adds_up_what_helpers_counted(void **state)
{
    static const struct helper_answer answer = {.backend = BACKEND_NFT, .families = 3,
                                                .grant_store = GRANT_STORE_SET, .live = 4};
    struct pair pair = {.sniffer = 5, .helper = 6, .interfaces = {1, 0},
                        .verdicts = {[VERDICT_OPENED] = 2},
                        .verdicts_before = {[VERDICT_OPENED] = 40}};
    struct counters counters = {.captured = 9, .dropped = 8};

    (void)state;
    reply_status(&reply, &config, &pair, &counters, &answer);
    assert_int_equal(reply.result, CONTROL_DONE);
    assert_int_equal(reply.status.verdicts[VERDICT_OPENED], 42);
    assert_int_equal(reply.status.counters.dropped, 8);
    assert_int_equal(reply.status.live, 4);
    assert_int_equal(reply.status.grant_store, GRANT_STORE_SET);
    assert_int_equal(reply.status.interfaces[0].captured, 1);
    assert_int_equal(reply.status.interfaces[1].captured, 0);
    pair.sniffer = pair.helper = 0;
    reply_status(&reply, &config, &pair, &counters, NULL);
    assert_int_equal(reply.status.interfaces[0].captured, 0);
    assert_int_equal(reply.status.backend, BACKEND_AUTO);
    assert_int_equal(reply.status.grant_store, GRANT_STORE_AUTO);
}

static void grants_are_named(void **state)
{
    static const struct control_request request = {.verb = CONTROL_LIST};
    static const struct helper_answer answer = {
        .count = 2,
        .more = 1,
        .grants = {{.key_id = {1}, .id = 7, .seconds_left = 3}, {.key_id = {9}, .id = 8}},
    };

    (void)state;
    reply_answer(&reply, &request, &config, &answer);
    assert_int_equal(reply.count, 2);
    assert_int_equal(reply.more, 1);
    assert_string_equal(reply.grants[0].profile, "laptop");
    assert_int_equal(reply.grants[0].seconds_left, 3);
    assert_string_equal(reply.grants[1].profile, "");
}

static void a_close_says_what_was_not_done(void **state)
{
    static const struct control_request by_id = {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_ID},
                                        all = {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_ALL};

    (void)state;
    reply_answer(&reply, &by_id, &config, &(struct helper_answer){0});
    assert_int_equal(reply.result, CONTROL_FAILED);
    reply_answer(&reply, &all, &config, &(struct helper_answer){0});
    assert_int_equal(reply.result, CONTROL_DONE);
    reply_answer(&reply, &all, &config, &(struct helper_answer){.closed = 2, .failed = 1});
    assert_int_equal(reply.result, CONTROL_FAILED);
    reply_answer(&reply, &all, &config, &(struct helper_answer){.closed = 2, .ended = 3});
    assert_int_equal(reply.closed, 2);
    assert_int_equal(reply.ended, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_names_the_profile_by_its_key_id),
        cmocka_unit_test(a_status_adds_up_what_helpers_counted),
        cmocka_unit_test(grants_are_named),
        cmocka_unit_test(a_close_says_what_was_not_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
