/* The writer for a table of nf_tables (elements.h). It runs no program. Where nobody else can
 * change the table, nothing is ever looked for. Else what another program has changed is not looked
 * for in every place, but after each of its changes all is made anew. */
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "privsep/helper/elements.h"
#include "privsep/helper/firewall.h"
#include "privsep/nftables/glance.h"

enum { CLEAR_TRIES = 5 };

const int64_t helper_firewall_last_date = INT64_MAX;

struct firewall {
    bool is_owned;
    struct elements elements;
    struct sockaddr_nl name; /* of its socket */
    int error; /* of the last change; 0: the kernel has what the table of grants says */
    enum helper_rules state; /* as it was last seen */
    struct glance made;      /* taken when the table was last made anew; empty: it was not */
};

/* ---- beginning and end --------------------------------------------------- */

struct firewall *helper_firewall_open(const struct plan *plan)
{
    struct firewall *fw = calloc(1, sizeof *fw);
    socklen_t size = sizeof fw->name;

    if (!fw)
        fatal("no memory for the firewall");
    fw->is_owned = plan->table.owned;
    fw->state = HELPER_RULES_IN_FORCE;
    elements_open(&fw->elements, HELPER_FD_TABLE, plan);
    getsockname(HELPER_FD_TABLE, (struct sockaddr *)&fw->name, &size);
    return fw;
}

/* Nothing is to be started. The kernel tells of our changes by the socket's name. */
void helper_firewall_begin(struct firewall *fw, struct granttable *table)
{
    table->restores[IPV4][0] = fw->name.nl_pid;
}

void helper_firewall_close(struct firewall *fw)
{
    free(fw->elements.batch.bytes);
    free(fw);
}

/* ---- changing -------------------------------------------------------------- */

/* Takes note of how a change went. */
static bool note(struct firewall *fw, int error, struct error *why)
{
    fw->error = error;
    return error == 0 || error_set(why, "the table %s of nftables: %s", TABLE_NAME,
                                   error == EPERM ? "another program owns it" : strerror(error));
}

static bool establish(struct firewall *fw, const struct grants *grants, struct error *why)
{
    if (!note(fw, elements_establish(&fw->elements, grants), why))
        return false;
    fw->state = HELPER_RULES_IN_FORCE;
    if (!fw->is_owned && glance_take(&fw->made, &fw->elements.batch, fw->elements.fd) != 0)
        fw->made.size = 0;
    return true;
}

/* What is refused, or may be in force in part, is made anew as a whole. */
bool helper_firewall_change(struct firewall *fw, struct grants *grants, struct error *why)
{
    const enum grants_change most = grants->changes[IPV4] > grants->changes[IPV6]
                                        ? grants->changes[IPV4]
                                        : grants->changes[IPV6];
    bool done;

    if (most == GRANTS_UNCHANGED)
        return true;
    done = fw->error == 0 && most != GRANTS_FORGOTTEN &&
           elements_change(&fw->elements, grants) == 0;
    if (!done)
        done = establish(fw, grants, why);
    for (enum family family = IPV4; family < FAMILIES; family++)
        helper_grants_settle(grants, family, done);
    return done;
}

/* The kernel takes an element out when it ends: there is no litter. */
int64_t helper_firewall_litter(const struct firewall *fw)
{
    (void)fw;
    return 0;
}

bool helper_firewall_is_unsure(const struct firewall *fw, enum family family)
{
    (void)family;
    return fw->error != 0;
}

bool helper_firewall_clear(struct firewall *fw, const struct grants *grants, struct error *why)
{
    bool done = false;

    for (int i = 0; i < CLEAR_TRIES && !done; i++)
        done = establish(fw, grants, why);
    return done;
}

/* ---- looking --------------------------------------------------------------- */

/* Before this process has made the table there is nothing to compare with. */
enum helper_rules helper_firewall_look(struct firewall *fw, const struct grants *grants,
                                       struct error *why)
{
    static struct glance now;
    int error;

    (void)grants;
    if (fw->is_owned || fw->error != 0 || fw->made.size == 0)
        return HELPER_RULES_IN_FORCE;
    error = glance_take(&now, &fw->elements.batch, fw->elements.fd);
    if (error != 0) {
        error_set(why, "the table %s of nftables: %s", TABLE_NAME, strerror(error));
        fw->state = fw->state == HELPER_RULES_MISSING ? fw->state : HELPER_RULES_UNKNOWN;
        return HELPER_RULES_UNKNOWN;
    }
    fw->state = glance_is_same(&now, &fw->made) ? HELPER_RULES_IN_FORCE : HELPER_RULES_MISSING;
    return fw->state;
}

bool helper_firewall_mend(struct firewall *fw, const struct grants *grants, struct error *why)
{
    return (fw->is_owned && fw->error == 0) || establish(fw, grants, why);
}

enum helper_rules helper_firewall_rules(const struct firewall *fw)
{
    return fw->error != 0 && fw->state == HELPER_RULES_IN_FORCE ? HELPER_RULES_UNKNOWN : fw->state;
}

/* The next portsmith-prepare finds out who that is. */
void helper_firewall_check(const struct firewall *fw)
{
    if (fw->error == EPERM)
        fatalx("another program owns the table %s of nftables: starting again", TABLE_NAME);
}
