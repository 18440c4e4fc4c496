#include "privsep/prepare/nftprobe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/linux/kernel.h"
#include "privsep/flows.h"
#include "privsep/nftables/ability.h"
#include "privsep/nftables/asking.h"
#include "privsep/nftables/batch.h"
#include "privsep/nftables/table.h"

/* The name of what is tried; nothing of it is ever made. */
#define SCRATCH "portsmith-probe"

static struct netwriter writer;

/* A kernel that knows the message looks for the table first. To another it is invalid. */
static bool knows_destroy(int fd)
{
    batch_begin(&writer);
    batch_message(&writer, TABLE_DESTROY_ELEMENT, 0);
    netwriter_text(&writer, NFTA_SET_ELEM_LIST_TABLE, SCRATCH);
    netwriter_text(&writer, NFTA_SET_ELEM_LIST_SET, SCRATCH);
    netwriter_end(&writer);
    return batch_try(&writer, fd) == ENOENT;
}

/* ---- whose the table is -------------------------------------------------- */

static void take_owner(void *into, struct span answer)
{
    netlink_read(flows_attributes(answer), NFTA_TABLE_OWNER, into, sizeof(uint32_t));
}

/* Returns the port of the netlink socket that owns our table, as a rule its process's number; 0:
 * nobody knows. */
static uint32_t find_owner(void)
{
    int fd = netlink_open(NETLINK_NETFILTER);
    uint32_t port = 0;

    asking(&fd, NFT_MSG_GETTABLE, NFPROTO_INET, TABLE_NAME, NULL, take_owner, &port);
    if (fd >= 0)
        close(fd);
    return ntohl(port);
}

static void read_name(uint32_t process, char *name, int size)
{
    char path[sizeof "/proc/4294967295/comm"];
    FILE *file;

    snprintf(path, sizeof path, "/proc/%u/comm", process);
    file = fopen(path, "re");
    if (!file || !fgets(name, size, file))
        snprintf(name, (size_t)size, "a process that cannot be named");
    name[strcspn(name, "\n")] = '\0';
    if (file)
        fclose(file);
}

/* Whether the table can be made. One that a portsmithd keeps, which serves, is no obstacle where
 * nothing is to be made: *is_served. */
static bool is_free(int fd, const struct helper_setup *setup, bool *is_served, struct error *why)
{
    char name[sizeof "a process that cannot be named"];
    uint32_t process;

    *is_served = false;
    if (ability_try_table(fd, TABLE_NAME, 0) != EPERM)
        return true;
    process = find_owner();
    read_name(process, name, sizeof name);
    *is_served = setup->mode == HELPER_PROBE && strcmp(name, "portsmithd") == 0;
    return *is_served ||
           error_set(why, "the nftables table inet " TABLE_NAME " belongs to %s (process %u), and "
                          "nobody else can change it: end that", name, process);
}

/* ---- all of it ----------------------------------------------------------- */

static unsigned wishes(const struct helper_setup *setup, const struct table_form *form)
{
    return ABILITY_TO_SHUT | (setup->shut_with_reset ? ABILITY_TO_REJECT : 0) |
           (setup->sends_on ? ABILITY_TO_SEND_ON : 0) |
           (setup->trial_end ? ABILITY_TO_END_A_TRIAL : 0) | (form->counts ? ABILITY_TO_COUNT : 0);
}

/* Whether trying again may help: the kernel had no memory, or did not answer. */
static bool may_pass(int error)
{
    return error == ENOMEM || error == ENOBUFS || error == EIO || error == EAGAIN;
}

static enum probe_result give_up(int error, struct error *why)
{
    error_set(why, "the kernel's nf_tables could not be tried: %s", strerror(error));
    return PROBE_UNDECIDED;
}

enum probe_result nftprobe(int fd, const struct helper_setup *setup, struct table_form *form,
                           struct error *why)
{
    const int owned = ability_try_table(fd, SCRATCH, TABLE_OWNED);
    bool is_served;
    int error;

    *form = (struct table_form){.counts = form->counts, .is_owned = owned == 0};
    if (may_pass(owned))
        return give_up(owned, why);
    if (!ability_has_tables(fd, why) || !is_free(fd, setup, &is_served, why))
        return PROBE_UNUSABLE;
    form->destroys = knows_destroy(fd);
    if (is_served)
        return ability_has_features(fd, wishes(setup, form), why) ? PROBE_USABLE : PROBE_UNUSABLE;
    batch_begin(&writer);
    table_write(&writer, setup, form);
    error = batch_try(&writer, fd);
    if (may_pass(error))
        return give_up(error, why);
    if (error != 0 && ability_has_features(fd, wishes(setup, form), why))
        error_set(why, "this kernel does not take the nftables table inet " TABLE_NAME " (%s): "
                       "install one with all modules of nf_tables", strerror(error));
    return error == 0 ? PROBE_USABLE : PROBE_UNUSABLE;
}

bool nftprobe_sessions(int fd, struct table_form *form, struct error *why)
{
    form->tells_sessions =
        kernel_finds_sockets(why) && ability_has_features(fd, ABILITY_TO_TELL_SESSIONS, why);
    return form->tells_sessions;
}
