/* Keeps the rules of grants in force, each at its place in the text of privsep/rules.h. */
#include "privsep/helper/iptables.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "privsep/xtables/jump.h"
#include "privsep/xtables/text.h"

#define XTABLES_LOCK "xtables.lock" /* in /run */

enum {
    TRIES = 3, /* to establish */
    CLEAR_TRIES = 5,
    NEW_PACKETS = 3, /* of a connection */
};

/* ---- beginning and end --------------------------------------------------- */

void helper_iptables_open(struct firewall *fw, const struct helper_setup *setup,
                          const struct rules rules[static FAMILIES],
                          const struct xtables *xtables, const struct ipset *set)
{
    *fw = (struct firewall){.setup = setup,
                            .rules = rules,
                            .xtables = *xtables,
                            .state = {HELPER_RULES_IN_FORCE, HELPER_RULES_IN_FORCE},
                            .set = *set,
                            .uses_set = setup->grant_store == GRANT_STORE_SET};
    for (enum family family = IPV4; family < FAMILIES; family++)
        restore_init(&fw->restore[family], xtables->paths[family]);
}

/* Takes the plan's part about a family apart. */
static void read_family(const struct plan *plan, enum family family, struct xtables *xtables,
                        struct rules *rules)
{
    const struct plan_family *from = &plan->families[family];

    xtables->in_use[family] = from->in_use;
    xtables->paths[family] = plan_part(plan, &from->path, 1, NULL);
    memcpy(rules->wants, from->wants, sizeof rules->wants);
    for (size_t i = 0; i < RULES_TEXTS; i++)
        rules->texts[i] = plan_part(plan, &from->texts[i], 1, NULL);
}

struct firewall *helper_firewall_open(const struct plan *plan, struct grants *grants)
{
    struct xtables xtables = {.backend = plan->setup.backend};
    static struct rules rules[FAMILIES];
    static struct firewall fw;
    struct ipset set;

    for (enum family family = IPV4; family < FAMILIES; family++)
        read_family(plan, family, &xtables, &rules[family]);
    ipset_open(&set, plan->setup.max_grants);
    helper_iptables_open(&fw, &plan->setup, rules, &xtables, &set);
    _Static_assert(RESTORE_STARTED * (int)FAMILIES == (int)GRANTTABLE_RESTORES, "all have room");
    /* The witness does not ring for the programs that change the firewall for us. */
    for (enum family family = IPV4; family < FAMILIES; family++)
        fw.restore[family].started = grants->table->restores[family];
    return &fw;
}

void helper_firewall_begin(struct firewall *fw)
{
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (fw->xtables.in_use[family])
            restore_try_standing(&fw->restore[family]);
}

void helper_firewall_close(struct firewall *fw)
{
    for (enum family family = IPV4; family < FAMILIES; family++)
        restore_end(&fw->restore[family]);
    ipset_close(&fw->set);
}

/* Whether the xtables lock is gone, or another file than when this process was confined. Then
 * neither this process nor a program that it runs can have the lock. */
static bool is_lock_lost(void)
{
    struct stat held, there;

    return fstat(HELPER_FD_XTABLES_LOCK, &held) != 0 ||
           fstatat(HELPER_FD_XTABLES_DIRECTORY, XTABLES_LOCK, &there, 0) != 0 ||
           held.st_dev != there.st_dev || held.st_ino != there.st_ino;
}

/* The next helper can use a new lock, and open a new socket for sets: this one is confined. */
void helper_firewall_check(const struct firewall *fw)
{
    if (fw->xtables.backend == BACKEND_LEGACY && is_lock_lost())
        fatalx("the xtables lock was removed or replaced: starting again");
    if (fw->uses_set && fw->set.fd < 0)
        fatalx("the kernel does not answer about sets any more: starting again");
}

static bool is_rule(const struct firewall *fw, const struct grant *grant)
{
    return !fw->uses_set || !helper_set_holds(grant);
}

/* ---- transactions ------------------------------------------------------- */

struct transaction {
    const struct firewall *fw;
    const struct grants *grants;
    enum family family;
    enum iptables_deed deed;
    bool misses[RULES_JUMPS]; /* IPTABLES_ESTABLISH: jumps that are wanted, and not there */
    FILE *out;
};

/* Everything that is written is a number, or text of ours, or comes out of inet_ntop: no text from
 * outside ever reaches iptables. */

/* ---- the rules of a grant ----------------------------------------------- */

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
static unsigned traits_of(const struct firewall *fw, const struct grant *grant)
{
    const bool is_sent_on = grant->destination_port != 0;
    const bool is_untracked = !fw->setup->has_synproxy && grant->connections == 0 && !is_sent_on;

    return (grant->service.protocol == IPPROTO_TCP ? OF_TCP : OF_UDP) |
           (is_sent_on ? SENT_ON | PASSES : 0) | (fw->setup->forward ? FORWARDED | PASSES : 0) |
           (is_untracked ? UNTRACKED : TRACKED);
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
static void write_limits(FILE *out, const struct grant *grant, char chain)
{
    rules_write_date(out, "--datestop", grant->last_second);
    if (grant->connections)
        fprintf(out, " -m hashlimit --hashlimit-upto 1/hour --hashlimit-burst %u --hashlimit-mode "
                     "srcip --hashlimit-htable-size 8 --hashlimit-name ps%c%08x-%x",
                NEW_PACKETS * grant->connections, chain, grant->id, grant->allowance);
    fputs(" -m comment --comment ", out);
    for (size_t i = 0; i < KEY_ID_SIZE; i++)
        fprintf(out, "%02x", grant->key_id[i]);
}

static void write_rule(FILE *out, const struct grant *grant, const struct grant_rule *rule,
                       const char *action)
{
    const bool is_ipv4 = address_is_ipv4(&grant->address);
    const char *protocol = service_protocol(&grant->service);
    char source[ADDRESS_TEXT_SIZE], destination[ADDRESS_TEXT_SIZE];
    const int length = is_ipv4 ? 32 : 128;

    address_format(&grant->destination, destination);
    fprintf(out, "%s %s -s %s/%d -p %s", action, rules_places[rule->place].chain,
            address_format(&grant->address, source), length, protocol);
    if (!rule->by_original)
        fprintf(out, " -m %s --dport %u", protocol, grant->service.port);
    else if (grant->destination_port)
        fprintf(out, " -d %s/%d -m %s --dport %u", destination, length, protocol,
                grant->destination_port);
    fputs(rule->match, out);
    if (rule->by_original)
        fprintf(out, " --ctorigdstport %u", grant->service.port);
    write_limits(out, grant, rule->limit);
    fprintf(out, " -j %s", rule->target);
    if (rule->place == PLACE_SENDING)
        fprintf(out, is_ipv4 ? " --to-destination %s:%u" : " --to-destination [%s]:%u", destination,
                grant->destination_port);
    fputc('\n', out);
}

/* Whether rules are to be written for a grant. */
static bool is_written(const struct transaction *t, const struct grant *grant)
{
    return (t->deed != IPTABLES_INSERT || grant->touched) &&
           address_family(&grant->address) == t->family && is_rule(t->fw, grant);
}

static bool has_rules(const struct transaction *t)
{
    for (size_t i = 0; i < t->grants->count; i++)
        if (is_written(t, &t->grants->items[i]))
            return true;
    return false;
}

static void write_grant(const struct transaction *t, const struct grant *grant,
                        enum rules_place place)
{
    static const char *const actions[] = {
        [IPTABLES_INSERT] = "-I", [IPTABLES_REWRITE] = "-A", [IPTABLES_REFRESH] = "-A",
        [IPTABLES_ESTABLISH] = "-A", [IPTABLES_CHECK] = "-C"};

    for (size_t i = 0; i < sizeof grant_rules / sizeof *grant_rules; i++)
        if (grant_rules[i].place == place &&
            (grant_rules[i].traits & ~traits_of(t->fw, grant)) == 0)
            write_rule(t->out, grant, &grant_rules[i], actions[t->deed]);
}

/* ---- all rules ---------------------------------------------------------- */

static void write_place(const struct transaction *t, enum rules_place place)
{
    const char *const *texts = &t->fw->rules[t->family].texts[place];
    const bool writes_anew = t->deed != IPTABLES_INSERT && t->deed != IPTABLES_CHECK;

    if (*texts[RULES_HEADS] == '\0')
        return;
    if (writes_anew)
        fputs(texts[RULES_HEADS], t->out);
    for (size_t i = t->grants->count; i-- > 0;)
        if (is_written(t, &t->grants->items[i]))
            write_grant(t, &t->grants->items[i], place);
    if (writes_anew)
        fprintf(t->out, "%s%s", t->fw->uses_set ? texts[RULES_SETS] : "", texts[RULES_BELOW]);
}

static void write_table(const struct transaction *t, enum rules_table table)
{
    const struct rules *rules = &t->fw->rules[t->family];

    fprintf(t->out, "*%s\n", rules_tables[table]);
    for (enum rules_place place = 0; place < RULES_PLACES; place++)
        if (rules_places[place].table == table)
            write_place(t, place);
    if (t->deed == IPTABLES_CHECK)
        fputs(rules->texts[RULES_CHECKS + table], t->out);
    else if (t->deed >= IPTABLES_REFRESH)
        fputs(rules->texts[RULES_FIXED + table], t->out);
    for (size_t i = 0; i < RULES_JUMPS; i++)
        if (t->misses[i] && strcmp(rules_jumps[i].table, rules_tables[table]) == 0)
            fprintf(t->out, "-I %s 1 -j %s\n", rules_jumps[i].from, rules_jumps[i].to);
    fputs("COMMIT\n", t->out);
}

/* Of the nat table nothing is touched on hosts that do without. What mangle only marks filter
 * must refuse: filter comes first where it begins to, and last where mangle drops again. For
 * the kernel each table changes by itself. */
static enum restore_result run(struct transaction *t, struct restore *restore, struct error *why)
{
    bool marks = t->fw->setup->close_with_reset;
    struct text text;

    text_begin(&text);
    t->out = text.out;
    write_table(t, marks ? RULES_FILTER : RULES_MANGLE);
    write_table(t, marks ? RULES_MANGLE : RULES_FILTER);
    if (t->fw->setup->sends_on)
        write_table(t, RULES_NAT);
    return restore_run(restore, &text, why);
}

/* ---- looking ------------------------------------------------------------ */

static void note_state(struct firewall *fw, enum family family, enum helper_rules state)
{
    if (state != HELPER_RULES_UNKNOWN || fw->state[family] == HELPER_RULES_IN_FORCE)
        fw->state[family] = state;
}

/* To look for many grants takes long, as iptables compares each with all rules of its chain.
 * With nft they need not be looked for: whoever looks writes them anew in any case. */
enum helper_rules helper_iptables_look(struct firewall *fw, enum family family,
                                       const struct grants *grants, struct error *why)
{
    enum { FEW = 64 };
    static const struct grants none = {.count = 0};
    bool checks_grants = fw->xtables.backend == BACKEND_LEGACY || grants->count <= FEW;
    struct transaction t = {.fw = fw, .grants = checks_grants ? grants : &none,
                            .family = family, .deed = IPTABLES_CHECK};
    enum restore_result result = run(&t, &fw->restore[family], why);
    enum helper_rules state = result == RESTORE_DONE      ? HELPER_RULES_IN_FORCE
                              : result == RESTORE_REFUSED ? HELPER_RULES_MISSING
                                                          : HELPER_RULES_UNKNOWN;

    note_state(fw, family, state);
    return state;
}

/* What is missing is the worst that can be known. */
static enum helper_rules worse_of(enum helper_rules one, enum helper_rules other)
{
    return one == HELPER_RULES_MISSING || other == HELPER_RULES_IN_FORCE ? one : other;
}

enum helper_rules helper_firewall_look(struct firewall *fw, const struct grants *grants,
                                       struct error *why)
{
    enum helper_rules found = HELPER_RULES_IN_FORCE;

    for (enum family family = IPV4; family < FAMILIES; family++)
        if (fw->xtables.in_use[family] && !fw->unsure[family])
            found = worse_of(found, helper_iptables_look(fw, family, grants, why));
    return found;
}

enum helper_rules helper_firewall_rules(const struct firewall *fw)
{
    return worse_of(fw->state[IPV4], fw->state[IPV6]);
}

bool helper_firewall_is_unsure(const struct firewall *fw, enum family family)
{
    return fw->unsure[family];
}

/* ---- changing ----------------------------------------------------------- */

/* A jump stays wherever an admin put it. */
static bool find_missing(struct transaction *t, struct error *why)
{
    for (size_t i = 0; i < RULES_JUMPS; i++) {
        enum restore_result result = RESTORE_DONE;

        if (t->fw->rules[t->family].wants[i])
            result = jump_run(t->fw->xtables.paths[t->family], "-C", &rules_jumps[i], why);
        if (result != RESTORE_DONE && result != RESTORE_REFUSED)
            return false;
        t->misses[i] = result == RESTORE_REFUSED;
    }
    return true;
}

/* The set comes before the rules that refer to it. So what was closed is taken out of it
 * whatever is the matter with iptables. A transaction may be refused as another program has
 * changed things in between. */
static bool establish(struct firewall *fw, enum family family, const struct grants *grants,
                      struct error *why)
{
    struct transaction t = {.fw = fw, .grants = grants, .family = family,
                            .deed = IPTABLES_ESTABLISH};
    enum restore_result result = RESTORE_BUSY;

    for (int i = 0; i < TRIES && result != RESTORE_DONE && result != RESTORE_IMPOSSIBLE; i++)
        result = (!fw->uses_set || helper_set_fill(&fw->set, family, grants, why)) &&
                         find_missing(&t, why)
                     ? run(&t, &fw->restore[family], why)
                     : RESTORE_BUSY;
    fw->unsure[family] = result != RESTORE_DONE;
    note_state(fw, family, fw->unsure[family] ? HELPER_RULES_UNKNOWN : HELPER_RULES_IN_FORCE);
    if (!fw->unsure[family])
        fw->has_rules[family] = has_rules(&t);
    return !fw->unsure[family];
}

/* Where a change is refused, or may be in force in part, all is written anew. Where all grants are
 * in the set, no program has to be run. */
bool helper_iptables_change(struct firewall *fw, enum family family, enum iptables_deed deed,
                            const struct grants *grants, struct error *why)
{
    struct transaction t = {.fw = fw, .grants = grants, .family = family, .deed = deed};
    bool has_some, runs, done = !fw->uses_set;

    if (!fw->xtables.in_use[family]) /* there is no firewall to tell of anything */
        return true;
    if (deed == IPTABLES_ESTABLISH || fw->unsure[family])
        return establish(fw, family, grants, why);
    has_some = has_rules(&t);
    runs = has_some || deed == IPTABLES_REFRESH ||
           (deed == IPTABLES_REWRITE && (!fw->uses_set || fw->has_rules[family]));
    if (fw->uses_set && deed == IPTABLES_REFRESH)
        done = helper_set_fill(&fw->set, family, grants, why);
    else if (fw->uses_set)
        done = helper_set_update(&fw->set, family, grants, why);
    if (!done || (runs && run(&t, &fw->restore[family], why) != RESTORE_DONE))
        return establish(fw, family, grants, why);
    fw->has_rules[family] = has_some || (deed == IPTABLES_INSERT && fw->has_rules[family]);
    return true;
}

/* To extend a rule takes rewriting; to extend an element of a set does not. */
static enum iptables_deed deed_for(const struct firewall *fw, enum family family,
                                   const struct grants *grants)
{
    if (grants->changes[family] >= GRANTS_REMOVED)
        return IPTABLES_REWRITE;
    for (size_t i = 0; i < grants->count && grants->changes[family] == GRANTS_EXTENDED; i++) {
        const struct grant *grant = &grants->items[i];

        if (grant->touched && grant->deadline_before != 0 &&
            address_family(&grant->address) == family && is_rule(fw, grant))
            return IPTABLES_REWRITE;
    }
    return IPTABLES_INSERT;
}

bool helper_firewall_change(struct firewall *fw, struct grants *grants, struct error *why)
{
    bool all_done = true;

    for (enum family family = IPV4; family < FAMILIES; family++) {
        bool done;

        if (grants->changes[family] == GRANTS_UNCHANGED)
            continue;
        done = helper_iptables_change(fw, family, deed_for(fw, family, grants), grants, why);
        helper_grants_settle(grants, family, done);
        all_done = all_done && done;
    }
    return all_done;
}

/* Somebody may have restored rules of grants that have ended. And ip6tables-legacy may take other
 * rules for ours. */
bool helper_firewall_mend(struct firewall *fw, const struct grants *grants, struct error *why)
{
    bool done = true;

    for (enum family family = IPV4; family < FAMILIES; family++) {
        const bool is_known = fw->xtables.backend == BACKEND_LEGACY && family == IPV4;

        if (fw->state[family] == HELPER_RULES_MISSING || fw->unsure[family])
            done = helper_iptables_change(fw, family, IPTABLES_ESTABLISH, grants, why) && done;
        else if (fw->state[family] == HELPER_RULES_IN_FORCE && !is_known)
            done = helper_iptables_change(fw, family, IPTABLES_REFRESH, grants, why) && done;
    }
    return done;
}

/* ---- the end of the daemon ----------------------------------------------- */

/* nftables lets go of the set that a deleted rule referred to when the program that deleted the
 * rule ends, at the latest (nft_rcv_nl_event). */
void helper_iptables_remove_set(struct firewall *fw, enum family family)
{
    struct error unused;

    if (fw->uses_set || helper_set_remove(&fw->set, family, &unused))
        return;
    restore_end(&fw->restore[family]);
    helper_set_remove(&fw->set, family, &unused);
}

/* Doors shut even without iptables. */
static bool clear_family(struct firewall *fw, enum family family, const struct grants *grants,
                         struct error *why)
{
    bool done = false;

    if (fw->setup->grant_store == GRANT_STORE_SET)
        helper_set_fill(&fw->set, family, grants, why);
    for (int i = 0; i < CLEAR_TRIES && !done; i++)
        done = helper_iptables_change(fw, family, IPTABLES_REWRITE, grants, why);
    if (done)
        helper_iptables_remove_set(fw, family);
    return done;
}

bool helper_firewall_clear(struct firewall *fw, const struct grants *grants, struct error *why)
{
    bool done = true;

    fw->uses_set = false;
    for (enum family family = IPV4; family < FAMILIES; family++)
        done = clear_family(fw, family, grants, why) && done;
    return done;
}
