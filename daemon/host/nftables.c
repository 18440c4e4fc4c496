#include "daemon/host/nftables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    DEPTH_MAX = 16,
    STEPS_MAX = 1000000, /* jumps can lead through a chain in very many ways */
};

enum match { NO, MAYBE, YES };

enum outcome { GOES_ON, LEAVES, ACCEPTED, DROPPED };

struct walk {
    const json_t *all; /* the ruleset's array */
    const char *family, *table;
    enum family of; /* the packet is of it */
    const struct packet *packet;
    bool may_accept; /* a rule that accepts or ends the walk may match, or may not */
    bool untracked;  /* a notrack has matched for certain */
    unsigned steps;  /* items of the ruleset looked at so far */
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* ---- values --------------------------------------------------------------- */

/* Whether a property of the packet has this value; one function for each property. */
typedef bool is_value(const struct walk *walk, const json_t *value);

static bool is_port(const struct walk *walk, const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) == walk->packet->service.port;
}

static bool is_protocol(const struct walk *walk, const json_t *value)
{
    if (json_is_integer(value))
        return json_integer_value(value) == walk->packet->service.protocol;
    return json_is_string(value) &&
           strcmp(json_string_value(value), service_protocol(&walk->packet->service)) == 0;
}

/* A name that ends with * stands for all that begin so. */
static bool is_interface(const struct walk *walk, const json_t *value)
{
    const char *name = json_is_string(value) ? json_string_value(value) : "";
    size_t size = strlen(name);

    if (size > 0 && name[size - 1] == '*')
        return strncmp(walk->packet->interface, name, size - 1) == 0;
    return strcmp(walk->packet->interface, name) == 0;
}

static bool is_family(const struct walk *walk, const json_t *value)
{
    return json_is_string(value) &&
           strcmp(json_string_value(value), walk->of == IPV6 ? "ipv6" : "ipv4") == 0;
}

static bool is_state(const struct walk *walk, const json_t *value)
{
    return json_is_string(value) &&
           strcmp(json_string_value(value), walk->packet->is_untracked ? "untracked" : "new") == 0;
}

static bool is_never(const struct walk *walk, const json_t *value)
{
    (void)walk, (void)value;
    return false;
}

static enum match match_value(const struct walk *walk, const json_t *value, is_value *is);

static enum match match_any(const struct walk *walk, const json_t *values, is_value *is)
{
    enum match best = NO;
    const json_t *value;
    size_t i;

    json_array_foreach(values, i, value) {
        enum match one = match_value(walk, value, is);

        best = one > best ? one : best;
    }
    return best;
}

/* How the packet's property matches one value, several or a range of ports. Whether it is in a
 * named set is not known: the content of sets is not looked at. */
static enum match match_value(const struct walk *walk, const json_t *value, is_value *is)
{
    const json_t *set = json_object_get(value, "set"), *range = json_object_get(value, "range");

    if (json_is_array(value))
        return match_any(walk, value, is);
    if (set)
        return json_is_array(set) ? match_any(walk, set, is) : match_value(walk, set, is);
    if (range && is == is_port) {
        json_int_t port = walk->packet->service.port;

        return json_integer_value(json_array_get(range, 0)) <= port &&
                       port <= json_integer_value(json_array_get(range, 1)) ? YES : NO;
    }
    if (json_is_object(value) || (json_is_string(value) && *json_string_value(value) == '@'))
        return MAYBE;
    return is(walk, value) ? YES : NO;
}

/* ---- matches --------------------------------------------------------------- */

/* What compares a field of the packet's headers; NULL: it is not known here. *is_wrong: the
 * packet has no such header, so it does not match. */
static is_value *find_payload(const struct walk *walk, const json_t *payload, bool *is_wrong)
{
    const char *protocol = text_of(payload, "protocol"), *field = text_of(payload, "field");
    bool is_transport = strcmp(protocol, "tcp") == 0 || strcmp(protocol, "udp") == 0;

    *is_wrong = (is_transport &&
                 strcmp(protocol, service_protocol(&walk->packet->service)) != 0) ||
                strcmp(protocol, "icmp") == 0 || strcmp(protocol, "icmpv6") == 0 ||
                strcmp(protocol, walk->of == IPV6 ? "ip" : "ip6") == 0;
    if ((is_transport || strcmp(protocol, "th") == 0) &&
        strcmp(field, walk->packet->is_reply ? "sport" : "dport") == 0)
        return is_port;
    if (strcmp(field, "protocol") == 0 || strcmp(field, "nexthdr") == 0)
        return is_protocol;
    return NULL;
}

/* What compares something else about the packet; NULL: it is not known here. A reply leaves by
 * its interface, any other packet comes in by it. */
static is_value *find_other(const struct walk *walk, const json_t *left)
{
    const char *meta = text_of(json_object_get(left, "meta"), "key");
    const char *ct = text_of(json_object_get(left, "ct"), "key");
    const bool is_reply = walk->packet->is_reply;

    if (strcmp(meta, "l4proto") == 0)
        return is_protocol;
    if (strcmp(meta, is_reply ? "oifname" : "iifname") == 0 ||
        strcmp(meta, is_reply ? "oif" : "iif") == 0)
        return is_interface;
    if (strcmp(meta, "nfproto") == 0)
        return is_family;
    if (strcmp(ct, "state") == 0)
        return is_state;
    return strcmp(ct, "status") == 0 ? is_never : NULL;
}

/* How the mark's bits that a rule looks at compare with its value. */
static enum match match_mark(const struct walk *walk, const json_t *masked, const json_t *right)
{
    const json_t *mark = json_array_get(masked, 0);
    const json_int_t mask = json_integer_value(json_array_get(masked, 1));

    if (strcmp(text_of(json_object_get(mark, "meta"), "key"), "mark") != 0 ||
        !json_is_integer(right) || (mask & ~(json_int_t)walk->packet->mark) != 0)
        return MAYBE;
    return json_integer_value(right) == mask ? YES : NO;
}

static enum match match_statement(const struct walk *walk, const json_t *statement)
{
    const json_t *left = json_object_get(statement, "left");
    const json_t *right = json_object_get(statement, "right");
    const json_t *payload = json_object_get(left, "payload"), *masked = json_object_get(left, "&");
    const char *operator = text_of(statement, "op");
    bool is_wrong = false;
    is_value *is = payload ? find_payload(walk, payload, &is_wrong) : find_other(walk, left);
    enum match match;

    if (is_wrong)
        return NO;
    match = masked ? match_mark(walk, masked, right) : is ? match_value(walk, right, is) : MAYBE;
    if (strcmp(operator, "!=") == 0)
        return (enum match)(YES - match);
    return strcmp(operator, "==") == 0 || strcmp(operator, "in") == 0 ? match : MAYBE;
}

/* ---- walking ---------------------------------------------------------------- */

static enum outcome walk_chain(struct walk *walk, const char *chain, unsigned depth);

/* The outcome of a rule that would decide so. Where it is not certain that the packet matches,
 * the walk goes on, and the rule may have accepted. */
static enum outcome weigh(struct walk *walk, enum match match, enum outcome outcome)
{
    if (match == YES)
        return outcome;
    if (outcome == ACCEPTED || outcome == LEAVES)
        walk->may_accept = true;
    return GOES_ON;
}

/* Follows a jump, or a goto (`for_good`), which does not come back. A notrack behind it counts
 * only where the jump matches for certain. */
static enum outcome jump(struct walk *walk, enum match match, const json_t *where, bool for_good,
                         unsigned depth)
{
    const bool untracked = walk->untracked;
    enum outcome outcome = walk_chain(walk, text_of(where, "target"), depth + 1);

    walk->untracked &= match == YES || untracked;
    if (outcome == GOES_ON || outcome == LEAVES)
        outcome = for_good ? LEAVES : GOES_ON;
    return weigh(walk, match, outcome);
}

/* Whether the statement neither matches nor decides anything. */
static bool is_neutral(const char *name)
{
    static const char *const names[] = {"counter", "log", "mangle", "notrack", "ct helper", "flow",
                                        "meter", NULL};

    for (const char *const *one = names; *one; one++)
        if (strcmp(*one, name) == 0)
            return true;
    return false;
}

/* Follows one statement of a rule. *match is how the rule has matched so far. False when the rest
 * of the rule does not matter: the rule does not match, or has decided as *outcome says. */
static bool follow_statement(struct walk *walk, const char *name, const json_t *value,
                             enum match *match, enum outcome *outcome, unsigned depth)
{
    enum match one = strcmp(name, "match") == 0 ? match_statement(walk, value)
                     : is_neutral(name)         ? YES
                                                : MAYBE;

    if (strcmp(name, "notrack") == 0 && *match == YES && !walk->may_accept)
        walk->untracked = true;
    if (strcmp(name, "accept") == 0)
        *outcome = weigh(walk, *match, ACCEPTED);
    else if (strcmp(name, "drop") == 0 || strcmp(name, "reject") == 0)
        *outcome = weigh(walk, *match, DROPPED);
    else if (strcmp(name, "return") == 0)
        *outcome = weigh(walk, *match, LEAVES);
    else if (strcmp(name, "jump") == 0 || strcmp(name, "goto") == 0)
        *outcome = jump(walk, *match, value, *name == 'g', depth);
    else {
        *match = one < *match ? one : *match;
        walk->may_accept |= strcmp(name, "vmap") == 0 || strcmp(name, "queue") == 0;
        return *match != NO;
    }
    return false;
}

static enum outcome follow_rule(struct walk *walk, const json_t *rule, unsigned depth)
{
    enum outcome outcome = GOES_ON;
    enum match match = YES;
    json_t *statement;
    size_t i;

    json_array_foreach(json_object_get(rule, "expr"), i, statement) {
        void *only = json_object_iter(statement);

        if (only && !follow_statement(walk, json_object_iter_key(only),
                                      json_object_iter_value(only), &match, &outcome, depth))
            break;
    }
    return outcome;
}

static enum outcome walk_chain(struct walk *walk, const char *chain, unsigned depth)
{
    enum outcome outcome = GOES_ON;
    const json_t *item;
    size_t i;

    json_array_foreach(walk->all, i, item) {
        const json_t *rule = json_object_get(item, "rule");

        if (walk->steps++ > STEPS_MAX || depth > DEPTH_MAX) {
            walk->may_accept = true;
            break;
        }
        if (rule && strcmp(text_of(rule, "family"), walk->family) == 0 &&
            strcmp(text_of(rule, "table"), walk->table) == 0 &&
            strcmp(text_of(rule, "chain"), chain) == 0)
            outcome = follow_rule(walk, rule, depth);
        if (outcome != GOES_ON)
            break;
    }
    return outcome;
}

/* ---- base chains ------------------------------------------------------------ */

static bool sees_family(const char *family, enum family of)
{
    return strcmp(family, "inet") == 0 || strcmp(family, of == IPV6 ? "ip6" : "ip") == 0;
}

/* A walk that is to begin at a base chain of a ruleset. */
static struct walk walk_from(const json_t *chain, const json_t *all, enum family of,
                             const struct packet *packet)
{
    return (struct walk){.all = all, .family = text_of(chain, "family"),
                         .table = text_of(chain, "table"), .of = of, .packet = packet};
}

/* Whether the base chain drops the packet for certain. */
static bool drops(struct walk *walk, const json_t *chain)
{
    enum outcome outcome = walk_chain(walk, text_of(chain, "name"), 0);

    if (outcome == GOES_ON || outcome == LEAVES)
        outcome = strcmp(text_of(chain, "policy"), "drop") == 0 ? DROPPED : ACCEPTED;
    return outcome == DROPPED && !walk->may_accept;
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"

/* Whether the chain has the name that iptables-nft gives to the one at that hook. */
static bool is_of_iptables(const json_t *chain)
{
    const char *hook = text_of(chain, "hook"), *name = text_of(chain, "name");

    return strcmp(text_of(chain, "family"), "inet") != 0 && name[strcspn(name, LOWER)] == '\0' &&
           strcasecmp(hook, name) == 0;
}

static bool is_own(const struct walk *walk)
{
    return strcmp(walk->family, "inet") == 0 && strcmp(walk->table, "portsmith") == 0;
}

void nftables_find_drops(const json_t *ruleset, const struct nftables_chains *chains,
                         enum family of, const struct packet *packet, nftables_found *found,
                         void *data)
{
    const json_t *all = json_object_get(ruleset, "nftables"), *item;
    size_t i;

    json_array_foreach(all, i, item) {
        const json_t *chain = json_object_get(item, "chain");
        struct walk walk = walk_from(chain, all, of, packet);

        if (strcmp(text_of(chain, "hook"), chains->hook) == 0 && sees_family(walk.family, of) &&
            !is_own(&walk) && (chains->of_iptables || !is_of_iptables(chain)) &&
            drops(&walk, chain))
            found(data, walk.family, walk.table, text_of(chain, "name"));
    }
}

/* ---- what is not tracked ---------------------------------------------------- */

/* Whether the chain comes before connection tracking (NF_IP_PRI_CONNTRACK). */
static bool is_early(const json_t *chain)
{
    enum { CONNTRACK = -200 };
    const char *hook = text_of(chain, "hook"), *family = text_of(chain, "family");

    return (strcmp(hook, "prerouting") == 0 || strcmp(hook, "output") == 0) &&
           json_integer_value(json_object_get(chain, "prio")) < CONNTRACK &&
           (sees_family(family, IPV4) || sees_family(family, IPV6));
}

bool nftables_is_untracked(const json_t *ruleset, enum family of, const struct packet *packet,
                           char *by, size_t size)
{
    const json_t *all = json_object_get(ruleset, "nftables"), *item;
    size_t i;

    json_array_foreach(all, i, item) {
        const json_t *chain = json_object_get(item, "chain");
        struct walk walk = walk_from(chain, all, of, packet);

        if (!is_early(chain) || !sees_family(walk.family, of) ||
            (strcmp(text_of(chain, "hook"), "output") == 0) != packet->is_reply)
            continue;
        walk_chain(&walk, text_of(chain, "name"), 0);
        if (!walk.untracked)
            continue;
        snprintf(by, size, "notrack in the nftables chain %s %.60s %.60s", walk.family, walk.table,
                 text_of(chain, "name"));
        return true;
    }
    return false;
}

bool nftables_has_statement(const json_t *ruleset, const char *name)
{
    const json_t *item, *statement;
    size_t i, j;

    json_array_foreach(json_object_get(ruleset, "nftables"), i, item) {
        json_array_foreach(json_object_get(json_object_get(item, "rule"), "expr"), j, statement) {
            if (json_object_get(statement, name))
                return true;
        }
    }
    return false;
}

/* ---- reading ---------------------------------------------------------------- */

bool nftables_run(struct tool *tool, const char *const *arguments, struct error *why)
{
    const char *path = access("/usr/sbin/nft", X_OK) == 0 ? "/usr/sbin/nft" : "/sbin/nft";

    return tool_run(tool, path, arguments, "", why);
}

/* What nft prints with these arguments, as JSON that the caller gives back; NULL with the
 * reason. */
static json_t *list(const char *const *arguments, struct error *why)
{
    json_t *ruleset = NULL;
    struct tool tool;

    if (!nftables_run(&tool, arguments, why))
        return NULL;
    if (tool.status == 0)
        ruleset = json_loads(tool.said, 0, NULL);
    if (!ruleset)
        error_set(why, "nft: %.300s", tool.said);
    free(tool.said);
    return ruleset;
}

json_t *nftables_read(struct error *why)
{
    static const char *const arguments[] = {"-j", "list", "ruleset", NULL};

    return list(arguments, why);
}

/* Adds the items of the chain's table to `all`, unless they are there. nft reads its arguments as
 * one text, so a table whose name could be read as more than a name is left out. */
static void add_table(json_t *all, const json_t *chain)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    const char *family = text_of(chain, "family"), *table = text_of(chain, "table");
    const char *const arguments[] = {"-j", "-t", "list", "table", family, table, NULL};
    struct error unused;
    const json_t *item;
    json_t *read;
    size_t i;

    json_array_foreach(all, i, item) {
        if (strcmp(text_of(json_object_get(item, "table"), "name"), table) == 0 &&
            strcmp(text_of(json_object_get(item, "table"), "family"), family) == 0)
            return;
    }
    read = *table && table[strspn(table, plain)] == '\0' ? list(arguments, &unused) : NULL;
    json_array_extend(all, json_object_get(read, "nftables"));
    json_decref(read);
}

/* Reads only the tables with an early chain, as a whole ruleset may be large. */
json_t *nftables_read_early(void)
{
    static const char *const arguments[] = {"-j", "list", "chains", NULL};
    struct error unused;
    json_t *chains = list(arguments, &unused), *all = json_array();
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(chains, "nftables"), i, item) {
        if (is_early(json_object_get(item, "chain")))
            add_table(all, json_object_get(item, "chain"));
    }
    json_decref(chains);
    return json_pack("{s:o}", "nftables", all);
}
