#include "daemon/host/walk.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/room.h"
#include "daemon/config/destination.h"

enum {
    DEPTH_MAX = 16,      /* of jumps; the kernel allows no loops */
    STEPS_MAX = 1000000, /* lines looked at; jumps can lead through a chain in very many ways */
    WORD_SIZE = 256,
};

enum match { NO, MAYBE, YES };

enum outcome { GOES_ON, ACCEPTED, DROPPED };

struct walk {
    const struct walk_rules *rules;
    const struct packet *packet;
    const char *table;
    enum { ITS_END, DNAT, NOTRACK } until; /* a rule of that kind ends the walk, as accepted */
    bool may_accept, may_drop; /* a rule that does so may match, or may not */
    const struct walk_line *by;      /* the rule that decided */
    const struct walk_line *notrack; /* the rule that keeps the packet from being tracked */
    unsigned steps;
};

/* ---- reading ------------------------------------------------------------ */

/* The end of the line that begins at `at`, or of the text. A line end in quotes is none. */
static char *find_end(char *at)
{
    bool quoted = false;

    for (; *at && (*at != '\n' || quoted); at++)
        if (quoted && *at == '\\' && at[1])
            at++;
        else if (*at == '"')
            quoted = !quoted;
    return at;
}

/* Appends a line. False without memory. */
static bool add_line(struct walk_rules *rules, struct walk_line line)
{
    struct walk_line *lines = room_for_one(rules->lines, rules->count, sizeof *lines);

    if (!lines)
        return false;
    rules->lines = lines;
    lines[rules->count++] = line;
    return true;
}

/* Takes a line that is "-A CHAIN RULE" or ":CHAIN POLICY [0:0]", notes the table that "*TABLE"
 * begins, and passes over anything else. False without memory. */
static bool take_line(struct walk_rules *rules, const char **table, char *line)
{
    bool is_policy = *line == ':';
    char *chain, *rest;

    if (*line == '*')
        *table = line + 1;
    if (!*table || (!is_policy && strncmp(line, "-A ", 3) != 0))
        return true;
    chain = line + (is_policy ? 1 : 3);
    rest = strchr(chain, ' ');
    if (rest)
        *rest++ = '\0';
    if (is_policy && rest)
        rest[strcspn(rest, " ")] = '\0';
    return add_line(rules, (struct walk_line){.table = *table, .chain = chain,
                                              .rest = rest ? rest : "", .is_policy = is_policy});
}

bool walk_read(struct walk_rules *rules, char *text)
{
    const char *table = NULL;
    bool more = true;

    *rules = (struct walk_rules){.text = text};
    for (char *line = text; more; ) {
        char *end = find_end(line);

        more = *end != '\0';
        *end = '\0';
        if (!take_line(rules, &table, line)) {
            walk_free(rules);
            return false;
        }
        line = end + 1;
    }
    return true;
}

void walk_free(struct walk_rules *rules)
{
    free(rules->lines);
    free(rules->text);
    *rules = (struct walk_rules){0};
}

bool walk_has_rules(const struct walk_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        if (!rules->lines[i].is_policy || strcmp(rules->lines[i].rest, "DROP") == 0)
            return true;
    return false;
}

static bool is_of(const struct walk_line *line, const char *table, const char *chain)
{
    return strcmp(line->chain, chain) == 0 && strcmp(line->table, table) == 0;
}

static const struct walk_line *find_policy(const struct walk_rules *rules, const char *table,
                                           const char *chain)
{
    for (size_t i = 0; i < rules->count; i++)
        if (rules->lines[i].is_policy && is_of(&rules->lines[i], table, chain))
            return &rules->lines[i];
    return NULL;
}

bool walk_has_chain(const struct walk_rules *rules, const char *table, const char *chain)
{
    return find_policy(rules, table, chain) != NULL;
}

bool walk_has_rule(const struct walk_rules *rules, const char *table, const char *chain,
                   const char *rule)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct walk_line *line = &rules->lines[i];

        if (!line->is_policy && strcmp(line->table, table) == 0 &&
            strcmp(line->chain, chain) == 0 && strcmp(line->rest, rule) == 0)
            return true;
    }
    return false;
}

bool walk_has_text(const struct walk_rules *rules, const char *table, const char *chain,
                   const char *text)
{
    for (size_t i = 0; i < rules->count; i++)
        if (!rules->lines[i].is_policy && is_of(&rules->lines[i], table, chain) &&
            strstr(rules->lines[i].rest, text))
            return true;
    return false;
}

/* ---- words -------------------------------------------------------------- */

/* The next word, without its quotes and cut to fit; NULL at the end. *at is behind it then. */
static const char *next_word(const char **at, char word[static WORD_SIZE])
{
    size_t size = 0;
    bool quoted = false;

    while (**at == ' ')
        (*at)++;
    if (**at == '\0')
        return NULL;
    for (; **at && (quoted || **at != ' '); (*at)++) {
        if (**at == '"') {
            quoted = !quoted;
            continue;
        }
        if (quoted && **at == '\\' && (*at)[1])
            (*at)++;
        if (size < WORD_SIZE - 1)
            word[size++] = **at;
    }
    word[size] = '\0';
    return word;
}

static bool is_in(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

/* Whether a list, which has commas between its words, has the word. */
static bool has_word(const char *list, const char *word)
{
    size_t size = strlen(word);

    for (const char *at = list; at; at = strchr(at, ','), at += at != NULL)
        if (strncmp(at, word, size) == 0 && (at[size] == ',' || at[size] == '\0'))
            return true;
    return false;
}

/* ---- matches ------------------------------------------------------------ */

/* The functions of this part say whether the packet matches an option's value. A packet that comes
 * in has its service at its destination, a reply at its source. */

static enum match match_of(bool matches)
{
    return matches ? YES : NO;
}

static enum match match_protocol(const struct packet *p, const char *value)
{
    return match_of(strcmp(value, service_protocol(&p->service)) == 0 ||
                    strcmp(value, "all") == 0 || strtoul(value, NULL, 10) == p->service.protocol);
}

/* A name that ends with + stands for all that begin so. */
static bool is_interface(const struct packet *p, const char *value)
{
    size_t size = strlen(value);

    if (size > 0 && value[size - 1] == '+')
        return strncmp(p->interface, value, size - 1) == 0;
    return strcmp(p->interface, value) == 0;
}

static enum match match_in(const struct packet *p, const char *value)
{
    return p->is_reply ? MAYBE : match_of(is_interface(p, value));
}

static enum match match_out(const struct packet *p, const char *value)
{
    return p->is_reply ? match_of(is_interface(p, value)) : MAYBE;
}

static enum match match_destination(const struct packet *p, const char *value)
{
    struct prefix prefix;
    struct error unused;

    if (!p->to || !prefix_parse(&prefix, value, &unused))
        return MAYBE;
    return match_of(prefix_contains(&prefix, p->to));
}

/* The value is "22", "1:1024", or several of those with commas between. */
static enum match match_ports(const struct packet *p, const char *value)
{
    for (const char *at = value; at; at = strchr(at, ','), at += at != NULL) {
        char *end;
        unsigned long first = strtoul(at, &end, 10), last = first;

        if (*end == ':')
            last = strtoul(end + 1, NULL, 10);
        if (first <= p->service.port && p->service.port <= last)
            return YES;
    }
    return NO;
}

static enum match match_to_port(const struct packet *p, const char *value)
{
    return p->is_reply ? MAYBE : match_ports(p, value);
}

static enum match match_from_port(const struct packet *p, const char *value)
{
    return p->is_reply ? match_ports(p, value) : MAYBE;
}

static enum match match_state(const struct packet *p, const char *value)
{
    const char *own = p->is_untracked ? "UNTRACKED" : p->is_established ? "ESTABLISHED" : "NEW";

    return match_of(has_word(value, own) || (p->to && has_word(value, "DNAT")));
}

static enum match match_to_type(const struct packet *p, const char *value)
{
    return p->to || p->is_reply ? MAYBE
                                : match_of(has_word(value, p->is_elsewhere ? "UNICAST" : "LOCAL"));
}

static enum match match_from_type(const struct packet *p, const char *value)
{
    return p->is_reply || strcmp(value, "LOCAL") != 0 ? MAYBE : NO;
}

/* "0x100/0x100", or a whole mark, which is never known. */
static enum match match_mark(const struct packet *p, const char *value)
{
    char *end;
    unsigned long mark = strtoul(value, &end, 0), mask = UINT32_MAX;

    if (*end == '/')
        mask = strtoul(end + 1, &end, 0);
    return *end == '\0' && (mask & ~(unsigned long)p->mark) == 0 ? match_of(mark == mask) : MAYBE;
}

/* A stranger's packet comes without IPsec. */
static enum match match_policy(const struct packet *p, const char *value)
{
    return p->is_reply ? MAYBE : match_of(strcmp(value, "none") == 0);
}

static enum match match_direction(const struct packet *p, const char *value)
{
    return p->is_reply ? MAYBE : match_of(strcmp(value, "in") == 0);
}

/* xt_cgroup matches nothing without an established socket, not even with "!". */
static enum match match_cgroup(const struct packet *p)
{
    return p->is_established ? MAYBE : NO;
}

/* Two lists: the flags that are looked at, and those of them that must be set. */
static enum match match_flags(const struct packet *p, const char *looked_at, const char *set)
{
    const char *own = p->is_established ? "ACK" : "SYN";
    bool sees = has_word(looked_at, own) || strcmp(looked_at, "ALL") == 0;

    return match_of(strcmp(set, sees ? own : "NONE") == 0);
}

static const struct {
    const char *option;
    enum match (*match)(const struct packet *p, const char *value);
} matches[] = {
    {"-p", match_protocol},       {"-i", match_in},          {"-o", match_out},
    {"-d", match_destination},    {"--dport", match_to_port}, {"--dports", match_to_port},
    {"--sport", match_from_port}, {"--sports", match_from_port}, {"--ctstate", match_state},
    {"--state", match_state},     {"--dst-type", match_to_type},
    {"--mark", match_mark}, {"--src-type", match_from_type}, {"--pol", match_policy}, {"--dir", match_direction},
};

enum { MATCHES = sizeof matches / sizeof *matches };

/* Whether the packet matches one option of a rule; *at is behind the option's values then. An
 * option that is not known here may match. */
static enum match match_option(const struct packet *p, const char *option, const char **at)
{
    static const char *const plain[] = {"tcp", "udp", "conntrack", "state", "comment", "addrtype",
                                        "multiport", "policy", "mark", NULL};
    char value[WORD_SIZE] = "", second[WORD_SIZE] = "";

    if (strcmp(option, "--comment") == 0)
        return next_word(at, value) ? YES : MAYBE;
    if (strcmp(option, "-m") == 0 && next_word(at, value))
        return strcmp(value, "cgroup") == 0 ? match_cgroup(p) : is_in(value, plain) ? YES : MAYBE;
    if (strcmp(option, "--tcp-flags") == 0)
        return next_word(at, value) && next_word(at, second) ? match_flags(p, value, second)
                                                             : MAYBE;
    for (size_t i = 0; i < MATCHES; i++)
        if (strcmp(matches[i].option, option) == 0)
            return next_word(at, value) ? matches[i].match(p, value) : MAYBE;
    return MAYBE;
}

/* Whether the packet matches the rule. `target` is where the rule leads then, or "" for nowhere;
 * *for_good: it leads there by -g, and not back. */
static enum match match_rule(const struct packet *p, const char *rule,
                             char target[static WORD_SIZE], bool *for_good)
{
    enum match all = YES, one;
    char word[WORD_SIZE];
    bool negated = false;

    target[0] = '\0';
    while (next_word(&rule, word)) {
        *for_good = strcmp(word, "-g") == 0;
        if (*for_good || strcmp(word, "-j") == 0) {
            next_word(&rule, target);
            break;
        }
        if (word[0] == '-' && word[1] != '\0') {
            one = match_option(p, word, &rule);
            one = negated ? (enum match)(YES - one) : one;
            all = one < all ? one : all;
        }
        negated = strcmp(word, "!") == 0;
    }
    return all;
}

/* ---- walking ------------------------------------------------------------ */

/* Notes that the packet may be accepted or dropped by rules that are not followed. */
static void be_unsure(struct walk *walk)
{
    walk->may_accept = walk->may_drop = true;
}

/* Whether grants are looked up in that chain. */
static bool is_chain_of_grants(const char *chain)
{
    return strcmp(chain, "portsmith") == 0 || strcmp(chain, "portsmith-gateway") == 0;
}

static enum outcome follow_rule(struct walk *walk, const struct walk_line *line, bool *left,
                                unsigned depth);

static enum outcome walk_chain(struct walk *walk, const char *chain, unsigned depth)
{
    const struct walk_rules *rules = walk->rules;
    enum outcome outcome = GOES_ON;
    bool left = false;

    for (size_t i = 0; i < rules->count && outcome == GOES_ON && !left; i++) {
        if (walk->steps++ > STEPS_MAX || depth > DEPTH_MAX) {
            be_unsure(walk);
            break;
        }
        if (!rules->lines[i].is_policy && is_of(&rules->lines[i], walk->table, chain))
            outcome = follow_rule(walk, &rules->lines[i], &left, depth);
    }
    return outcome;
}

/* The outcome of a rule that accepts or drops. Where it is not certain that the packet matches,
 * the walk goes on, and what the rule may have done is noted. */
static enum outcome decide(struct walk *walk, const struct walk_line *line, enum match match,
                           enum outcome outcome)
{
    if (match == YES) {
        walk->by = line;
        return outcome;
    }
    if (outcome == ACCEPTED)
        walk->may_accept = true;
    else
        walk->may_drop = true;
    return GOES_ON;
}

/* Follows a jump. The chains of grants are not walked: they accept a packet that a knock has
 * opened the way for, and have nothing to do with where DNAT leads. */
static enum outcome jump(struct walk *walk, enum match match, const char *chain, unsigned depth)
{
    const struct walk_line *by = walk->by;
    enum outcome outcome;

    if (walk->until == DNAT && is_chain_of_grants(chain))
        return GOES_ON;
    if (walk->packet->is_granted && is_chain_of_grants(chain))
        return strcmp(walk->table, "mangle") == 0 ? GOES_ON : decide(walk, NULL, match, ACCEPTED);
    outcome = walk_chain(walk, chain, depth + 1);
    if (outcome == GOES_ON || match == YES || walk->until == DNAT)
        return outcome;
    walk->by = by;
    return decide(walk, by, match, outcome);
}

/* These targets, which are no chains, end the walk in ways that are not known here. All other
 * targets that are no chains let it go on. */
static const char *const strange_ends[] = {"QUEUE", "NFQUEUE", "TARPIT", "TPROXY", "SYNPROXY",
                                           "DNAT", "REDIRECT", NULL};
static const char *const new_destinations[] = {"DNAT", "REDIRECT", NULL};

static bool keeps_from_tracking(const char *target, const struct walk_line *line)
{
    return strcmp(target, "NOTRACK") == 0 ||
           (strcmp(target, "CT") == 0 && strstr(line->rest, "-j CT --notrack"));
}

/* Follows one rule. *left: the walk leaves the chain behind it, as after RETURN. */
static enum outcome follow_rule(struct walk *walk, const struct walk_line *line, bool *left,
                                unsigned depth)
{
    char target[WORD_SIZE];
    enum outcome outcome;
    bool for_good = false;
    enum match match = match_rule(walk->packet, line->rest, target, &for_good);

    if (match == NO)
        return GOES_ON;
    if (strcmp(target, "ACCEPT") == 0)
        return decide(walk, line, match, ACCEPTED);
    if (strcmp(target, "DROP") == 0 || strcmp(target, "REJECT") == 0)
        return decide(walk, line, match, DROPPED);
    if (walk->until == NOTRACK && match == YES && keeps_from_tracking(target, line)) {
        walk->notrack = line;
        return decide(walk, line, match, ACCEPTED);
    }
    if (walk->until == DNAT && is_in(target, new_destinations))
        return decide(walk, line, YES, ACCEPTED);
    if (walk_has_chain(walk->rules, walk->table, target)) {
        outcome = jump(walk, match, target, depth);
        if (!for_good)
            return outcome;
        *left = match == YES;
    } else if (strcmp(target, "RETURN") == 0) {
        outcome = GOES_ON;
        *left = match == YES;
    } else {
        if (is_in(target, strange_ends))
            be_unsure(walk);
        return GOES_ON;
    }
    if (match == MAYBE)
        be_unsure(walk);
    return outcome;
}

struct walk_end walk_through(const struct walk_rules *rules, const char *table, const char *chain,
                             const struct packet *packet)
{
    struct walk walk = {.rules = rules, .packet = packet, .table = table};
    const struct walk_line *policy = find_policy(rules, table, chain);
    enum outcome outcome = walk_chain(&walk, chain, 0);
    struct walk_end end = {.by_policy = outcome == GOES_ON};

    if (end.by_policy) {
        end.line = (struct walk_line){table, chain, policy ? policy->rest : "ACCEPT", true};
        outcome = strcmp(end.line.rest, "DROP") == 0 ? DROPPED : ACCEPTED;
    } else if (walk.by) {
        end.line = *walk.by;
    }
    end.accepts = outcome == ACCEPTED && !walk.may_drop;
    end.drops = outcome == DROPPED && !walk.may_accept;
    return end;
}

bool walk_finds_dnat(const struct walk_rules *rules, const struct packet *packet,
                     struct address *to, uint16_t *port)
{
    struct walk walk = {.rules = rules, .packet = packet, .table = "nat", .until = DNAT};
    struct helper_destination destination;
    struct error unused;
    const char *at;
    char text[WORD_SIZE];

    *port = 0;
    if (walk_chain(&walk, "PREROUTING", 0) != ACCEPTED || !walk.by)
        return false;
    at = strstr(walk.by->rest, "--to-destination ");
    if (at && (at += strlen("--to-destination ")) && next_word(&at, text) &&
        destination_parse(&destination, text, &unused)) {
        *to = destination.address;
        *port = destination.port;
    }
    return strstr(walk.by->rest, "-j DNAT") || strstr(walk.by->rest, "-j REDIRECT");
}

const struct walk_line *walk_find_notrack(const struct walk_rules *rules,
                                          const struct packet *packet)
{
    struct walk walk = {.rules = rules, .packet = packet, .table = "raw", .until = NOTRACK};
    enum outcome outcome = walk_chain(&walk, packet->is_reply ? "OUTPUT" : "PREROUTING", 0);

    return outcome == ACCEPTED && !walk.may_accept && walk.by == walk.notrack ? walk.notrack : NULL;
}

bool walk_has_target(const struct walk_rules *rules, const char *target)
{
    static const struct packet any = {.interface = ""};
    char word[WORD_SIZE];
    bool for_good;

    for (size_t i = 0; i < rules->count; i++) {
        match_rule(&any, rules->lines[i].rest, word, &for_good);
        if (!rules->lines[i].is_policy && strcmp(word, target) == 0)
            return true;
    }
    return false;
}
