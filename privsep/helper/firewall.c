#include "privsep/helper/firewall.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "privsep/xtables/text.h"

/* One bit of the packet mark says "refuse this in INPUT or FORWARD". High, as
 * the low bits are popular with routing and container tools. */
#define RESET_MARK "0x10000000/0x10000000"

/* Loopback is never shut; but what only pretends to come over it is. */
#define FROM_THIS_HOST "-i lo -m addrtype --src-type LOCAL -j RETURN"

/* The last rule of our filter chain. That it looks at connections matters: only
 * with a rule that does, the kernel puts fragments together before PREROUTING.
 * Otherwise a SYN in two fragments would pass the rules that shut its port. */
#define SENTINEL "-m conntrack --ctstate NEW -m comment --comment end-of-grants -j RETURN"

/* What the kernel does not track (NOTRACK) has no state that tells what begins a connection:
 * of TCP the flags do. The rest of it is for the host's own rules, as that of a tracked
 * connection is. The first rule of our filter chain. */
#define SYN "--tcp-flags FIN,SYN,RST,ACK SYN"
#define NO_BEGINNING "-p tcp -m tcp ! " SYN " -m conntrack --ctstate UNTRACKED -j RETURN"

enum {
    TRIES = 3,
    NEW_PACKETS = 3, /* of a connection */
    LAST_DATE = 2147385600, /* 2038-01-18 00:00 UTC: iptables 1.8.9 refuses 2039, and
                               32-bit builds the day after this one */
};

/* What a jump is there for. */
enum purpose { ALWAYS, RESET, GATEWAY, SENDING_ON };

/* Each is put at the top of its chain: of one chain's, the last comes first. */
static const struct jump {
    const char *table, *from, *to;
    enum purpose purpose;
} jumps[] = {
    {"mangle", "PREROUTING", "portsmith", ALWAYS},
    {"mangle", "INPUT", "portsmith-input", ALWAYS},
    {"mangle", "FORWARD", "portsmith-translated", ALWAYS},
    {"filter", "INPUT", "portsmith-reset", RESET},
    {"filter", "FORWARD", "portsmith-forward", RESET},
    {"filter", "FORWARD", "portsmith-gateway", GATEWAY},
    {"filter", "INPUT", "portsmith", ALWAYS},
    {"nat", "PREROUTING", "portsmith", SENDING_ON},
};

enum { JUMPS = sizeof jumps / sizeof *jumps };

/* Runs what was written, and frees it. */
static enum restore_result text_run(struct text *text, struct restore *restore, struct error *why)
{
    enum restore_result result;

    text_end(text);
    result = restore_run(restore, text->bytes, text->size, why);
    free(text->bytes);
    return result;
}

void helper_firewall_open(struct firewall *fw, const struct helper_setup *setup,
                          const struct xtables *xtables, const struct ipset *set)
{
    *fw = (struct firewall){.setup = setup,
                            .xtables = *xtables,
                            .set = *set,
                            .uses_set = setup->grant_store == GRANT_STORE_SET};
    helper_firewall_follow_clock(fw);
    for (enum family family = IPV4; family < FAMILIES; family++) {
        restore_init(&fw->restore[family], xtables->paths[family]);
        if (xtables->in_use[family])
            restore_try_standing(&fw->restore[family]);
    }
}

/* Rounded up: the daemon, which ends the trial itself, comes first. */
void helper_firewall_follow_clock(struct firewall *fw)
{
    int64_t end = fw->setup->trial_end;

    if (end != 0)
        fw->trial_second =
            (clock_wall_ns() + (end - clock_boot_ns()) + NSEC_PER_SEC - 1) / NSEC_PER_SEC;
}

void helper_firewall_send_on(struct firewall *fw, const struct helper_destination *destinations,
                             size_t count)
{
    fw->destinations = destinations;
    fw->destination_count = count;
}

void helper_firewall_close(struct firewall *fw)
{
    for (enum family family = IPV4; family < FAMILIES; family++)
        restore_end(&fw->restore[family]);
    ipset_close(&fw->set);
}

bool helper_firewall_can_end(int64_t now)
{
    return now < LAST_DATE;
}

/* ---- grants ------------------------------------------------------------- */

static bool is_of(const struct grant *grant, enum family family)
{
    return address_is_ipv4(&grant->address) == (family == IPV4);
}

static bool is_rule(const struct firewall *fw, const struct grant *grant)
{
    return !fw->uses_set || !helper_set_holds(grant);
}

/* The next grant that a rule is to be written for. NULL: there are no more. */
static const struct grant *next_written(const struct firewall *fw, const struct grants *grants,
                                        enum family family, bool only_new, struct grants_cursor *cursor)
{
    const struct grant *grant;

    do
        grant = only_new ? helper_grants_next_touched(grants, cursor)
                         : helper_grants_next(grants, cursor);
    while (grant && !(is_of(grant, family) && is_rule(fw, grant)));
    return grant;
}

static bool any_is_written(const struct firewall *fw, const struct grants *grants, enum family family,
                           bool only_new)
{
    struct grants_cursor cursor = helper_grants_begin(grants);

    return next_written(fw, grants, family, only_new, &cursor) != NULL;
}

bool helper_firewall_extends(const struct firewall *fw, const struct grant *grant)
{
    return !is_rule(fw, grant);
}

/* `bound` is --datestart or --datestop; both include that second. */
static void write_date(FILE *out, const char *bound, int64_t second)
{
    time_t moment = (time_t)(second < LAST_DATE ? second : LAST_DATE);
    char date[sizeof "2038-01-19T03:14:07"];
    struct tm utc;

    gmtime_r(&moment, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(out, " -m time %s %s", bound, date);
}

/* Every grant has one of its own in each chain, by its id: each of them sees a packet
 * once. It is kept by name, so that it outlives changes of the chain; a name keeps what was
 * spent, so that a knock that admits connections anew takes another. A SYN is sent
 * anew until it is answered, so that three of them are one connection; which of them
 * became one is told later, and ends the grant (usage.h). This holds until then.
 * Whoever is first takes the hour's one packet, should a window be that long; after an
 * idle hour the kernel has forgotten what was spent, and all of them are there again. */
static void write_limit(FILE *out, const struct grant *grant, char table)
{
    if (grant->connections)
        fprintf(out, " -m hashlimit --hashlimit-upto 1/hour --hashlimit-burst %u "
                     "--hashlimit-mode srcip --hashlimit-htable-size 8 --hashlimit-name ps%c%08x-%x",
                NEW_PACKETS * grant->connections, table, grant->id, grant->allowance);
}

static bool is_tcp(const struct service *s)
{
    return s->protocol == IPPROTO_TCP;
}

static int host_length(const struct address *address)
{
    return address_is_ipv4(address) ? 32 : 128;
}

/* Everything here is a number or comes out of inet_ntop: no text from outside
 * ever reaches iptables. */
static void write_source(FILE *out, const struct grant *grant, const char *action)
{
    char address[ADDRESS_TEXT_SIZE];

    fprintf(out, "%s -s %s/%d -p %s", action, address_format(&grant->address, address),
            host_length(&grant->address), service_protocol(&grant->service));
}

static void write_end(FILE *out, const struct grant *grant, char table, const char *target)
{
    write_date(out, "--datestop", grant->last_second);
    write_limit(out, grant, table);
    fputs(" -m comment --comment ", out);
    for (size_t i = 0; i < KEY_ID_SIZE; i++)
        fprintf(out, "%02x", grant->key_id[i]);
    fprintf(out, " -j %s\n", target);
}

static void write_grant(FILE *out, const struct grant *grant, const char *action, char table,
                        const char *match, const char *target)
{
    write_source(out, grant, action);
    fprintf(out, " -m %s --dport %u%s", service_protocol(&grant->service), grant->service.port,
            match);
    write_end(out, grant, table, target);
}

static void write_mangle_grants(const struct firewall *fw, FILE *out, const struct grants *grants,
                                enum family family, bool only_new, const char *action)
{
    const struct grant *grant;
    struct grants_cursor cursor = helper_grants_begin(grants);

    while ((grant = next_written(fw, grants, family, only_new, &cursor)))
        write_grant(out, grant, action, 'm', "", "RETURN");
}

/* SYNPROXY wants the SYNs that are not tracked; and what is to be counted, or translated, is. */
static bool admits_untracked(const struct firewall *fw, const struct grant *grant)
{
    return !fw->setup->has_synproxy && grant->connections == 0 && grant->destination_port == 0;
}

static void write_filter_grants(const struct firewall *fw, FILE *out, const struct grants *grants,
                                enum family family, bool only_new, const char *action)
{
    const struct grant *grant;
    struct grants_cursor cursor = helper_grants_begin(grants);

    while ((grant = next_written(fw, grants, family, only_new, &cursor)))
        write_grant(out, grant, action, 'f',
                    admits_untracked(fw, grant) ? " -m conntrack --ctstate NEW,UNTRACKED"
                                                : " -m conntrack --ctstate NEW", "ACCEPT");
}

/* For all grants in the set at once. */
static void write_set_rules(const struct firewall *fw, FILE *out, enum family family, const char *action,
                            const char *match, const char *target)
{
    if (fw->uses_set)
        fprintf(out, "%s%s -m set --match-set %s src,dst -j %s\n", action, match,
                helper_set_names[family], target);
}

static void write_mangle_set(const struct firewall *fw, FILE *out, enum family family, const char *action)
{
    write_set_rules(fw, out, family, action, "", "RETURN");
}

static void write_filter_set(const struct firewall *fw, FILE *out, enum family family, const char *action)
{
    write_set_rules(fw, out, family, action,
                    fw->setup->has_synproxy ? " -m conntrack --ctstate NEW"
                                            : " -m conntrack --ctstate NEW,UNTRACKED", "ACCEPT");
}

/* ---- what is sent on, or passes through ----------------------------------- */

/* The port that was knocked for is the one before any DNAT, ours or another's. */
static void write_gateway_grant(FILE *out, const struct grant *grant, const char *action)
{
    char address[ADDRESS_TEXT_SIZE];

    write_source(out, grant, action);
    if (grant->destination_port)
        fprintf(out, " -d %s/%d -m %s --dport %u", address_format(&grant->destination, address),
                host_length(&grant->destination), service_protocol(&grant->service),
                grant->destination_port);
    fprintf(out, " -m conntrack --ctstate NEW --ctorigdstport %u", grant->service.port);
    write_end(out, grant, 'g', "ACCEPT");
}

/* What is not tracked is not translated either, so that it still has its port. */
static void write_untracked_gateway_grant(FILE *out, const struct grant *grant, const char *action)
{
    write_grant(out, grant, action, 'g',
                is_tcp(&grant->service) ? " " SYN " -m conntrack --ctstate UNTRACKED"
                                        : " -m conntrack --ctstate UNTRACKED", "ACCEPT");
}

static void write_gateway_grants(const struct firewall *fw, FILE *out, const struct grants *grants,
                                 enum family family, bool only_new, const char *action)
{
    const struct grant *grant;
    struct grants_cursor cursor = helper_grants_begin(grants);

    while ((grant = next_written(fw, grants, family, only_new, &cursor))) {
        if (grant->destination_port || fw->setup->forward)
            write_gateway_grant(out, grant, action);
        if (fw->setup->forward && admits_untracked(fw, grant))
            write_untracked_gateway_grant(out, grant, action);
    }
}

/* No other host's traffic that only comes by is sent astray: LOCAL is what table `local`
 * has, and, of the interface that the packet came in by, what the table of its VRF has. */
static const char *const to_this_host[] = {" -m addrtype --dst-type LOCAL",
                                           " -m addrtype --dst-type LOCAL --limit-iface-in"};

static void write_sending_grants(const struct firewall *fw, FILE *out, const struct grants *grants,
                                 enum family family, bool only_new, const char *action)
{
    char address[ADDRESS_TEXT_SIZE], target[2 * ADDRESS_TEXT_SIZE];
    const struct grant *grant;
    struct grants_cursor cursor = helper_grants_begin(grants);

    while ((grant = next_written(fw, grants, family, only_new, &cursor))) {
        if (!grant->destination_port)
            continue;
        snprintf(target, sizeof target,
                 family == IPV4 ? "DNAT --to-destination %s:%u" : "DNAT --to-destination [%s]:%u",
                 address_format(&grant->destination, address), grant->destination_port);
        for (size_t i = 0; i < sizeof to_this_host / sizeof *to_this_host; i++)
            write_grant(out, grant, action, 'n', to_this_host[i], target);
    }
}

static bool has_gateway(const struct firewall *fw)
{
    return fw->setup->forward || fw->setup->sends_on;
}

/* What was let in lives on beyond the window, even where FORWARD drops by default. Both
 * directions are known by what connection tracking has of the connection: translated,
 * sent to the port that was knocked for, answered by the destination. No mark is
 * needed, which other programs might use, save or restore. A destination that is no
 * longer configured is not in here. */
static void write_sent_on_rules(const struct firewall *fw, FILE *out, enum family family,
                                const char *action)
{
    char address[ADDRESS_TEXT_SIZE];

    for (size_t i = 0; i < fw->destination_count; i++) {
        const struct helper_destination *d = &fw->destinations[i];

        if (address_is_ipv4(&d->address) != (family == IPV4))
            continue;
        fprintf(out, "%s portsmith-gateway -m conntrack --ctstate RELATED,ESTABLISHED "
                     "-m conntrack --ctstate DNAT --ctproto %u --ctorigdstport %u "
                     "--ctreplsrc %s --ctreplsrcport %u -j ACCEPT\n",
                action, d->service.protocol, d->service.port,
                address_format(&d->address, address), d->port);
    }
}

static void write_gateway_chain(const struct firewall *fw, FILE *out, const struct grants *grants,
                                 enum family family)
{
    fputs(":portsmith-gateway - [0:0]\n", out);
    write_gateway_grants(fw, out, grants, family, false, "-A portsmith-gateway");
    write_sent_on_rules(fw, out, family, "-A");
}

static void write_sending_chain(const struct firewall *fw, FILE *out,
                                const struct grants *grants, enum family family)
{
    fputs(":portsmith - [0:0]\n", out);
    write_sending_grants(fw, out, grants, family, false, "-A portsmith");
}

static const char *shut_target(const struct firewall *fw)
{
    return fw->setup->close_with_reset ? "MARK --set-xmark " RESET_MARK : "DROP";
}

static void write_shut_chain(const struct firewall *fw, FILE *out, const struct grants *grants,
                             enum family family)
{
    fputs(":portsmith-shut - [0:0]\n", out);
    write_mangle_grants(fw, out, grants, family, false, "-A portsmith-shut");
    write_mangle_set(fw, out, family, "-A portsmith-shut");
    fprintf(out, "-A portsmith-shut -j %s\n", shut_target(fw));
}

static void write_accept_chain(const struct firewall *fw, FILE *out, const struct grants *grants,
                               enum family family)
{
    fputs(":portsmith - [0:0]\n-A portsmith " NO_BEGINNING "\n", out);
    write_filter_grants(fw, out, grants, family, false, "-A portsmith");
    write_filter_set(fw, out, family, "-A portsmith");
    fputs("-A portsmith " SENTINEL "\n", out);
}

/* ---- shut ports --------------------------------------------------------- */

/* The kernel ends a trial even where nobody is left who could. */
static void write_trial_end(const struct firewall *fw, FILE *out, const char *action,
                            const char *chain)
{
    if (fw->trial_second == 0)
        return;
    fprintf(out, "%s %s", action, chain);
    write_date(out, "--datestart", fw->trial_second);
    fputs(" -j RETURN\n", out);
}

/* To this host itself, or to everybody: what is only passing through is not
 * ours to shut. Types can be named together where the kernel ORs them. */
static void write_local_rules(const struct firewall *fw, FILE *out, const char *action, enum family family)
{
    static const char *const types[FAMILIES][2] = {
        {"LOCAL,BROADCAST,MULTICAST", NULL},
        {"LOCAL,ANYCAST", "MULTICAST"},
    };

    write_trial_end(fw, out, action, "portsmith");
    fprintf(out, "%s portsmith " FROM_THIS_HOST "\n", action);
    for (size_t i = 0; i < 2 && types[family][i]; i++)
        fprintf(out, "%s portsmith -m addrtype --dst-type %s -j portsmith-close\n", action,
                types[family][i]);
    fprintf(out, "%s portsmith -m addrtype ! --dst-type LOCAL "
                 "-m addrtype --dst-type LOCAL --limit-iface-in -j portsmith-close\n", action);
}

/* In PREROUTING TCP is shut without state: a segment of a live session has ACK or RST set. */
static void write_close_match(FILE *out, const struct service *s)
{
    fprintf(out, " -p %s -m %s --dport %u %s", service_protocol(s), service_protocol(s), s->port,
            is_tcp(s) ? "--tcp-flags ACK,RST NONE" : "-m conntrack ! --ctstate ESTABLISHED");
}

static void write_close_rules(const struct helper_setup *setup, FILE *out, const char *action)
{
    for (size_t i = 0; i < setup->close_count; i++) {
        fprintf(out, "%s portsmith-close", action);
        write_close_match(out, &setup->close[i]);
        fputs(" -j portsmith-shut\n", out);
    }
}

/* Together the first two match what has an established socket here, and no listener: the
 * kernel looks for that one before INPUT (tcp_v4_early_demux), and xt_cgroup matches none
 * that is not full, whether its cgroup is below "/" or, in a namespace of cgroups, is not.
 * What came by IPsec's transport mode is not looked up (xfrm4_transport_finish). */
static const char *const sessions[] = {"-m cgroup --path /", "-m cgroup ! --path /",
                                       "-m policy --dir in --pol ipsec"};

/* An ACK that belongs to no session opens one where the listener takes it for the answer to
 * a SYN cookie. The connection of one that does need not be known to the kernel: it may be
 * older than its first look at connections, or have slept for longer than it remembers. */
static void write_stray_rules(const struct firewall *fw, FILE *out, const char *action,
                              enum family family, const char *chain, const char *others,
                              const char *target)
{
    if (!fw->xtables.tells_sessions[family])
        return;
    for (size_t i = 0; i < sizeof sessions / sizeof *sessions; i++)
        fprintf(out, "%s %s %s -j RETURN\n", action, chain, sessions[i]);
    for (size_t i = 0; i < fw->setup->close_count; i++)
        if (is_tcp(&fw->setup->close[i]))
            fprintf(out, "%s %s -p tcp -m tcp --dport %u --tcp-flags ACK,RST ACK "
                         "-m conntrack ! --ctstate %s -j %s\n",
                    action, chain, fw->setup->close[i].port, others, target);
}

/* What is delivered to this host although PREROUTING could not tell: it is local by another
 * table than `local`, that of a VRF or one that a routing rule leads to; or it came in
 * fragments, which the kernel leaves alone where it is told not to track them before it would
 * put them together (NF_IP_PRI_CONNTRACK_DEFRAG, priority -400). */
static void write_input_rules(const struct firewall *fw, FILE *out, const char *action,
                              enum family family)
{
    static const char *const others[FAMILIES] = {
        "-m addrtype ! --dst-type LOCAL,BROADCAST,MULTICAST",
        "-m addrtype ! --dst-type LOCAL,ANYCAST -m addrtype ! --dst-type MULTICAST",
    };

    write_trial_end(fw, out, action, "portsmith-input");
    fprintf(out, "%s portsmith-input " FROM_THIS_HOST "\n", action);
    fprintf(out, "%s portsmith-input %s -j portsmith-close\n", action, others[family]);
    fprintf(out, "%s portsmith-input -m conntrack --ctstate UNTRACKED -j portsmith-close\n",
            action);
    write_stray_rules(fw, out, action, family, "portsmith-input", "ESTABLISHED", "portsmith-shut");
    if (fw->xtables.tells_sessions[family])
        fprintf(out, "%s portsmith-input -j portsmith-translated\n", action);
}

/* The same for the port that was knocked for, where DNAT led to another. Such a connection
 * is known to the kernel for as long as it lives: there would be no way back. */
static void write_translated_rules(const struct firewall *fw, FILE *out, const char *action)
{
    write_trial_end(fw, out, action, "portsmith-translated");
    fprintf(out, "%s portsmith-translated -m conntrack ! --ctstate NEW -j RETURN\n", action);
    for (size_t i = 0; i < fw->setup->close_count; i++)
        if (is_tcp(&fw->setup->close[i]))
            fprintf(out, "%s portsmith-translated -p tcp -m tcp --tcp-flags ACK,RST ACK "
                         "-m conntrack --ctstate DNAT --ctorigdstport %u -j portsmith-shut\n",
                    action, fw->setup->close[i].port);
}

/* All rules of mangle that are the same whatever is granted. */
static void write_static_rules(const struct firewall *fw, FILE *out, const char *action,
                               enum family family)
{
    if (fw->setup->close_count == 0)
        return;
    write_local_rules(fw, out, action, family);
    write_close_rules(fw->setup, out, action);
    write_input_rules(fw, out, action, family);
    write_translated_rules(fw, out, action);
}

static void write_marked_rules(FILE *out, const char *action, const char *chain)
{
    fprintf(out, "%s %s -p tcp -m mark --mark " RESET_MARK " -j REJECT --reject-with tcp-reset\n",
            action, chain);
    fprintf(out, "%s %s -m mark --mark " RESET_MARK " -j REJECT\n", action, chain);
}

/* What comes to INPUT is refused by its port, should a rule behind ours have
 * overwritten the mark; what was sent on, or to another port, by the mark. */
static void write_reset_rules(const struct firewall *fw, FILE *out, const char *action,
                              enum family family)
{
    if (!fw->setup->close_with_reset)
        return;
    write_trial_end(fw, out, action, "portsmith-reset");
    fprintf(out, "%s portsmith-reset " FROM_THIS_HOST "\n", action);
    for (size_t i = 0; i < fw->setup->close_count; i++) {
        const struct service *s = &fw->setup->close[i];

        fprintf(out, "%s portsmith-reset", action);
        write_close_match(out, s);
        fprintf(out, " -j REJECT%s\n", is_tcp(s) ? " --reject-with tcp-reset" : "");
    }
    write_marked_rules(out, action, "portsmith-reset");
    /* What is not tracked is told by the mark alone: a grant's ACK, which ends a handshake,
     * looks like others here. */
    write_stray_rules(fw, out, action, family, "portsmith-reset", "ESTABLISHED,UNTRACKED",
                      "REJECT --reject-with tcp-reset");
    write_marked_rules(out, action, "portsmith-forward");
}

static bool is_wanted(const struct firewall *fw, const struct jump *jump)
{
    switch (jump->purpose) {
    case RESET:
        return fw->setup->close_with_reset;
    case GATEWAY:
        return has_gateway(fw);
    case SENDING_ON:
        return fw->setup->sends_on;
    default:
        return true;
    }
}

/* Whether a jump that belongs behind this one is about to be put before it. */
static bool is_overtaken(const struct firewall *fw, const struct jump *jump,
                         const bool present[static JUMPS])
{
    for (const struct jump *other = jumps; other < jump; other++)
        if (strcmp(other->table, jump->table) == 0 && strcmp(other->from, jump->from) == 0 &&
            is_wanted(fw, other) && !present[other - jumps])
            return true;
    return false;
}

/* present[i] tells which jumps are there already. */
static void write_jumps(const struct firewall *fw, FILE *out, const char *table,
                        const bool present[static JUMPS])
{
    for (size_t i = 0; i < JUMPS; i++) {
        const struct jump *jump = &jumps[i];
        bool wanted = is_wanted(fw, jump);
        bool stays = present[i] && wanted && !is_overtaken(fw, jump, present);

        if (strcmp(jump->table, table) != 0 || stays)
            continue;
        if (present[i])
            fprintf(out, "-D %s -j %s\n", jump->from, jump->to);
        if (wanted)
            fprintf(out, "-I %s 1 -j %s\n", jump->from, jump->to);
    }
}

static bool is_left_over(enum purpose purpose, const bool present[static JUMPS])
{
    for (size_t i = 0; i < JUMPS; i++)
        if (jumps[i].purpose == purpose && present[i])
            return true;
    return false;
}

/* Of the nat table nothing is touched on hosts that do without. */
static void write_nat(const struct firewall *fw, FILE *out, const struct grants *grants, enum family family,
                      const bool present[static JUMPS])
{
    if (!fw->setup->sends_on && !is_left_over(SENDING_ON, present))
        return;
    fputs("*nat\n", out);
    write_sending_chain(fw, out, grants, family);
    write_jumps(fw, out, "nat", present);
    if (!fw->setup->sends_on)
        fputs("-X portsmith\n", out);
    fputs("COMMIT\n", out);
}

static void write_everything(const struct firewall *fw, FILE *out, const struct grants *grants,
                             enum family family, const bool present[static JUMPS])
{
    fputs("*mangle\n:portsmith - [0:0]\n:portsmith-input - [0:0]\n:portsmith-translated - [0:0]\n"
          ":portsmith-close - [0:0]\n", out);
    write_shut_chain(fw, out, grants, family);
    write_static_rules(fw, out, "-A", family);
    write_jumps(fw, out, "mangle", present);
    fputs("COMMIT\n*filter\n:portsmith-reset - [0:0]\n:portsmith-forward - [0:0]\n", out);
    write_accept_chain(fw, out, grants, family);
    if (has_gateway(fw) || is_left_over(GATEWAY, present))
        write_gateway_chain(fw, out, grants, family);
    write_reset_rules(fw, out, "-A", family);
    write_jumps(fw, out, "filter", present);
    if (!fw->setup->close_with_reset)
        fputs("-X portsmith-reset\n-X portsmith-forward\n", out);
    if (!has_gateway(fw) && is_left_over(GATEWAY, present))
        fputs("-X portsmith-gateway\n", out);
    fputs("COMMIT\n", out);
    write_nat(fw, out, grants, family, present);
}

/* ---- looking ------------------------------------------------------------ */

static enum restore_result run_line(const char *path, const char *action, const struct jump *jump,
                                    struct error *why)
{
    struct restore once;
    struct text text;

    restore_init(&once, path);
    text_begin(&text);
    fprintf(text.out, "*%s\n%s %s -j %s\nCOMMIT\n", jump->table, action, jump->from, jump->to);
    return text_run(&text, &once, why);
}

static bool find_jumps(const struct firewall *fw, enum family family, bool present[static JUMPS],
                       struct error *why)
{
    for (size_t i = 0; i < JUMPS; i++) {
        enum restore_result result = RESTORE_REFUSED;

        if (is_wanted(fw, &jumps[i]) || jumps[i].purpose != SENDING_ON ||
            fw->xtables.has_nat[family])
            result = run_line(fw->xtables.paths[family], "-C", &jumps[i], why);
        if (result != RESTORE_DONE && result != RESTORE_REFUSED)
            return false;
        present[i] = result == RESTORE_DONE;
    }
    return true;
}

static void write_checks(const struct firewall *fw, FILE *out, const char *table)
{
    fprintf(out, "*%s\n", table);
    for (size_t i = 0; i < JUMPS; i++)
        if (strcmp(jumps[i].table, table) == 0 && is_wanted(fw, &jumps[i]))
            fprintf(out, "-C %s -j %s\n", jumps[i].from, jumps[i].to);
}

/* iptables compares each with all rules of its chain. With nft whoever looks writes the
 * grants anew in any case, and with many that does. */
static const struct grants *checked_grants(const struct firewall *fw, const struct grants *grants)
{
    enum { FEW = 64 };
    static const struct grants none = {.count = 0};

    return fw->xtables.backend == BACKEND_LEGACY || grants->count <= FEW ? grants : &none;
}

static enum firewall_state state_of(enum restore_result result)
{
    switch (result) {
    case RESTORE_DONE:
        return FIREWALL_INTACT;
    case RESTORE_REFUSED:
        return FIREWALL_DAMAGED;
    default:
        return FIREWALL_UNREADABLE;
    }
}

static void note_state(struct firewall *fw, enum family family, enum firewall_state state)
{
    if (state != FIREWALL_UNREADABLE || fw->state[family] == FIREWALL_INTACT)
        fw->state[family] = state;
}

enum firewall_state helper_firewall_look(struct firewall *fw, enum family family,
                                         const struct grants *all, struct error *why)
{
    const struct grants *grants = checked_grants(fw, all);
    enum firewall_state state;
    struct text text;

    text_begin(&text);
    write_checks(fw, text.out, "mangle");
    fprintf(text.out, "-C portsmith-shut -j %s\n", shut_target(fw));
    write_static_rules(fw, text.out, "-C", family);
    write_mangle_grants(fw, text.out, grants, family, false, "-C portsmith-shut");
    write_mangle_set(fw, text.out, family, "-C portsmith-shut");
    fputs("COMMIT\n", text.out);
    write_checks(fw, text.out, "filter");
    write_reset_rules(fw, text.out, "-C", family);
    fputs("-C portsmith " NO_BEGINNING "\n", text.out);
    write_filter_grants(fw, text.out, grants, family, false, "-C portsmith");
    write_filter_set(fw, text.out, family, "-C portsmith");
    fputs("-C portsmith " SENTINEL "\n", text.out);
    write_gateway_grants(fw, text.out, grants, family, false, "-C portsmith-gateway");
    write_sent_on_rules(fw, text.out, family, "-C");
    if (fw->setup->sends_on) {
        fputs("COMMIT\n", text.out);
        write_checks(fw, text.out, "nat");
        write_sending_grants(fw, text.out, grants, family, false, "-C portsmith");
    }
    fputs("COMMIT\n", text.out);
    state = state_of(text_run(&text, &fw->restore[family], why));
    note_state(fw, family, state);
    return state;
}

/* ---- changing ----------------------------------------------------------- */

static bool fill_set(struct firewall *fw, enum family family, const struct grants *grants,
                     struct error *why)
{
    return !fw->uses_set || helper_set_fill(&fw->set, family, grants, why);
}

static enum restore_result write_all(struct firewall *fw, enum family family, const struct grants *grants,
                                     const bool present[static JUMPS], struct error *why)
{
    struct text text;

    text_begin(&text);
    write_everything(fw, text.out, grants, family, present);
    return text_run(&text, &fw->restore[family], why);
}

static void note_written(struct firewall *fw, enum family family, struct grants *grants)
{
    fw->unsure[family] = false;
    fw->has_rules[family] = any_is_written(fw, grants, family, false);
    helper_grants_forget_gone(grants, family == IPV6);
}

static enum restore_result try_establish(struct firewall *fw, enum family family,
                                         const struct grants *grants, struct error *why)
{
    bool present[JUMPS];

    /* The set comes before the rules that refer to it; and whatever is the matter with
     * iptables, what was closed is closed. */
    if (!fill_set(fw, family, grants, why) || !find_jumps(fw, family, present, why))
        return RESTORE_BUSY;
    return write_all(fw, family, grants, present, why);
}

/* One that an earlier configuration made. nftables lets go of what a deleted rule refers
 * to when the program that deleted it ends, at the latest (nft_rcv_nl_event). If a rule of
 * somebody else's refers to it, it is theirs. */
static void remove_unused_set(struct firewall *fw, enum family family)
{
    struct error unused;

    if (fw->uses_set || helper_set_remove(&fw->set, family, &unused))
        return;
    restore_end(&fw->restore[family]);
    helper_set_remove(&fw->set, family, &unused);
}

bool helper_firewall_establish(struct firewall *fw, enum family family, struct grants *grants,
                               struct error *why)
{
    enum restore_result result = RESTORE_BUSY;

    /* REFUSED too: another program may have changed things in between. */
    for (int i = 0; i < TRIES && result != RESTORE_DONE && result != RESTORE_IMPOSSIBLE; i++)
        result = try_establish(fw, family, grants, why);
    fw->unsure[family] = result != RESTORE_DONE;
    note_state(fw, family, fw->unsure[family] ? FIREWALL_UNREADABLE : FIREWALL_INTACT);
    if (fw->unsure[family])
        return false;
    note_written(fw, family, grants);
    remove_unused_set(fw, family);
    return true;
}

static bool rewrite_chains(struct firewall *fw, enum family family, const struct grants *grants,
                           struct error *why)
{
    struct text text;

    text_begin(&text);
    fputs("*mangle\n", text.out);
    write_shut_chain(fw, text.out, grants, family);
    fputs("COMMIT\n*filter\n", text.out);
    write_accept_chain(fw, text.out, grants, family);
    if (has_gateway(fw))
        write_gateway_chain(fw, text.out, grants, family);
    if (fw->setup->sends_on) {
        fputs("COMMIT\n*nat\n", text.out);
        write_sending_chain(fw, text.out, grants, family);
    }
    fputs("COMMIT\n", text.out);
    return text_run(&text, &fw->restore[family], why) == RESTORE_DONE;
}

/* Where all grants are in the set, no program has to be asked. */
bool helper_firewall_rewrite(struct firewall *fw, enum family family, struct grants *grants,
                             struct error *why)
{
    bool rules = !fw->uses_set || fw->has_rules[family] ||
                 any_is_written(fw, grants, family, false);

    if ((fw->uses_set && (fw->unsure[family] ||
                          !helper_set_update(&fw->set, family, grants, why))) ||
        (rules && !rewrite_chains(fw, family, grants, why)))
        return helper_firewall_establish(fw, family, grants, why);
    note_written(fw, family, grants);
    return true;
}

bool helper_firewall_refresh(struct firewall *fw, enum family family, struct grants *grants,
                             struct error *why)
{
    bool present[JUMPS];

    for (size_t i = 0; i < JUMPS; i++)
        present[i] = is_wanted(fw, &jumps[i]);
    if (!fill_set(fw, family, grants, why) ||
        write_all(fw, family, grants, present, why) != RESTORE_DONE)
        return helper_firewall_establish(fw, family, grants, why);
    note_written(fw, family, grants);
    return true;
}

static bool insert_rules(struct firewall *fw, enum family family, const struct grants *grants,
                         struct error *why)
{
    struct text text;

    text_begin(&text);
    fputs("*mangle\n", text.out);
    write_mangle_grants(fw, text.out, grants, family, true, "-I portsmith-shut 1");
    fputs("COMMIT\n*filter\n", text.out);
    write_filter_grants(fw, text.out, grants, family, true, "-I portsmith 2"); /* NO_BEGINNING */
    write_gateway_grants(fw, text.out, grants, family, true, "-I portsmith-gateway 1");
    if (fw->setup->sends_on) {
        fputs("COMMIT\n*nat\n", text.out);
        write_sending_grants(fw, text.out, grants, family, true, "-I portsmith 1");
    }
    fputs("COMMIT\n", text.out);
    return text_run(&text, &fw->restore[family], why) == RESTORE_DONE;
}

bool helper_firewall_insert(struct firewall *fw, enum family family, struct grants *grants,
                            struct error *why)
{
    bool rules = any_is_written(fw, grants, family, true);

    fw->has_rules[family] |= rules;
    if ((!fw->uses_set || helper_set_update(&fw->set, family, grants, why)) &&
        (!rules || insert_rules(fw, family, grants, why))) {
        helper_grants_forget_gone(grants, family == IPV6);
        return true;
    }
    /* Whether it was refused, or may be in force in part: write it whole. */
    return helper_firewall_establish(fw, family, grants, why);
}

bool helper_firewall_clear(struct firewall *fw, enum family family, struct grants *grants,
                           struct error *why)
{
    if (fw->setup->grant_store == GRANT_STORE_SET) /* doors shut even without iptables */
        helper_set_fill(&fw->set, family, grants, why);
    fw->uses_set = false;
    if (!helper_firewall_rewrite(fw, family, grants, why))
        return false;
    remove_unused_set(fw, family);
    return true;
}

/* ---- removing ----------------------------------------------------------- */

static bool remove_chains(const char *path, struct error *why)
{
    /* ":" makes a missing chain, so that "-X" never fails. The scratch chain of a
     * probe that was killed goes too. */
    static const char chains[] =
        "*mangle\n:portsmith - [0:0]\n:portsmith-input - [0:0]\n:portsmith-translated - [0:0]\n"
        ":portsmith-close - [0:0]\n:portsmith-shut - [0:0]\n:portsmith-probe - [0:0]\n"
        "-X portsmith\n-X portsmith-input\n-X portsmith-translated\n-X portsmith-close\n"
        "-X portsmith-shut\n-X portsmith-probe\nCOMMIT\n"
        "*filter\n:portsmith - [0:0]\n:portsmith-reset - [0:0]\n:portsmith-forward - [0:0]\n"
        ":portsmith-gateway - [0:0]\n:portsmith-probe - [0:0]\n-X portsmith\n"
        "-X portsmith-reset\n-X portsmith-forward\n-X portsmith-gateway\n-X portsmith-probe\n"
        "COMMIT\n";
    struct restore once;
    struct text text;

    restore_init(&once, path);
    text_begin(&text);
    fputs(chains, text.out);
    return text_run(&text, &once, why) == RESTORE_DONE;
}

/* Only where it is: to make it first would make the table. */
static void remove_nat_chain(const char *path)
{
    char text[] = "*nat\n-F portsmith\n-X portsmith\nCOMMIT\n";
    struct restore once;
    struct error unused;

    restore_init(&once, path);
    restore_run(&once, text, strlen(text), &unused);
}

static bool release_family(enum backend backend, enum family family, const char *path, struct error *why)
{
    enum { DOUBLES_MAX = 16 };
    bool has_nat = probe_has_nat(backend, family);
    bool found = false;

    for (size_t i = 0; i < JUMPS; i++) {
        enum restore_result result = RESTORE_DONE;

        if (jumps[i].purpose == SENDING_ON && !has_nat)
            continue;
        for (int n = 0; n < DOUBLES_MAX && result == RESTORE_DONE; n++) {
            result = run_line(path, "-D", &jumps[i], why);
            found |= result == RESTORE_DONE;
        }
        if (result != RESTORE_REFUSED)
            return false;
        if (jumps[i].purpose == SENDING_ON)
            remove_nat_chain(path);
    }
    /* Where no jump was, chains can only be left over from a probe, and a table
     * that cannot even be asked for them has none. */
    return remove_chains(path, why) || !found;
}

bool helper_firewall_release(enum backend backend, struct error *why)
{
    bool released = true;

    for (enum family family = IPV4; family < FAMILIES; family++) {
        const char *path = probe_program(backend, family);

        if (!path || (backend == BACKEND_LEGACY && !probe_legacy_in_use(family)))
            continue;
        released = release_family(backend, family, path, why) && released;
    }
    return released;
}
