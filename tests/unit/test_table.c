/* The table of nf_tables, as the kernel takes it and nft(8) prints it. */
#include "check.h"

#include <errno.h>
#include <netinet/in.h>
#include <time.h>

#include "common/clock.h"
#include "netspace.h"
#include "privsep/netlink.h"
#include "privsep/nftables/batch.h"
#include "privsep/prepare/table.h"

static struct helper_setup setup;
static struct table_form form;
static struct netwriter w;
static struct error why;
static int owner;

static int begin(void **state)
{
    (void)state;
    setup = (struct helper_setup){.max_grants = 50, .shut_count = 2,
                                  .shut = {{IPPROTO_TCP, 22}, {IPPROTO_UDP, 1194}}};
    form = (struct table_form){
        .is_owned = true, .destroys = true, .tells_sessions = true, .counts = true};
    if (netspace_renew() != 0)
        return -1;
    owner = netlink_open(NETLINK_NETFILTER);
    return owner < 0;
}

static int end(void **state)
{
    (void)state;
    return owner >= 0 ? close(owner) : 0;
}

static int make(void)
{
    batch_begin(&w);
    table_write(&w, &setup, &form);
    return batch_send(&w, owner);
}

/* From here on nobody owns the table. */
static void abandon(void)
{
    close(owner);
    owner = -1;
}

static void adopt(void)
{
    owner = netlink_open(NETLINK_NETFILTER);
    assert_true(owner >= 0);
}

/* ---- what nft(8) prints --------------------------------------------------- */

static void replace_all(char *text, const char *old, const char *by)
{
    for (char *at = text; (at = strstr(at, old)); at += strlen(by)) {
        memmove(at + strlen(by), at + strlen(old), strlen(at + strlen(old)) + 1);
        memcpy(at, by, strlen(by));
    }
}

/* As 1.0.6 prints it, but for the name of the owner, which under valgrind(1) is another one. No
 * text gets longer by that. */
static char *listing(const char *what)
{
    char *text = output_of("nft list %s inet portsmith | sed 's/ # progname .*//'", what);

    replace_all(text, "flags owner,persist", "flags owner");
    replace_all(text, "tcp flags & (rst | ack) == ack", "tcp flags ack / rst,ack");
    return text;
}

static void assert_listed(const char *what, const char *expected)
{
    char *text = listing(what);

    assert_string_equal(text, expected);
    free(text);
}

/* Whether the table has such a line, or a part of one. */
static bool has(const char *line)
{
    char *text = listing("table");
    bool found = strstr(text, line);

    free(text);
    return found;
}

#define SETS_OF_GRANTS \
    "\tset grants4 {\n" \
    "\t\ttype ipv4_addr . inet_proto . inet_service\n" \
    "\t\tsize 100\n" \
    "\t\tflags timeout\n" \
    "\t}\n" \
    "\n" \
    "\tset grants6 {\n" \
    "\t\ttype ipv6_addr . inet_proto . inet_service\n" \
    "\t\tsize 100\n" \
    "\t\tflags timeout\n" \
    "\t}\n" \
    "\n"

#define SETS_THAT_COUNT \
    "\tset counted4 {\n" \
    "\t\ttype ipv4_addr . inet_proto . inet_service\n" \
    "\t\tsize 100\n" \
    "\t\tflags timeout\n" \
    "\t\tlimit rate 1/week burst 3 packets counter\n" \
    "\t}\n" \
    "\n" \
    "\tset counted6 {\n" \
    "\t\ttype ipv6_addr . inet_proto . inet_service\n" \
    "\t\tsize 100\n" \
    "\t\tflags timeout\n" \
    "\t\tlimit rate 1/week burst 3 packets counter\n" \
    "\t}\n" \
    "\n"

#define MAPS \
    "\tmap sending4 {\n" \
    "\t\ttype ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service\n" \
    "\t\tsize 100\n" \
    "\t\tflags timeout\n" \
    "\t}\n" \
    "\n" \
    "\tmap sending6 {\n" \
    "\t\ttype ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service\n" \
    "\t\tsize 100\n" \
    "\t\tflags timeout\n" \
    "\t}\n" \
    "\n"

#define CONSTANTS \
    "\tset shut {\n" \
    "\t\ttype inet_proto . inet_service\n" \
    "\t\tflags constant\n" \
    "\t\telements = { tcp . 22,\n" \
    "\t\t\t     udp . 1194 }\n" \
    "\t}\n" \
    "\n" \
    "\tset here {\n" \
    "\t\ttype fib_addrtype\n" \
    "\t\tflags constant\n" \
    "\t\telements = { local,\n" \
    "\t\t\t     broadcast,\n" \
    "\t\t\t     anycast,\n" \
    "\t\t\t     multicast }\n" \
    "\t}\n" \
    "\n"

#define SHUT "meta l4proto . th dport @shut "
#define TRANSLATED \
    "\t\ttcp flags ack / rst,ack ct state new ct status dnat " \
    "meta l4proto . ct original proto-dst @shut goto "
#define BEGINNINGS \
    "\t\ttcp flags rst,ack return\n" \
    "\t\tmeta l4proto != tcp ct state established return\n"
#define SECOND_PASS "\t\tmeta iifkind \"vrf\" accept\n"
#define LOOPBACK "\t\tiif \"lo\" fib saddr type local accept\n"

static void nft_prints_what_is_meant(void **state)
{
    (void)state;
    assert_int_equal(make(), 0);
    assert_listed("table",
        "table inet portsmith {\n"
        "\tflags owner\n"
        "\n"
        SETS_OF_GRANTS SETS_THAT_COUNT CONSTANTS
        "\tchain prerouting {\n"
        "\t\ttype filter hook prerouting priority mangle - 10; policy accept;\n"
        "\t\t" SHUT "jump arriving\n"
        "\t}\n"
        "\n"
        "\tchain arriving {\n"
        BEGINNINGS SECOND_PASS LOOPBACK
        "\t\tfib daddr type @here goto door\n"
        "\t\tfib daddr . iif type local goto door\n"
        "\t}\n"
        "\n"
        "\tchain door {\n"
        "\t\tip saddr . meta l4proto . th dport @grants4 accept\n"
        "\t\tip6 saddr . meta l4proto . th dport @grants6 accept\n"
        "\t\tip saddr . meta l4proto . th dport @counted4 accept\n"
        "\t\tip6 saddr . meta l4proto . th dport @counted6 accept\n"
        "\t\tdrop\n"
        "\t}\n"
        "\n"
        "\tchain input {\n"
        "\t\ttype filter hook input priority mangle; policy accept;\n"
        "\t\t" SHUT "jump delivered\n"
        TRANSLATED "stray\n"
        "\t}\n"
        "\n"
        "\tchain delivered {\n"
        "\t\ttcp flags ack / rst,ack ct state != established goto stray\n"
        BEGINNINGS LOOPBACK
        "\t\tct state untracked goto door\n"
        "\t\tfib daddr type != @here goto door\n"
        "\t}\n"
        "\n"
        "\tchain stray {\n"
        "\t\tmeta cgroup >= 0 accept\n"
        "\t\tmeta ipsec exists accept\n"
        LOOPBACK
        "\t\tgoto door\n"
        "\t}\n"
        "\n"
        "\tchain forward {\n"
        "\t\ttype filter hook forward priority mangle; policy accept;\n"
        TRANSLATED "door\n"
        "\t}\n"
        "}\n");
}

/* ---- what a setup makes of it --------------------------------------------- */

static void what_grants_do_not_need_is_not_there(void **state)
{
    (void)state;
    form.counts = form.tells_sessions = false;
    assert_int_equal(make(), 0);
    assert_false(has("counted") || has("limit") || has("sending") || has("mark"));
    assert_false(has("stray") || has("cgroup") || has("ipsec") || has("ct state != established"));
    assert_true(has("chain forward {\n"
                    "\t\ttype filter hook forward priority mangle; policy accept;\n"
                    TRANSLATED "door\n"));
}

static void shut_ports_can_answer(void **state)
{
    (void)state;
    setup.shut_with_reset = 1;
    assert_int_equal(make(), 0);
    assert_true(has("@counted6 accept\n"
                    "\t\tmeta l4proto tcp reject with tcp reset\n"
                    "\t\treject\n"
                    "\t}\n"));
    assert_false(has("drop"));
}

static void grants_can_send_on(void **state)
{
    (void)state;
    setup.sends_on = 1;
    assert_int_equal(make(), 0);
    assert_true(has(SETS_THAT_COUNT MAPS CONSTANTS));
    assert_true(has(
        "\tchain sending {\n"
        "\t\ttype nat hook prerouting priority dstnat - 1; policy accept;\n"
        "\t\tfib daddr type local dnat ip to ip saddr . meta l4proto . th dport map @sending4\n"
        "\t\tfib daddr . iif type local "
        "dnat ip to ip saddr . meta l4proto . th dport map @sending4\n"
        "\t\tfib daddr type local dnat ip6 to ip6 saddr . meta l4proto . th dport map @sending6\n"
        "\t\tfib daddr . iif type local "
        "dnat ip6 to ip6 saddr . meta l4proto . th dport map @sending6\n"
        "\t}\n"));
}

#define GRANTS_TO(verdict) \
    "\t\tip saddr . meta l4proto . th dport @grants4 " verdict "\n" \
    "\t\tip6 saddr . meta l4proto . th dport @grants6 " verdict "\n" \
    "\t\tip saddr . meta l4proto . th dport @counted4 " verdict "\n" \
    "\t\tip6 saddr . meta l4proto . th dport @counted6 " verdict "\n"
#define NOT_HERE "\t\tfib daddr type != @here fib daddr . iif type != local return\n"

static void what_grants_let_in_can_be_marked(void **state)
{
    (void)state;
    setup.accept_mark = 0x100;
    assert_int_equal(make(), 0);
    assert_true(has("\t\t" SHUT "jump arriving\n\t\tct state new,untracked jump open\n\t}\n"));
    assert_true(has("\tchain door {\n" GRANTS_TO("goto granted") "\t\tdrop\n\t}\n"));
    assert_true(has("\tchain open {\n" SECOND_PASS LOOPBACK NOT_HERE
                    GRANTS_TO("goto granted") "\t}\n"));
    assert_true(has("\tchain granted {\n"
                    "\t\ttcp flags rst,ack ct state untracked accept\n"
                    "\t\tct state new,untracked meta mark set meta mark | 0x00000100\n"
                    "\t\taccept\n"
                    "\t}\n"));
    setup.forward = 1;
    setup.has_synproxy = 1;
    assert_int_equal(make(), 0);
    assert_true(has("\tchain open {\n" SECOND_PASS LOOPBACK GRANTS_TO("goto granted") "\t}\n"));
    assert_true(has("\t\tct state new jump open\n"));
    assert_true(has("\t\tct state new meta mark set meta mark | 0x00000100\n"));
}

static void without_shut_ports_nothing_is_shut(void **state)
{
    (void)state;
    setup.shut_count = 0;
    assert_int_equal(make(), 0);
    assert_true(has("\tset shut {\n\t\ttype inet_proto . inet_service\n\t\tflags constant\n\t}\n"));
}

/* In nanoseconds since the epoch, of one rule; the local time that nft prints is UTC here. */
static int64_t printed_end(const char *chain)
{
    char *text = output_of("nft list chain inet portsmith %s", chain);
    const char *rule = strstr(text, "policy accept;\n\t\tmeta time >= \"");
    struct tm utc = {0};

    assert_non_null(rule);
    assert_non_null(strptime(strchr(rule, '"') + 1, "%Y-%m-%d %H:%M:%S\" accept\n", &utc));
    free(text);
    return (int64_t)timegm(&utc) * NSEC_PER_SEC;
}

static void the_kernel_ends_a_trial(void **state)
{
    static const char *const chains[] = {"prerouting", "input", "forward"};
    const int64_t length = (int64_t)100 * NSEC_PER_SEC, before = clock_wall_ns();

    (void)state;
    setenv("TZ", "UTC", 1);
    setup.trial_end = clock_boot_ns() + length;
    assert_int_equal(make(), 0);
    for (size_t i = 0; i < COUNT_OF(chains); i++) {
        assert_true(printed_end(chains[i]) >= before + length);
        assert_true(printed_end(chains[i]) <= clock_wall_ns() + length + NSEC_PER_SEC);
    }
}

/* ---- whose it is ---------------------------------------------------------- */

static void nobody_else_can_change_it(void **state)
{
    (void)state;
    assert_int_equal(make(), 0);
    run_command("! nft add element inet portsmith grants4 '{ 192.0.2.1 . tcp . 22 }' 2>error");
    run_command("grep -q 'not permitted' error && ! nft delete table inet portsmith 2>error");
    run_command("nft flush ruleset");
    assert_true(has("chain prerouting"));
}

static void it_outlives_its_owner_and_is_taken_over(void **state)
{
    (void)state;
    assert_int_equal(make(), 0);
    abandon();
    run_command("nft add element inet portsmith grants4 '{ 192.0.2.1 . tcp . 22 }'");
    assert_true(has("192.0.2.1 . tcp . 22"));
    adopt();
    assert_int_equal(make(), 0);
    assert_false(has("192.0.2.1"));
    assert_true(has("chain prerouting"));
    nobody_else_can_change_it(state);
}

static void it_is_made_again_over_itself(void **state)
{
    (void)state;
    assert_int_equal(make(), 0);
    setup.shut_count = 1;
    assert_int_equal(make(), 0);
    assert_true(has("elements = { tcp . 22 }"));
    run_command("! nft delete table inet portsmith 2>/dev/null");
}

static void it_replaces_what_nobody_owns(void **state)
{
    (void)state;
    run_command("nft 'table inet portsmith { chain other { type filter hook input priority 0; }; "
                "set grants4 { type ipv4_addr; }; }'");
    assert_int_equal(make(), 0);
    assert_false(has("other"));
    nobody_else_can_change_it(state);
}

static void another_owners_stays(void **state)
{
    int other = netlink_open(NETLINK_NETFILTER), ours = owner;

    (void)state;
    owner = other;
    assert_int_equal(make(), 0);
    owner = ours;
    setup.shut_count = 0;
    assert_int_equal(make(), EPERM);
    assert_true(has("elements = { tcp . 22"));
    close(other);
}

/* An older kernel's. What nft prints of it, nft can load. */
static void without_owners_it_is_a_table_like_others(void **state)
{
    (void)state;
    form.is_owned = false;
    setup.accept_mark = 0x1;
    setup.sends_on = setup.shut_with_reset = 1;
    assert_int_equal(make(), 0);
    assert_false(has("owner"));
    run_command("nft list ruleset >saved && nft delete table inet portsmith && nft -f saved && "
                "nft list ruleset | cmp - saved");
    assert_int_equal(make(), 0);
    run_command("nft list ruleset | cmp - saved");
}

/* ---- removing it ---------------------------------------------------------- */

static bool is_there(void)
{
    return system("nft list table inet portsmith >/dev/null 2>&1") == 0;
}

static void it_is_removed_by_who_owns_it(void **state)
{
    (void)state;
    assert_int_equal(make(), 0);
    assert_done(table_release(owner, &why), why);
    assert_false(is_there());
    assert_done(table_release(owner, &why), why);
    assert_done(table_release(STDIN_FILENO, &why), why);
}

static void another_process_cannot_remove_it(void **state)
{
    int other = netlink_open(NETLINK_NETFILTER);

    (void)state;
    assert_int_equal(make(), 0);
    assert_false(table_release(other, &why));
    assert_string_equal(why.text, "the nftables table inet portsmith: another process owns it");
    assert_true(is_there());
    close(other);
}

static void what_nobody_owns_is_removed(void **state)
{
    (void)state;
    assert_int_equal(make(), 0);
    abandon();
    adopt();
    assert_done(table_release(owner, &why), why);
    assert_false(is_there());
    form.is_owned = false;
    assert_int_equal(make(), 0);
    abandon();
    adopt();
    assert_done(table_release(owner, &why), why);
    assert_false(is_there());
}

static void what_is_not_ours_stays(void **state)
{
    (void)state;
    run_command("nft 'table inet portsmith { chain other { type filter hook input priority 0; }; }"
                "'");
    assert_done(table_release(owner, &why), why);
    assert_true(is_there());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nft_prints_what_is_meant, begin, end),
        cmocka_unit_test_setup_teardown(what_grants_do_not_need_is_not_there, begin, end),
        cmocka_unit_test_setup_teardown(shut_ports_can_answer, begin, end),
        cmocka_unit_test_setup_teardown(grants_can_send_on, begin, end),
        cmocka_unit_test_setup_teardown(what_grants_let_in_can_be_marked, begin, end),
        cmocka_unit_test_setup_teardown(without_shut_ports_nothing_is_shut, begin, end),
        cmocka_unit_test_setup_teardown(the_kernel_ends_a_trial, begin, end),
        cmocka_unit_test_setup_teardown(nobody_else_can_change_it, begin, end),
        cmocka_unit_test_setup_teardown(it_outlives_its_owner_and_is_taken_over, begin, end),
        cmocka_unit_test_setup_teardown(it_is_made_again_over_itself, begin, end),
        cmocka_unit_test_setup_teardown(it_replaces_what_nobody_owns, begin, end),
        cmocka_unit_test_setup_teardown(another_owners_stays, begin, end),
        cmocka_unit_test_setup_teardown(without_owners_it_is_a_table_like_others, begin, end),
        cmocka_unit_test_setup_teardown(it_is_removed_by_who_owns_it, begin, end),
        cmocka_unit_test_setup_teardown(another_process_cannot_remove_it, begin, end),
        cmocka_unit_test_setup_teardown(what_nobody_owns_is_removed, begin, end),
        cmocka_unit_test_setup_teardown(what_is_not_ours_stays, begin, end),
    };

    return cmocka_run_group_tests(tests, netspace_enter, scratch_leave);
}
