#include "daemon/portsmith-firewall/ruleset.h"

#include <stddef.h>
#include <time.h>

#include "common/text/settings.h"
#include "daemon/config/profile.h"
#include "privsep/xtables/probe.h"

#define CHAIN "portsmith-firewall"
#define TRIAL "portsmith-trial"
#define JUMP "INPUT -j " CHAIN "\n"

const struct jump ruleset_jump = {"filter", "INPUT", CHAIN};
const char *const ruleset_chains[RULESET_CHAINS] = {CHAIN, TRIAL};

/* Packets that hosts cannot do without, by family. ICMP: RFC 1812 and RFC 1191 for errors and
 * path MTU. ICMPv6: what RFC 4890 section 4.4 says must not or should not be dropped. DHCP: RFC
 * 2131 section 4.1, RFC 8415 section 7.2, as answers to a broadcast or multicast belong to no
 * connection. */
static const struct {
    enum family family; /* FAMILIES: both */
    const char *rule;
} needed[] = {
    {FAMILIES, "-i lo -j ACCEPT"},
    {FAMILIES, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"},
    {IPV4, "-p icmp -m icmp --icmp-type 3 -j ACCEPT"},  /* unreachable, too big */
    {IPV4, "-p icmp -m icmp --icmp-type 8 -j ACCEPT"},  /* echo */
    {IPV4, "-p icmp -m icmp --icmp-type 11 -j ACCEPT"}, /* time exceeded */
    {IPV4, "-p icmp -m icmp --icmp-type 12 -j ACCEPT"}, /* parameter problem */
    {IPV4, "-p udp -m udp --sport 67 --dport 68 -j ACCEPT"},
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 1 -j ACCEPT"},   /* unreachable */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 2 -j ACCEPT"},   /* too big */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 3 -j ACCEPT"},   /* time exceeded */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 4 -j ACCEPT"},   /* parameter problem */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT"}, /* echo */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 129 -j ACCEPT"}, /* its reply */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 130 -j ACCEPT"}, /* MLD: query */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 131 -j ACCEPT"}, /* report */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 132 -j ACCEPT"}, /* done */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 133 -j ACCEPT"}, /* router solicitation */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 134 -j ACCEPT"}, /* and advertisement */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT"}, /* neighbour solicitation */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT"}, /* and advertisement */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 141 -j ACCEPT"}, /* inverse solicitation */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 142 -j ACCEPT"}, /* and advertisement */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 143 -j ACCEPT"}, /* MLD, second version */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 148 -j ACCEPT"}, /* SEND: path */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 149 -j ACCEPT"},
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 151 -j ACCEPT"}, /* multicast routers */
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 152 -j ACCEPT"},
    {IPV6, "-p ipv6-icmp -m icmp6 --icmpv6-type 153 -j ACCEPT"},
    {IPV6, "-s fe80::/10 -d fe80::/10 -p udp -m udp --dport 546 -j ACCEPT"},
};

/* Segments of sessions that connection tracking does not know: a session may be older than
 * connection tracking on this host, or have slept for longer than that remembers. Where rules can
 * tell such segments (probe_sessions), they pass. Else every segment passes that is no
 * SYN, although one with a valid SYN cookie opens a session. The next segment then belongs to an
 * established connection (sysctl nf_conntrack_tcp_loose). */
static const char *const of_sessions[] = {
    "-p tcp -m cgroup --path / -j ACCEPT",
    "-p tcp -m cgroup ! --path / -j ACCEPT",
    "-p tcp -m tcp --tcp-flags SYN,ACK,RST ACK -m policy --dir in --pol ipsec -j ACCEPT",
};
static const char opens_none[] =
    "-p tcp -m tcp --tcp-flags SYN,ACK,RST ACK -m conntrack --ctstate NEW -j ACCEPT";

bool ruleset_names(const struct service *services, unsigned count, const struct service *s)
{
    for (unsigned i = 0; i < count; i++)
        if (service_compare(&services[i], s) == 0)
            return true;
    return false;
}

static bool add_service(void *into, const char *word, struct error *why)
{
    struct ruleset *rules = into;

    return profile_add_service(rules->allow, &rules->count, SHUT_SERVICES, word, why);
}

bool ruleset_allow(struct ruleset *rules, const char *words, struct error *why)
{
    return settings_each_word(words, add_service, rules, why);
}

/* Writes a chain that lets through what is needed and allowed, and drops the rest. */
static void write_rules(FILE *out, const char *chain, const struct ruleset *rules,
                        enum family family, bool tells_sessions)
{
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (needed[i].family == family || needed[i].family == FAMILIES)
            fprintf(out, "-A %s %s\n", chain, needed[i].rule);
    for (size_t i = 0; tells_sessions && i < sizeof of_sessions / sizeof *of_sessions; i++)
        fprintf(out, "-A %s %s\n", chain, of_sessions[i]);
    if (!tells_sessions)
        fprintf(out, "-A %s %s\n", chain, opens_none);
    for (unsigned i = 0; i < rules->count; i++)
        fprintf(out, "-A %s -p %s -m %s --dport %u -j ACCEPT\n", chain,
                service_protocol(&rules->allow[i]), service_protocol(&rules->allow[i]),
                rules->allow[i].port);
    fprintf(out, "-A %s -j DROP\n", chain);
}

/* Adds (-A) or asks for (-C) the rule that leads into the trial. --datestop includes the second
 * that it names, so that is the one before `until`. */
static void write_way_into_trial(FILE *out, const char *action, int64_t until)
{
    time_t last = (time_t)(until - 1);
    char date[sizeof "2038-01-19T03:14:07"];
    struct tm utc;

    gmtime_r(&last, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(out, "%s " CHAIN " -m time --datestop %s -j " TRIAL "\n", action, date);
}

void ruleset_write(FILE *out, const struct plan *plan, enum family family, bool has_jump,
                   bool tells_sessions)
{
    fputs("*filter\n:" CHAIN " - [0:0]\n:" TRIAL " - [0:0]\n", out);
    if (plan->on_trial) {
        write_rules(out, TRIAL, &plan->trial, family, tells_sessions);
        write_way_into_trial(out, "-A", plan->until);
    } else {
        fputs("-X " TRIAL "\n", out);
    }
    if (plan->is_confirmed)
        write_rules(out, CHAIN, &plan->confirmed, family, tells_sessions);
    if (has_jump)
        fputs("-D " JUMP, out);
    fputs("-A " JUMP "COMMIT\n", out);
}

void ruleset_write_checks(FILE *out, const struct plan *plan)
{
    fputs("*filter\n-C " JUMP, out);
    if (plan->on_trial) {
        write_way_into_trial(out, "-C", plan->until);
        fputs("-C " TRIAL " -j DROP\n", out);
    }
    if (plan->is_confirmed)
        fputs("-C " CHAIN " -j DROP\n", out);
    fputs("COMMIT\n", out);
}
