#include "check.h"

#include <netinet/in.h>

#include "daemon/host/nftables.h"

static const struct nftables_chains input = {"input", false};
static const struct packet to_ssh = {.service = {IPPROTO_TCP, 22}, .interface = "eth0",
                                     .mark = 0x100};

static void count(void *data, const char *family, const char *table, const char *chain)
{
    assert_string_equal(family, "inet");
    assert_string_equal(table, "t");
    assert_string_equal(chain, "base");
    ++*(int *)data;
}

/* In a base chain with this policy, then in the chain "other". */
static bool drops(const char *policy, const char *rule, const char *of_other, enum family of)
{
    json_t *ruleset;
    int found = 0;
    char *text;

    assert_true(asprintf(&text, "{\"nftables\": [{\"metainfo\": {}},"
        "{\"chain\": {\"family\": \"ip\", \"table\": \"filter\", \"name\": \"INPUT\","
        " \"hook\": \"input\", \"policy\": \"drop\"}},"
        "{\"chain\": {\"family\": \"inet\", \"table\": \"t\", \"name\": \"base\","
        " \"hook\": \"input\", \"policy\": \"%s\"}},"
        "{\"chain\": {\"family\": \"inet\", \"table\": \"t\", \"name\": \"other\"}},"
        "{\"rule\": {\"family\": \"inet\", \"table\": \"t\", \"chain\": \"other\", \"expr\": [%s]}},"
        "{\"rule\": {\"family\": \"ip\", \"table\": \"t\", \"chain\": \"base\","
        " \"expr\": [{\"accept\": null}]}},"
        "{\"rule\": {\"family\": \"inet\", \"table\": \"t\", \"chain\": \"base\", \"expr\": [%s]}}"
        "]}", policy, of_other, rule) > 0);
    ruleset = json_loads(text, 0, NULL);
    if (!ruleset)
        fail_msg("no JSON: %s", text);
    nftables_find_drops(ruleset, &input, of, &to_ssh, count, &found);
    json_decref(ruleset);
    free(text);
    return found == 1;
}

#define MATCH(op, left, right) \
    "{\"match\": {\"op\": \"" op "\", \"left\": " left ", \"right\": " right "}},"
#define DPORT "{\"payload\": {\"protocol\": \"tcp\", \"field\": \"dport\"}}"
#define UDP "{\"payload\": {\"protocol\": \"udp\", \"field\": \"dport\"}}"
#define SADDR "{\"payload\": {\"protocol\": \"ip\", \"field\": \"saddr\"}}"
#define META(key) "{\"meta\": {\"key\": \"" key "\"}}"
#define MARK(mask) "{\"&\": [" META("mark") ", " #mask "]}"
#define CT(key) "{\"ct\": {\"key\": \"" key "\"}}"

/* Of a rule that accepts these, before a policy that drops; and of one that drops them,
 * before one that accepts. */
static const struct {
    const char *matches;
    bool is_certain, is_possible; /* that the packet is one of them */
} matches[] = {
    {"", true, true},
    {"{\"counter\": {\"packets\": 0, \"bytes\": 0}},", true, true},
    {"{\"limit\": {\"rate\": 5}},", false, true},
    {"{\"xt\": null},", false, true},
    {MATCH("==", DPORT, "22"), true, true},
    {MATCH("==", DPORT, "23"), false, false},
    {MATCH("!=", DPORT, "23"), true, true},
    {MATCH("==", DPORT, "{\"set\": [80, {\"range\": [20, 30]}]}"), true, true},
    {MATCH("==", DPORT, "{\"range\": [23, 30]}"), false, false},
    {MATCH("==", DPORT, "\"@doors\""), false, true},
    {MATCH("!=", DPORT, "\"@doors\""), false, true},
    {MATCH("<", DPORT, "1024"), false, true},
    {MATCH("==", UDP, "22"), false, false},
    {MATCH("!=", UDP, "23"), false, false},
    {MATCH("==", META("l4proto"), "\"tcp\""), true, true},
    {MATCH("==", META("l4proto"), "{\"set\": [\"icmp\", \"ipv6-icmp\"]}"), false, false},
    {MATCH("==", META("l4proto"), "6"), true, true},
    {MATCH("==", META("iifname"), "\"eth*\""), true, true},
    {MATCH("==", META("iifname"), "\"lo\""), false, false},
    {MATCH("!=", META("iifname"), "\"eth0\""), false, false},
    {MATCH("==", META("nfproto"), "\"ipv4\""), true, true},
    {MATCH("==", META("mark"), "1"), false, true},
    {MATCH("==", MARK(256), "256"), true, true},
    {MATCH("!=", MARK(256), "0"), true, true},
    {MATCH("!=", MARK(256), "256"), false, false},
    {MATCH("==", MARK(256), "0"), false, false},
    {MATCH("==", MARK(768), "256"), false, true},
    {MATCH("==", MARK(256), "\"@marks\""), false, true},
    {MATCH("==", "{\"&\": [" CT("mark") ", 256]}", "256"), false, true},
    {MATCH("in", CT("state"), "[\"established\", \"related\"]"), false, false},
    {MATCH("in", CT("state"), "{\"set\": [\"new\", \"untracked\"]}"), true, true},
    {MATCH("in", CT("status"), "\"dnat\""), false, false},
    {MATCH("==", SADDR, "\"192.0.2.1\""), false, true},
    {MATCH("==", SADDR, "\"192.0.2.1\"") MATCH("==", DPORT, "23"), false, false},
};

static void rules_match_or_may(void **state)
{
    char rule[1024];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(matches); i++) {
        snprintf(rule, sizeof rule, "%s{\"accept\": null}", matches[i].matches);
        if (drops("drop", rule, "", IPV4) == matches[i].is_possible)
            fail_msg("accepts: %s", rule);
        snprintf(rule, sizeof rule, "%s{\"reject\": {\"type\": \"icmpx\"}}", matches[i].matches);
        if (drops("accept", rule, "", IPV4) != matches[i].is_certain)
            fail_msg("rejects: %s", rule);
    }
}

static void families_differ(void **state)
{
    (void)state;
    assert_false(drops("drop", MATCH("==", META("nfproto"), "\"ipv6\"") "{\"accept\": null}", "",
                       IPV6));
    assert_true(drops("drop", MATCH("==", SADDR, "\"192.0.2.1\"") "{\"accept\": null}", "", IPV6));
}

static void jumps_are_followed(void **state)
{
    static const char to_other[] = "{\"jump\": {\"target\": \"other\"}}";
    static const char go_to_other[] = "{\"goto\": {\"target\": \"other\"}}";

    (void)state;
    assert_false(drops("drop", to_other, "{\"accept\": null}", IPV4));
    assert_true(drops("accept", to_other, "{\"drop\": null}", IPV4));
    assert_true(drops("drop", to_other, "{\"return\": null}", IPV4));
    assert_false(drops("drop", go_to_other, "{\"accept\": null}", IPV4));
    assert_true(drops("drop", go_to_other, "", IPV4));
    assert_false(drops("drop", to_other, to_other, IPV4));
    assert_false(drops("drop", "{\"vmap\": {}}", "", IPV4));
    /* Some return before the rest is dropped. */
    assert_false(drops("accept", to_other,
                       MATCH("==", SADDR, "\"192.0.2.1\"") "{\"return\": null}]}},"
                       "{\"rule\": {\"family\": \"inet\", \"table\": \"t\", \"chain\": \"other\","
                       " \"expr\": [{\"drop\": null}", IPV4));
    /* What follows a jump counts, what follows a goto does not. */
    assert_true(drops("accept", "{\"jump\": {\"target\": \"other\"}}]}},"
                                "{\"rule\": {\"family\": \"inet\", \"table\": \"t\","
                                " \"chain\": \"base\", \"expr\": [{\"drop\": null}", "", IPV4));
    assert_false(drops("accept", "{\"goto\": {\"target\": \"other\"}}]}},"
                                 "{\"rule\": {\"family\": \"inet\", \"table\": \"t\","
                                 " \"chain\": \"base\", \"expr\": [{\"drop\": null}", "", IPV4));
}

static const char *const early_chains[] = {
    "\"hook\": \"prerouting\", \"prio\": -300", "\"hook\": \"output\", \"prio\": -300",
    "\"hook\": \"prerouting\", \"prio\": -150",
};

/* Whether a rule in a base chain of that kind keeps a packet like this from being tracked. */
static bool untracks(const char *chain, const char *rule, bool is_reply)
{
    struct packet packet = to_ssh;
    char by[100];
    json_t *ruleset;
    bool found;
    char *text;

    packet.is_reply = is_reply;
    assert_true(asprintf(&text, "{\"nftables\": ["
        "{\"chain\": {\"family\": \"inet\", \"table\": \"t\", \"name\": \"base\", %s}},"
        "{\"rule\": {\"family\": \"inet\", \"table\": \"t\", \"chain\": \"off\","
        " \"expr\": [{\"notrack\": null}]}},"
        "{\"rule\": {\"family\": \"inet\", \"table\": \"t\", \"chain\": \"base\", \"expr\": [%s]}}"
        "]}", chain, rule) > 0);
    ruleset = json_loads(text, 0, NULL);
    if (!ruleset)
        fail_msg("no JSON: %s", text);
    found = nftables_is_untracked(ruleset, IPV4, &packet, by, sizeof by);
    assert_true(!found || strcmp(by, "notrack in the nftables chain inet t base") == 0);
    json_decref(ruleset);
    free(text);
    return found;
}

static void what_keeps_from_tracking_is_found(void **state)
{
    static const char to_port[] = MATCH("==", DPORT, "22") "{\"notrack\": null}";
    static const char from_port[] = MATCH("==", "{\"payload\": {\"protocol\": \"tcp\","
                                                " \"field\": \"sport\"}}", "22")
        MATCH("==", META("oifname"), "\"eth0\"") "{\"notrack\": null}";

    (void)state;
    assert_true(untracks(early_chains[0], to_port, false));
    assert_false(untracks(early_chains[0], to_port, true));
    assert_false(untracks(early_chains[1], to_port, true)); /* may be: it is another port */
    assert_true(untracks(early_chains[1], from_port, true));
    assert_false(untracks(early_chains[0], from_port, false));
    assert_false(untracks(early_chains[2], to_port, false)); /* too late */
    assert_false(untracks(early_chains[0], MATCH("==", DPORT, "23") "{\"notrack\": null}", false));
    assert_false(untracks(early_chains[0], MATCH("==", SADDR, "\"192.0.2.1\"")
                          "{\"notrack\": null}", false));
    assert_false(untracks(early_chains[0], "{\"accept\": null},{\"notrack\": null}", false));
    assert_true(untracks(early_chains[0], "{\"jump\": {\"target\": \"off\"}}", false));
    assert_false(untracks(early_chains[0], MATCH("==", SADDR, "\"192.0.2.1\"")
                          "{\"jump\": {\"target\": \"off\"}}", false));
    assert_false(nftables_is_untracked(NULL, IPV4, &to_ssh, NULL, 0));
}

static void a_statement_is_found(void **state)
{
    json_t *ruleset = json_loads("{\"nftables\": [{\"rule\": {\"expr\": [{\"synproxy\": {}}]}}]}",
                                 0, NULL);

    (void)state;
    assert_true(nftables_has_statement(ruleset, "synproxy"));
    assert_false(nftables_has_statement(ruleset, "notrack"));
    assert_false(nftables_has_statement(NULL, "notrack"));
    json_decref(ruleset);
}

/* Each of sixteen jumps that each lead to four more. */
static void a_way_that_is_too_long_is_not_certain(void **state)
{
#define FOUR(rule) rule "," rule "," rule "," rule
    static const char to_other[] = "{\"jump\": {\"target\": \"other\"}}";
    static const char again[] = FOUR("{\"jump\": {\"target\": \"other\"}}]}},"
                                     "{\"rule\": {\"family\": \"inet\", \"table\": \"t\","
                                     " \"chain\": \"other\", \"expr\": [{\"counter\": null}");

    (void)state;
    assert_false(drops("drop", to_other, again, IPV4));
}

static void count_all(void *data, const char *family, const char *table, const char *chain)
{
    (void)family, (void)table, (void)chain;
    ++*(int *)data;
}

#define BASE(family, table, name, hook)                                                            \
    "{\"chain\": {\"family\": \"" family "\", \"table\": \"" table "\", \"name\": \"" name                  \
    "\", \"hook\": \"" hook "\", \"policy\": \"drop\"}}"

static void a_hook_has_chains_of_its_own(void **state)
{
    static const struct {
        struct nftables_chains chains;
        int expected;
    } cases[] = {
        {{"input", false}, 1},  {{"input", true}, 2},      {{"forward", false}, 1},
        {{"forward", true}, 2}, {{"prerouting", true}, 0},
    };
    json_t *ruleset = json_loads(
        "{\"nftables\": [" BASE("ip", "filter", "INPUT", "input") "," BASE("ip", "t", "in", "input")
        "," BASE("ip", "filter", "FORWARD", "forward") "," BASE("inet", "t", "FORWARD", "forward")
        "," BASE("inet", "portsmith", "input", "input") "," BASE("ip6", "t", "in", "input") "]}",
        0, NULL);

    (void)state;
    assert_non_null(ruleset);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int found = 0;

        nftables_find_drops(ruleset, &cases[i].chains, IPV4, &to_ssh, count_all, &found);
        assert_int_equal(found, cases[i].expected);
    }
    json_decref(ruleset);
}

static void a_file_of_another_kind_is_no_ruleset(void **state)
{
    static const char *const texts[] = {"{}", "[]", "{\"nftables\": {}}", "{\"nftables\": [1, {}]}"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        json_t *ruleset = json_loads(texts[i], 0, NULL);

        nftables_find_drops(ruleset, &input, IPV4, &to_ssh, count, NULL);
        json_decref(ruleset);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_match_or_may),
        cmocka_unit_test(families_differ),
        cmocka_unit_test(jumps_are_followed),
        cmocka_unit_test(what_keeps_from_tracking_is_found),
        cmocka_unit_test(a_statement_is_found),
        cmocka_unit_test(a_way_that_is_too_long_is_not_certain),
        cmocka_unit_test(a_hook_has_chains_of_its_own),
        cmocka_unit_test(a_file_of_another_kind_is_no_ruleset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
