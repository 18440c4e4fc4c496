#include "daemon/portsmith-firewall/vianftables.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/linux/kernel.h"
#include "daemon/portsmith-firewall/closedtable.h"
#include "privsep/netlink.h"
#include "privsep/nftables/ability.h"
#include "privsep/nftables/asking.h"
#include "privsep/nftables/batch.h"

/* ---- changes ------------------------------------------------------------- */

/* Does a batch, or only tries it. 0 or an errno. */
static int do_plan(const struct plan *plan, const struct closed_table_means *means,
                   int (*by)(struct netwriter *w, int fd))
{
    struct netwriter w = {0};
    int fd = netlink_open(NETLINK_NETFILTER);
    int error = errno;

    if (fd >= 0) {
        batch_begin(&w);
        closed_table_write(&w, plan, means);
        error = by(&w, fd);
        close(fd);
    }
    free(w.bytes);
    return error;
}

/* Says what the kernel lacks, if it lacks something, and else what it said. */
static void explain(int error, const struct plan *plan, struct error *why)
{
    int fd = netlink_open(NETLINK_NETFILTER);

    if (ability_has_tables(fd, why) &&
        ability_has_features(fd, plan->on_trial ? ABILITY_TO_END_A_TRIAL : 0, why))
        error_set(why, "the table inet " CLOSED_TABLE " is refused by the kernel: %s%s",
                  strerror(error), error == EPERM ? "; is it another program's?" : "");
    if (fd >= 0)
        close(fd);
}

/* What came of a batch for this plan. */
static enum restore_result judge(int error, const struct plan *plan, struct error *why)
{
    if (error == 0)
        return RESTORE_DONE;
    explain(error, plan, why);
    if (error == EIO)
        return RESTORE_UNKNOWN;
    return error == ENOMEM || error == ENOBUFS ? RESTORE_BUSY : RESTORE_IMPOSSIBLE;
}

static struct closed_table_means means_of(const struct enforcer *e)
{
    return (struct closed_table_means){e->accept_mark, e->tells_sessions};
}

static enum restore_result put(const struct enforcer *e, const struct plan *plan,
                               const struct plan *before, struct error *why)
{
    const struct closed_table_means means = means_of(e);
    enum restore_result result = judge(do_plan(plan, &means, batch_send), plan, why);

    /* Without an answer it may have been done. */
    if (result == RESTORE_UNKNOWN && before)
        do_plan(before, &means, batch_send);
    return result;
}

static const struct plan nothing, something = {.is_confirmed = true};

bool via_nftables_can(struct error *why)
{
    return judge(do_plan(&something, &(struct closed_table_means){0}, batch_try), &something,
                 why) == RESTORE_DONE;
}

bool via_nftables_remove(struct error *why)
{
    return !via_nftables_finds(NFPROTO_INET, CLOSED_TABLE, NULL) ||
           judge(do_plan(&nothing, &(struct closed_table_means){0}, batch_send), &nothing, why) ==
               RESTORE_DONE;
}

static bool find_sessions(struct enforcer *e, struct error *why)
{
    struct closed_table_means means = {.tells_sessions = true};
    int error;

    e->tells_sessions = false;
    if (!kernel_finds_sockets(why))
        return false;
    error = do_plan(&something, &means, batch_try);
    e->tells_sessions = error == 0;
    return error == 0 || error_set(why, "the kernel does not take the rules that would: %s",
                                   strerror(error));
}

/* ---- questions ----------------------------------------------------------- */

/* What the kernel says of a table or chain. */
struct seen {
    bool is_there, is_hooked;
    uint32_t flags; /* of a table */
    uint32_t uses;  /* of a chain: its rules, and the ways into it */
};

static void take(void *into, struct span answer)
{
    const size_t head = sizeof(struct nfgenmsg);
    struct seen *seen = into;
    struct span in;

    if (answer.size < head)
        return;
    in = (struct span){answer.bytes + head, answer.size - head};
    seen->is_there = true;
    seen->is_hooked = netlink_find(in, NFTA_CHAIN_HOOK).bytes != NULL;
    if (netlink_read(in, NFTA_TABLE_FLAGS, &seen->flags, sizeof seen->flags))
        seen->flags = ntohl(seen->flags);
    if (netlink_read(in, NFTA_CHAIN_USE, &seen->uses, sizeof seen->uses))
        seen->uses = ntohl(seen->uses);
}

static struct seen look(uint8_t family, const char *table, const char *chain)
{
    int fd = netlink_open(NETLINK_NETFILTER);
    struct seen seen = {0};

    asking(&fd, chain ? NFT_MSG_GETCHAIN : NFT_MSG_GETTABLE, family, table, chain, take, &seen);
    if (fd >= 0)
        close(fd);
    return seen;
}

bool via_nftables_finds(uint8_t family, const char *table, const char *chain)
{
    return look(family, table, chain).is_there;
}

static struct seen look_at_own(const char *chain)
{
    return look(NFPROTO_INET, CLOSED_TABLE, chain);
}

bool via_nftables_finds_confirmed(void)
{
    return look_at_own(CLOSED_TABLE_CONFIRMED).is_there;
}

/* Both families share one table. A table with any flag is not as it was made: a dormant one does
 * nothing. Each part of the plan has a rule that leads to it, and one that leads from it to where
 * the rest is dropped. */
static bool looks_intact(const struct enforcer *e, enum family family, const struct plan *plan)
{
    const uint32_t parts = (uint32_t)plan->on_trial + (uint32_t)plan->is_confirmed;
    const struct seen table = look_at_own(NULL), input = look_at_own(CLOSED_TABLE_INPUT);
    char trial[CLOSED_TABLE_TRIAL_SIZE];

    (void)e;
    (void)family;
    closed_table_trial(trial, plan->until);
    return table.is_there && table.flags == 0 && input.is_hooked && input.uses >= parts &&
           look_at_own(CLOSED_TABLE_CLOSED).uses >= 1 + parts &&
           (!plan->on_trial || look_at_own(trial).is_there) &&
           (!plan->is_confirmed || look_at_own(CLOSED_TABLE_CONFIRMED).is_there);
}

const struct way via_nftables = {find_sessions, put, looks_intact};
