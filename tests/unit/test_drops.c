#include "netspace.h"

#include <netinet/in.h>

#include "daemon/host/drops.h"

enum { REPORTS_MAX = 20 };

static struct {
    char text[REPORTS_MAX][600]; /* WHAT -> ADVICE */
    size_t count;
} told;

static void take(void *data, const char *what, const char *advice)
{
    assert_ptr_equal(data, &told);
    assert_true(told.count < REPORTS_MAX);
    snprintf(told.text[told.count++], sizeof *told.text, "%s -> %s", what, advice);
}

static struct config config;

/* Shuts tcp/22, which strangers ask for by loopback. */
static int begin(void **state)
{
    (void)state;
    config = (struct config){.interfaces = {"lo"}, .interface_count = 1,
                             .shut = {{IPPROTO_TCP, 22}},
                             .shut_count = 1, .backend_in_use = BACKEND_NFTABLES};
    if (netspace_renew() != 0)
        return -1;
    run_command("ip link set lo up");
    return 0;
}

static void find(void)
{
    told.count = 0;
    assert_true(drops_find(&config, take, &told));
}

/* That this alone is told. */
static void assert_told(const char *expected)
{
    find();
    if (told.count != 1 || strcmp(told.text[0], expected) != 0)
        fail_msg("%zu told, the first '%s', not '%s'", told.count, told.text[0], expected);
}

static void assert_nothing_told(void)
{
    find();
    if (told.count > 0)
        fail_msg("told '%s'", told.text[0]);
}

#define SAFE "accept it there, which is safe, for Portsmith shuts it before: "

static void a_host_without_a_firewall_drops_nothing(void **state)
{
    (void)state;
    assert_nothing_told();
    run_command("nft 'add table inet t; add chain inet t c { type filter hook input priority 0; }'");
    assert_nothing_told();
}

#define CHAIN(hook) \
    "nft 'add table inet t; add chain inet t c { type filter hook " hook " priority 0; policy drop; }'"

static void a_chain_of_nftables_is_told_once(void **state)
{
    (void)state;
    run_command(CHAIN("input"));
    assert_told("the nftables chain inet t c drops tcp/22, and a grant opens nothing there -> " SAFE
                "nft insert rule inet t c tcp dport 22 accept");
    run_command("nft insert rule inet t c tcp dport 22 accept");
    assert_nothing_told();
}

static void the_line_that_is_told_can_be_run(void **state)
{
    const char *at;

    (void)state;
    run_command(CHAIN("input"));
    find();
    at = strstr(told.text[0], "nft insert");
    assert_non_null(at);
    run_command("%s", at);
    assert_nothing_told();
    run_command("nft flush chain inet t c");
    config.accept_mark = 0x100;
    assert_told("the nftables chain inet t c drops tcp/22, and a grant opens nothing there -> accept "
                "what a grant marks there: nft insert rule inet t c meta mark and 0x100 == 0x100 "
                "accept");
    run_command("%s", strstr(told.text[0], "nft insert"));
    assert_nothing_told();
}

static void the_table_of_portsmith_is_its_own(void **state)
{
    (void)state;
    run_command("nft 'add table inet portsmith; add chain inet portsmith input { type filter hook "
                "input priority -150; policy drop; }'");
    assert_nothing_told();
}

/* Also where iptables-legacy, whose table is there then, drops. */
static void a_policy_of_iptables_is_told(void **state)
{
    static const char *const names[][2] = {{"iptables-nft", "4"}, {"iptables-legacy", "4"},
                                           {"ip6tables-nft", "6"}, {"ip6tables-legacy", "6"}};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *kind = strchr(names[i][0], '-') + 1;
        char expected[400];

        begin(state);
        run_command("%s -P INPUT DROP", names[i][0]);
        snprintf(expected, sizeof expected,
                 "the policy of iptables-%s's INPUT (IPv%s) drops tcp/22, and a grant opens nothing "
                 "there -> " SAFE "%s -t filter -I INPUT -p tcp --dport 22 -j ACCEPT", kind,
                 names[i][1], names[i][0]);
        assert_told(expected);
        run_command("%s", strstr(told.text[0], ": ip") + 2);
        assert_nothing_told();
    }
}

static void a_rule_of_iptables_is_told(void **state)
{
    (void)state;
    run_command("iptables-nft -t mangle -A PREROUTING -p tcp --dport 22 -j DROP");
    config.accept_mark = 0x100; /* which is set in prerouting, earlier or later */
    assert_told("iptables-nft's rule '-t mangle -A PREROUTING -p tcp -m tcp --dport 22 -j DROP' "
                "(IPv4) drops tcp/22, and a grant opens nothing there -> " SAFE
                "iptables-nft -t mangle -I PREROUTING -p tcp --dport 22 -j ACCEPT");
}

static void whose_rules_they_are_has_a_command(void **state)
{
    (void)state;
    run_command("iptables-nft -P INPUT DROP; iptables-nft -N ufw-user-input");
    assert_told("the policy of iptables-nft's INPUT (IPv4) drops tcp/22, and a grant opens nothing "
                "there -> " SAFE "ufw allow proto tcp to any port 22");
    run_command("iptables-nft -X ufw-user-input; iptables-nft -N INPUT_ZONES");
    find();
    assert_non_null(strstr(told.text[0], SAFE "firewall-cmd --add-port=22/tcp, and the same with "
                                              "--permanent"));
    run_command("iptables-nft -P INPUT ACCEPT; nft 'add table inet firewalld; add chain inet "
                "firewalld c { type filter hook input priority 10; policy drop; }'");
    find();
    assert_int_equal(told.count, 1);
    assert_non_null(strstr(told.text[0], "inet firewalld c drops tcp/22"));
    assert_non_null(strstr(told.text[0], SAFE "firewall-cmd --add-port=22/tcp"));
}

/* Those commands accept by the port, mark or not. */
static void what_knows_no_mark_is_not_told_of_it(void **state)
{
    (void)state;
    config.accept_mark = 0x100;
    run_command("iptables-nft -P INPUT DROP; iptables-nft -N ufw-user-input");
    assert_told("the policy of iptables-nft's INPUT (IPv4) drops tcp/22, and a grant opens nothing "
                "there -> " SAFE "ufw allow proto tcp to any port 22");
    run_command("iptables-nft -P INPUT ACCEPT; nft 'add table inet firewalld; add chain inet "
                "firewalld c { type filter hook input priority 10; policy drop; }'");
    find();
    assert_int_equal(told.count, 1);
    assert_non_null(strstr(told.text[0], SAFE "firewall-cmd --add-port=22/tcp"));
}

/* What Shut does not name would be open to everybody then. */
static void what_is_not_shut_is_to_be_shut_first(void **state)
{
    static const struct helper_profile policy = {.service_count = 2,
                                                 .services = {{IPPROTO_TCP, 22}, {IPPROTO_UDP, 53}}};
    struct profile profile = {.policy = &policy};

    (void)state;
    config.profiles = &profile;
    config.profile_count = 1;
    run_command(CHAIN("input"));
    run_command("nft insert rule inet t c tcp dport 22 accept");
    assert_told("the nftables chain inet t c drops udp/53, and a grant opens nothing there -> name it "
                "in Shut first, then accept it there: nft insert rule inet t c udp dport 53 accept");
}

static void what_is_sent_on_meets_the_chains_that_forward(void **state)
{
    static const struct helper_profile policy = {
        .service_count = 1, .services = {{IPPROTO_TCP, 2222}}, .destination_count = 1,
        .destinations = {{{IPPROTO_TCP, 2222}, 22, {{[10] = 0xff, 0xff, 10, 0, 0, 2}}}}};
    struct profile profile = {.policy = &policy};

    (void)state;
    config.profiles = &profile;
    config.profile_count = 1;
    run_command(CHAIN("forward"));
    assert_told("the nftables chain inet t c drops tcp/2222, and a grant opens nothing there -> " SAFE
                "nft insert rule inet t c tcp dport 22 accept");
    run_command("nft insert rule inet t c tcp dport 22 accept");
    assert_nothing_told();
}

static void with_forward_the_chains_that_forward_are_asked(void **state)
{
    (void)state;
    config.forward = true;
    config.accept_mark = 0x100;
    run_command("iptables-nft -P FORWARD DROP; iptables-nft -N DOCKER-USER; "
                "iptables-nft -A FORWARD -j DOCKER-USER");
    assert_told("the policy of iptables-nft's FORWARD (IPv4) drops tcp/22, and a grant opens nothing "
                "there -> accept what a grant marks there: iptables-nft -t filter -I DOCKER-USER -m "
                "mark --mark 0x100/0x100 -j ACCEPT");
    run_command("iptables-nft -t filter -I DOCKER-USER -m mark --mark 0x100/0x100 -j ACCEPT");
    assert_nothing_told();
    run_command("iptables-nft -P FORWARD ACCEPT; nft 'add table ip docker-bridges; add chain ip "
                "docker-bridges c { type filter hook forward priority 0; policy drop; }'");
    find();
    assert_int_equal(told.count, 1);
    assert_non_null(strstr(told.text[0], "start dockerd with --bridge-accept-fwmark=0x100/0x100"));
    config.forward = false;
    assert_nothing_told();
}

/* A port that another program sends on, as Docker does, never comes to INPUT. */
static void what_another_program_sends_on_is_forwarded(void **state)
{
    (void)state;
    run_command("iptables-nft -t nat -A PREROUTING -p tcp --dport 22 -j DNAT --to-destination "
                "10.0.0.2:2222; iptables-nft -P INPUT DROP; iptables-nft -A FORWARD -j DROP");
    assert_told("iptables-nft's rule '-t filter -A FORWARD -j DROP' (IPv4) drops tcp/22, and a grant "
                "opens nothing there -> " SAFE
                "iptables-nft -t filter -I FORWARD -p tcp --dport 2222 -j ACCEPT");
}

/* Only where no rule of Portsmith's accepts. */
static void it_matters_to_nftables_alone(void **state)
{
    (void)state;
    assert_true(drops_matter(&config));
    config.backend_in_use = BACKEND_NFT;
    assert_false(drops_matter(&config));
    config.backend_in_use = BACKEND_AUTO; /* this host has iptables */
    assert_false(drops_matter(&config));
}

#define CASE(test) cmocka_unit_test_setup(test, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_host_without_a_firewall_drops_nothing),
        CASE(a_chain_of_nftables_is_told_once),
        CASE(the_line_that_is_told_can_be_run),
        CASE(the_table_of_portsmith_is_its_own),
        CASE(a_policy_of_iptables_is_told),
        CASE(a_rule_of_iptables_is_told),
        CASE(whose_rules_they_are_has_a_command),
        CASE(what_knows_no_mark_is_not_told_of_it),
        CASE(what_is_not_shut_is_to_be_shut_first),
        CASE(what_is_sent_on_meets_the_chains_that_forward),
        CASE(with_forward_the_chains_that_forward_are_asked),
        CASE(what_another_program_sends_on_is_forwarded),
        CASE(it_matters_to_nftables_alone),
    };

    return cmocka_run_group_tests_name("drops", tests, netspace_enter, scratch_leave);
}
