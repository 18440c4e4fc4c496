#include "check.h"

#include <netinet/in.h>

#include "daemon/host/walk.h"

static const struct packet to_ssh = {.service = {IPPROTO_TCP, 22}, .interface = "eth0",
                                     .mark = 0x100};

/* Of INPUT in a filter table with these lines. */
static struct walk_end walk_packet(const char *lines, const struct packet *packet)
{
    struct walk_rules rules;
    struct walk_end end;
    char *text;

    assert_true(asprintf(&text, "*filter\n:INPUT DROP [1:2]\n:one - [0:0]\n:two - [0:0]\n"
                                ":portsmith - [0:0]\n:portsmith-open - [0:0]\n%sCOMMIT\n",
                         lines) > 0);
    assert_true(walk_read(&rules, text));
    end = walk_through(&rules, "filter", "INPUT", packet);
    walk_free(&rules);
    return end;
}

#define RULE(rule) "-A INPUT " rule " -j ACCEPT\n"

/* 'y' where the rule accepts, 'n' where it does not, '?' where that is not certain. */
static char judge(const char *lines, const struct packet *packet)
{
    struct walk_end end = walk_packet(lines, packet);

    return end.accepts ? 'y' : end.drops ? 'n' : '?';
}

static const struct {
    const char *rule;
    char expected;
} rules[] = {
    {RULE("-p tcp -m tcp --dport 22"), 'y'},
    {RULE("-p tcp -m tcp --dport 23"), 'n'},
    {RULE("-p udp -m udp --dport 22"), 'n'},
    {RULE("-p 6"), 'y'},
    {RULE("-p tcp -m tcp --dport 20:22"), 'y'},
    {RULE("-p tcp -m tcp --dport 23:1024"), 'n'},
    {RULE("-p tcp -m tcp ! --dport 22"), 'n'},
    {RULE("-p tcp -m tcp ! --dport 80"), 'y'},
    {RULE("-p tcp -m multiport --dports 80,20:30,443"), 'y'},
    {RULE("-p tcp -m multiport --dports 80,2222"), 'n'},
    {RULE("-p tcp -m tcp --sport 1024:65535"), '?'},
    {RULE("-i eth0"), 'y'},
    {RULE("-i eth+"), 'y'},
    {RULE("-i eth01"), 'n'},
    {RULE("! -i lo"), 'y'},
    {RULE("-i lo"), 'n'},
    {RULE("-s 192.0.2.0/24"), '?'},
    {RULE("! -s 192.0.2.0/24"), '?'},
    {RULE("-d 192.0.2.1/32"), '?'},
    {RULE("-m conntrack --ctstate NEW"), 'y'},
    {RULE("-m conntrack --ctstate RELATED,ESTABLISHED"), 'n'},
    {RULE("-m conntrack ! --ctstate RELATED,ESTABLISHED"), 'y'},
    {RULE("-m state --state INVALID,NEW"), 'y'},
    {RULE("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN"), 'y'},
    {RULE("-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN"), 'n'},
    {RULE("-p tcp -m tcp --tcp-flags ACK,RST NONE"), 'y'},
    {RULE("-p tcp -m tcp --tcp-flags ALL NONE"), 'n'},
    {RULE("-m addrtype --dst-type LOCAL"), 'y'},
    {RULE("-m addrtype --dst-type MULTICAST"), 'n'},
    {RULE("-m addrtype --src-type LOCAL"), 'n'},
    {RULE("-m addrtype --dst-type UNICAST"), 'n'},
    {RULE("-m cgroup --path /"), 'n'},
    {RULE("-m cgroup ! --path /"), 'n'},
    {RULE("-m policy --dir in --pol ipsec"), 'n'},
    {RULE("-m policy --dir in --pol none"), 'y'},
    {RULE("-m limit --limit 5/sec"), '?'},
    {RULE("-m rpfilter"), '?'},
    {RULE("-m mark --mark 0x100/0x100"), 'y'},
    {RULE("-m mark --mark 256/0x100"), 'y'},
    {RULE("-m mark ! --mark 0x100/0x100"), 'n'},
    {RULE("-m mark --mark 0x0/0x100"), 'n'},
    {RULE("-m mark --mark 0x300/0x300"), '?'},
    {RULE("-m mark --mark 0x100"), '?'},
    {RULE("-m mark --mark 0x100/x"), '?'},
    {RULE("-m comment --comment ssh"), 'y'},
    {RULE("-m comment --comment \"-p udp \\\" -j DROP\""), 'y'},
    {"-A INPUT -m comment --comment \"x\n-A INPUT -j ACCEPT\n\" -j LOG\n", 'n'},
    {"-A INPUT -j LOG --log-prefix \"-j ACCEPT\"\n", 'n'},
    {"-A INPUT -j one\n-A one -j ACCEPT\n", 'y'},
    {"-A INPUT -j one\n-A one -j RETURN\n-A one -j ACCEPT\n", 'n'},
    {"-A INPUT -j one\n-A one -p udp -j RETURN\n-A one -j ACCEPT\n", 'y'},
    {"-A INPUT -j one\n-A one -s 192.0.2.1/32 -j RETURN\n-A one -j ACCEPT\n", '?'},
    {"-A INPUT -s 192.0.2.1/32 -j one\n-A one -j ACCEPT\n", '?'},
    {"-A INPUT -s 192.0.2.1/32 -j one\n-A one -j DROP\n-A INPUT -j ACCEPT\n", '?'},
    {"-A INPUT -j one\n-A one -g two\n-A one -j ACCEPT\n", 'n'},
    {"-A INPUT -g two\n-A INPUT -j ACCEPT\n-A two -j ACCEPT\n", 'y'},
    {"-A INPUT -j one\n-A one -j two\n-A two -j one\n", '?'},
    {"-A INPUT -j NFQUEUE\n", '?'},
    {"-A INPUT -j REJECT\n-A INPUT -j ACCEPT\n", 'n'},
    {"*nat\n-A INPUT -j ACCEPT\n", 'n'},
};

static void rules_match_or_may(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (judge(rules[i].rule, &to_ssh) != rules[i].expected)
            fail_msg("%s: %c, not %c", rules[i].rule, judge(rules[i].rule, &to_ssh),
                     rules[i].expected);
}

static void established_packets_differ(void **state)
{
    struct packet packet = to_ssh;

    (void)state;
    packet.is_established = true;
    assert_int_equal(judge(RULE("-m conntrack --ctstate NEW"), &packet), 'n');
    assert_int_equal(judge(RULE("-m conntrack --ctstate RELATED,ESTABLISHED"), &packet), 'y');
    assert_int_equal(judge(RULE("-p tcp -m tcp --tcp-flags ACK,RST NONE"), &packet), 'n');
    assert_int_equal(judge(RULE("-m cgroup --path /"), &packet), '?');
    packet.is_reply = true;
    assert_int_equal(judge(RULE("-p tcp -m tcp --sport 22"), &packet), 'y');
    assert_int_equal(judge(RULE("-p tcp -m tcp --dport 22"), &packet), '?');
    assert_int_equal(judge(RULE("-o eth0"), &packet), 'y');
    assert_int_equal(judge(RULE("-o eth1"), &packet), 'n');
}

static void addresses_of_other_tables_are_no_local_ones(void **state)
{
    struct packet packet = to_ssh;

    (void)state;
    packet.is_elsewhere = true;
    assert_int_equal(judge(RULE("-m addrtype --dst-type LOCAL"), &packet), 'n');
    assert_int_equal(judge(RULE("-m addrtype ! --dst-type LOCAL,BROADCAST,MULTICAST"), &packet), 'y');
    assert_int_equal(judge(RULE("-m addrtype --dst-type UNICAST"), &packet), 'y');
}

static void a_grant_accepts_where_grants_are(void **state)
{
    struct packet packet = to_ssh;

    (void)state;
    assert_int_equal(judge("-A INPUT -j portsmith\n", &packet), 'n');
    packet.is_granted = true;
    assert_int_equal(judge("-A INPUT -j portsmith\n", &packet), 'y');
    assert_int_equal(judge("-A INPUT -j DROP\n-A INPUT -j portsmith\n", &packet), 'n');
    assert_int_equal(judge("-A INPUT -s 192.0.2.1/32 -j DROP\n-A INPUT -j portsmith\n", &packet),
                     '?');
}

static void what_decides_is_told(void **state)
{
    struct walk_end end = walk_packet("", &to_ssh);

    (void)state;
    assert_true(end.by_policy);
    end = walk_packet("-A INPUT -j one\n-A one -p tcp -j REJECT\n", &to_ssh);
    assert_false(end.by_policy);
}

static bool finds_dnat(const char *rule, struct address *to, uint16_t *port)
{
    struct walk_rules read;
    bool found;
    char *text;

    assert_true(asprintf(&text, "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n"
                                ":portsmith - [0:0]\n%s", rule) > 0);
    assert_true(walk_read(&read, text));
    found = walk_finds_dnat(&read, &to_ssh, to, port);
    walk_free(&read);
    return found;
}

static void dnat_is_found_and_told(void **state)
{
    struct address to, expected;
    uint16_t port;

    (void)state;
    assert_true(address_parse(&expected, "172.17.0.2"));
    assert_true(finds_dnat("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n"
                           "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 22 -j DNAT "
                           "--to-destination 172.17.0.2:2222\n", &to, &port));
    assert_int_equal(port, 2222);
    assert_true(address_equal(&to, &expected));
    assert_true(finds_dnat("-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 22 -j DNAT "
                           "--to-destination 172.17.0.2:2222\n", &to, &port));
    assert_true(finds_dnat("-A PREROUTING -p tcp -j REDIRECT --to-ports 23\n", &to, &port));
    assert_int_equal(port, 0);
    assert_false(finds_dnat("-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT "
                            "--to-destination 172.17.0.2:80\n", &to, &port));
    assert_false(finds_dnat("-A PREROUTING -j portsmith\n-A portsmith -s 192.0.2.1/32 -j DNAT "
                            "--to-destination 172.17.0.2:22\n", &to, &port));
    assert_false(finds_dnat("-A PREROUTING -j ACCEPT\n-A PREROUTING -j DNAT "
                            "--to-destination 172.17.0.2:22\n", &to, &port));
}

/* 'i' where what comes in is not tracked, 'o' where what goes out is not, '-' else. */
static char untracks(const char *lines)
{
    struct packet packet = {
        .service = {IPPROTO_TCP, 22}, .interface = "eth0", .is_established = true};
    struct walk_rules read;
    char found = '-';
    char *text;

    assert_true(asprintf(&text, "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
                                ":one - [0:0]\n%sCOMMIT\n", lines) > 0);
    assert_true(walk_read(&read, text));
    if (walk_find_notrack(&read, &packet))
        found = 'i';
    packet.is_reply = true;
    if (found == '-' && walk_find_notrack(&read, &packet))
        found = 'o';
    walk_free(&read);
    return found;
}

static const struct {
    const char *lines;
    char expected;
} notracks[] = {
    {"", '-'},
    {"-A PREROUTING -p tcp -m tcp --dport 22 -j CT --notrack\n", 'i'},
    {"-A PREROUTING -j NOTRACK\n", 'i'},
    {"-A PREROUTING -i eth1 -j NOTRACK\n", '-'},
    {"-A PREROUTING -p udp -j NOTRACK\n", '-'},
    {"-A PREROUTING -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j CT --notrack\n", '-'},
    {"-A PREROUTING -s 192.0.2.0/24 -j NOTRACK\n", '-'},
    {"-A PREROUTING -s 192.0.2.0/24 -j NOTRACK\n-A PREROUTING -j NOTRACK\n", 'i'},
    {"-A PREROUTING -p tcp -j CT --zone 1\n", '-'},
    {"-A PREROUTING -p tcp -j ACCEPT\n-A PREROUTING -j NOTRACK\n", '-'},
    {"-A PREROUTING -s 192.0.2.0/24 -j ACCEPT\n-A PREROUTING -j NOTRACK\n", '-'},
    {"-A PREROUTING -p tcp -j one\n-A one -j CT --notrack\n", 'i'},
    {"-A PREROUTING -s 192.0.2.0/24 -j one\n-A one -j CT --notrack\n", '-'},
    {"-A OUTPUT -o eth0 -p tcp -m tcp --sport 22 -j CT --notrack\n", 'o'},
    {"-A OUTPUT -p tcp -m tcp --sport 23 -j CT --notrack\n", '-'},
    {"*filter\n-A PREROUTING -j NOTRACK\n", '-'},
};

static void what_keeps_from_tracking_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(notracks); i++)
        if (untracks(notracks[i].lines) != notracks[i].expected)
            fail_msg("%s: not %c", notracks[i].lines, notracks[i].expected);
}

static void what_is_not_tracked_has_a_state_of_its_own(void **state)
{
    static const char grants[] =
        "-A INPUT -j portsmith\n-A portsmith -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN"
        " -m conntrack --ctstate UNTRACKED -j RETURN\n"
        "-A portsmith -m conntrack --ctstate NEW,UNTRACKED -j portsmith-open\n"
        "-A portsmith-open -p tcp -m tcp --dport 22 -j ACCEPT\n";
    struct packet packet = to_ssh;

    (void)state;
    packet.is_untracked = true;
    assert_int_equal(judge(RULE("-m conntrack --ctstate NEW"), &packet), 'n');
    assert_int_equal(judge(RULE("-m conntrack --ctstate INVALID,UNTRACKED"), &packet), 'y');
    assert_int_equal(judge(grants, &packet), 'y');
    packet.is_established = true;
    assert_int_equal(judge(RULE("-m conntrack --ctstate RELATED,ESTABLISHED"), &packet), 'n');
    assert_int_equal(judge(grants, &packet), 'n');
}

static void a_target_is_found(void **state)
{
    struct walk_rules read;

    (void)state;
    assert_true(walk_read(&read, strdup("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment "
                                        "--comment \"-j LOG\" -j SYNPROXY --sack-perm\n")));
    assert_true(walk_has_target(&read, "SYNPROXY"));
    assert_false(walk_has_target(&read, "LOG"));
    walk_free(&read);
}

static void garbage_is_read_without_harm(void **state)
{
    static const char *const texts[] = {"", "\n", "*", "*filter", ":", "-A ", "*filter\n-A ",
                                        "*filter\n:INPUT", "*filter\n-A INPUT -j",
                                        "*filter\n-A INPUT -m comment --comment \"", "-A INPUT -j X",
                                        "*filter\n-A INPUT -m comment --comment \"\\"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct walk_rules read;

        assert_true(walk_read(&read, strdup(texts[i])));
        assert_true(walk_through(&read, "filter", "INPUT", &to_ssh).accepts);
        walk_free(&read);
    }
}

static void a_rule_is_found_to_the_letter(void **state)
{
    struct walk_rules read;

    (void)state;
    assert_true(walk_read(&read, strdup("*filter\n:INPUT ACCEPT [0:0]\n:one - [0:0]\n"
                                        "-A INPUT -p tcp -j one\n-A one -j DROP\nCOMMIT\n")));
    assert_true(walk_has_rule(&read, "filter", "one", "-j DROP"));
    assert_true(walk_has_rule(&read, "filter", "INPUT", "-p tcp -j one"));
    assert_false(walk_has_rule(&read, "filter", "INPUT", "-j one"));
    assert_false(walk_has_rule(&read, "filter", "INPUT", "-j DROP"));
    assert_false(walk_has_rule(&read, "mangle", "one", "-j DROP"));
    walk_free(&read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_match_or_may),
        cmocka_unit_test(established_packets_differ),
        cmocka_unit_test(addresses_of_other_tables_are_no_local_ones),
        cmocka_unit_test(a_grant_accepts_where_grants_are),
        cmocka_unit_test(what_decides_is_told),
        cmocka_unit_test(dnat_is_found_and_told),
        cmocka_unit_test(a_rule_is_found_to_the_letter),
        cmocka_unit_test(what_keeps_from_tracking_is_found),
        cmocka_unit_test(what_is_not_tracked_has_a_state_of_its_own),
        cmocka_unit_test(a_target_is_found),
        cmocka_unit_test(garbage_is_read_without_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
