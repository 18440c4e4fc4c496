/* Writes the rules that do not depend on grants. Everything in them is a number, or comes
 * out of inet_ntop: no text from outside ever reaches iptables. */
#include "privsep/prepare/rules.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "privsep/xtables/ipset.h"
#include "privsep/xtables/text.h"

/* Loopback is never shut; but what only pretends to come over it is. */
#define FROM_THIS_HOST "-i lo -m addrtype --src-type LOCAL -j RETURN"

/* A segment of a session has one of these flags set; one without them may begin a session. */
#define BEGINNING "--tcp-flags ACK,RST NONE"

/* The last rule of our filter chain. That it looks at connections matters: only
 * with a rule that does, the kernel puts fragments together before PREROUTING.
 * Otherwise a SYN in two fragments would pass the rules that shut its port. */
#define SENTINEL "-m conntrack --ctstate NEW -m comment --comment end-of-grants -j RETURN"

/* What is under way. */
struct making {
    const struct helper_setup *setup;
    enum family family;
    bool tells_sessions;
    struct text texts[RULES_TEXTS];
    FILE *asks; /* the checks of the table at hand */
};

/* Adds a rule of `chain` to a text, and asks for it in the checks. */
__attribute__((format(printf, 4, 5))) static void
add(const struct making *m, struct text *to, const char *chain, const char *format, ...)
{
    FILE *const outs[] = {to->out, m->asks};

    for (size_t i = 0; i < 2; i++) {
        va_list arguments;

        va_start(arguments, format);
        fprintf(outs[i], "%s %s ", i == 0 ? "-A" : "-C", chain);
        vfprintf(outs[i], format, arguments);
        fputc('\n', outs[i]);
        va_end(arguments);
    }
}

static bool is_tcp(const struct service *s)
{
    return s->protocol == IPPROTO_TCP;
}

/* ---- mangle ------------------------------------------------------------- */

/* To this host itself, or to everybody: what is only passing through is not
 * ours to shut. Types can be named together where the kernel ORs them. */
static void add_local(const struct making *m, struct text *to)
{
    static const char *const types[FAMILIES][2] = {
        {"LOCAL,BROADCAST,MULTICAST", NULL},
        {"LOCAL,ANYCAST", "MULTICAST"},
    };

    add(m, to, "portsmith", FROM_THIS_HOST);
    for (size_t i = 0; i < 2 && types[m->family][i]; i++)
        add(m, to, "portsmith", "-m addrtype --dst-type %s -j portsmith-close",
            types[m->family][i]);
    add(m, to, "portsmith", "-m addrtype ! --dst-type LOCAL "
                            "-m addrtype --dst-type LOCAL --limit-iface-in -j portsmith-close");
}

/* What comes to a shut port, and may begin something. TCP is shut without state: a segment
 * of a live session has ACK or RST set. */
static void add_shut_ports(const struct making *m, struct text *to, const char *chain,
                           const char *tcp_target, const char *target)
{
    for (size_t i = 0; i < m->setup->close_count; i++) {
        const struct service *s = &m->setup->close[i];
        const char *protocol = service_protocol(s);

        add(m, to, chain, "-p %s -m %s --dport %u %s -j %s", protocol, protocol, s->port,
            is_tcp(s) ? BEGINNING : "-m conntrack ! --ctstate ESTABLISHED",
            is_tcp(s) ? tcp_target : target);
    }
}

/* An ACK that belongs to no session opens one where the listener takes it for the answer to
 * a SYN cookie. The connection of one that does need not be known to the kernel: it may be
 * older than its first look at connections, or have slept for longer than it remembers.
 *
 * Together the first two rules match what has an established socket here, and no listener:
 * the kernel looks for that one before INPUT (tcp_v4_early_demux), and xt_cgroup matches none
 * that is not full, whether its cgroup is below "/" or, in a namespace of cgroups, is not.
 * What came by IPsec's transport mode is not looked up (xfrm4_transport_finish). */
static void add_strays(const struct making *m, struct text *to, const char *chain,
                       const char *target)
{
    if (!m->tells_sessions)
        return;
    add(m, to, chain, "-m cgroup --path / -j RETURN");
    add(m, to, chain, "-m cgroup ! --path / -j RETURN");
    add(m, to, chain, "-m policy --dir in --pol ipsec -j RETURN");
    for (size_t i = 0; i < m->setup->close_count; i++)
        if (is_tcp(&m->setup->close[i]))
            add(m, to, chain, "-p tcp -m tcp --dport %u --tcp-flags ACK,RST ACK "
                              "-m conntrack ! --ctstate ESTABLISHED -j %s",
                m->setup->close[i].port, target);
}

/* What is delivered to this host although PREROUTING could not tell: it is local by another
 * table than `local`, that of a VRF or one that a routing rule leads to; or it came in
 * fragments, which the kernel leaves alone where it is told not to track them before it would
 * put them together (NF_IP_PRI_CONNTRACK_DEFRAG, priority -400). */
static void add_input(const struct making *m, struct text *to)
{
    static const char *const others[FAMILIES] = {
        "-m addrtype ! --dst-type LOCAL,BROADCAST,MULTICAST",
        "-m addrtype ! --dst-type LOCAL,ANYCAST -m addrtype ! --dst-type MULTICAST",
    };

    add(m, to, "portsmith-input", FROM_THIS_HOST);
    add(m, to, "portsmith-input", "%s -j portsmith-close", others[m->family]);
    add(m, to, "portsmith-input", "-m conntrack --ctstate UNTRACKED -j portsmith-close");
    add_strays(m, to, "portsmith-input", "portsmith-shut");
    if (m->tells_sessions)
        add(m, to, "portsmith-input", "-j portsmith-translated");
}

/* An ACK that belongs to no session, to the port that was knocked for, where DNAT led to
 * another. Such a connection is known to the kernel for as long as it lives: there would be
 * no way back. */
static void add_translated(const struct making *m, struct text *to)
{
    add(m, to, "portsmith-translated", "-m conntrack ! --ctstate NEW -j RETURN");
    for (size_t i = 0; i < m->setup->close_count; i++)
        if (is_tcp(&m->setup->close[i]))
            add(m, to, "portsmith-translated",
                "-p tcp -m tcp --tcp-flags ACK,RST ACK "
                "-m conntrack --ctstate DNAT --ctorigdstport %u -j portsmith-shut",
                m->setup->close[i].port);
}

/* A rule for all grants in the set at once. */
static void add_set(const struct making *m, struct text *to, const char *chain,
                    const char *target)
{
    if (m->setup->grant_store == GRANT_STORE_SET)
        add(m, to, chain, "-m set --match-set %s src,dst -j %s", ipset_names[m->family], target);
}

static void make_mangle(struct making *m)
{
    struct text *fixed = &m->texts[RULES_FIXED + RULES_MANGLE];

    add_set(m, &m->texts[RULES_SETS + PLACE_SHUT], "portsmith-shut", "RETURN");
    add(m, &m->texts[RULES_BELOW + PLACE_SHUT], "portsmith-shut",
        m->setup->close_with_reset ? "-j MARK --set-xmark " RULES_RESET_MARK : "-j DROP");
    fputs(":portsmith - [0:0]\n:portsmith-input - [0:0]\n:portsmith-translated - [0:0]\n"
          ":portsmith-close - [0:0]\n", fixed->out);
    if (m->setup->close_count == 0)
        return;
    add_local(m, fixed);
    add_shut_ports(m, fixed, "portsmith-close", "portsmith-shut", "portsmith-shut");
    add_input(m, fixed);
    add_translated(m, fixed);
}

/* ---- filter ------------------------------------------------------------- */

/* Refuses what mangle marked. No grant's packet is among it. */
static void add_marked(const struct making *m, struct text *to, const char *chain)
{
    if (!m->setup->close_with_reset)
        return;
    add(m, to, chain,
        "-p tcp -m mark --mark " RULES_RESET_MARK " -j REJECT --reject-with tcp-reset");
    add(m, to, chain, "-m mark --mark " RULES_RESET_MARK " -j REJECT");
}

static void make_input(struct making *m)
{
    struct text *fixed = &m->texts[RULES_FIXED + RULES_FILTER];

    fputs(":portsmith - [0:0]\n", fixed->out);
    add_marked(m, fixed, "portsmith");
    /* What the kernel does not track (NOTRACK) has no state that tells what begins a
     * connection: of TCP the flags do. The rest of such a connection is for the host's own
     * rules, as that of a tracked one is. */
    add(m, fixed, "portsmith", "-p tcp -m tcp ! " BEGINNING " -m conntrack --ctstate UNTRACKED "
                               "-j RETURN");
    /* SYNPROXY wants the SYNs that are not tracked. The state is looked at here, once for all
     * grants: each match of a grant's rule makes a knock slower, as the kernel goes through
     * all rules whenever it takes a new one. */
    add(m, fixed, "portsmith", "-m conntrack --ctstate %s -j portsmith-open",
        m->setup->has_synproxy ? "NEW" : "NEW,UNTRACKED");
    add_set(m, &m->texts[RULES_SETS + PLACE_OPEN], "portsmith-open", "ACCEPT");
    if (m->setup->close_with_reset) {
        /* By its port, should a rule of another program's have overwritten the mark. */
        add(m, fixed, "portsmith", FROM_THIS_HOST);
        add_shut_ports(m, fixed, "portsmith", "REJECT --reject-with tcp-reset", "REJECT");
        add_strays(m, fixed, "portsmith", "REJECT --reject-with tcp-reset");
    }
    add(m, fixed, "portsmith", SENTINEL);
}

/* What was let in lives on beyond the window, even where FORWARD drops by default. Both
 * directions are known by what connection tracking has of the connection: translated,
 * sent to the port that was knocked for, answered by the destination. No mark is
 * needed, which other programs might use, save or restore. A destination that is no
 * longer configured is not in here. */
static void add_sent_on(const struct making *m, struct text *to,
                        const struct helper_destination *destinations, size_t count)
{
    char address[ADDRESS_TEXT_SIZE];

    for (size_t i = 0; i < count; i++) {
        const struct helper_destination *d = &destinations[i];

        if (address_family(&d->address) == m->family)
            add(m, to, "portsmith-gateway",
                "-m conntrack --ctstate RELATED,ESTABLISHED "
                "-m conntrack --ctstate DNAT --ctproto %u --ctorigdstport %u "
                "--ctreplsrc %s --ctreplsrcport %u -j ACCEPT",
                d->service.protocol, d->service.port, address_format(&d->address, address),
                d->port);
    }
}

static void make_gateway(struct making *m, const struct helper_destination *destinations,
                         size_t count)
{
    struct text *fixed = &m->texts[RULES_FIXED + RULES_FILTER];

    fputs(":portsmith-gateway - [0:0]\n", fixed->out);
    add_marked(m, fixed, "portsmith-gateway");
    add(m, fixed, "portsmith-gateway", "-j portsmith-through");
    add_sent_on(m, fixed, destinations, count);
}

/* ---- all of it ---------------------------------------------------------- */

static void add_jumps(struct making *m, const struct rules *rules)
{
    for (size_t i = 0; i < RULES_JUMPS; i++)
        for (size_t table = 0; table < RULES_TABLES; table++)
            if (rules->wants[i] && strcmp(rules_jumps[i].table, rules_tables[table]) == 0)
                fprintf(m->texts[RULES_CHECKS + table].out, "-C %s -j %s\n", rules_jumps[i].from,
                        rules_jumps[i].to);
}

/* The second is rounded up, so that the daemon ends the trial before the kernel does. */
int64_t rules_trial_second(const struct helper_setup *setup)
{
    if (setup->trial_end == 0)
        return 0;
    return (clock_wall_ns() + (setup->trial_end - clock_boot_ns()) + NSEC_PER_SEC - 1) /
           NSEC_PER_SEC;
}

/* The kernel ends a trial even where nobody is left who could. */
static void add_trial_ends(struct making *m, int64_t second)
{
    static const struct place ends[] = {{RULES_MANGLE, "portsmith"},
                                        {RULES_MANGLE, "portsmith-input"},
                                        {RULES_MANGLE, "portsmith-translated"},
                                        {RULES_FILTER, "portsmith"}};

    for (size_t i = 0; i < sizeof ends / sizeof *ends && second != 0; i++) {
        FILE *const outs[] = {m->texts[RULES_FIXED + ends[i].table].out,
                              m->texts[RULES_CHECKS + ends[i].table].out};

        for (size_t j = 0; j < 2; j++) {
            fprintf(outs[j], "%s %s", j == 0 ? "-I" : "-C", ends[i].chain);
            rules_write_date(outs[j], "--datestart", second);
            fputs(" -j RETURN\n", outs[j]);
        }
    }
}

static void add_head(const struct making *m, enum rules_place place)
{
    fprintf(m->texts[RULES_HEADS + place].out, ":%s - [0:0]\n", rules_places[place].chain);
}

void rules_make(struct rules *rules, enum family family, const struct helper_setup *setup,
                const struct helper_destination *destinations, size_t count, bool tells_sessions)
{
    struct making m = {.setup = setup, .family = family, .tells_sessions = tells_sessions};
    const bool gateway = setup->close_with_reset || setup->forward || setup->sends_on;

    *rules = (struct rules){.wants = {true, true, true, true}};
    rules->wants[RULES_TO_GATEWAY] = gateway;
    rules->wants[RULES_TO_SENDING] = setup->sends_on;
    for (size_t i = 0; i < RULES_TEXTS; i++)
        text_begin(&m.texts[i]);
    add_head(&m, PLACE_SHUT);
    add_head(&m, PLACE_OPEN);
    if (gateway)
        add_head(&m, PLACE_GATEWAY);
    if (setup->sends_on)
        add_head(&m, PLACE_SENDING);
    add_jumps(&m, rules);
    m.asks = m.texts[RULES_CHECKS + RULES_MANGLE].out;
    make_mangle(&m);
    m.asks = m.texts[RULES_CHECKS + RULES_FILTER].out;
    make_input(&m);
    if (gateway)
        make_gateway(&m, destinations, count);
    add_trial_ends(&m, rules_trial_second(setup));
    for (size_t i = 0; i < RULES_TEXTS; i++) {
        text_end(&m.texts[i]);
        rules->texts[i] = m.texts[i].bytes;
    }
}

void rules_free(struct rules *rules)
{
    for (size_t i = 0; i < RULES_TEXTS; i++)
        free((void *)(uintptr_t)rules->texts[i]);
    *rules = (struct rules){0};
}
