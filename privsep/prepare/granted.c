#include "privsep/prepare/granted.h"

#include "privsep/prepare/rules.h"

#define HOLE(hole) RULES_HOLE, hole

/* What a grant is like: bits. */
enum trait {
    OF_TCP = 1,
    OF_UDP = 2,
    SENT_ON = 4,   /* its packets are sent on to another host */
    PASSES = 8,    /* so they are, or what passes through this host is opened, too */
    FORWARDED = 16, /* the latter */
    TRACKED = 32,
    UNTRACKED = 64, /* it admits what the kernel is told not to track */
};

/* All rules that a grant can have. It has those whose traits are all its own. */
static const struct grant_rule {
    enum rules_place place;
    char limit;      /* the chain, in the name of its limit of connections */
    unsigned traits; /* enum trait */
    bool by_original; /* it names the port that was knocked for by what the kernel has tracked */
    const char *match, *target;
} grant_rules[] = {
    {PLACE_SHUT, 'm', 0, false, "", "RETURN"},
    /* What leads to portsmith-open has looked at the state. */
    {PLACE_OPEN, 'f', TRACKED, false, " -m conntrack --ctstate NEW", "ACCEPT"},
    {PLACE_OPEN, 'f', UNTRACKED, false, "", "ACCEPT"},
    /* The port that was knocked for is the one before any DNAT, ours or another's. What is not
     * tracked is not translated either, so that it still has its port. */
    {PLACE_GATEWAY, 'g', PASSES, true, " -m conntrack --ctstate NEW", "ACCEPT"},
    {PLACE_GATEWAY, 'g', FORWARDED | UNTRACKED | OF_TCP, false,
     " --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate UNTRACKED", "ACCEPT"},
    {PLACE_GATEWAY, 'g', FORWARDED | UNTRACKED | OF_UDP, false,
     " -m conntrack --ctstate UNTRACKED", "ACCEPT"},
    /* No other host's traffic that only comes by is sent astray: LOCAL is what table `local`
     * has, and, of the interface that the packet came in by, what the table of its VRF has. */
    {PLACE_SENDING, 'n', SENT_ON, false, " -m addrtype --dst-type LOCAL", "DNAT"},
    {PLACE_SENDING, 'n', SENT_ON, false, " -m addrtype --dst-type LOCAL --limit-iface-in", "DNAT"},
};

/* SYNPROXY wants the SYNs that are not tracked for itself. And a connection that is counted,
 * or translated, is tracked. */
static unsigned traits_of(const struct helper_setup *setup, unsigned kind)
{
    const bool is_sent_on = kind & RULES_SENT_ON;
    const bool is_untracked = !setup->has_synproxy && !(kind & (RULES_LIMITED | RULES_SENT_ON));

    return (kind & RULES_UDP ? OF_UDP : OF_TCP) | (is_sent_on ? SENT_ON | PASSES : 0) |
           (setup->forward ? FORWARDED | PASSES : 0) | (is_untracked ? UNTRACKED : TRACKED);
}

static const char *protocol_of(unsigned kind)
{
    return kind & RULES_UDP ? "udp" : "tcp";
}

/* Which packets are the grant's. */
static void write_whose(FILE *out, enum family family, const struct grant_rule *rule, unsigned kind)
{
    const char *protocol = protocol_of(kind);
    const int length = family == IPV4 ? 32 : 128;

    fprintf(out, " -s %c%c/%d -p %s", HOLE(RULES_SOURCE), length, protocol);
    if (!rule->by_original)
        fprintf(out, " -m %s --dport %c%c", protocol, HOLE(RULES_PORT));
    else if (kind & RULES_SENT_ON)
        fprintf(out, " -d %c%c/%d -m %s --dport %c%c", HOLE(RULES_HOST), length, protocol,
                HOLE(RULES_HOST_PORT));
    fputs(rule->match, out);
    if (rule->by_original)
        fprintf(out, " --ctorigdstport %c%c", HOLE(RULES_PORT));
}

/* A grant that counts connections has a limit of its own in each chain, named by its id:
 * each chain sees a packet once. The kernel keeps a limit by its name. So the limit
 * outlives changes of the chain; and a knock that admits connections anew takes another
 * name, as the old one keeps what was spent.
 *
 * A client sends its SYN anew until it is answered, so that three SYNs are one connection.
 * Which of them became one is told later, and ends the grant (usage.h); the limit holds
 * until then. A limit cannot be without refill: should a window be longer than an hour, one
 * packet more passes in each. After an idle hour the kernel has forgotten what was spent. */
static void write_limits(FILE *out, const struct grant_rule *rule, unsigned kind)
{
    fprintf(out, " -m time --datestop %c%c", HOLE(RULES_DATE));
    if (kind & RULES_LIMITED)
        fprintf(out, " -m hashlimit --hashlimit-upto 1/hour --hashlimit-burst %c%c "
                     "--hashlimit-mode srcip --hashlimit-htable-size 8 --hashlimit-name ps%c%c%c",
                HOLE(RULES_PACKETS), rule->limit, HOLE(RULES_LIMIT));
    fprintf(out, " -m comment --comment %c%c", HOLE(RULES_KEY));
}

static void write_target(FILE *out, enum family family, const struct grant_rule *rule)
{
    fprintf(out, " -j %s", rule->target);
    if (rule->place == PLACE_SENDING)
        fprintf(out,
                family == IPV4 ? " --to-destination %c%c:%c%c" : " --to-destination [%c%c]:%c%c",
                HOLE(RULES_HOST), HOLE(RULES_HOST_PORT));
    fputc('\n', out);
}

void granted_write(FILE *out, enum family family, const struct helper_setup *setup, unsigned kind,
                   enum rules_place place)
{
    for (size_t i = 0; i < sizeof grant_rules / sizeof *grant_rules; i++) {
        const struct grant_rule *rule = &grant_rules[i];

        if (rule->place != place || (rule->traits & ~traits_of(setup, kind)) != 0)
            continue;
        fprintf(out, "%c%c %s", HOLE(RULES_ACTION), rules_places[place].chain);
        write_whose(out, family, rule, kind);
        write_limits(out, rule, kind);
        write_target(out, family, rule);
    }
}
