/* Keeps the rules of grants in force, each at its place in the text of rules.h. */
#include "privsep/helper/firewall.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "privsep/xtables/jump.h"
#include "privsep/xtables/text.h"

enum {
    TRIES = 3,
    NEW_PACKETS = 3, /* of a connection */
    LAST_DATE = 2147385600, /* 2038-01-18 00:00 UTC: iptables 1.8.9 refuses 2039, and
                               32-bit builds the day after this one */
};

void helper_firewall_open(struct firewall *fw, const struct helper_setup *setup,
                          const struct rules rules[static FAMILIES],
                          const struct xtables *xtables, const struct ipset *set)
{
    *fw = (struct firewall){.setup = setup,
                            .rules = rules,
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

/* The second is rounded up, so that the daemon ends the trial before the kernel does. */
void helper_firewall_follow_clock(struct firewall *fw)
{
    int64_t end = fw->setup->trial_end;

    if (end != 0)
        fw->trial_second =
            (clock_wall_ns() + (end - clock_boot_ns()) + NSEC_PER_SEC - 1) / NSEC_PER_SEC;
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

bool helper_firewall_is_rule(const struct firewall *fw, const struct grant *grant)
{
    return !fw->uses_set || !helper_set_holds(grant);
}

/* ---- the rules of a grant ----------------------------------------------- */

/* Everything here is a number or comes out of inet_ntop: no text from outside ever
 * reaches iptables. */

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

static int host_length(const struct address *address)
{
    return address_is_ipv4(address) ? 32 : 128;
}

static void write_source(FILE *out, const struct grant *grant, const char *action)
{
    char address[ADDRESS_TEXT_SIZE];

    fprintf(out, "%s -s %s/%d -p %s", action, address_format(&grant->address, address),
            host_length(&grant->address), service_protocol(&grant->service));
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
static void write_end(FILE *out, const struct grant *grant, char chain, const char *target)
{
    write_date(out, "--datestop", grant->last_second);
    if (grant->connections)
        fprintf(out, " -m hashlimit --hashlimit-upto 1/hour --hashlimit-burst %u --hashlimit-mode "
                     "srcip --hashlimit-htable-size 8 --hashlimit-name ps%c%08x-%x",
                NEW_PACKETS * grant->connections, chain, grant->id, grant->allowance);
    fputs(" -m comment --comment ", out);
    for (size_t i = 0; i < KEY_ID_SIZE; i++)
        fprintf(out, "%02x", grant->key_id[i]);
    fprintf(out, " -j %s\n", target);
}

static void write_by_port(FILE *out, const struct grant *grant, const char *action, char chain,
                          const char *match, const char *target)
{
    write_source(out, grant, action);
    fprintf(out, " -m %s --dport %u%s", service_protocol(&grant->service), grant->service.port,
            match);
    write_end(out, grant, chain, target);
}

static void write_shut(const struct firewall *fw, FILE *out, const struct grant *grant,
                       const char *action)
{
    (void)fw;
    write_by_port(out, grant, action, 'm', "", "RETURN");
}

/* SYNPROXY wants the SYNs that are not tracked for itself. And a connection that is counted,
 * or translated, is tracked. */
static bool admits_untracked(const struct firewall *fw, const struct grant *grant)
{
    return !fw->setup->has_synproxy && grant->connections == 0 && grant->destination_port == 0;
}

/* What leads to portsmith-open has looked at the state. */
static void write_open(const struct firewall *fw, FILE *out, const struct grant *grant,
                       const char *action)
{
    write_by_port(out, grant, action, 'f',
                  admits_untracked(fw, grant) ? "" : " -m conntrack --ctstate NEW", "ACCEPT");
}

/* The port that was knocked for is the one before any DNAT, ours or another's. What is not
 * tracked is not translated either, so that it still has its port. */
static void write_gateway(const struct firewall *fw, FILE *out, const struct grant *grant,
                          const char *action)
{
    char address[ADDRESS_TEXT_SIZE];

    if (!grant->destination_port && !fw->setup->forward)
        return;
    write_source(out, grant, action);
    if (grant->destination_port)
        fprintf(out, " -d %s/%d -m %s --dport %u", address_format(&grant->destination, address),
                host_length(&grant->destination), service_protocol(&grant->service),
                grant->destination_port);
    fprintf(out, " -m conntrack --ctstate NEW --ctorigdstport %u", grant->service.port);
    write_end(out, grant, 'g', "ACCEPT");
    if (fw->setup->forward && admits_untracked(fw, grant))
        write_by_port(out, grant, action, 'g',
                      grant->service.protocol == IPPROTO_TCP
                          ? " --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate UNTRACKED"
                          : " -m conntrack --ctstate UNTRACKED", "ACCEPT");
}

/* No other host's traffic that only comes by is sent astray: LOCAL is what table `local`
 * has, and, of the interface that the packet came in by, what the table of its VRF has. */
static void write_sending(const struct firewall *fw, FILE *out, const struct grant *grant,
                          const char *action)
{
    char address[ADDRESS_TEXT_SIZE], target[2 * ADDRESS_TEXT_SIZE];

    (void)fw;
    if (!grant->destination_port)
        return;
    address_format(&grant->destination, address);
    snprintf(target, sizeof target,
             address_is_ipv4(&grant->destination) ? "DNAT --to-destination %s:%u"
                                                  : "DNAT --to-destination [%s]:%u",
             address, grant->destination_port);
    write_by_port(out, grant, action, 'n', " -m addrtype --dst-type LOCAL", target);
    write_by_port(out, grant, action, 'n', " -m addrtype --dst-type LOCAL --limit-iface-in",
                  target);
}

/* What a grant has at each place. */
static void (*const writers[RULES_PLACES])(const struct firewall *fw, FILE *out,
                                           const struct grant *grant, const char *action) = {
    [PLACE_SHUT] = write_shut,
    [PLACE_OPEN] = write_open,
    [PLACE_GATEWAY] = write_gateway,
    [PLACE_SENDING] = write_sending,
};

/* ---- transactions ------------------------------------------------------- */

/* What a transaction does. */
enum deed {
    INSERT,  /* adds the grants that are new in this batch */
    REWRITE, /* writes the chains with grants anew */
    WHOLE,   /* writes all chains anew, and adds jumps */
    CHECK,   /* is refused unless all that WHOLE writes is there */
};

enum jump_place {
    JUMP_MISSING,
    JUMP_STANDS,
    JUMP_MOVES, /* it is there, and is to be moved to the top */
};

struct transaction {
    const struct firewall *fw;
    const struct grants *grants;
    enum family family;
    enum deed deed;
    const enum jump_place *jumps; /* WHOLE: each of rules_jumps. NULL: all that are wanted are
                                     where they belong */
    FILE *out;
};

/* The next grant that a rule is to be written for. NULL: there are no more. */
static const struct grant *next_rule(const struct transaction *t, struct grants_cursor *cursor)
{
    const struct grant *grant;

    do
        grant = t->deed == INSERT ? helper_grants_next_touched(t->grants, cursor)
                                  : helper_grants_next(t->grants, cursor);
    while (grant && !(address_family(&grant->address) == t->family &&
                      helper_firewall_is_rule(t->fw, grant)));
    return grant;
}

static bool has_rules(const struct transaction *t)
{
    struct grants_cursor cursor = helper_grants_begin(t->grants);

    return next_rule(t, &cursor) != NULL;
}

static void write_grants(const struct transaction *t, enum rules_place place, const char *action)
{
    struct grants_cursor cursor = helper_grants_begin(t->grants);
    const struct grant *grant;

    while ((grant = next_rule(t, &cursor)))
        writers[place](t->fw, t->out, grant, action);
}

/* The kernel ends a trial even where nobody is left who could. */
static void write_trial_ends(const struct transaction *t, enum rules_table table)
{
    static const struct place ends[] = {{RULES_MANGLE, "portsmith"},
                                        {RULES_MANGLE, "portsmith-input"},
                                        {RULES_MANGLE, "portsmith-translated"},
                                        {RULES_FILTER, "portsmith"}};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (ends[i].table != table)
            continue;
        fprintf(t->out, "%s %s", t->deed == CHECK ? "-C" : "-I", ends[i].chain);
        write_date(t->out, "--datestart", t->fw->trial_second);
        fputs(" -j RETURN\n", t->out);
    }
}

static void write_place(const struct transaction *t, enum rules_place place)
{
    static const char *const actions[] = {[INSERT] = "-I", [REWRITE] = "-A", [WHOLE] = "-A",
                                          [CHECK] = "-C"};
    const struct place_text *text = &t->fw->rules[t->family].places[place];
    const bool writes_anew = t->deed == REWRITE || t->deed == WHOLE;
    const char *chain = rules_places[place].chain;
    char action[64];

    if (!text->wanted)
        return;
    if (writes_anew)
        fprintf(t->out, ":%s - [0:0]\n", chain);
    snprintf(action, sizeof action, "%s %s", actions[t->deed], chain);
    write_grants(t, place, action);
    if (writes_anew && t->fw->uses_set)
        fputs(text->sets.bytes, t->out);
    if (writes_anew)
        fputs(text->below.bytes, t->out);
}

static void write_table(const struct transaction *t, enum rules_table table)
{
    const struct rules *rules = &t->fw->rules[t->family];

    fprintf(t->out, "*%s\n", rules_tables[table]);
    for (enum rules_place place = 0; place < RULES_PLACES; place++)
        if (rules_places[place].table == table)
            write_place(t, place);
    if (t->deed == WHOLE)
        fputs(rules->fixed[table].bytes, t->out);
    if (t->deed == CHECK)
        fputs(rules->checks[table].bytes, t->out);
    if (t->fw->trial_second != 0 && (t->deed == WHOLE || t->deed == CHECK))
        write_trial_ends(t, table);
    for (size_t i = 0; t->deed == WHOLE && t->jumps && i < RULES_JUMPS; i++) {
        const struct jump *jump = &rules_jumps[i];

        if (!rules->wants[i] || t->jumps[i] == JUMP_STANDS ||
            strcmp(jump->table, rules_tables[table]) != 0)
            continue;
        if (t->jumps[i] == JUMP_MOVES)
            fprintf(t->out, "-D %s -j %s\n", jump->from, jump->to);
        fprintf(t->out, "-I %s 1 -j %s\n", jump->from, jump->to);
    }
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
    return restore_run_text(restore, &text, why);
}

/* ---- looking ------------------------------------------------------------ */

static void note_state(struct firewall *fw, enum family family, enum firewall_state state)
{
    if (state != FIREWALL_UNREADABLE || fw->state[family] == FIREWALL_INTACT)
        fw->state[family] = state;
}

/* To look for many grants takes long, as iptables compares each with all rules of its chain.
 * With nft they need not be looked for: whoever looks writes them anew in any case. */
enum firewall_state helper_firewall_look(struct firewall *fw, enum family family,
                                         const struct grants *grants, struct error *why)
{
    enum { FEW = 64 };
    static const struct grants none = {.count = 0};
    bool checks_grants = fw->xtables.backend == BACKEND_LEGACY || grants->count <= FEW;
    struct transaction t = {.fw = fw, .grants = checks_grants ? grants : &none,
                            .family = family, .deed = CHECK};
    enum restore_result result = run(&t, &fw->restore[family], why);
    enum firewall_state state = result == RESTORE_DONE      ? FIREWALL_INTACT
                                : result == RESTORE_REFUSED ? FIREWALL_DAMAGED
                                                            : FIREWALL_UNREADABLE;

    note_state(fw, family, state);
    return state;
}

/* ---- changing ----------------------------------------------------------- */

static bool fill_set(struct firewall *fw, enum family family, const struct grants *grants,
                     struct error *why)
{
    return !fw->uses_set || helper_set_fill(&fw->set, family, grants, why);
}

static void note_written(struct firewall *fw, enum family family, struct grants *grants)
{
    const struct transaction all = {.fw = fw, .grants = grants, .family = family,
                                    .deed = REWRITE};

    fw->unsure[family] = false;
    fw->has_rules[family] = has_rules(&all);
    helper_grants_forget_gone(grants, family);
}

/* A jump stays wherever an admin put it. But once its chain is to refuse what is marked, and
 * does not yet, it goes to the top: what is above it was harmless while mangle dropped all
 * that is shut, and may accept it now. */
static bool find_jumps(const struct firewall *fw, enum family family,
                       enum jump_place jumps[static RULES_JUMPS], struct error *why)
{
    const char *path = fw->xtables.paths[family];

    for (size_t i = 0; i < RULES_JUMPS; i++) {
        bool refuses = fw->setup->close_with_reset && rules_refusals[i].table;
        enum restore_result result = RESTORE_REFUSED;

        if (fw->rules[family].wants[i])
            result = jump_run(path, "-C", &rules_jumps[i], why);
        jumps[i] = result == RESTORE_DONE ? JUMP_STANDS : JUMP_MISSING;
        if (result == RESTORE_DONE && refuses) {
            result = jump_run(path, "-C", &rules_refusals[i], why);
            jumps[i] = result == RESTORE_DONE ? JUMP_STANDS : JUMP_MOVES;
        }
        if (result != RESTORE_DONE && result != RESTORE_REFUSED)
            return false;
    }
    return true;
}

/* The set comes before the rules that refer to it. So what was closed is taken out of it
 * whatever is the matter with iptables. */
static enum restore_result try_establish(struct firewall *fw, enum family family,
                                         const struct grants *grants, struct error *why)
{
    enum jump_place jumps[RULES_JUMPS];
    struct transaction t = {.fw = fw, .grants = grants, .family = family, .deed = WHOLE,
                            .jumps = jumps};

    if (!fill_set(fw, family, grants, why) || !find_jumps(fw, family, jumps, why))
        return RESTORE_BUSY;
    return run(&t, &fw->restore[family], why);
}

/* Removes a set that an earlier configuration made. nftables lets go of the set that a
 * deleted rule referred to when the program that deleted the rule ends, at the latest
 * (nft_rcv_nl_event). A set that another program's rule refers to stays: it is theirs. */
static void remove_unused_set(struct firewall *fw, enum family family)
{
    struct error unused;

    if (fw->uses_set || helper_set_remove(&fw->set, family, &unused))
        return;
    restore_end(&fw->restore[family]);
    helper_set_remove(&fw->set, family, &unused);
}

/* Removes a chain that no jump of ours leads to. One that another program's rule leads to
 * stays; but it is empty, and that will do. */
static bool take_down(const char *path, const char *table, const char *chain, struct error *why)
{
    enum restore_result result = chains_remove(path, table, &chain, 1, why);

    return result == RESTORE_DONE || result == RESTORE_REFUSED;
}

/* Removes what an earlier configuration or an earlier version left. The nat table is left
 * alone where asking for a chain in it would make it. */
static bool remove_left_over(const struct firewall *fw, enum family family, struct error *why)
{
    const struct rules *rules = &fw->rules[family];
    const struct place *through = &rules_places[PLACE_GATEWAY];
    const char *path = fw->xtables.paths[family];

    for (size_t i = 0; i < RULES_JUMPS; i++) {
        const struct jump *jump = &rules_jumps[i];
        bool is_nat = strcmp(jump->table, rules_tables[RULES_NAT]) == 0;

        if (!rules->wants[i] && (!is_nat || fw->xtables.has_nat[family]) &&
            (jump_remove(path, jump, why) != RESTORE_DONE ||
             !take_down(path, jump->table, jump->to, why)))
            return false;
    }
    return rules->places[PLACE_GATEWAY].wanted ||
           take_down(path, rules_tables[through->table], through->chain, why);
}

bool helper_firewall_establish(struct firewall *fw, enum family family, struct grants *grants,
                               struct error *why)
{
    enum restore_result result = RESTORE_BUSY;

    /* REFUSED too: another program may have changed things in between. */
    for (int i = 0; i < TRIES && result != RESTORE_DONE && result != RESTORE_IMPOSSIBLE; i++)
        result = try_establish(fw, family, grants, why);
    fw->unsure[family] = result != RESTORE_DONE || !remove_left_over(fw, family, why);
    note_state(fw, family, fw->unsure[family] ? FIREWALL_UNREADABLE : FIREWALL_INTACT);
    if (fw->unsure[family])
        return false;
    note_written(fw, family, grants);
    remove_unused_set(fw, family);
    return true;
}

/* Where all grants are in the set, no program has to be run. */
bool helper_firewall_rewrite(struct firewall *fw, enum family family, struct grants *grants,
                             struct error *why)
{
    struct transaction t = {.fw = fw, .grants = grants, .family = family, .deed = REWRITE};
    bool has_some = !fw->uses_set || fw->has_rules[family] || has_rules(&t);

    if ((fw->uses_set && (fw->unsure[family] ||
                          !helper_set_update(&fw->set, family, grants, why))) ||
        (has_some && run(&t, &fw->restore[family], why) != RESTORE_DONE))
        return helper_firewall_establish(fw, family, grants, why);
    note_written(fw, family, grants);
    return true;
}

bool helper_firewall_refresh(struct firewall *fw, enum family family, struct grants *grants,
                             struct error *why)
{
    struct transaction t = {.fw = fw, .grants = grants, .family = family, .deed = WHOLE};

    if (!fill_set(fw, family, grants, why) || run(&t, &fw->restore[family], why) != RESTORE_DONE)
        return helper_firewall_establish(fw, family, grants, why);
    note_written(fw, family, grants);
    return true;
}

bool helper_firewall_insert(struct firewall *fw, enum family family, struct grants *grants,
                            struct error *why)
{
    struct transaction t = {.fw = fw, .grants = grants, .family = family, .deed = INSERT};
    bool has_some = has_rules(&t);

    fw->has_rules[family] |= has_some;
    if ((!fw->uses_set || helper_set_update(&fw->set, family, grants, why)) &&
        (!has_some || run(&t, &fw->restore[family], why) == RESTORE_DONE)) {
        helper_grants_forget_gone(grants, family);
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
