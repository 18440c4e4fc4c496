/* privsep/set, and privsep/firewall with it: what the kernel's sets hold, as ipset(8) and
 * iptables show it. */
#include "check.h"

#include "common/clock.h"
#include "netspace.h"
#include "people.h"
#include "privsep/helper/iptables.h"
#include "privsep/helper/set.h"
#include "privsep/prepare/establish.h"
#include "privsep/prepare/release.h"
#include "privsep/prepare/rules.h"
#include "privsep/prepare/takeover.h"
#include "privsep/xtables/probe.h"
#include "planned.h"
#include "table.h"

enum { CAPACITY = 2000 };

static const uint8_t alice[KEY_ID_SIZE] = {0xa1}, bob[KEY_ID_SIZE] = {0xb0};
static struct helper_setup setup;
static struct xtables found;
static struct planned made;
static struct firewall *fw;
static struct grants grants;
static struct error why;

/* ---- before and after --------------------------------------------------- */

static int enter(void **state)
{
    if (sodium_init() < 0 || netspace_enter(state) != 0)
        return -1;
    if (probe_xtables(&found, BACKEND_NFT, PROBE_SETS | PROBE_DEADLINES, &why) == PROBE_USABLE)
        return 0;
    fprintf(stderr, "%s\n", why.text);
    return -1;
}

static void open_firewall(enum grant_store store)
{
    setup = (struct helper_setup){.shut_count = 1, .grant_store = store, .max_grants = CAPACITY};
    setup.shut[0] = service_of("tcp/22");
    planned_make(&made, &setup, NULL, 0, &found);
    fw = helper_firewall_open(made.plan);
    helper_firewall_begin(fw, grants.table);
}

/* As after a reload. */
static void set_capacity(uint32_t capacity)
{
    setup.max_grants = capacity;
    planned_make(&made, &setup, NULL, 0, &found);
    fw->plan = fw->sets.plan = made.plan;
}

static int begin(void **state)
{
    (void)state;
    if (netspace_renew() != 0)
        return -1;
    unlink(GRANTTABLE_FILE);
    if (helper_grants_create(&grants, AT_FDCWD, CAPACITY, clock_boot_ns(), &why)) {
        open_firewall(GRANT_STORE_SET);
        if (helper_iptables_establish(fw, IPV4, &grants, &why) &&
            helper_iptables_establish(fw, IPV6, &grants, &why))
            return 0;
    }
    fprintf(stderr, "%s\n", why.text);
    return -1;
}

static int end(void **state)
{
    bool cleared;

    (void)state;
    helper_grants_clear(&grants);
    cleared = helper_firewall_clear(fw, &grants, &why);
    if (!cleared)
        fprintf(stderr, "%s\n", why.text);
    helper_firewall_close(fw);
    helper_grants_free(&grants);
    return cleared ? 0 : -1;
}

static void open_for(const uint8_t key_id[static KEY_ID_SIZE], const char *address,
                     const char *service, int64_t milliseconds)
{
    struct address a = address_of(address);
    struct service s = service_of(service);

    assert_true(grants.count < grants.capacity);
    table_open(&grants, key_id, &a, &s, clock_boot_ns() + milliseconds * 1000000);
}

static void close_for(const uint8_t key_id[static KEY_ID_SIZE], const char *address,
                      const char *service)
{
    struct address a = address_of(address);
    struct service s = service_of(service);

    assert_true(table_close(&grants, key_id, &a, &s));
}

static void insert(enum family family)
{
    if (!helper_iptables_change(fw, family, RULES_INSERT, &grants, &why))
        fail_msg("%s", why.text);
    helper_grants_settle(&grants, family, true);
}

static void rewrite(enum family family)
{
    if (!helper_iptables_change(fw, family, RULES_REWRITE, &grants, &why))
        fail_msg("%s", why.text);
    helper_grants_settle(&grants, family, true);
}

static void fill_anew(enum family family)
{
    assert_done(helper_iptables_establish(fw, family, &grants, &why), why);
}

/* ---- what is there ------------------------------------------------------ */

/* The elements, sorted, a line each, without their timeouts. */
static void check_elements(enum family family, const char *expected)
{
    char *elements = output_of("ipset save portsmith%d | sed -n 's/^add [^ ]* //p' | "
                               "sed 's/ timeout.*//' | sort", family == IPV6 ? 6 : 4);

    assert_string_equal(elements, expected);
    free(elements);
}

/* The seconds that the one element has left. */
static int timeout_of(const char *element)
{
    char *text = output_of("ipset save portsmith4 | sed -n 's/.* %s timeout //p'", element);
    int seconds = atoi(text);

    free(text);
    return seconds;
}

static void check_output(const char *command, const char *expected)
{
    char *text = output_of("%s", command);

    assert_string_equal(text, expected);
    free(text);
}

static const char *const count_rules =
    "for t in mangle filter; do iptables-nft -t $t -S | grep -c -e --datestop; done | xargs";

/* ---- tests -------------------------------------------------------------- */

static void one_rule_in_each_table_looks_into_the_set(void **state)
{
    (void)state;
    check_output("iptables-nft -t mangle -S portsmith-shut; iptables-nft -S portsmith; "
                 "iptables-nft -S portsmith-open",
                 "-N portsmith-shut\n"
                 "-A portsmith-shut -m set --match-set portsmith4 src,dst -j RETURN\n"
                 "-A portsmith-shut -j DROP\n"
                 "-N portsmith\n"
                 "-A portsmith -p tcp -m tcp ! --tcp-flags RST,ACK NONE -m conntrack --ctstate UNTRACKED "
                 "-j RETURN\n"
                 "-A portsmith -m conntrack --ctstate NEW,UNTRACKED -j portsmith-open\n"
                 "-A portsmith -m conntrack --ctstate NEW -m comment --comment end-of-grants "
                 "-j RETURN\n"
                 "-N portsmith-open\n"
                 "-A portsmith-open -m set --match-set portsmith4 src,dst -j ACCEPT\n");
    check_output("ip6tables-nft -S portsmith-open | grep -c 'match-set portsmith6 src,dst'", "1\n");
}

static void grants_are_elements(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 60000);
    open_for(alice, "192.0.2.7", "udp/53", 60000);
    open_for(bob, "2001:db8::7", "tcp/22", 60000);
    insert(IPV4);
    insert(IPV6);
    check_elements(IPV4, "192.0.2.7,tcp:22\n192.0.2.7,udp:53\n");
    check_elements(IPV6, "2001:db8::7,tcp:22\n");
    check_output(count_rules, "0 0\n");
}

/* Rounded down; but never to none, which would be for ever. */
static void a_timeout_is_never_late_and_never_missing(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 60999);
    open_for(alice, "192.0.2.8", "tcp/22", 500);
    insert(IPV4);
    assert_in_range(timeout_of("192.0.2.7,tcp:22"), 58, 60);
    check_output("ipset save portsmith4 | grep -c '^add.*timeout 1$'", "1\n");
}

/* It was shut already, or is about to be; a look at the rules must not open it again. */
static void what_ends_within_a_second_is_not_put_in_again(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 900);
    insert(IPV4);
    check_elements(IPV4, "192.0.2.7,tcp:22\n");
    assert_done(helper_iptables_change(fw, IPV4, RULES_REFRESH, &grants, &why), why);
    check_elements(IPV4, "");
    open_for(bob, "192.0.2.7", "tcp/22", 60000);
    insert(IPV4);
    close_for(bob, "192.0.2.7", "tcp/22");
    rewrite(IPV4);
    check_elements(IPV4, "");
}

static void extending_changes_the_timeout_alone(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 60000);
    insert(IPV4);
    assert_true(helper_sets->holds(&grants.items[0]));
    open_for(alice, "192.0.2.7", "tcp/22", 600000);
    insert(IPV4);
    check_elements(IPV4, "192.0.2.7,tcp:22\n");
    assert_in_range(timeout_of("192.0.2.7,tcp:22"), 590, 600);
}

static void what_is_closed_is_taken_out(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 60000);
    open_for(bob, "192.0.2.8", "tcp/22", 60000);
    open_for(bob, "2001:db8::8", "tcp/22", 60000);
    insert(IPV4);
    insert(IPV6);
    close_for(alice, "192.0.2.7", "tcp/22");
    close_for(bob, "2001:db8::8", "tcp/22");
    rewrite(IPV4);
    check_elements(IPV4, "192.0.2.8,tcp:22\n");
    check_elements(IPV6, "2001:db8::8,tcp:22\n"); /* not yet */
    rewrite(IPV6);
    check_elements(IPV6, "");
    assert_int_equal(grants.gone_count, 0);
}

/* As two people behind one NAT have. */
static void a_door_of_two_stays_until_both_are_gone(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 600000);
    open_for(bob, "192.0.2.7", "tcp/22", 60000);
    insert(IPV4);
    assert_in_range(timeout_of("192.0.2.7,tcp:22"), 590, 600);
    fill_anew(IPV4);
    assert_in_range(timeout_of("192.0.2.7,tcp:22"), 590, 600);
    close_for(alice, "192.0.2.7", "tcp/22");
    rewrite(IPV4);
    assert_in_range(timeout_of("192.0.2.7,tcp:22"), 50, 60);
    close_for(bob, "192.0.2.7", "tcp/22");
    rewrite(IPV4);
    check_elements(IPV4, "");
}

static void what_was_not_put_in_force_is_taken_back(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 60000);
    assert_done(helper_iptables_change(fw, IPV4, RULES_INSERT, &grants, &why), why);
    helper_grants_settle(&grants, IPV4, false); /* the batch failed later on */
    fw->unsure[IPV4] = true;
    rewrite(IPV4);
    check_elements(IPV4, "");
}

static const char *nth(int i)
{
    static char address[ADDRESS_TEXT_SIZE];

    snprintf(address, sizeof address, "10.0.%d.%d", i / 250, 1 + i % 250);
    return address;
}

static void more_gone_than_is_remembered_is_no_loss(void **state)
{
    (void)state;
    for (int i = 0; i < CAPACITY; i++)
        open_for(alice, nth(i), "tcp/22", 60000);
    insert(IPV4);
    for (int i = 0; i < CAPACITY; i++) { /* others, that fill the list */
        close_for(alice, i == 0 ? nth(0) : "192.0.2.1", "tcp/22");
        open_for(alice, "192.0.2.1", "tcp/22", 60000);
    }
    close_for(alice, "192.0.2.1", "tcp/22");
    for (int i = 1; i < CAPACITY; i++)
        close_for(alice, nth(i), "tcp/22");
    assert_true(grants.changes[IPV4] == GRANTS_FORGOTTEN);
    rewrite(IPV4);
    check_elements(IPV4, "");
    assert_false(grants.changes[IPV4] == GRANTS_FORGOTTEN);
}

static void as_many_as_there_may_be_fit(void **state)
{
    (void)state;
    for (int i = 0; i < CAPACITY; i++) {
        char address[ADDRESS_TEXT_SIZE];

        snprintf(address, sizeof address, "2001:db8::%x", 1 + i);
        open_for(alice, address, "tcp/22", 60000);
    }
    insert(IPV6);
    check_output("ipset save portsmith6 | grep -c ^add", "2000\n");
    fill_anew(IPV6);
    check_output("ipset save portsmith6 | grep -c ^add", "2000\n");
    check_output("ipset list -n", "portsmith4\nportsmith6\n");
}

/* A limit, or another host, takes a rule. */
static void some_grants_stay_rules(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 60000);
    grants.items[0].connections = 1;
    open_for(bob, "192.0.2.8", "tcp/22", 60000);
    assert_false(helper_sets->holds(&grants.items[0]));
    insert(IPV4);
    check_elements(IPV4, "192.0.2.8,tcp:22\n");
    check_output(count_rules, "1 1\n");
    assert_result(helper_iptables_look(fw, IPV4, &grants, &why), HELPER_RULES_IN_FORCE, why);
    close_for(alice, "192.0.2.7", "tcp/22");
    rewrite(IPV4);
    check_output(count_rules, "0 0\n");
}

static void what_is_lost_is_seen_and_put_back(void **state)
{
    static const char *const losses[] = {"-t mangle -D portsmith-shut 1", "-D portsmith 1",
                                         "-D portsmith-open 1", "-F"};

    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 60000);
    insert(IPV4);
    for (size_t i = 0; i < COUNT_OF(losses); i++) {
        run_command("iptables-nft %s", losses[i]);
        assert_result(helper_iptables_look(fw, IPV4, &grants, &why), HELPER_RULES_MISSING, why);
        run_command("ipset flush portsmith4");
        assert_done(helper_iptables_establish(fw, IPV4, &grants, &why), why);
        assert_result(helper_iptables_look(fw, IPV4, &grants, &why), HELPER_RULES_IN_FORCE, why);
        check_elements(IPV4, "192.0.2.7,tcp:22\n");
    }
}

static void rewriting_mends_what_is_unsure(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 60000);
    insert(IPV4);
    run_command("ipset flush portsmith4");
    fw->unsure[IPV4] = true;
    rewrite(IPV4);
    check_elements(IPV4, "192.0.2.7,tcp:22\n");
    assert_false(fw->unsure[IPV4]);
}

static void refreshing_fills_the_set(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 60000);
    insert(IPV4);
    run_command("ipset flush portsmith4 && ipset add portsmith4 192.0.2.66,tcp:22");
    assert_done(helper_iptables_change(fw, IPV4, RULES_REFRESH, &grants, &why), why);
    check_elements(IPV4, "192.0.2.7,tcp:22\n");
}

/* The next helper, after a SIGKILL in the middle of filling, with another capacity. */
static void a_new_helper_takes_the_sets_over(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 60000);
    insert(IPV4);
    run_command("ipset create portsmith-next hash:ip,port family inet6 timeout 5");
    helper_firewall_close(fw);
    open_firewall(GRANT_STORE_SET);
    set_capacity(CAPACITY / 2);
    assert_done(helper_iptables_establish(fw, IPV4, &grants, &why), why);
    check_elements(IPV4, "192.0.2.7,tcp:22\n");
    check_output("ipset list -t portsmith4 | grep -c 'maxelem 1000 '", "1\n");
    check_output("ipset list -n", "portsmith4\nportsmith6\n");
}

static void with_rules_again_no_set_is_left(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 60000);
    insert(IPV4);
    helper_firewall_close(fw);
    open_firewall(GRANT_STORE_RULES);
    assert_done(establish_first(fw, IPV4, made.rules, false, &grants, &why), why);
    assert_done(establish_first(fw, IPV6, made.rules + 1, false, &grants, &why), why);
    check_output("ipset list -n", "");
    check_output(count_rules, "1 1\n");
}

/* So that a ruleset which is saved while the daemon is stopped names none. */
static void the_end_leaves_neither_set_nor_rule_about_it(void **state)
{
    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 60000);
    insert(IPV4);
    helper_grants_clear(&grants);
    assert_done(helper_firewall_clear(fw, &grants, &why), why);
    check_output("ipset list -n", "");
    check_output("iptables-nft-save | grep -c -e --match-set", "0\n");
    check_output("iptables-nft -t mangle -S portsmith-shut", "-N portsmith-shut\n"
                                                         "-A portsmith-shut -j DROP\n");
    assert_done(helper_release(BACKEND_NFT, &why), why);
    check_output("iptables-nft-save | grep -c portsmith", "0\n");
}

static void another_program_s_set_is_not_taken(void **state)
{
    (void)state;
    helper_grants_clear(&grants);
    assert_done(helper_firewall_clear(fw, &grants, &why), why);
    run_command("ipset create portsmith4 hash:net");
    assert_false(helper_iptables_establish(fw, IPV4, &grants, &why));
    assert_non_null(strstr(why.text, "another program's set has this name"));
    assert_true(fw->unsure[IPV4]);
    run_command("ipset destroy portsmith4");
}

/* What it holds may be closed by now. */
static void a_leftover_that_stays_is_not_used(void **state)
{
    (void)state;
    run_command("ipset create portsmith-next hash:ip,port timeout 500 && "
                "ipset add portsmith-next 192.0.2.66,tcp:22 && "
                "iptables-nft -A INPUT -m set --match-set portsmith-next src,dst");
    open_for(alice, "192.0.2.7", "tcp/22", 60000);
    assert_false(helper_iptables_establish(fw, IPV4, &grants, &why));
    check_elements(IPV4, "");
    run_command("iptables-nft -F INPUT");
    assert_done(helper_iptables_establish(fw, IPV4, &grants, &why), why);
    check_elements(IPV4, "192.0.2.7,tcp:22\n");
}

static void doors_shut_even_where_iptables_fails(void **state)
{
    const char *path = fw->restore[IPV4].path;

    (void)state;
    open_for(alice, "192.0.2.7", "tcp/22", 60000);
    open_for(bob, "192.0.2.8", "tcp/22", 60000);
    insert(IPV4);
    restore_end(&fw->restore[IPV4]);
    fw->restore[IPV4].path = "/bin/false";
    close_for(alice, "192.0.2.7", "tcp/22");
    fw->unsure[IPV4] = true;
    assert_false(helper_iptables_change(fw, IPV4, RULES_REWRITE, &grants, &why));
    check_elements(IPV4, "192.0.2.8,tcp:22\n");
    helper_grants_clear(&grants);
    assert_false(helper_firewall_clear(fw, &grants, &why));
    check_elements(IPV4, "");
    fw->restore[IPV4].path = path;
}

static void a_set_that_a_rule_of_others_refers_to_stays(void **state)
{
    struct sets sets = {.plan = made.plan};

    (void)state;
    run_command("iptables-nft -A INPUT -m set --match-set portsmith4 src,dst -j ACCEPT");
    helper_grants_clear(&grants);
    assert_done(helper_firewall_clear(fw, &grants, &why), why);
    helper_sets->open(&sets.kernel);
    assert_false(helper_sets->remove(&sets, IPV4, &why));
    assert_non_null(strstr(why.text, "a rule refers to it"));
    run_command("iptables-nft -F INPUT");
    assert_done(helper_sets->remove(&sets, IPV4, &why), why);
    assert_done(helper_sets->remove(&sets, IPV4, &why), why); /* none is fine */
    helper_sets->close(&sets.kernel);
}

static void more_than_the_capacity_is_refused(void **state)
{
    (void)state;
    set_capacity(16);
    assert_done(helper_iptables_establish(fw, IPV4, &grants, &why), why);
    for (int i = 0; i < 500; i++)
        open_for(alice, nth(i), "tcp/22", 60000);
    assert_false(helper_iptables_change(fw, IPV4, RULES_INSERT, &grants, &why));
    assert_non_null(strstr(why.text, "the set is full"));
    assert_true(fw->unsure[IPV4]);
}

static void without_a_kernel_that_has_sets_the_reason_is_told(void **state)
{
    struct sets none = {.kernel.fd = -1, .plan = made.plan};

    (void)state;
    assert_false(helper_sets->fill(&none, IPV4, &grants, &why));
    assert_non_null(strstr(why.text, "the kernel has no ip_set; load or build it"));
    assert_done(helper_sets->remove(&none, IPV4, &why), why);
}

int main(void)
{
#define WITH_SET(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        WITH_SET(one_rule_in_each_table_looks_into_the_set),
        WITH_SET(grants_are_elements),
        WITH_SET(a_timeout_is_never_late_and_never_missing),
        WITH_SET(what_ends_within_a_second_is_not_put_in_again),
        WITH_SET(extending_changes_the_timeout_alone),
        WITH_SET(what_is_closed_is_taken_out),
        WITH_SET(a_door_of_two_stays_until_both_are_gone),
        WITH_SET(what_was_not_put_in_force_is_taken_back),
        WITH_SET(more_gone_than_is_remembered_is_no_loss),
        WITH_SET(as_many_as_there_may_be_fit),
        WITH_SET(some_grants_stay_rules),
        WITH_SET(what_is_lost_is_seen_and_put_back),
        WITH_SET(rewriting_mends_what_is_unsure),
        WITH_SET(refreshing_fills_the_set),
        WITH_SET(a_new_helper_takes_the_sets_over),
        WITH_SET(with_rules_again_no_set_is_left),
        WITH_SET(the_end_leaves_neither_set_nor_rule_about_it),
        WITH_SET(another_program_s_set_is_not_taken),
        WITH_SET(a_leftover_that_stays_is_not_used),
        WITH_SET(doors_shut_even_where_iptables_fails),
        WITH_SET(a_set_that_a_rule_of_others_refers_to_stays),
        WITH_SET(more_than_the_capacity_is_refused),
        WITH_SET(without_a_kernel_that_has_sets_the_reason_is_told),
    };

    return cmocka_run_group_tests_name("set", tests, enter, scratch_leave);
}
