#include "check.h"

#include <time.h>

#include "netspace.h"
#include "people.h"
#include "privsep/helper/iptables.h"
#include "privsep/prepare/establish.h"
#include "privsep/prepare/release.h"
#include "privsep/prepare/rules.h"
#include "privsep/prepare/takeover.h"
#include "privsep/xtables/probe.h"
#include "planned.h"
#include "table.h"

enum { CAPACITY = 1000, LAST_DATE = 2147385600 /* 2038-01-18 */ };

static const uint8_t alice[KEY_ID_SIZE] = {0xde, 0xad, 1, 2, 3, 4, 5, 6};
static enum backend backend;
static struct helper_setup setup;
static struct xtables found, host; /* as it was probed, and as a test has it */
static const struct helper_destination *destinations;
static size_t destination_count;
static struct planned made;
static struct firewall *fw;
static struct grants grants;
static struct error why;

static const char *name_of_backend(void)
{
    return backend == BACKEND_NFT ? "nft" : "legacy";
}

/* ---- before and after --------------------------------------------------- */

static int enter_backend(void **state)
{
    if (sodium_init() < 0 || netspace_enter(state) != 0)
        return -1;
    found = (struct xtables){0};
    if (probe_xtables(&found, backend, 0, &why) == PROBE_USABLE &&
        probe_sessions(&found, &why))
        return 0;
    fprintf(stderr, "%s\n", why.text);
    return -1;
}

static void make_rules(void)
{
    planned_make(&made, &setup, destinations, destination_count, &host);
}

static void open_planned(void)
{
    make_rules();
    fw = helper_firewall_open(made.plan);
    helper_firewall_begin(fw, grants.table);
}

static int open_firewall(void **state)
{
    (void)state;
    setup = (struct helper_setup){.shut_count = 2};
    setup.shut[0] = service_of("tcp/22");
    setup.shut[1] = service_of("udp/53");
    if (netspace_renew() != 0)
        return -1;
    destination_count = 0;
    host = found;
    unlink(GRANTTABLE_FILE);
    if (!helper_grants_create(&grants, AT_FDCWD, CAPACITY, clock_boot_ns(), &why))
        return -1;
    open_planned();
    return 0;
}

static int close_firewall(void **state)
{
    (void)state;
    helper_firewall_close(fw);
    helper_grants_free(&grants);
    planned_free(&made);
    return 0;
}

/* By what the setup says by now. */
static bool establish_as_set_up(enum family family)
{
    make_rules();
    fw->plan = made.plan;
    return establish_first(fw, family, &made.rules[family], host.has_nat[family], &grants, &why);
}

static void establish(enum family family)
{
    if (!establish_as_set_up(family))
        fail_msg("%s", why.text);
    assert_false(fw->unsure[family]);
}

static void fail_to_establish(const char *reason)
{
    assert_false(establish_as_set_up(IPV4));
    assert_non_null(strstr(why.text, reason));
}

/* For so many nanoseconds. */
static void open_briefly(const char *address, const char *service, int64_t left)
{
    struct address a = address_of(address);
    struct service s = service_of(service);

    assert_true(grants.count < grants.capacity);
    table_open(&grants, alice, &a, &s, clock_boot_ns() + left);
}

static void open_grant(const char *address, const char *service, int64_t seconds)
{
    open_briefly(address, service, seconds * NSEC_PER_SEC);
}

static enum helper_rules look(enum family family)
{
    why.text[0] = '\0';
    return helper_iptables_look(fw, family, &grants, &why);
}

static void check_noticed(enum helper_rules state, const char *loss)
{
    if (state != HELPER_RULES_MISSING)
        fail_msg("%s: %s: %s", state == HELPER_RULES_IN_FORCE ? "not noticed" : "not read", loss,
                 why.text);
}

static void settle(void)
{
    helper_grants_settle(&grants, IPV4, true);
    helper_grants_settle(&grants, IPV6, true);
}

static void xtables_run(enum family family, const char *arguments)
{
    run_command("ip%stables-%s -w 5 %s", family == IPV6 ? "6" : "", name_of_backend(), arguments);
}

/* Rules and chains of both tables, policies left out, dates as "DATE". */
static char *rules_through(enum family family, const char *filter)
{
    return output_of("for t in mangle filter; do echo $t; ip%stables-%s -w 5 -t $t -S | "
                     "grep -v ^-P | sed 's/--datestop [0-9T:-]*/--datestop DATE/' | %s; done",
                     family == IPV6 ? "6" : "", name_of_backend(), filter);
}

static char *rules_of(enum family family)
{
    return rules_through(family, "cat");
}

static void check_rules(enum family family, const char *expected)
{
    char *rules = rules_of(family);

    assert_string_equal(rules, expected);
    free(rules);
}

static void check_same_rules(enum family family, char *before)
{
    check_rules(family, before);
    free(before);
}

static size_t count_of(enum family family, const char *pattern)
{
    char *rules = rules_of(family);
    size_t count = 0;

    for (const char *at = rules; (at = strstr(at, pattern)); at++)
        count++;
    free(rules);
    return count;
}

/* In place of iptables-restore, for both its ways of being run. */
static void replace_program(const char *script)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/restore", getcwd((char[200]){0}, 200));
    scratch_write_text(path, 0755, script);
    restore_end(&fw->restore[IPV4]);
    fw->restore[IPV4].path = path;
}

static void put_program_back(void)
{
    restore_end(&fw->restore[IPV4]);
    fw->restore[IPV4].path = found.paths[IPV4];
}

/* ---- what is written ---------------------------------------------------- */

#define OF_SESSIONS(chain) \
    "-A " chain " -m cgroup --path \"/\" -j RETURN\n" \
    "-A " chain " -m cgroup ! --path \"/\" -j RETURN\n" \
    "-A " chain " -m policy --dir in --pol ipsec -j RETURN\n"

#define TO_GRANTS \
    "-A portsmith -p tcp -m tcp ! --tcp-flags RST,ACK NONE -m conntrack --ctstate UNTRACKED" \
    " -j RETURN\n" \
    "-A portsmith -m conntrack --ctstate NEW,UNTRACKED -j portsmith-open\n"

static void ipv4_rules_are_exactly_these(void **state)
{
    (void)state;
    open_grant("192.0.2.7", "tcp/22", 60);
    open_grant("2001:db8::7", "udp/53", 60);
    establish(IPV4);
    check_rules(
        IPV4,
        "mangle\n"
        "-N portsmith\n"
        "-N portsmith-close\n"
        "-N portsmith-input\n"
        "-N portsmith-shut\n"
        "-N portsmith-translated\n"
        "-A PREROUTING -j portsmith\n"
        "-A INPUT -j portsmith-input\n"
        "-A FORWARD -j portsmith-translated\n"
        "-A portsmith -i lo -m addrtype --src-type LOCAL -j RETURN\n"
        "-A portsmith -m addrtype --dst-type LOCAL,BROADCAST,MULTICAST -j portsmith-close\n"
        "-A portsmith -m addrtype ! --dst-type LOCAL -m addrtype --dst-type LOCAL --limit-iface-in"
        " -j portsmith-close\n"
        "-A portsmith-close -p tcp -m tcp --dport 22 --tcp-flags RST,ACK NONE -j portsmith-shut\n"
        "-A portsmith-close -p udp -m udp --dport 53 -m conntrack ! --ctstate ESTABLISHED"
        " -j portsmith-shut\n"
        "-A portsmith-input -i lo -m addrtype --src-type LOCAL -j RETURN\n"
        "-A portsmith-input -m addrtype ! --dst-type LOCAL,BROADCAST,MULTICAST -j portsmith-close\n"
        "-A portsmith-input -m conntrack --ctstate UNTRACKED -j portsmith-close\n"
        OF_SESSIONS("portsmith-input")
        "-A portsmith-input -p tcp -m tcp --dport 22 --tcp-flags RST,ACK ACK"
        " -m conntrack ! --ctstate ESTABLISHED -j portsmith-shut\n"
        "-A portsmith-input -j portsmith-translated\n"
        "-A portsmith-shut -s 192.0.2.7/32 -p tcp -m tcp --dport 22 -m time --datestop DATE"
        " -m comment --comment dead010203040506 -j RETURN\n"
        "-A portsmith-shut -j DROP\n"
        "-A portsmith-translated -m conntrack ! --ctstate NEW -j RETURN\n"
        "-A portsmith-translated -p tcp -m tcp --tcp-flags RST,ACK ACK"
        " -m conntrack --ctstate DNAT --ctorigdstport 22 -j portsmith-shut\n"
        "filter\n"
        "-N portsmith\n"
        "-N portsmith-open\n"
        "-A INPUT -j portsmith\n"
        TO_GRANTS
        "-A portsmith -m conntrack --ctstate NEW -m comment --comment end-of-grants -j RETURN\n"
        "-A portsmith-open -s 192.0.2.7/32 -p tcp -m tcp --dport 22 -m time --datestop DATE"
        " -m comment --comment dead010203040506 -j ACCEPT\n");
}

static void ipv6_rules_are_exactly_these(void **state)
{
    (void)state;
    open_grant("192.0.2.7", "tcp/22", 60);
    open_grant("2001:db8::7", "udp/53", 60);
    establish(IPV6);
    check_rules(
        IPV6,
        "mangle\n"
        "-N portsmith\n"
        "-N portsmith-close\n"
        "-N portsmith-input\n"
        "-N portsmith-shut\n"
        "-N portsmith-translated\n"
        "-A PREROUTING -j portsmith\n"
        "-A INPUT -j portsmith-input\n"
        "-A FORWARD -j portsmith-translated\n"
        "-A portsmith -i lo -m addrtype --src-type LOCAL -j RETURN\n"
        "-A portsmith -m addrtype --dst-type LOCAL,ANYCAST -j portsmith-close\n"
        "-A portsmith -m addrtype --dst-type MULTICAST -j portsmith-close\n"
        "-A portsmith -m addrtype ! --dst-type LOCAL -m addrtype --dst-type LOCAL --limit-iface-in"
        " -j portsmith-close\n"
        "-A portsmith-close -p tcp -m tcp --dport 22 --tcp-flags RST,ACK NONE -j portsmith-shut\n"
        "-A portsmith-close -p udp -m udp --dport 53 -m conntrack ! --ctstate ESTABLISHED"
        " -j portsmith-shut\n"
        "-A portsmith-input -i lo -m addrtype --src-type LOCAL -j RETURN\n"
        "-A portsmith-input -m addrtype ! --dst-type LOCAL,ANYCAST -m addrtype ! --dst-type MULTICAST"
        " -j portsmith-close\n"
        "-A portsmith-input -m conntrack --ctstate UNTRACKED -j portsmith-close\n"
        OF_SESSIONS("portsmith-input")
        "-A portsmith-input -p tcp -m tcp --dport 22 --tcp-flags RST,ACK ACK"
        " -m conntrack ! --ctstate ESTABLISHED -j portsmith-shut\n"
        "-A portsmith-input -j portsmith-translated\n"
        "-A portsmith-shut -s 2001:db8::7/128 -p udp -m udp --dport 53 -m time --datestop DATE"
        " -m comment --comment dead010203040506 -j RETURN\n"
        "-A portsmith-shut -j DROP\n"
        "-A portsmith-translated -m conntrack ! --ctstate NEW -j RETURN\n"
        "-A portsmith-translated -p tcp -m tcp --tcp-flags RST,ACK ACK"
        " -m conntrack --ctstate DNAT --ctorigdstport 22 -j portsmith-shut\n"
        "filter\n"
        "-N portsmith\n"
        "-N portsmith-open\n"
        "-A INPUT -j portsmith\n"
        TO_GRANTS
        "-A portsmith -m conntrack --ctstate NEW -m comment --comment end-of-grants -j RETURN\n"
        "-A portsmith-open -s 2001:db8::7/128 -p udp -m udp --dport 53 -m time --datestop DATE"
        " -m comment --comment dead010203040506 -j ACCEPT\n");
}

static void reset_rules_are_exactly_these(void **state)
{
    (void)state;
    setup.shut_with_reset = 1;
    setup.shut_count = 1;
    open_grant("192.0.2.7", "tcp/22", 60);
    establish(IPV4);
    check_rules(
        IPV4,
        "mangle\n"
        "-N portsmith\n"
        "-N portsmith-close\n"
        "-N portsmith-input\n"
        "-N portsmith-shut\n"
        "-N portsmith-translated\n"
        "-A PREROUTING -j portsmith\n"
        "-A INPUT -j portsmith-input\n"
        "-A FORWARD -j portsmith-translated\n"
        "-A portsmith -i lo -m addrtype --src-type LOCAL -j RETURN\n"
        "-A portsmith -m addrtype --dst-type LOCAL,BROADCAST,MULTICAST -j portsmith-close\n"
        "-A portsmith -m addrtype ! --dst-type LOCAL -m addrtype --dst-type LOCAL --limit-iface-in"
        " -j portsmith-close\n"
        "-A portsmith-close -p tcp -m tcp --dport 22 --tcp-flags RST,ACK NONE -j portsmith-shut\n"
        "-A portsmith-input -i lo -m addrtype --src-type LOCAL -j RETURN\n"
        "-A portsmith-input -m addrtype ! --dst-type LOCAL,BROADCAST,MULTICAST -j portsmith-close\n"
        "-A portsmith-input -m conntrack --ctstate UNTRACKED -j portsmith-close\n"
        OF_SESSIONS("portsmith-input")
        "-A portsmith-input -p tcp -m tcp --dport 22 --tcp-flags RST,ACK ACK"
        " -m conntrack ! --ctstate ESTABLISHED -j portsmith-shut\n"
        "-A portsmith-input -j portsmith-translated\n"
        "-A portsmith-shut -s 192.0.2.7/32 -p tcp -m tcp --dport 22 -m time --datestop DATE"
        " -m comment --comment dead010203040506 -j RETURN\n"
        "-A portsmith-shut -j MARK --set-xmark 0x10000000/0x10000000\n"
        "-A portsmith-translated -m conntrack ! --ctstate NEW -j RETURN\n"
        "-A portsmith-translated -p tcp -m tcp --tcp-flags RST,ACK ACK"
        " -m conntrack --ctstate DNAT --ctorigdstport 22 -j portsmith-shut\n"
        "filter\n"
        "-N portsmith\n"
        "-N portsmith-gateway\n"
        "-N portsmith-open\n"
        "-N portsmith-through\n"
        "-A INPUT -j portsmith\n"
        "-A FORWARD -j portsmith-gateway\n"
        "-A portsmith -p tcp -m mark --mark 0x10000000/0x10000000 -j REJECT"
        " --reject-with tcp-reset\n"
        "-A portsmith -m mark --mark 0x10000000/0x10000000 -j REJECT"
        " --reject-with icmp-port-unreachable\n"
        TO_GRANTS
        "-A portsmith -i lo -m addrtype --src-type LOCAL -j RETURN\n"
        "-A portsmith -p tcp -m tcp --dport 22 --tcp-flags RST,ACK NONE -j REJECT"
        " --reject-with tcp-reset\n"
        OF_SESSIONS("portsmith")
        "-A portsmith -p tcp -m tcp --dport 22 --tcp-flags RST,ACK ACK"
        " -m conntrack ! --ctstate ESTABLISHED -j REJECT --reject-with tcp-reset\n"
        "-A portsmith -m conntrack --ctstate NEW -m comment --comment end-of-grants -j RETURN\n"
        "-A portsmith-gateway -p tcp -m mark --mark 0x10000000/0x10000000 -j REJECT"
        " --reject-with tcp-reset\n"
        "-A portsmith-gateway -m mark --mark 0x10000000/0x10000000 -j REJECT"
        " --reject-with icmp-port-unreachable\n"
        "-A portsmith-gateway -j portsmith-through\n"
        "-A portsmith-open -s 192.0.2.7/32 -p tcp -m tcp --dport 22 -m time --datestop DATE"
        " -m comment --comment dead010203040506 -j ACCEPT\n");
}

/* Of what a session sends, nothing is said then: it goes on. */
static void where_sessions_cannot_be_told_every_ack_passes(void **state)
{
    (void)state;
    host.tells_sessions[IPV4] = false;
    setup.shut_with_reset = 1;
    establish(IPV4);
    assert_int_equal(count_of(IPV4, "cgroup"), 0);
    assert_int_equal(count_of(IPV4, "--dport 22 --tcp-flags RST,ACK ACK"), 0);
    assert_int_equal(count_of(IPV4, "--dport 22 --tcp-flags RST,ACK NONE"), 2);
}

/* ---- on trial ----------------------------------------------------------- */

/* So many seconds from now, as the helper finds it in the setup. */
static void try_for(int64_t seconds)
{
    helper_firewall_close(fw);
    setup.trial_end = clock_boot_ns() + seconds * NSEC_PER_SEC;
    setup.shut_with_reset = 1;
    open_planned();
}

#define END_OF_TRIAL " -m time --datestart %s --datestop 2038-01-19T03:14:07 -j RETURN\n"

/* The rules that end it, with the chains that they are the first of. */
static void check_end(enum family family, int64_t second)
{
    char expected[640], date[32];
    char *rules = output_of("for c in 'mangle portsmith' 'mangle portsmith-input' "
                            "'mangle portsmith-translated' 'filter portsmith'; do "
                            "ip%stables-%s -w 5 -t ${c%% *} -S ${c#* } | sed -n 2p; done",
                            family == IPV6 ? "6" : "", name_of_backend());
    time_t moment = (time_t)second;
    struct tm utc;

    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", gmtime_r(&moment, &utc));
    snprintf(expected, sizeof expected,
             "-A portsmith" END_OF_TRIAL "-A portsmith-input" END_OF_TRIAL
             "-A portsmith-translated" END_OF_TRIAL "-A portsmith" END_OF_TRIAL,
             date, date, date, date);
    assert_string_equal(rules, expected);
    free(rules);
}

static void a_trial_is_ended_by_the_first_rule_of_what_shuts(void **state)
{
    (void)state;
    try_for(900);
    for (enum family family = IPV4; family < FAMILIES; family++) {
        int64_t earliest = clock_wall_ns() / NSEC_PER_SEC + 899;

        establish(family);
        assert_in_range(rules_trial_second(&setup), earliest, earliest + 2);
        check_end(family, rules_trial_second(&setup));
    }
}

/* Never before the daemon's own time, and within a second of it. */
static void the_end_of_a_trial_is_rounded_up(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t end;

        setup.trial_end = clock_boot_ns() + 60 * (int64_t)NSEC_PER_SEC + i * NSEC_PER_MSEC;
        end = clock_wall_ns() + setup.trial_end - clock_boot_ns();
        assert_in_range(rules_trial_second(&setup) * NSEC_PER_SEC, end - NSEC_PER_MSEC,
                        end + NSEC_PER_SEC + NSEC_PER_MSEC);
    }
}

static void the_lost_end_of_a_trial_is_noticed(void **state)
{
    static const char *const losses[] = {"-t mangle -D portsmith 1", "-t mangle -D portsmith-input 1",
                                         "-t mangle -D portsmith-translated 1",
                                         "-D portsmith 1"};

    (void)state;
    try_for(900);
    for (enum family family = IPV4; family < FAMILIES; family++)
        for (size_t i = 0; i < COUNT_OF(losses); i++) {
            establish(family);
            assert_result(look(family), HELPER_RULES_IN_FORCE, why);
            xtables_run(family, losses[i]);
            check_noticed(look(family), losses[i]);
        }
}

/* As after the clock was set: the next helper establishes. */
static void the_end_of_a_trial_is_written_anew(void **state)
{
    (void)state;
    try_for(900);
    establish(IPV4);
    setup.trial_end += 3600 * (int64_t)NSEC_PER_SEC;
    establish(IPV4);
    check_end(IPV4, rules_trial_second(&setup));
    assert_in_range(rules_trial_second(&setup), clock_wall_ns() / NSEC_PER_SEC + 4490,
                    clock_wall_ns() / NSEC_PER_SEC + 4502);
}

static void without_shut_ports_nothing_leads_to_the_drop(void **state)
{
    (void)state;
    setup.shut_count = 0;
    establish(IPV4);
    assert_int_equal(count_of(IPV4, "-j portsmith-close"), 0);
    assert_int_equal(count_of(IPV4, "-j portsmith-shut"), 0);
    assert_int_equal(count_of(IPV4, "-j DROP"), 1);
}

/* ---- gateways ----------------------------------------------------------- */

static const struct helper_destination behind[] = {
    {.service = {.protocol = 6, .port = 2222}, .port = 22},
    {.service = {.protocol = 17, .port = 5353}, .port = 53},
};

/* What FORWARD and the nat table have of ours; what the others have is known. */
static char *gateway_rules(enum family family)
{
    return output_of("for t in nat filter; do echo $t; ip%stables-%s -w 5 -t $t -S | "
                     "grep -e portsmith-gateway -e portsmith-through -e '[TG] .*portsmith$' "
                     "-e DNAT | "
                     "sed 's/--datestop [0-9T:-]*/--datestop DATE/'; done",
                     family == IPV6 ? "6" : "", name_of_backend());
}

static void check_gateway_rules(enum family family, const char *expected)
{
    char *rules = gateway_rules(family);

    assert_string_equal(rules, expected);
    free(rules);
}

/* The grants' addresses are of both families, so are the hosts behind. */
static void open_gateway(const char *client, const char *behind_it)
{
    static struct helper_destination all[COUNT_OF(behind) + 1];

    setup.sends_on = 1;
    memcpy(all, behind, sizeof behind);
    for (size_t i = 0; i < COUNT_OF(behind); i++)
        all[i].address = address_of(behind_it);
    all[COUNT_OF(behind)] = behind[0];
    all[COUNT_OF(behind)].address = address_of(strchr(behind_it, ':') ? "192.168.9.9" : "fd99::9");
    destinations = all;
    destination_count = COUNT_OF(all);
    open_grant(client, "tcp/2222", 60);
    grants.items[0].destination = all[0].address;
    grants.items[0].destination_port = all[0].port;
}

static void ipv4_gateway_rules_are_exactly_these(void **state)
{
    (void)state;
    open_gateway("192.0.2.7", "192.168.1.10");
    open_grant("192.0.2.7", "tcp/22", 60);
    establish(IPV4);
    check_gateway_rules(
        IPV4,
        "nat\n"
        "-A PREROUTING -j portsmith\n"
        "-A portsmith -s 192.0.2.7/32 -p tcp -m tcp --dport 2222 -m addrtype --dst-type LOCAL"
        " -m time --datestop DATE -m comment --comment dead010203040506"
        " -j DNAT --to-destination 192.168.1.10:22\n"
        "-A portsmith -s 192.0.2.7/32 -p tcp -m tcp --dport 2222 -m addrtype --dst-type LOCAL"
        " --limit-iface-in"
        " -m time --datestop DATE -m comment --comment dead010203040506"
        " -j DNAT --to-destination 192.168.1.10:22\n"
        "filter\n"
        "-N portsmith-gateway\n"
        "-N portsmith-through\n"
        "-A INPUT -j portsmith\n"
        "-A FORWARD -j portsmith-gateway\n"
        "-A portsmith-gateway -j portsmith-through\n"
        "-A portsmith-gateway -m conntrack --ctstate RELATED,ESTABLISHED -m conntrack --ctstate"
        " DNAT --ctproto 6 --ctreplsrc 192.168.1.10 --ctorigdstport 2222 --ctreplsrcport 22"
        " -j ACCEPT\n"
        "-A portsmith-gateway -m conntrack --ctstate RELATED,ESTABLISHED -m conntrack --ctstate"
        " DNAT --ctproto 17 --ctreplsrc 192.168.1.10 --ctorigdstport 5353 --ctreplsrcport 53"
        " -j ACCEPT\n"
        "-A portsmith-through -s 192.0.2.7/32 -d 192.168.1.10/32 -p tcp -m tcp --dport 22"
        " -m conntrack --ctstate NEW --ctorigdstport 2222 -m time --datestop DATE"
        " -m comment --comment dead010203040506 -j ACCEPT\n");
}

static void ipv6_gateway_rules_are_exactly_these(void **state)
{
    (void)state;
    open_gateway("2001:db8::7", "fd00::10");
    establish(IPV6);
    check_gateway_rules(
        IPV6,
        "nat\n"
        "-A PREROUTING -j portsmith\n"
        "-A portsmith -s 2001:db8::7/128 -p tcp -m tcp --dport 2222 -m addrtype --dst-type LOCAL"
        " -m time --datestop DATE -m comment --comment dead010203040506"
        " -j DNAT --to-destination [fd00::10]:22\n"
        "-A portsmith -s 2001:db8::7/128 -p tcp -m tcp --dport 2222 -m addrtype --dst-type LOCAL"
        " --limit-iface-in"
        " -m time --datestop DATE -m comment --comment dead010203040506"
        " -j DNAT --to-destination [fd00::10]:22\n"
        "filter\n"
        "-N portsmith-gateway\n"
        "-N portsmith-through\n"
        "-A INPUT -j portsmith\n"
        "-A FORWARD -j portsmith-gateway\n"
        "-A portsmith-gateway -j portsmith-through\n"
        "-A portsmith-gateway -m conntrack --ctstate RELATED,ESTABLISHED -m conntrack --ctstate"
        " DNAT --ctproto 6 --ctreplsrc fd00::10 --ctorigdstport 2222 --ctreplsrcport 22"
        " -j ACCEPT\n"
        "-A portsmith-gateway -m conntrack --ctstate RELATED,ESTABLISHED -m conntrack --ctstate"
        " DNAT --ctproto 17 --ctreplsrc fd00::10 --ctorigdstport 5353 --ctreplsrcport 53"
        " -j ACCEPT\n"
        "-A portsmith-through -s 2001:db8::7/128 -d fd00::10/128 -p tcp -m tcp --dport 22"
        " -m conntrack --ctstate NEW --ctorigdstport 2222 -m time --datestop DATE"
        " -m comment --comment dead010203040506 -j ACCEPT\n");
}

static void with_forward_each_grant_counts_there(void **state)
{
    (void)state;
    setup.forward = 1;
    open_grant("192.0.2.7", "tcp/22", 60);
    establish(IPV4);
    check_gateway_rules(
        IPV4,
        "nat\n"
        "filter\n"
        "-N portsmith-gateway\n"
        "-N portsmith-through\n"
        "-A INPUT -j portsmith\n"
        "-A FORWARD -j portsmith-gateway\n"
        "-A portsmith-gateway -j portsmith-through\n"
        "-A portsmith-through -s 192.0.2.7/32 -p tcp -m conntrack --ctstate NEW"
        " --ctorigdstport 22 -m time --datestop DATE -m comment --comment dead010203040506"
        " -j ACCEPT\n"
        "-A portsmith-through -s 192.0.2.7/32 -p tcp -m tcp --dport 22"
        " --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate UNTRACKED -m time --datestop DATE"
        " -m comment --comment dead010203040506 -j ACCEPT\n");
}

/* Whether the filter table leads to the grants what is not tracked, and whether the one that
 * there is accepts it. */
static void check_untracked(bool is_led_there, bool is_accepted)
{
    establish(IPV4);
    assert_int_equal(count_of(IPV4, " -m conntrack --ctstate NEW,UNTRACKED -j portsmith-open"),
                     is_led_there);
    assert_int_equal(count_of(IPV4, " -m conntrack --ctstate NEW -j portsmith-open"),
                     !is_led_there);
    assert_int_equal(count_of(IPV4, " --dport 22 -m conntrack --ctstate NEW -m time"),
                     !is_accepted);
}

/* What is counted, sent on, or answered by SYNPROXY is tracked. */
static void what_must_be_tracked_is_admitted_only_so(void **state)
{
    (void)state;
    open_grant("192.0.2.7", "tcp/22", 60);
    check_untracked(true, true);
    grants.items[0].connections = 1;
    check_untracked(true, false);
    grants.items[0].connections = 0;
    grants.items[0].destination_port = 22;
    check_untracked(true, false);
    grants.items[0].destination_port = 0;
    setup.has_synproxy = 1;
    check_untracked(false, false);
}

static void a_gateway_is_written_anew_as_it_was(void **state)
{
    char *before;

    (void)state;
    open_gateway("192.0.2.7", "192.168.1.10");
    establish(IPV4);
    before = gateway_rules(IPV4);
    assert_result(look(IPV4), HELPER_RULES_IN_FORCE, why);
    assert_done(helper_iptables_change(fw, IPV4, RULES_REWRITE, &grants, &why), why);
    check_gateway_rules(IPV4, before);
    assert_done(helper_iptables_change(fw, IPV4, RULES_REFRESH, &grants, &why), why);
    check_gateway_rules(IPV4, before);
    free(before);
}

static void what_a_gateway_lost_is_noticed(void **state)
{
    static const char *const losses[] = {
        "-t nat -F portsmith",
        "-t nat -D PREROUTING -j portsmith",
        "-D FORWARD -j portsmith-gateway",
        "-D portsmith-gateway 1",
        "-D portsmith-gateway 2",
        "-D portsmith-through 1",
        "-F portsmith-through",
    };

    (void)state;
    open_gateway("192.0.2.7", "192.168.1.10");
    for (size_t i = 0; i < COUNT_OF(losses); i++) {
        establish(IPV4);
        assert_result(look(IPV4), HELPER_RULES_IN_FORCE, why);
        xtables_run(IPV4, losses[i]);
        check_noticed(look(IPV4), losses[i]);
    }
}

static void without_destinations_the_gateway_is_taken_down(void **state)
{
    (void)state;
    open_gateway("192.0.2.7", "192.168.1.10");
    establish(IPV4);
    setup.sends_on = 0;
    destination_count = 0;
    grants.items[0].destination_port = 0;
    host.has_nat[IPV4] = true; /* as a helper finds that starts now */
    establish(IPV4);
    check_gateway_rules(IPV4, "nat\nfilter\n-A INPUT -j portsmith\n");
}

/* ---- deadlines ---------------------------------------------------------- */

static time_t datestop(void)
{
    char *text = output_of("iptables-%s -w 5 -S portsmith-open | "
                           "sed -n 's/.*--datestop \\([^ ]*\\).*/\\1/p'", name_of_backend());
    struct tm date = {0};

    assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%S", &date));
    free(text);
    return timegm(&date);
}

/* The rule matches until its last second is over. */
static void the_kernel_s_deadline_is_never_late(void **state)
{
    (void)state;
    for (int64_t tenths = 300; tenths < 310; tenths++) {
        int64_t left = tenths * (NSEC_PER_SEC / 10), end, last;

        helper_grants_clear(&grants);
        open_briefly("192.0.2.7", "tcp/22", left);
        end = clock_wall_ns() + left;
        establish(IPV4);
        last = (int64_t)datestop();
        assert_true((last + 1) * NSEC_PER_SEC <= end);
        assert_true((last + 2) * NSEC_PER_SEC > end - NSEC_PER_SEC / 10);
    }
}

static void the_kernel_s_deadline_is_not_past_2038(void **state)
{
    int64_t now = clock_wall_ns() / NSEC_PER_SEC;

    (void)state;
    open_grant("192.0.2.7", "tcp/22", LAST_DATE - now + 100000000);
    establish(IPV4);
    assert_int_equal(datestop(), LAST_DATE);
}

/* ---- again and again ---------------------------------------------------- */

static void establishing_again_changes_nothing(void **state)
{
    (void)state;
    open_grant("192.0.2.7", "tcp/22", 60);
    for (unsigned reset = 0; reset < 2; reset++) {
        char *before;

        setup.shut_with_reset = (uint8_t)reset;
        establish(IPV4);
        before = rules_of(IPV4);
        establish(IPV4);
        establish(IPV4);
        check_same_rules(IPV4, before);
    }
}

static void an_admin_s_order_is_kept(void **state)
{
    char *before;

    (void)state;
    setup.shut_with_reset = 1;
    establish(IPV4);
    xtables_run(IPV4, "-I INPUT 1 -s 203.0.113.1 -j DROP");
    xtables_run(IPV4, "-I INPUT 3 -s 203.0.113.2 -j DROP");
    xtables_run(IPV4, "-t mangle -I PREROUTING 1 -s 203.0.113.3 -j DROP");
    xtables_run(IPV4, "-A FORWARD -j DROP");
    before = rules_of(IPV4);
    establish(IPV4);
    check_same_rules(IPV4, before);
    assert_int_equal(count_of(IPV4, "203.0.113."), 3);
}

/* Where a rule of filter's portsmith stands, from 0. */
static size_t place_of(const char *rule)
{
    char *rules = output_of("iptables-%s -w 5 -S portsmith", name_of_backend());
    const char *at = strstr(rules, rule);
    size_t place = 0;

    assert_non_null(at);
    for (const char *line = strchr(rules, '\n'); line && line < at; line = strchr(line + 1, '\n'))
        place++;
    free(rules);
    return place;
}

/* A grant counts before the port is refused; what is marked is none's. */
static void check_grants_come_first(void)
{
    size_t grants_are_at = place_of("-j portsmith-open");

    assert_int_equal(count_of(IPV4, "-A portsmith-open -s 192.0.2.7/32"), 1);
    assert_true(place_of("--mark 0x10000000") < grants_are_at);
    assert_true(grants_are_at < place_of("--dport 22 --tcp-flags RST,ACK NONE -j REJECT"));
    assert_true(grants_are_at < place_of("--dport 22 --tcp-flags RST,ACK ACK"));
}

static void reset_comes_and_goes_with_the_configuration(void **state)
{
    char *without;

    (void)state;
    open_grant("192.0.2.7", "tcp/22", 60);
    establish(IPV4);
    without = rules_of(IPV4);
    setup.shut_with_reset = 1;
    establish(IPV4);
    assert_int_equal(count_of(IPV4, "INPUT -j portsmith\n"), 1);
    assert_int_equal(count_of(IPV4, "FORWARD -j portsmith-gateway\n"), 1);
    check_grants_come_first();
    xtables_run(IPV4, "-D INPUT -j portsmith");
    establish(IPV4);
    assert_int_equal(count_of(IPV4, "INPUT -j portsmith\n"), 1);
    check_grants_come_first();
    setup.shut_with_reset = 0;
    establish(IPV4);
    check_same_rules(IPV4, without);
}

/* ---- after an upgrade --------------------------------------------------- */

/* As 0.1.0 left it with ShutWith = reset, and somebody else's rules between its jumps. */
static void leave_earlier_rules(enum family family)
{
    static const char *const commands[] = {
        "-N portsmith",
        "-N portsmith-reset",
        "-N portsmith-forward",
        "-A portsmith-reset -p tcp -m tcp --dport 22 -j REJECT",
        "-A portsmith-forward -m mark --mark 0x10000000/0x10000000 -j REJECT",
        "-A INPUT -p tcp --dport 7 -j DROP",
        "-A INPUT -j portsmith",
        "-A INPUT -p tcp --dport 8 -j DROP",
        "-A INPUT -j portsmith-reset",
        "-A INPUT -j portsmith-reset",
        "-A FORWARD -j portsmith-forward",
    };

    for (size_t i = 0; i < COUNT_OF(commands); i++)
        xtables_run(family, commands[i]);
}

static void check_nothing_is_left_of_earlier(enum family family)
{
    assert_int_equal(count_of(family, "portsmith-reset"), 0);
    assert_int_equal(count_of(family, "portsmith-forward"), 0);
}

static void what_an_earlier_version_left_is_removed(void **state)
{
    (void)state;
    for (unsigned reset = 0; reset < 2; reset++)
        for (enum family family = IPV4; family < FAMILIES; family++) {
            char *jumps;

            xtables_run(family, "-F");
            xtables_run(family, "-X");
            leave_earlier_rules(family);
            setup.shut_with_reset = (uint8_t)reset;
            establish(family);
            check_nothing_is_left_of_earlier(family);
            assert_result(look(family), HELPER_RULES_IN_FORCE, why);
            jumps = rules_through(family, "grep -e '-A INPUT' | cut -d ' ' -f 2- | tr '\n' ,");
            /* Where filter begins to refuse, nothing may accept before. */
            assert_non_null(strstr(jumps, reset ? "INPUT -j portsmith,"
                                                  "INPUT -p tcp -m tcp --dport 7 -j DROP,"
                                                : "INPUT -p tcp -m tcp --dport 7 -j DROP,"
                                                  "INPUT -j portsmith,"
                                                  "INPUT -p tcp -m tcp --dport 8 -j DROP,"));
            free(jumps);
        }
}

static void releasing_removes_what_an_earlier_version_left(void **state)
{
    (void)state;
    for (enum family family = IPV4; family < FAMILIES; family++) {
        leave_earlier_rules(family);
        xtables_run(family, "-t mangle -S"); /* legacy is in use */
    }
    assert_done(helper_release(backend, &why), why);
    for (enum family family = IPV4; family < FAMILIES; family++) {
        assert_int_equal(count_of(family, "portsmith"), 0);
        assert_int_equal(count_of(family, "INPUT"), 2);
    }
}

/* It is for whoever made it to remove that rule. */
static void a_chain_that_others_use_stays_empty(void **state)
{
    (void)state;
    leave_earlier_rules(IPV4);
    xtables_run(IPV4, "-A OUTPUT -o eth9 -j portsmith-reset");
    establish(IPV4);
    assert_int_equal(count_of(IPV4, "INPUT -j portsmith-reset"), 0);
    assert_int_equal(count_of(IPV4, "-A portsmith-reset"), 0);
    assert_int_equal(count_of(IPV4, "-N portsmith-reset"), 1);
    assert_false(helper_release(backend, &why));
    assert_non_null(strstr(why.text, "another program leads to the chain"));
    assert_int_equal(count_of(IPV4, "-A PREROUTING"), 0);
    xtables_run(IPV4, "-D OUTPUT -o eth9 -j portsmith-reset");
    assert_done(helper_release(backend, &why), why);
    assert_int_equal(count_of(IPV4, "portsmith"), 0);
}

/* ---- grants ------------------------------------------------------------- */

static void new_grants_are_inserted_alone(void **state)
{
    (void)state;
    open_grant("192.0.2.7", "tcp/22", 60);
    establish(IPV4);
    settle();
    xtables_run(IPV4, "-t mangle -D portsmith-shut 1"); /* to see that it is not rewritten */
    open_grant("192.0.2.8", "tcp/22", 60);
    open_grant("192.0.2.9", "udp/53", 60);
    open_grant("2001:db8::9", "udp/53", 60);
    assert_done(helper_iptables_change(fw, IPV4, RULES_INSERT, &grants, &why), why);
    assert_int_equal(count_of(IPV4, "192.0.2.7/32"), 1);
    assert_int_equal(count_of(IPV4, "192.0.2.8/32"), 2);
    assert_int_equal(count_of(IPV4, "192.0.2.9/32"), 2);
}

static void an_inserted_grant_stands_where_a_rewritten_one_does(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        char *inserted;

        helper_grants_clear(&grants);
        settle();
        try_for(900);
        setup.shut_with_reset = i & 1;
        if (i & 2)
            setup.trial_end = 0;
        setup.forward = setup.has_synproxy = 1; /* one rule at each place */
        establish(IPV4);
        xtables_run(IPV4, "-t mangle -A portsmith-close -p 99"); /* else it is rewritten */
        open_grant("192.0.2.7", "tcp/22", 60);
        assert_done(helper_iptables_change(fw, IPV4, RULES_INSERT, &grants, &why), why);
        xtables_run(IPV4, "-t mangle -D portsmith-close -p 99");
        inserted = rules_of(IPV4);
        assert_done(helper_iptables_change(fw, IPV4, RULES_REWRITE, &grants, &why), why);
        check_rules(IPV4, inserted);
        establish(IPV4);
        check_same_rules(IPV4, inserted);
    }
}

/* To find any other place iptables-nft reads all rules of the chain. */
static void inserting_names_no_place(void **state)
{
    char script[512], *lines;

    (void)state;
    try_for(900);
    setup.forward = 1;
    establish(IPV4);
    snprintf(script, sizeof script, "#!/bin/sh\ntee inserted | %s \"$@\"\n", found.paths[IPV4]);
    replace_program(script);
    open_grant("192.0.2.7", "tcp/22", 60);
    assert_done(helper_iptables_change(fw, IPV4, RULES_INSERT, &grants, &why), why);
    put_program_back();
    lines = output_of("grep -e ^-I inserted | cut -d ' ' -f -3");
    assert_string_equal(lines, "-I portsmith-open -s\n-I portsmith-through -s\n"
                               "-I portsmith-through -s\n-I portsmith-shut -s\n");
    free(lines);
}

static void rewriting_follows_the_table(void **state)
{
    (void)state;
    open_grant("192.0.2.7", "tcp/22", 60);
    open_grant("192.0.2.8", "tcp/22", 60);
    establish(IPV4);
    helper_grants_remove_at(&grants, 0);
    assert_done(helper_iptables_change(fw, IPV4, RULES_REWRITE, &grants, &why), why);
    assert_int_equal(count_of(IPV4, "192.0.2.7/32"), 0);
    assert_int_equal(count_of(IPV4, "192.0.2.8/32"), 2);
    helper_grants_clear(&grants);
    assert_done(helper_iptables_change(fw, IPV4, RULES_REWRITE, &grants, &why), why);
    assert_int_equal(count_of(IPV4, "datestop"), 0);
    assert_result(look(IPV4), HELPER_RULES_IN_FORCE, why);
}

static void a_thousand_grants_are_written(void **state)
{
    (void)state;
    establish(IPV4);
    for (int i = 0; i < CAPACITY; i++) {
        char address[ADDRESS_TEXT_SIZE];

        snprintf(address, sizeof address, "10.0.%d.%d", i / 250, 1 + i % 250);
        open_grant(address, "tcp/22", 60);
    }
    assert_done(helper_iptables_change(fw, IPV4, RULES_REWRITE, &grants, &why), why);
    assert_int_equal(count_of(IPV4, "datestop"), 2 * CAPACITY);
    settle();
    /* None is new. */
    assert_done(helper_iptables_change(fw, IPV4, RULES_INSERT, &grants, &why), why);
    assert_int_equal(count_of(IPV4, "datestop"), 2 * CAPACITY);
}

/* ---- the end of grants --------------------------------------------------- */

/* As the helper does once something has changed. */
static void change(void)
{
    helper_grants_expire(&grants, clock_boot_ns());
    assert_done(helper_firewall_change(fw, &grants, &why), why);
}

static void sweep(void)
{
    assert_done(helper_firewall_mend(fw, &grants, &why), why);
    assert_int_equal(helper_firewall_litter(fw), 0);
}

static void end_grant(const char *address, const char *service)
{
    struct address a = address_of(address);
    struct service s = service_of(service);

    helper_grants_end(&grants, table_find(&grants, alice, &a, &s), END_CLOSED);
    change();
}

/* What the program is given from here on is in the file `given`. */
static void watch_program(void)
{
    char script[512];

    unlink("given");
    snprintf(script, sizeof script, "#!/bin/sh\ntee -a given | %s \"$@\"\n", found.paths[IPV4]);
    replace_program(script);
}

static void check_given(const char *pattern, const char *expected)
{
    char *lines = output_of("grep -c -e '%s' given || true", pattern);

    assert_string_equal(lines, expected);
    free(lines);
}

static void what_the_kernel_has_shut_stands_until_it_is_swept(void **state)
{
    (void)state;
    establish(IPV4);
    open_grant("192.0.2.7", "tcp/22", 60);
    for (int i = 1; i <= 9; i++) {
        char address[] = "192.0.2.20";

        address[sizeof address - 2] = (char)('0' + i);
        open_briefly(address, "tcp/22", 20 * NSEC_PER_MSEC);
    }
    assert_done(helper_firewall_change(fw, &grants, &why), why); /* also if they are over by now */
    assert_int_equal(count_of(IPV4, "datestop"), 20);
    while (clock_boot_ns() < grants.items[9].deadline)
        continue;
    replace_program("#!/bin/sh\nexit 1\n"); /* it is not run */
    change();
    assert_int_equal(grants.count, 1);
    assert_int_equal(fw->litter[IPV4], 9);
    put_program_back();
    assert_int_equal(count_of(IPV4, "datestop"), 20);
    assert_result(look(IPV4), HELPER_RULES_IN_FORCE, why);
    sweep();
    assert_int_equal(count_of(IPV4, "datestop"), 2);
    assert_int_equal(count_of(IPV4, "192.0.2.7/32"), 2);
}

/* Two rules of one address differ by what ip6tables-legacy does not look at. */
static void what_ends_early_is_shut_at_once(void **state)
{
    static const char *const addresses[] = {"192.0.2.7", "2001:db8::7"};

    (void)state;
    for (enum family family = IPV4; family < FAMILIES; family++) {
        establish(family);
        open_grant(addresses[family], "tcp/1022", 60);
        open_grant(addresses[family], "tcp/1023", 60);
        open_grant(addresses[family], "tcp/1024", 60);
        change();
        end_grant(addresses[family], "tcp/1023");
        assert_int_equal(count_of(family, "--dport 1022 "), 2);
        assert_int_equal(count_of(family, "--dport 1023 "), 0);
        assert_int_equal(count_of(family, "--dport 1024 "), 2);
        assert_int_equal(helper_firewall_litter(fw), 0);
        end_grant(addresses[family], "tcp/1022");
        assert_int_equal(count_of(family, "--dport 1024 "), 2);
        end_grant(addresses[family], "tcp/1024");
        assert_int_equal(count_of(family, "datestop"), 0);
    }
}

static void the_rules_of_a_few_are_taken_out_alone(void **state)
{
    (void)state;
    establish(IPV4);
    for (int i = 1; i <= 9; i++) {
        char address[] = "192.0.2.1";

        address[sizeof address - 2] = (char)('0' + i);
        open_grant(address, "tcp/22", 60);
    }
    change();
    watch_program();
    end_grant("192.0.2.3", "tcp/22");
    check_given("^-D .*192.0.2.3/32", "2\n");
    check_given("^-[^D]", "0\n");
    check_given("^:", "0\n");
    put_program_back();
    watch_program();
    for (size_t i = 0; i < 5; i++)
        helper_grants_end(&grants, &grants.items[i], END_CLOSED);
    change();
    check_given("^-D", "0\n"); /* iptables looks for each: writing the rest anew is sooner done */
    put_program_back();
    assert_int_equal(count_of(IPV4, "datestop"), 6);
}

/* As by a knock from there. */
static void move_grant(const char *from, const char *to)
{
    struct address a = address_of(from);
    struct service s = service_of("tcp/22");
    struct grant *grant = table_find(&grants, alice, &a, &s);

    grant->end = END_MOVED;
    helper_grants_remove_at(&grants, (size_t)(grant - grants.items));
    if (to) {
        open_grant(to, "tcp/22", 60);
        grants.items[grants.count - 1].was_extended = 1;
    }
    change();
}

/* The change that lets the client in takes nothing out, as the next change would have to wait. */
static void what_has_moved_is_soon_swept_out(void **state)
{
    (void)state;
    establish(IPV4);
    open_grant("192.0.2.7", "tcp/22", 60);
    open_grant("192.0.2.8", "tcp/22", 60);
    change();
    watch_program();
    move_grant("192.0.2.7", "192.0.2.9");
    check_given("^-I .*192.0.2.9/32", "2\n");
    check_given("^-[^I]", "0\n");
    check_given("^:", "0\n");
    put_program_back();
    assert_true(helper_firewall_litter(fw) <= 250);
    fw->state[IPV4] = HELPER_RULES_UNKNOWN; /* the last look could see nothing */
    sweep();
    assert_int_equal(count_of(IPV4, "192.0.2.7/32"), 0);
    assert_int_equal(count_of(IPV4, "datestop"), 4);
}

/* There may be two rules that are the same, then. */
static void what_moved_back_and_is_closed_is_shut_at_once(void **state)
{
    (void)state;
    establish(IPV4);
    open_grant("192.0.2.7", "tcp/22", 60);
    change();
    move_grant("192.0.2.7", "192.0.2.8");
    move_grant("192.0.2.8", "192.0.2.7");
    end_grant("192.0.2.7", "tcp/22");
    assert_int_equal(count_of(IPV4, "datestop"), 0);
    assert_int_equal(helper_firewall_litter(fw), 0);
}

/* No knock opens the other family before this one is shut. */
static void what_moves_to_the_other_family_is_shut_at_once(void **state)
{
    (void)state;
    establish(IPV4);
    open_grant("192.0.2.7", "tcp/22", 60);
    change();
    move_grant("192.0.2.7", NULL);
    assert_int_equal(count_of(IPV4, "datestop"), 0);
}

/* The kernel's clock, which is set back, has not come to the rule's end when the grant's window is
 * over. */
static void a_rule_that_is_open_yet_does_not_stay(void **state)
{
    (void)state;
    establish(IPV4);
    open_briefly("192.0.2.7", "tcp/22", 20 * NSEC_PER_MSEC);
    grants.items[0].last_second = clock_wall_ns() / NSEC_PER_SEC + 60;
    change();
    while (clock_boot_ns() < grants.items[0].deadline)
        continue;
    change();
    assert_int_equal(grants.count, 0);
    assert_int_equal(count_of(IPV4, "datestop"), 0);
}

static void what_never_had_a_rule_is_not_taken_out(void **state)
{
    (void)state;
    establish(IPV4);
    open_grant("192.0.2.7", "tcp/22", 60);
    helper_grants_remove_at(&grants, 0);
    watch_program();
    change();
    check_given("^-D", "0\n"); /* which would be refused */
    put_program_back();
    assert_int_equal(count_of(IPV4, "datestop"), 0);
}

static void to_extend_takes_a_new_rule_alone(void **state)
{
    (void)state;
    establish(IPV4);
    open_grant("192.0.2.7", "tcp/22", 60);
    open_grant("192.0.2.8", "tcp/22", 60);
    change();
    watch_program();
    open_grant("192.0.2.7", "tcp/22", 120);
    change();
    check_given("^-I .*192.0.2.7/32", "2\n");
    check_given("^-[^I]", "0\n");
    check_given("^:", "0\n");
    put_program_back();
    assert_int_equal(count_of(IPV4, "192.0.2.7/32"), 4);
    assert_int_equal(fw->litter[IPV4], 1);
    assert_result(look(IPV4), HELPER_RULES_IN_FORCE, why);
    open_grant("192.0.2.7", "tcp/22", 60); /* it ends as before */
    replace_program("#!/bin/sh\nexit 1\n"); /* it is not run */
    change();
    put_program_back();
    sweep();
    assert_int_equal(count_of(IPV4, "192.0.2.7/32"), 2);
    assert_int_equal(count_of(IPV4, "192.0.2.8/32"), 2);
}

/* Its older rules would keep the door open for what was left of the window. */
static void of_an_extended_grant_that_ends_no_rule_stays(void **state)
{
    (void)state;
    establish(IPV4);
    open_grant("192.0.2.7", "tcp/22", 60);
    open_grant("192.0.2.8", "tcp/22", 60);
    change();
    open_grant("192.0.2.7", "tcp/22", 120);
    change();
    end_grant("192.0.2.7", "tcp/22");
    assert_int_equal(count_of(IPV4, "192.0.2.7/32"), 0);
    assert_int_equal(count_of(IPV4, "192.0.2.8/32"), 2);
    assert_int_equal(helper_firewall_litter(fw), 0);
}

/* What its older rule has left of its limit would let in more than the knock did. */
static void a_limit_that_is_renewed_leaves_no_other(void **state)
{
    (void)state;
    establish(IPV4);
    open_grant("192.0.2.7", "tcp/22", 60);
    grants.items[0].connections = 1;
    change();
    open_grant("192.0.2.7", "tcp/22", 60);
    grants.items[0].allowance++;
    change();
    assert_int_equal(count_of(IPV4, "datestop"), 2);
    assert_int_equal(helper_firewall_litter(fw), 0);
}

/* Somebody took it out already. */
static void a_rule_that_is_not_there_is_no_trouble(void **state)
{
    (void)state;
    open_grant("192.0.2.7", "tcp/22", 60);
    open_grant("192.0.2.8", "tcp/22", 60);
    establish(IPV4);
    settle();
    xtables_run(IPV4, "-t mangle -F portsmith-shut");
    end_grant("192.0.2.7", "tcp/22");
    assert_int_equal(count_of(IPV4, "192.0.2.7/32"), 0);
    assert_int_equal(count_of(IPV4, "192.0.2.8/32"), 2);
    assert_result(look(IPV4), HELPER_RULES_IN_FORCE, why);
}

/* ---- looking and healing ------------------------------------------------ */

/* As the helper does when it looks. */
static void heal(enum family family, const char *loss)
{
    enum helper_rules state = look(family);

    if (state == HELPER_RULES_IN_FORCE && backend == BACKEND_LEGACY && family == IPV6) {
        assert_done(helper_iptables_change(fw, family, RULES_REFRESH, &grants, &why), why);
        return;
    }
    check_noticed(state, loss);
    establish(family);
}

/* Two jumps of ours may change places: neither decides what the other does. */
static void check_heals(enum family family, const char *loss)
{
    char *before = rules_through(family, "sort"), *after;

    xtables_run(family, loss);
    heal(family, loss);
    assert_result(look(family), HELPER_RULES_IN_FORCE, why);
    after = rules_through(family, "sort");
    assert_string_equal(after, before);
    free(before);
    free(after);
}

/* With nft each is not looked for, as all are written anew whatever is found. */
static void of_many_grants_none_stays_lost(void **state)
{
    enum { MANY = 65 };

    (void)state;
    for (int i = 1; i <= MANY; i++) {
        char address[sizeof "10.0.0.255"];

        snprintf(address, sizeof address, "10.0.0.%d", i);
        open_grant(address, "tcp/22", 600);
    }
    establish(IPV4);
    xtables_run(IPV4, "-t mangle -D portsmith-shut 7");
    assert_int_equal(count_of(IPV4, "datestop"), 2 * MANY - 1);
    assert_result(look(IPV4),
                  backend == BACKEND_NFT ? HELPER_RULES_IN_FORCE : HELPER_RULES_MISSING, why);
    assert_done(helper_iptables_change(fw, IPV4, RULES_REWRITE, &grants, &why), why);
    assert_int_equal(count_of(IPV4, "datestop"), 2 * MANY);
    xtables_run(IPV4, "-D INPUT -j portsmith");
    assert_result(look(IPV4), HELPER_RULES_MISSING, why);
}

static void every_loss_is_seen_and_healed(void **state)
{
    static const char *const losses[] = {
        "-D INPUT -j portsmith",
        "-D FORWARD -j portsmith-gateway",
        "-F portsmith-gateway",
        "-D portsmith-gateway 1",
        "-D portsmith-gateway -j portsmith-through",
        "-D portsmith -m conntrack --ctstate NEW,UNTRACKED -j portsmith-open",
        "-F portsmith-open",
        "-D portsmith 2",
        "-D portsmith 3",
        "-D portsmith 4",
        "-D portsmith 5",
        "-D portsmith 6",
        "-D portsmith -m conntrack --ctstate NEW -m comment --comment end-of-grants -j RETURN",
        "-t mangle -F portsmith-close",
        "-t mangle -D portsmith-close 1",
        "-t mangle -D portsmith 2",
        "-t mangle -D PREROUTING -j portsmith",
        "-t mangle -D INPUT -j portsmith-input",
        "-t mangle -D FORWARD -j portsmith-translated",
        "-t mangle -D portsmith-input 2",
        "-t mangle -D portsmith-input 6",
        "-t mangle -F portsmith-translated",
        "-F",
        "-t mangle -F",
        "-F portsmith",
        "-t mangle -F portsmith",
        "-t mangle -F portsmith-shut",
        "-D portsmith 1",
        "-t mangle -D portsmith-shut 1",
    };

    (void)state;
    setup.shut_with_reset = 1;
    open_grant("192.0.2.7", "tcp/22", 60);
    open_grant("2001:db8::7", "tcp/22", 60);
    for (enum family family = IPV4; family < FAMILIES; family++) {
        establish(family);
        assert_result(look(family), HELPER_RULES_IN_FORCE, why);
        for (size_t i = 0; i < COUNT_OF(losses); i++)
            check_heals(family, losses[i]);
    }
}

static void a_new_order_is_no_damage(void **state)
{
    (void)state;
    establish(IPV4);
    xtables_run(IPV4, "-I INPUT 1 -s 203.0.113.1 -j DROP");
    xtables_run(IPV4, "-D INPUT -j portsmith");
    xtables_run(IPV4, "-A INPUT -j portsmith");
    assert_result(look(IPV4), HELPER_RULES_IN_FORCE, why);
}

static void inserting_heals_what_is_missing(void **state)
{
    (void)state;
    open_grant("192.0.2.7", "tcp/22", 60);
    establish(IPV4);
    settle();
    xtables_run(IPV4, "-F");
    xtables_run(IPV4, "-X");
    open_grant("192.0.2.8", "tcp/22", 60);
    assert_done(helper_iptables_change(fw, IPV4, RULES_INSERT, &grants, &why), why);
    assert_result(look(IPV4), HELPER_RULES_IN_FORCE, why);
    assert_int_equal(count_of(IPV4, "192.0.2.7/32"), 2);
    assert_int_equal(count_of(IPV4, "192.0.2.8/32"), 2);
}

/* ---- when the program fails --------------------------------------------- */

static void failures_leave_it_unsure_until_mended(void **state)
{
    static const char *const scripts[] = {
        "#!/bin/sh\nexit 1\n",
        "#!/bin/sh\nexit 4\n",
        "#!/bin/sh\nkill -KILL $$\n",
        "half of an upgrade\n",
    };

    (void)state;
    establish(IPV4);
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        char *before = rules_of(IPV4);

        replace_program(scripts[i]);
        open_grant("192.0.2.7", "tcp/22", 60);
        assert_false(helper_iptables_change(fw, IPV4, RULES_INSERT, &grants, &why));
        assert_true(fw->unsure[IPV4]);
        assert_false(helper_iptables_change(fw, IPV4, RULES_REWRITE, &grants, &why));
        assert_true(fw->unsure[IPV4]);
        assert_non_null(strstr(why.text, "restore"));
        helper_grants_clear(&grants);
        put_program_back();
        assert_done(helper_iptables_change(fw, IPV4, RULES_REWRITE, &grants, &why), why);
        assert_false(fw->unsure[IPV4]);
        check_same_rules(IPV4, before);
    }
}

static void without_an_answer_nothing_is_known(void **state)
{
    (void)state;
    establish(IPV4);
    replace_program("#!/bin/sh\nexit 4\n");
    assert_result(look(IPV4), HELPER_RULES_UNKNOWN, why);
    assert_non_null(strstr(why.text, "held up"));
    put_program_back();
    assert_result(look(IPV4), HELPER_RULES_IN_FORCE, why);
}

/* What was seen to be missing is not unseen by a look that fails. */
static void what_is_known_of_the_rules_is_kept(void **state)
{
    (void)state;
    establish(IPV4);
    assert_int_equal(fw->state[IPV4], HELPER_RULES_IN_FORCE);
    replace_program("#!/bin/sh\nexit 4\n");
    look(IPV4);
    assert_int_equal(fw->state[IPV4], HELPER_RULES_UNKNOWN);
    put_program_back();
    look(IPV4);
    assert_int_equal(fw->state[IPV4], HELPER_RULES_IN_FORCE);
    xtables_run(IPV4, "-t mangle -F");
    look(IPV4);
    assert_int_equal(fw->state[IPV4], HELPER_RULES_MISSING);
    replace_program("#!/bin/sh\nexit 4\n");
    look(IPV4);
    assert_false(helper_iptables_establish(fw, IPV4, &grants, &why));
    assert_int_equal(fw->state[IPV4], HELPER_RULES_MISSING);
    put_program_back();
    assert_done(helper_iptables_change(fw, IPV4, RULES_REWRITE, &grants, &why), why);
    assert_int_equal(fw->state[IPV4], HELPER_RULES_IN_FORCE); /* as it was unsure */
    xtables_run(IPV4, "-D INPUT -j portsmith");
    look(IPV4);
    assert_done(helper_iptables_change(fw, IPV4, RULES_REWRITE, &grants, &why), why);
    assert_int_equal(fw->state[IPV4], HELPER_RULES_MISSING); /* without the jump */
    establish(IPV4);
    assert_int_equal(fw->state[IPV4], HELPER_RULES_IN_FORCE);
}

static void after_a_change_that_failed_nothing_is_known(void **state)
{
    (void)state;
    open_grant("192.0.2.7", "tcp/22", 60);
    establish(IPV4);
    replace_program("#!/bin/sh\nexit 4\n");
    assert_false(helper_iptables_change(fw, IPV4, RULES_REWRITE, &grants, &why));
    assert_int_equal(fw->state[IPV4], HELPER_RULES_UNKNOWN);
    put_program_back();
    establish(IPV4);
    assert_int_equal(fw->state[IPV4], HELPER_RULES_IN_FORCE);
}

/* Of both families what is worse is told, and all of it is mended. */
static void a_look_is_at_both_families(void **state)
{
    (void)state;
    establish(IPV4);
    establish(IPV6);
    assert_result(helper_firewall_look(fw, &grants, &why), HELPER_RULES_IN_FORCE, why);
    replace_program("#!/bin/sh\nexit 4\n");
    assert_result(helper_firewall_look(fw, &grants, &why), HELPER_RULES_UNKNOWN, why);
    assert_int_equal(helper_firewall_rules(fw), HELPER_RULES_UNKNOWN);
    xtables_run(IPV6, "-D INPUT -j portsmith");
    assert_result(helper_firewall_look(fw, &grants, &why), HELPER_RULES_MISSING, why);
    put_program_back();
    assert_int_equal(helper_firewall_rules(fw), HELPER_RULES_MISSING);
    assert_done(helper_firewall_mend(fw, &grants, &why), why);
    assert_int_equal(helper_firewall_rules(fw), HELPER_RULES_UNKNOWN); /* the other's still are */
    assert_result(helper_firewall_look(fw, &grants, &why), HELPER_RULES_IN_FORCE, why);
    assert_int_equal(helper_firewall_rules(fw), HELPER_RULES_IN_FORCE);
}

static void what_is_unsure_is_mended_without_a_look(void **state)
{
    (void)state;
    establish(IPV4);
    establish(IPV6);
    replace_program("#!/bin/sh\nexit 1\n");
    open_grant("192.0.2.7", "tcp/22", 60);
    assert_false(helper_firewall_change(fw, &grants, &why));
    assert_true(helper_firewall_is_unsure(fw, IPV4) && !helper_firewall_is_unsure(fw, IPV6));
    assert_int_equal(grants.count, 0); /* it is settled */
    assert_result(helper_firewall_look(fw, &grants, &why), HELPER_RULES_IN_FORCE, why);
    assert_int_equal(helper_firewall_rules(fw), HELPER_RULES_UNKNOWN);
    assert_false(helper_firewall_mend(fw, &grants, &why));
    put_program_back();
    assert_done(helper_firewall_mend(fw, &grants, &why), why);
    assert_int_equal(helper_firewall_rules(fw), HELPER_RULES_IN_FORCE);
    assert_false(helper_firewall_is_unsure(fw, IPV4));
}

/* Once its own rules are in force, and as often as it takes. */
static void what_is_left_over_is_tried_again(void **state)
{
    char script[512];

    (void)state;
    leave_earlier_rules(IPV4);
    snprintf(script, sizeof script,
             "#!/bin/sh\n[ $# -eq 3 ] && exec %s \"$@\"\ntext=$(cat)\n"
             "case $text in *'-F portsmith-reset'*) exit 4 ;; esac\n"
             "echo \"$text\" | %s \"$@\"\n", found.paths[IPV4], found.paths[IPV4]);
    replace_program(script);
    fail_to_establish("held up");
    assert_int_equal(count_of(IPV4, "-j DROP"), 3);
    assert_int_equal(count_of(IPV4, "INPUT -j portsmith-reset"), 0);
    put_program_back();
    for (int i = 0; i < 17; i++)
        xtables_run(IPV4, "-A INPUT -j portsmith-reset");
    fail_to_establish("there are more than 16 jumps to the chain portsmith-reset");
    establish(IPV4);
    check_nothing_is_left_of_earlier(IPV4);
}

/* ---- releasing ---------------------------------------------------------- */

static void releasing_leaves_nothing(void **state)
{
    char *before[FAMILIES];

    (void)state;
    for (enum family family = IPV4; family < FAMILIES; family++) {
        xtables_run(family, "-A INPUT -p tcp --dport 80 -j ACCEPT"); /* somebody else's */
        before[family] = rules_of(family);
    }
    setup.shut_with_reset = 1;
    open_grant("192.0.2.7", "tcp/22", 60);
    open_grant("2001:db8::7", "tcp/22", 60);
    establish(IPV4);
    establish(IPV6);
    xtables_run(IPV4, "-I INPUT 1 -j portsmith"); /* a jump too many */
    xtables_run(IPV4, "-t mangle -A PREROUTING -j portsmith");
    assert_done(helper_release(backend, &why), why);
    for (enum family family = IPV4; family < FAMILIES; family++)
        check_same_rules(family, before[family]);
}

/* Legacy's tables are there once they were read. */
static void releasing_nothing_is_fine(void **state)
{
    char *before[FAMILIES];

    (void)state;
    for (enum family family = IPV4; family < FAMILIES; family++)
        before[family] = rules_of(family);
    assert_done(helper_release(backend, &why), why);
    assert_done(helper_release(backend, &why), why);
    for (enum family family = IPV4; family < FAMILIES; family++)
        check_same_rules(family, before[family]);
}

static void releasing_half_is_fine(void **state)
{
    (void)state;
    establish(IPV4);
    xtables_run(IPV4, "-D INPUT -j portsmith");
    xtables_run(IPV4, "-F portsmith");
    xtables_run(IPV4, "-X portsmith");
    assert_done(helper_release(backend, &why), why);
    assert_int_equal(count_of(IPV4, "portsmith"), 0);
}

#define WITH_FIREWALL(test) cmocka_unit_test_setup_teardown(test, open_firewall, close_firewall)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_FIREWALL(ipv4_rules_are_exactly_these),
        WITH_FIREWALL(ipv6_rules_are_exactly_these),
        WITH_FIREWALL(ipv4_gateway_rules_are_exactly_these),
        WITH_FIREWALL(ipv6_gateway_rules_are_exactly_these),
        WITH_FIREWALL(what_must_be_tracked_is_admitted_only_so),
        WITH_FIREWALL(with_forward_each_grant_counts_there),
        WITH_FIREWALL(a_gateway_is_written_anew_as_it_was),
        WITH_FIREWALL(what_a_gateway_lost_is_noticed),
        WITH_FIREWALL(without_destinations_the_gateway_is_taken_down),
        WITH_FIREWALL(reset_rules_are_exactly_these),
        WITH_FIREWALL(a_trial_is_ended_by_the_first_rule_of_what_shuts),
        WITH_FIREWALL(the_end_of_a_trial_is_rounded_up),
        WITH_FIREWALL(the_lost_end_of_a_trial_is_noticed),
        WITH_FIREWALL(the_end_of_a_trial_is_written_anew),
        WITH_FIREWALL(where_sessions_cannot_be_told_every_ack_passes),
        WITH_FIREWALL(without_shut_ports_nothing_leads_to_the_drop),
        WITH_FIREWALL(the_kernel_s_deadline_is_never_late),
        WITH_FIREWALL(the_kernel_s_deadline_is_not_past_2038),
        WITH_FIREWALL(establishing_again_changes_nothing),
        WITH_FIREWALL(an_admin_s_order_is_kept),
        WITH_FIREWALL(reset_comes_and_goes_with_the_configuration),
        WITH_FIREWALL(what_an_earlier_version_left_is_removed),
        WITH_FIREWALL(releasing_removes_what_an_earlier_version_left),
        WITH_FIREWALL(a_chain_that_others_use_stays_empty),
        WITH_FIREWALL(new_grants_are_inserted_alone),
        WITH_FIREWALL(an_inserted_grant_stands_where_a_rewritten_one_does),
        WITH_FIREWALL(inserting_names_no_place),
        WITH_FIREWALL(rewriting_follows_the_table),
        WITH_FIREWALL(a_thousand_grants_are_written),
        WITH_FIREWALL(what_the_kernel_has_shut_stands_until_it_is_swept),
        WITH_FIREWALL(what_ends_early_is_shut_at_once),
        WITH_FIREWALL(the_rules_of_a_few_are_taken_out_alone),
        WITH_FIREWALL(what_has_moved_is_soon_swept_out),
        WITH_FIREWALL(what_moved_back_and_is_closed_is_shut_at_once),
        WITH_FIREWALL(what_moves_to_the_other_family_is_shut_at_once),
        WITH_FIREWALL(a_rule_that_is_open_yet_does_not_stay),
        WITH_FIREWALL(what_never_had_a_rule_is_not_taken_out),
        WITH_FIREWALL(to_extend_takes_a_new_rule_alone),
        WITH_FIREWALL(of_an_extended_grant_that_ends_no_rule_stays),
        WITH_FIREWALL(a_limit_that_is_renewed_leaves_no_other),
        WITH_FIREWALL(a_rule_that_is_not_there_is_no_trouble),
        WITH_FIREWALL(of_many_grants_none_stays_lost),
        WITH_FIREWALL(every_loss_is_seen_and_healed),
        WITH_FIREWALL(a_new_order_is_no_damage),
        WITH_FIREWALL(inserting_heals_what_is_missing),
        WITH_FIREWALL(failures_leave_it_unsure_until_mended),
        WITH_FIREWALL(without_an_answer_nothing_is_known),
        WITH_FIREWALL(what_is_known_of_the_rules_is_kept),
        WITH_FIREWALL(after_a_change_that_failed_nothing_is_known),
        WITH_FIREWALL(a_look_is_at_both_families),
        WITH_FIREWALL(what_is_unsure_is_mended_without_a_look),
        WITH_FIREWALL(what_is_left_over_is_tried_again),
        WITH_FIREWALL(releasing_leaves_nothing),
        WITH_FIREWALL(releasing_nothing_is_fine),
        WITH_FIREWALL(releasing_half_is_fine),
    };

    if (argc != 2 || (strcmp(argv[1], "nft") != 0 && strcmp(argv[1], "legacy") != 0)) {
        fputs("usage: test_firewall nft|legacy\n", stderr);
        return 2;
    }
    backend = strcmp(argv[1], "nft") == 0 ? BACKEND_NFT : BACKEND_LEGACY;
    return cmocka_run_group_tests_name(backend == BACKEND_NFT ? "firewall, nft" : "firewall, legacy",
                                       tests, enter_backend, scratch_leave);
}
