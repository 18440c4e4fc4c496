/* Writes the rules that do not depend on grants. Everything in them is a number, or comes
 * out of inet_ntop: no text from outside ever reaches iptables. */
#include "privsep/prepare/rules.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "privsep/prepare/granted.h"
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

const char *const rules_tables[RULES_TABLES] = {"mangle", "filter", "nat"};

const struct place rules_places[RULES_PLACES] = {
    [PLACE_SHUT] = {RULES_MANGLE, "portsmith-shut"},
    [PLACE_OPEN] = {RULES_FILTER, "portsmith-open"},
    [PLACE_GATEWAY] = {RULES_FILTER, "portsmith-through"},
    [PLACE_SENDING] = {RULES_NAT, "portsmith"},
};

const struct jump rules_jumps[RULES_EVER] = {
    {"mangle", "PREROUTING", "portsmith"},
    {"mangle", "INPUT", "portsmith-input"},
    {"mangle", "FORWARD", "portsmith-translated"},
    [RULES_TO_INPUT] = {"filter", "INPUT", "portsmith"},
    [RULES_TO_GATEWAY] = {"filter", "FORWARD", "portsmith-gateway"},
    [RULES_TO_SENDING] = {"nat", "PREROUTING", "portsmith"},
    [RULES_JUMPS] = {"filter", "INPUT", "portsmith-reset"},
    {"filter", "FORWARD", "portsmith-forward"},
};

/* What the transactions are put together of. Each kind is there for each table, or for each
 * place. */
enum {
    PIECE_FIXED,  /* makes or empties the chains without grants, and fills them; once those with
                     grants, to which they lead, are there */
    PIECE_CHECKS = PIECE_FIXED + RULES_TABLES, /* refused unless all that is here is in force */
    PIECE_HEADS = PIECE_CHECKS + RULES_TABLES, /* makes or empties the chain of a place; of one that
                                                  is not in use there is none */
    PIECE_SETS = PIECE_HEADS + RULES_PLACES,   /* the rule about the set, behind the grants' */
    PIECE_BELOW = PIECE_SETS + RULES_PLACES,   /* the rules behind those */
    PIECES = PIECE_BELOW + RULES_PLACES
};

/* What is under way. */
struct making {
    const struct helper_setup *setup;
    enum family family;
    bool tells_sessions;
    struct text texts[PIECES];
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
    for (size_t i = 0; i < m->setup->shut_count; i++) {
        const struct service *s = &m->setup->shut[i];
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
    for (size_t i = 0; i < m->setup->shut_count; i++)
        if (is_tcp(&m->setup->shut[i]))
            add(m, to, chain, "-p tcp -m tcp --dport %u --tcp-flags ACK,RST ACK "
                              "-m conntrack ! --ctstate ESTABLISHED -j %s",
                m->setup->shut[i].port, target);
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
    for (size_t i = 0; i < m->setup->shut_count; i++)
        if (is_tcp(&m->setup->shut[i]))
            add(m, to, "portsmith-translated",
                "-p tcp -m tcp --tcp-flags ACK,RST ACK "
                "-m conntrack --ctstate DNAT --ctorigdstport %u -j portsmith-shut",
                m->setup->shut[i].port);
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
    struct text *fixed = &m->texts[PIECE_FIXED + RULES_MANGLE];

    add_set(m, &m->texts[PIECE_SETS + PLACE_SHUT], "portsmith-shut", "RETURN");
    add(m, &m->texts[PIECE_BELOW + PLACE_SHUT], "portsmith-shut",
        m->setup->shut_with_reset ? "-j MARK --set-xmark " RULES_RESET_MARK : "-j DROP");
    fputs(":portsmith - [0:0]\n:portsmith-input - [0:0]\n:portsmith-translated - [0:0]\n"
          ":portsmith-close - [0:0]\n", fixed->out);
    if (m->setup->shut_count == 0)
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
    if (!m->setup->shut_with_reset)
        return;
    add(m, to, chain,
        "-p tcp -m mark --mark " RULES_RESET_MARK " -j REJECT --reject-with tcp-reset");
    add(m, to, chain, "-m mark --mark " RULES_RESET_MARK " -j REJECT");
}

static void make_input(struct making *m)
{
    struct text *fixed = &m->texts[PIECE_FIXED + RULES_FILTER];

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
    add_set(m, &m->texts[PIECE_SETS + PLACE_OPEN], "portsmith-open", "ACCEPT");
    if (m->setup->shut_with_reset) {
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
    struct text *fixed = &m->texts[PIECE_FIXED + RULES_FILTER];

    fputs(":portsmith-gateway - [0:0]\n", fixed->out);
    add_marked(m, fixed, "portsmith-gateway");
    add(m, fixed, "portsmith-gateway", "-j portsmith-through");
    add_sent_on(m, fixed, destinations, count);
}

/* ---- pieces ------------------------------------------------------------- */

bool rules_is_in_table(const struct jump *jump, enum rules_table table)
{
    return strcmp(jump->table, rules_tables[table]) == 0;
}

static void add_jumps(struct making *m, const struct rules *rules)
{
    for (size_t i = 0; i < RULES_JUMPS; i++)
        for (enum rules_table table = 0; table < RULES_TABLES; table++)
            if (rules->wants[i] && rules_is_in_table(&rules_jumps[i], table))
                fprintf(m->texts[PIECE_CHECKS + table].out, "-C %s -j %s\n", rules_jumps[i].from,
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
        FILE *const outs[] = {m->texts[PIECE_FIXED + ends[i].table].out,
                              m->texts[PIECE_CHECKS + ends[i].table].out};

        for (size_t j = 0; j < 2; j++) {
            fprintf(outs[j], "%s %s", j == 0 ? "-I" : "-C", ends[i].chain);
            fputs(" -m time --datestart ", outs[j]);
            rules_write_date(outs[j], second);
            fputs(" -j RETURN\n", outs[j]);
        }
    }
}

static void add_head(const struct making *m, enum rules_place place)
{
    fprintf(m->texts[PIECE_HEADS + place].out, ":%s - [0:0]\n", rules_places[place].chain);
}

static void make_pieces(struct making *m, const struct rules *rules,
                        const struct helper_destination *destinations, size_t count)
{
    for (size_t i = 0; i < PIECES; i++)
        text_begin(&m->texts[i]);
    add_head(m, PLACE_SHUT);
    add_head(m, PLACE_OPEN);
    if (rules->wants[RULES_TO_GATEWAY])
        add_head(m, PLACE_GATEWAY);
    if (rules->wants[RULES_TO_SENDING])
        add_head(m, PLACE_SENDING);
    add_jumps(m, rules);
    m->asks = m->texts[PIECE_CHECKS + RULES_MANGLE].out;
    make_mangle(m);
    m->asks = m->texts[PIECE_CHECKS + RULES_FILTER].out;
    make_input(m);
    if (rules->wants[RULES_TO_GATEWAY])
        make_gateway(m, destinations, count);
    add_trial_ends(m, rules_trial_second(m->setup));
    for (size_t i = 0; i < PIECES; i++)
        text_end(&m->texts[i]);
}

/* ---- texts -------------------------------------------------------------- */

static void put_place(const struct making *m, FILE *out, enum rules_place place,
                      enum rules_text what)
{
    const struct text *pieces = &m->texts[place];
    const bool is_anew = what != RULES_INSERT && what != RULES_CHECK;

    if (pieces[PIECE_HEADS].size == 0)
        return;
    if (is_anew)
        fputs(pieces[PIECE_HEADS].bytes, out);
    if (what != RULES_CLEAR)
        fprintf(out, "%c%c", RULES_HOLE, RULES_GRANTS + place);
    if (is_anew && what != RULES_CLEAR)
        fputs(pieces[PIECE_SETS].bytes, out);
    if (is_anew)
        fputs(pieces[PIECE_BELOW].bytes, out);
}

static void put_table(const struct making *m, FILE *out, const struct rules *rules,
                      enum rules_table table, enum rules_text what)
{
    fprintf(out, "*%s\n", rules_tables[table]);
    for (enum rules_place place = 0; place < RULES_PLACES; place++)
        if (rules_places[place].table == table)
            put_place(m, out, place, what);
    if (what == RULES_CHECK)
        fputs(m->texts[PIECE_CHECKS + table].bytes, out);
    if (what == RULES_REFRESH)
        fputs(m->texts[PIECE_FIXED + table].bytes, out);
    for (size_t i = 0; i < RULES_JUMPS && what == RULES_REFRESH; i++)
        if (rules->wants[i] && rules_is_in_table(&rules_jumps[i], table))
            fprintf(out, "%c%c", RULES_HOLE, RULES_JUMP + (int)i);
    fputs("COMMIT\n", out);
}

/* Of the nat table nothing is touched on hosts that do without. For the kernel each table changes by
 * itself. What mangle only marks filter must refuse: filter comes first where it begins to, and last
 * where mangle drops again. A new grant is let through by mangle last: until then a packet would
 * reach this host's own port, or be dropped and counted against the grant. */
static void put_transaction(const struct making *m, FILE *out, const struct rules *rules,
                            enum rules_text what)
{
    static const enum rules_table orders[][RULES_TABLES] = {
        {RULES_MANGLE, RULES_FILTER, RULES_NAT},
        {RULES_FILTER, RULES_MANGLE, RULES_NAT},
        {RULES_NAT, RULES_FILTER, RULES_MANGLE},
    };
    const enum rules_table *order = orders[what == RULES_INSERT ? 2 : m->setup->shut_with_reset];

    for (size_t i = 0; i < RULES_TABLES; i++)
        if (order[i] != RULES_NAT || rules->wants[RULES_TO_SENDING])
            put_table(m, out, rules, order[i], what);
}

static void put_jump(FILE *out, const struct jump *jump, bool is_question)
{
    if (is_question)
        fprintf(out, "*%s\n-C %s -j %s\nCOMMIT\n", jump->table, jump->from, jump->to);
    else
        fprintf(out, "-I %s 1 -j %s\n", jump->from, jump->to);
}

static void put_text(const struct making *m, FILE *out, const struct rules *rules, size_t what)
{
    const size_t jump = (what - RULES_QUESTIONS) % RULES_JUMPS;
    const size_t granted = what - RULES_OF_GRANTS;

    if (what < RULES_QUESTIONS)
        put_transaction(m, out, rules, (enum rules_text)what);
    else if (what >= RULES_OF_GRANTS)
        granted_write(out, m->family, m->setup, (unsigned)(granted / RULES_PLACES),
                      (enum rules_place)(granted % RULES_PLACES));
    else if (rules->wants[jump])
        put_jump(out, &rules_jumps[jump], what < RULES_MISSING);
}

void rules_make(struct rules *rules, enum family family, const struct helper_setup *setup,
                const struct helper_destination *destinations, size_t count, bool tells_sessions)
{
    struct making m = {.setup = setup, .family = family, .tells_sessions = tells_sessions};

    *rules = (struct rules){.wants = {true, true, true, true}, .refuses = setup->shut_with_reset};
    rules->wants[RULES_TO_GATEWAY] = setup->shut_with_reset || setup->forward || setup->sends_on;
    rules->wants[RULES_TO_SENDING] = setup->sends_on;
    make_pieces(&m, rules, destinations, count);
    for (size_t i = 0; i < RULES_TEXTS; i++) {
        struct text text;

        text_begin(&text);
        put_text(&m, text.out, rules, i);
        text_end(&text);
        rules->texts[i] = text.bytes;
    }
    for (size_t i = 0; i < PIECES; i++)
        free(m.texts[i].bytes);
}

void rules_free(struct rules *rules)
{
    for (size_t i = 0; i < RULES_TEXTS; i++)
        free((void *)(uintptr_t)rules->texts[i]);
    *rules = (struct rules){0};
}
