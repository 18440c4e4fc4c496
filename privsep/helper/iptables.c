/* Keeps the rules of grants in force: it fills the holes of the plan's transactions
 * (privsep/rules.h), and has them run. */
#include "privsep/helper/iptables.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/log.h"
#include "privsep/xtables/text.h"

#define XTABLES_LOCK "xtables.lock" /* in /run */

enum {
    TRIES = 3, /* to establish */
    CLEAR_TRIES = 5,
    FEW_GONE = 4, /* of how many grants rules are taken out one by one: iptables looks for each */
    NEW_PACKETS = 3, /* of a connection */
    LITTER_MUCH = 256, /* grants with rules to be swept out soon */
    SOON_MS = 250,
    LATER_MS = 10000,
};

const int64_t helper_firewall_last_date = RULES_LAST_DATE;

/* ---- beginning and end --------------------------------------------------- */

struct firewall *helper_firewall_open(const struct plan *plan)
{
    struct firewall *fw = calloc(1, sizeof *fw);

    if (!fw)
        fatal("no memory for the firewall");
    fw->plan = plan;
    for (enum family family = IPV4; family < FAMILIES; family++) {
        fw->state[family] = HELPER_RULES_IN_FORCE;
        restore_init(&fw->restore[family], plan_part(plan, &plan->families[family].path, 1, NULL));
    }
    fw->sets.plan = plan;
    if (helper_sets)
        helper_sets->open(&fw->sets.kernel);
    return fw;
}

void helper_firewall_begin(struct firewall *fw, struct granttable *table)
{
    _Static_assert(RESTORE_STARTED * (int)FAMILIES == (int)GRANTTABLE_RESTORES, "all have room");
    for (enum family family = IPV4; family < FAMILIES; family++) {
        fw->restore[family].started = table->restores[family];
        if (fw->plan->families[family].in_use)
            restore_try_standing(&fw->restore[family]);
    }
}

void helper_firewall_close(struct firewall *fw)
{
    for (enum family family = IPV4; family < FAMILIES; family++)
        restore_end(&fw->restore[family]);
    if (helper_sets)
        helper_sets->close(&fw->sets.kernel);
    free(fw);
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

static bool uses_set(const struct firewall *fw)
{
    return helper_sets && fw->plan->grant_store == GRANT_STORE_SET;
}

/* The next helper can use a new lock, and open a new socket for sets: this one is confined. */
void helper_firewall_check(const struct firewall *fw)
{
    if (fw->plan->backend == BACKEND_LEGACY && is_lock_lost())
        fatalx("the xtables lock was removed or replaced: starting again");
    if (uses_set(fw) && fw->sets.kernel.fd < 0)
        fatalx("the kernel does not answer about sets any more: starting again");
}

/* ---- transactions ------------------------------------------------------- */

struct transaction {
    struct firewall *fw;
    const struct grants *grants;
    enum family family;
    enum rules_text what;
    const char *action; /* of the rules at hand */
    bool misses[RULES_JUMPS]; /* jumps that are wanted, and not there */
    FILE *out;
};

/* Everything that is written is a number, or text of ours, or comes out of inet_ntop: no text from
 * outside ever reaches iptables. */

static const char *text_of(const struct transaction *t, size_t text)
{
    const struct plan *plan = t->fw->plan;

    return plan_part(plan, &plan->families[t->family].texts[text], 1, NULL);
}

/* Writes a text up to its next hole. Returns what is behind that; NULL at the text's end. */
static const char *write_to_hole(FILE *out, const char *text)
{
    const char *hole = strchrnul(text, RULES_HOLE);

    fwrite(text, 1, (size_t)(hole - text), out);
    return *hole ? hole + 1 : NULL;
}

static void write_address(FILE *out, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];

    fputs(address_format(address, text), out);
}

static void fill_hole(const struct transaction *t, const struct grant *grant, enum rules_hole hole)
{
    switch (hole) {
    case RULES_ACTION:
        fputs(t->action, t->out);
        break;
    case RULES_SOURCE:
        write_address(t->out, &grant->address);
        break;
    case RULES_PORT:
        fprintf(t->out, "%u", grant->service.port);
        break;
    case RULES_HOST:
        write_address(t->out, &grant->destination);
        break;
    case RULES_HOST_PORT:
        fprintf(t->out, "%u", grant->destination_port);
        break;
    case RULES_DATE:
        rules_write_date(t->out, grant->last_second);
        break;
    case RULES_PACKETS:
        fprintf(t->out, "%u", NEW_PACKETS * grant->connections);
        break;
    case RULES_LIMIT:
        fprintf(t->out, "%08x-%x", grant->id, grant->allowance);
        break;
    case RULES_KEY:
        for (size_t i = 0; i < KEY_ID_SIZE; i++)
            fprintf(t->out, "%02x", grant->key_id[i]);
        break;
    }
}

static void write_grant(const struct transaction *t, const struct grant *grant, size_t place)
{
    const size_t kind = (grant->service.protocol == IPPROTO_UDP ? RULES_UDP : 0) |
                        (grant->connections ? RULES_LIMITED : 0) |
                        (grant->destination_port ? RULES_SENT_ON : 0);
    const char *text = text_of(t, RULES_OF_GRANTS + kind * RULES_PLACES + place);

    t->fw->has_rules[t->family] = true;
    while ((text = write_to_hole(t->out, text)))
        fill_hole(t, grant, (unsigned char)*text++);
}

/* Whether the grant is one of the family's, and is kept as a rule. */
static bool is_rule(const struct firewall *fw, enum family family, const struct grant *grant)
{
    return address_family(&grant->address) == family &&
           (!uses_set(fw) || !helper_sets->holds(grant));
}

/* Whether rules are to be written for a grant. One that was asked for again may end when it did
 * before: its rules are there. */
static bool is_written(const struct transaction *t, const struct grant *grant)
{
    return (t->what != RULES_INSERT ||
            (grant->touched && grant->deadline != grant->deadline_before)) &&
           is_rule(t->fw, t->family, grant);
}

/* The newest first. No rule stands above those of grants in their chains. So a new grant's rule
 * goes to the top: iptables-nft reads all rules of a chain to find any other place in it. */
static void write_grants(struct transaction *t, size_t place)
{
    t->action = "-D";
    for (size_t i = 0; i < t->grants->gone_count && t->what == RULES_INSERT; i++)
        if (is_rule(t->fw, t->family, &t->grants->gone[i]))
            write_grant(t, &t->grants->gone[i], place);
    t->action = t->what == RULES_INSERT ? "-I" : t->what == RULES_CHECK ? "-C" : "-A";
    for (size_t i = t->grants->count; i-- > 0;)
        if (is_written(t, &t->grants->items[i]))
            write_grant(t, &t->grants->items[i], place);
}

static enum restore_result run(struct transaction *t, struct error *why)
{
    const char *script = text_of(t, t->what);
    struct text text;

    text_begin(&text);
    t->out = text.out;
    if (t->what != RULES_INSERT && t->what != RULES_CHECK) { /* all that there were go */
        t->fw->has_rules[t->family] = false;
        t->fw->litter[t->family] = 0;
    }
    while ((script = write_to_hole(t->out, script))) {
        const size_t hole = (unsigned char)*script++;

        if (hole < RULES_JUMP)
            write_grants(t, hole - RULES_GRANTS);
        else if (t->misses[hole - RULES_JUMP])
            fputs(text_of(t, RULES_MISSING + hole - RULES_JUMP), t->out);
    }
    return restore_run(&t->fw->restore[t->family], &text, why);
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
    static struct grants none; /* not const: its zeros would take up room in the program's file */
    bool checks_grants = fw->plan->backend == BACKEND_LEGACY || grants->count <= FEW;
    struct transaction t = {.fw = fw, .grants = checks_grants ? grants : &none,
                            .family = family, .what = RULES_CHECK};
    enum restore_result result = run(&t, why);
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
        if (fw->plan->families[family].in_use && !fw->unsure[family])
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

/* Asks for each jump alone: a program that is kept running ends at the first refusal. */
static bool find_missing(struct transaction *t, struct error *why)
{
    for (size_t i = 0; i < RULES_JUMPS; i++) {
        const char *question = text_of(t, RULES_QUESTIONS + i);
        enum restore_result result;
        struct text text;

        if (*question == '\0')
            continue;
        text_begin(&text);
        fputs(question, text.out);
        result = restore_run_once(t->fw->restore[t->family].path, &text, why);
        if (result != RESTORE_DONE && result != RESTORE_REFUSED)
            return false;
        t->misses[i] = result == RESTORE_REFUSED;
    }
    return true;
}

static bool change_set(const struct transaction *t, struct error *why)
{
    struct sets *sets = &t->fw->sets;

    if (!uses_set(t->fw))
        return true;
    return t->what == RULES_REFRESH ? helper_sets->fill(sets, t->family, t->grants, why)
                                    : helper_sets->update(sets, t->family, t->grants, why);
}

/* The set comes before the rules that refer to it. So what was closed is taken out of it
 * whatever is the matter with iptables. A transaction may be refused as another program has
 * changed things in between. */
bool helper_iptables_establish(struct firewall *fw, enum family family,
                               const struct grants *grants, struct error *why)
{
    struct transaction t = {.fw = fw, .grants = grants, .family = family, .what = RULES_REFRESH};
    enum restore_result result = RESTORE_BUSY;

    for (int i = 0; i < TRIES && result != RESTORE_DONE && result != RESTORE_IMPOSSIBLE; i++)
        result = change_set(&t, why) && find_missing(&t, why) ? run(&t, why) : RESTORE_BUSY;
    fw->unsure[family] = result != RESTORE_DONE;
    note_state(fw, family, fw->unsure[family] ? HELPER_RULES_UNKNOWN : HELPER_RULES_IN_FORCE);
    return !fw->unsure[family];
}

/* Whether rules change: where all grants are in the set, and were, no program has to be run. */
static bool changes_rules(const struct transaction *t)
{
    if (t->what == RULES_REFRESH || (t->what == RULES_REWRITE && t->fw->has_rules[t->family]))
        return true;
    for (size_t i = 0; i < t->grants->count; i++)
        if (is_written(t, &t->grants->items[i]))
            return true;
    for (size_t i = 0; i < t->grants->gone_count; i++)
        if (is_rule(t->fw, t->family, &t->grants->gone[i]))
            return true;
    return false;
}

/* Where a change is refused, or may be in force in part, all is written anew. */
bool helper_iptables_change(struct firewall *fw, enum family family, enum rules_text what,
                            const struct grants *grants, struct error *why)
{
    struct transaction t = {.fw = fw, .grants = grants, .family = family, .what = what};

    if (!fw->plan->families[family].in_use) /* there is no firewall to tell of anything */
        return true;
    return (!fw->unsure[family] && change_set(&t, why) &&
            (!changes_rules(&t) || run(&t, why) == RESTORE_DONE)) ||
           helper_iptables_establish(fw, family, grants, why);
}

/* Drops from `gone` the grants whose rules are litter. The kernel has shut most of these. The others
 * have moved: after a change that takes rules out, iptables-nft's next one has to wait for some 15
 * ms, until no processor looks at them any more. So the change that lets the client in takes out
 * none. A grant that left for the other family, so that nothing is new, is shut at once. Returns
 * whether the rules of the rest can be taken out one by one: they are few, and each such grant is
 * known to have one rule in a place. ip6tables-legacy may take another rule for it. */
static bool review_gone(struct firewall *fw, enum family family, struct grants *grants)
{
    const bool is_known = fw->plan->backend == BACKEND_NFT || family == IPV4;
    const int64_t second = clock_wall_ns() / NSEC_PER_SEC;
    size_t kept = 0, open = 0;

    for (size_t i = 0; i < grants->gone_count; i++) {
        const struct grant gone = grants->gone[i];
        const bool is_shut = second > gone.last_second, is_ours = is_rule(fw, family, &gone);

        if (is_ours && (is_shut || (gone.end == END_MOVED && grants->touched_count > 0))) {
            fw->litter[family] += is_shut ? 1 : LITTER_MUCH;
            continue;
        }
        if (is_ours)
            open += is_known && !gone.touched && !gone.was_extended ? 1 : FEW_GONE + 1;
        grants->gone[kept++] = gone;
    }
    grants->gone_count = kept;
    return open <= FEW_GONE;
}

/* Returns whether the grants that were extended want new rules and no more: the older ones are
 * litter then. An older one that has something left of its limit would let that in besides. A new
 * one that sends its door on would stand above those that send the same door on elsewhere. */
static bool review_extended(struct firewall *fw, enum family family, const struct grants *grants)
{
    for (size_t i = 0; i < grants->count; i++) {
        const struct grant *grant = &grants->items[i];

        if (!grant->touched || grant->deadline_before == 0 || !is_rule(fw, family, grant))
            continue;
        if (grant->connections != 0 || grant->destination_port != 0)
            return false;
        fw->litter[family] += grant->deadline != grant->deadline_before;
    }
    return true;
}

static enum rules_text choose_change(struct firewall *fw, enum family family,
                                     struct grants *grants)
{
    const enum grants_change change = grants->changes[family];
    const bool can_insert = change != GRANTS_FORGOTTEN && review_gone(fw, family, grants) &&
                            (change == GRANTS_ADDED || review_extended(fw, family, grants));

    return can_insert ? RULES_INSERT : RULES_REWRITE;
}

bool helper_firewall_change(struct firewall *fw, struct grants *grants, struct error *why)
{
    bool all_done = true;

    for (enum family family = IPV4; family < FAMILIES; family++) {
        bool done;

        if (grants->changes[family] == GRANTS_UNCHANGED)
            continue;
        done = helper_iptables_change(fw, family, choose_change(fw, family, grants), grants, why);
        helper_grants_settle(grants, family, done);
        all_done = all_done && done;
    }
    return all_done;
}

int64_t helper_firewall_litter(const struct firewall *fw)
{
    const size_t litter = fw->litter[IPV4] + fw->litter[IPV6];

    return litter == 0 ? 0 : litter < LITTER_MUCH ? LATER_MS : SOON_MS;
}

/* Somebody may have restored rules of grants that have ended. And ip6tables-legacy may take other
 * rules for ours. Litter is taken out even if what else is there cannot be seen. */
bool helper_firewall_mend(struct firewall *fw, const struct grants *grants, struct error *why)
{
    bool done = true;

    for (enum family family = IPV4; family < FAMILIES; family++) {
        const bool is_sure = fw->plan->backend == BACKEND_LEGACY && family == IPV4;
        const bool is_seen = fw->state[family] == HELPER_RULES_IN_FORCE;

        if (fw->state[family] == HELPER_RULES_MISSING || fw->unsure[family])
            done = helper_iptables_establish(fw, family, grants, why) && done;
        else if (fw->litter[family] > 0 || (is_seen && !is_sure))
            done = helper_iptables_change(fw, family, RULES_REFRESH, grants, why) && done;
    }
    return done;
}

/* ---- the end of the daemon ----------------------------------------------- */

/* nftables lets go of the set that a deleted rule referred to when the program that deleted the
 * rule ends, at the latest (nft_rcv_nl_event). */
void helper_iptables_remove_set(struct firewall *fw, enum family family)
{
    struct error unused;

    if (helper_sets->remove(&fw->sets, family, &unused))
        return;
    restore_end(&fw->restore[family]);
    helper_sets->remove(&fw->sets, family, &unused);
}

/* Doors shut even without iptables. */
static bool clear_family(struct firewall *fw, enum family family, const struct grants *grants,
                         struct error *why)
{
    struct transaction t = {.fw = fw, .grants = grants, .family = family, .what = RULES_CLEAR};
    enum restore_result result = RESTORE_BUSY;

    if (uses_set(fw))
        helper_sets->fill(&fw->sets, family, grants, why);
    for (int i = 0; i < CLEAR_TRIES && result != RESTORE_DONE; i++)
        result = run(&t, why);
    if (result == RESTORE_DONE && uses_set(fw))
        helper_iptables_remove_set(fw, family);
    return result == RESTORE_DONE;
}

bool helper_firewall_clear(struct firewall *fw, const struct grants *grants, struct error *why)
{
    bool done = true;

    for (enum family family = IPV4; family < FAMILIES; family++)
        if (fw->plan->families[family].in_use)
            done = clear_family(fw, family, grants, why) && done;
    return done;
}
