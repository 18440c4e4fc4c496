#include "check.h"

#include <net/if.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "daemon/supervisor/pair.h"
#include "netspace.h"
#include "privsep/event.h"
#include "privsep/witnessmessage.h"

static struct config config = {.interfaces = {"one", "two"}, .interface_count = 2};
static struct pair pair;

/* As pair_replace notes it when both are captured. */
static int make_interfaces(void **state)
{
    (void)state;
    run_command("ip link add one type veth && ip link set one up && "
                "ip link add two type veth && ip link set two up");
    pair_init(&pair);
    pair.interfaces[0] = if_nametoindex("one");
    pair.interfaces[1] = if_nametoindex("two");
    return 0;
}

static int remove_interfaces(void **state)
{
    (void)state;
    run_command("ip link delete one; ip link delete two 2>/dev/null || true");
    return 0;
}

static void the_same_interfaces_are_no_news(void **state)
{
    (void)state;
    assert_false(pair_has_other_interfaces(&pair, &config));
    run_command("ip link set two down"); /* its capture goes on once it is up again */
    assert_false(pair_has_other_interfaces(&pair, &config));
}

static void one_that_has_come_is_news(void **state)
{
    (void)state;
    pair.interfaces[1] = 0;
    assert_true(pair_has_other_interfaces(&pair, &config));
    run_command("ip link set two down"); /* there, but of no use yet */
    assert_false(pair_has_other_interfaces(&pair, &config));
}

static void one_that_has_gone_is_news(void **state)
{
    (void)state;
    run_command("ip link delete two");
    assert_true(pair_has_other_interfaces(&pair, &config));
    pair.interfaces[1] = 0; /* as noted by the pair that came after */
    assert_false(pair_has_other_interfaces(&pair, &config));
}

static void one_made_anew_is_news(void **state)
{
    (void)state;
    run_command("ip link delete two && ip link add two type veth && ip link set two up");
    assert_true(pair_has_other_interfaces(&pair, &config));
}

static void any_interface_is_always_there(void **state)
{
    static const struct config any = {.interfaces = {"any"}, .interface_count = 1};

    (void)state;
    pair.interfaces[0] = UINT32_MAX;
    assert_false(pair_has_other_interfaces(&pair, &any));
}

/* ---- children ----------------------------------------------------------- */

enum { ENDED_BY_ITSELF = 3 << 8 }; /* the wait status of SNIFFER_EXIT_CAPTURE_ENDED */

static void the_end_of_each_child_is_noted(void **state)
{
    (void)state;
    pair_init(&pair);
    pair.sniffer = 10;
    pair.helper = 11;
    assert_int_equal(pair_note_end(&pair, &config, 12, 0), PAIR_END_OF_ANOTHER);
    assert_int_equal(pair_note_end(&pair, &config, 10, SIGKILL), PAIR_END_ACCIDENT);
    assert_int_equal(pair.sniffer, 0);
    assert_int_equal(pair.helper, 11);
    assert_int_equal(pair_note_end(&pair, &config, 10, 0), PAIR_END_OF_ANOTHER); /* by now */
    assert_int_equal(pair_note_end(&pair, &config, 11, 1 << 8), PAIR_END_ACCIDENT);
    assert_int_equal(pair.helper, 0);
}

static enum pair_end sniffer_ends(int status)
{
    pair.sniffer = 10;
    return pair_note_end(&pair, &config, 10, status);
}

static void an_interface_that_went_is_no_accident(void **state)
{
    (void)state;
    run_command("ip link delete two");
    assert_int_equal(sniffer_ends(ENDED_BY_ITSELF), PAIR_END_INTERFACE);
    assert_int_equal(sniffer_ends(SIGKILL), PAIR_END_ACCIDENT);
    pair.interfaces[1] = 0; /* as noted by the pair that came after */
    assert_int_equal(sniffer_ends(ENDED_BY_ITSELF), PAIR_END_ACCIDENT);
}

static void an_interface_made_anew_is_no_accident(void **state)
{
    (void)state;
    run_command("ip link delete two && ip link add two type veth && ip link set two up");
    assert_int_equal(sniffer_ends(ENDED_BY_ITSELF), PAIR_END_INTERFACE);
}

static void a_capture_that_ends_without_a_reason_is_an_accident(void **state)
{
    (void)state;
    assert_int_equal(sniffer_ends(ENDED_BY_ITSELF), PAIR_END_ACCIDENT);
}

static void ending_nothing_is_fine(void **state)
{
    (void)state;
    pair_init(&pair);
    pair_end(&pair, true);
    pair_end(&pair, false);
    assert_int_equal(pair.orders, -1);
    assert_int_equal(pair.lifeline, -1);
}

/* For it holds up the next one. */
static void a_hanging_witness_is_waited_for_briefly(void **state)
{
    enum { PATIENCE_SECONDS = 8 };
    const int64_t begun = clock_boot_ns();
    const pid_t parent = getpid();
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == parent)
            pause();
        _exit(EXIT_SUCCESS);
    }
    pair_init(&pair);
    pair.witness = child;
    pair_end(&pair, false);
    assert_int_equal(pair.witness, 0);
    assert_int_equal(pair_reap(child, NULL), -1);
    assert_true(clock_boot_ns() - begun < (int64_t)PATIENCE_SECONDS * NSEC_PER_SEC);
}

/* ---- the helper's messages ---------------------------------------------- */

/* The helper's end; pair.helper is 0, so that nobody is killed. */
static int connect_helper(void)
{
    int ends[2];

    pair_init(&pair);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    pair.orders = ends[0];
    return ends[1];
}

static void an_order_and_its_answer_have_the_same_serial(void **state)
{
    struct helper_report report = {.kind = HELPER_REPORT, .backend = BACKEND_NFT, .live = 7,
                                   .rules = HELPER_RULES_MISSING,
                                   .verdicts = {[VERDICT_OPENED] = 3}}, got;
    struct helper_order order = {.command = HELPER_TELL}, heard;
    int helper = connect_helper();

    (void)state;
    assert_true(pair_order(&pair, &order));
    assert_int_equal(recv(helper, &heard, sizeof heard, MSG_DONTWAIT), sizeof heard);
    assert_int_equal(heard.serial, pair.serial);
    assert_int_equal(pair_read_report(&pair, &got), 0);
    report.serial = heard.serial;
    assert_int_equal(send(helper, &report, sizeof report, 0), sizeof report);
    assert_int_equal(pair_read_report(&pair, &got), HELPER_REPORT);
    assert_memory_equal(&got, &report, sizeof got);
    assert_int_equal(pair.verdicts[VERDICT_OPENED], 3);
    assert_int_equal(pair.live, 7);
    assert_int_equal(pair.rules, HELPER_RULES_MISSING);
    pair_end(&pair, false);
    assert_int_equal(pair.rules, HELPER_RULES_UNKNOWN);
    assert_int_equal(pair.verdicts_before[VERDICT_OPENED], 3);
    assert_int_equal(pair_count(&pair, VERDICT_OPENED), 3);
    close(helper);
}

static uint32_t rules_after(int helper, enum helper_rules rules)
{
    const struct helper_report report = {.kind = HELPER_REPORT, .backend = BACKEND_NFT,
                                         .rules = rules};
    struct helper_report got;

    assert_int_equal(send(helper, &report, sizeof report, 0), sizeof report);
    assert_int_equal(pair_read_report(&pair, &got), HELPER_REPORT);
    assert_int_equal(got.rules, pair.rules);
    return got.rules;
}

/* To be told twice that they are missing is one removal. */
static void rules_that_are_removed_often_are_contested(void **state)
{
    int helper = connect_helper();

    (void)state;
    for (int i = 0; i < REMOVALS_OFTEN; i++) {
        assert_int_equal(rules_after(helper, HELPER_RULES_MISSING), HELPER_RULES_MISSING);
        assert_int_equal(rules_after(helper, HELPER_RULES_MISSING), HELPER_RULES_MISSING);
        assert_int_equal(rules_after(helper, HELPER_RULES_IN_FORCE), HELPER_RULES_IN_FORCE);
    }
    assert_int_equal(pair_follow_quiet(&pair), 0);
    assert_int_equal(rules_after(helper, HELPER_RULES_MISSING), HELPER_RULES_MISSING);
    assert_int_equal(rules_after(helper, HELPER_RULES_IN_FORCE), HELPER_RULES_CONTESTED);
    assert_true(pair_follow_quiet(&pair) > clock_boot_ns());
    pair.quiet_at = clock_boot_ns(); /* as if a minute had passed */
    assert_int_equal(pair_follow_quiet(&pair), 0);
    assert_int_equal(pair.rules, HELPER_RULES_IN_FORCE);
    assert_int_equal(rules_after(helper, HELPER_RULES_MISSING), HELPER_RULES_MISSING);
    assert_int_equal(rules_after(helper, HELPER_RULES_IN_FORCE), HELPER_RULES_IN_FORCE);
    pair_end(&pair, false);
    close(helper);
}

static void a_helper_that_talks_nonsense_is_cut_off(void **state)
{
    const struct helper_report wrong[] = {
        {.kind = HELPER_PEER_BROKEN, .backend = BACKEND_NFT},
        {.kind = HELPER_REPORT, .backend = BACKEND_NFTABLES + 1},
        {.kind = HELPER_REPORT, .backend = BACKEND_AUTO},
        {.kind = HELPER_REPORT, .backend = BACKEND_NFT, .owned = 1},
        {.kind = HELPER_REPORT, .backend = BACKEND_NFTABLES, .owned = 2},
        {.kind = HELPER_REPORT, .backend = BACKEND_NFT, .rules = 4},
    };
    struct helper_report got;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        int helper = connect_helper();

        assert_int_equal(send(helper, &wrong[i], sizeof wrong[i], 0), sizeof wrong[i]);
        assert_int_equal(pair_read_report(&pair, &got), 0);
        assert_int_equal(pair.orders, -1);
        close(helper);
    }
}

#define WITH_INTERFACES(test)                                                                      \
    cmocka_unit_test_setup_teardown(test, make_interfaces, remove_interfaces)

/* Only the exact size is a question. */
static void a_witness_that_talks_nonsense_is_not_heard(void **state)
{
    static const struct witness_question question = {.id = 7};
    const uint8_t more[sizeof question + 1] = {0};
    uint32_t id = 0;
    int ends[2];

    (void)state;
    for (size_t size = 1; size <= sizeof more; size++) {
        pair_init(&pair);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
        pair.questions = ends[0];
        assert_false(pair_read_question(&pair, &id)); /* none waits */
        assert_int_equal(send(ends[1], &question, sizeof question, 0), sizeof question);
        assert_true(pair_read_question(&pair, &id));
        assert_int_equal(id, 7);
        assert_int_equal(send(ends[1], more, size, 0), size);
        assert_int_equal(pair_read_question(&pair, &id), size == sizeof question);
        assert_int_equal(pair.questions, size == sizeof question ? ends[0] : -1);
        if (pair.questions >= 0)
            close(pair.questions);
        close(ends[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_witness_that_talks_nonsense_is_not_heard),
        WITH_INTERFACES(the_same_interfaces_are_no_news),
        WITH_INTERFACES(one_that_has_come_is_news),
        WITH_INTERFACES(one_that_has_gone_is_news),
        WITH_INTERFACES(one_made_anew_is_news),
        WITH_INTERFACES(any_interface_is_always_there),
        cmocka_unit_test(the_end_of_each_child_is_noted),
        WITH_INTERFACES(an_interface_that_went_is_no_accident),
        WITH_INTERFACES(an_interface_made_anew_is_no_accident),
        WITH_INTERFACES(a_capture_that_ends_without_a_reason_is_an_accident),
        cmocka_unit_test(ending_nothing_is_fine),
        cmocka_unit_test(a_hanging_witness_is_waited_for_briefly),
        cmocka_unit_test(an_order_and_its_answer_have_the_same_serial),
        cmocka_unit_test(rules_that_are_removed_often_are_contested),
        cmocka_unit_test(a_helper_that_talks_nonsense_is_cut_off),
    };

    return cmocka_run_group_tests(tests, netspace_enter, scratch_leave);
}
