#include "privsep/prepare/nftprobe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/kernel.h"
#include "privsep/flows.h"
#include "privsep/nftables/asking.h"
#include "privsep/nftables/batch.h"
#include "privsep/nftables/expression.h"
#include "privsep/nftables/table.h"

/* The names of what is tried; nothing of them is ever made. */
#define SCRATCH "portsmith-probe"
#define CHAIN "tried"

/* What only some configurations use: bits. */
enum wish {
    TO_REJECT = 1,
    TO_SEND_ON = 2,
    TO_END_A_TRIAL = 4,
    TO_COUNT = 8,
    TO_TELL_SESSIONS = 16, /* of no configuration: nftprobe_sessions */
};

#define EXPRESSIONS(...) (const struct expression[]){__VA_ARGS__, EXPRESSION_END}

/* Everything that table.c writes and that a kernel may lack, with the names by which an admin
 * knows it. */
static const struct feature {
    const char *name, *origin;
    unsigned wishes; /* 0: always in use */
    const char *type; /* of the chain */
    unsigned hook;
    const struct expression *rule;
} features[] = {
    {"ct expression", "the module nft_ct (CONFIG_NFT_CT)", 0, "filter", NF_INET_PRE_ROUTING,
     EXPRESSIONS(CT(NFT_CT_STATE), IS_NOT(0), CT(NFT_CT_STATUS), MASK(IPS_DST_NAT), IS_NOT(0),
                 CT_ORIGINAL_AT(NFT_CT_PROTO_DST, 1), ACCEPT)},
    {"fib expression", "the module nft_fib_inet (CONFIG_NFT_FIB_INET)", 0, "filter",
     NF_INET_PRE_ROUTING,
     EXPRESSIONS(FIB_TYPE(NFTA_FIB_F_SADDR), IS(RTN_LOCAL),
                 FIB_TYPE(NFTA_FIB_F_DADDR | NFTA_FIB_F_IIF), IS(RTN_LOCAL), ACCEPT)},
    {"limit expression", "the module nft_limit (CONFIG_NFT_LIMIT)", TO_COUNT,
     "filter", NF_INET_PRE_ROUTING, EXPRESSIONS(LIMIT_WEEKLY(3), ACCEPT)},
    {"key iifkind of the meta expression", "Linux 5.1 or later", 0, "filter", NF_INET_PRE_ROUTING,
     EXPRESSIONS(META(NFT_META_IIFKIND), IS_TEXT("vrf"), ACCEPT)},
    {"reject expression before routing",
     "Linux 5.9 or later, with the module nft_reject_inet (CONFIG_NFT_REJECT_INET)", TO_REJECT,
     "filter", NF_INET_PRE_ROUTING,
     EXPRESSIONS(META(NFT_META_L4PROTO), IS_U8(IPPROTO_TCP), REJECT_WITH_RESET)},
    {"nat expression", "the modules nft_chain_nat and nft_nat (CONFIG_NFT_NAT)", TO_SEND_ON, "nat",
     NF_INET_PRE_ROUTING,
     EXPRESSIONS(META(NFT_META_NFPROTO), IS_U8(NFPROTO_IPV4),
                 PAYLOAD_AT(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, 0), META(NFT_META_L4PROTO),
                 PAYLOAD_AT(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1), DNAT(NFPROTO_IPV4, 1))},
    {"key time of the meta expression, without which a trial could not end by itself,",
     "Linux 5.4 or later", TO_END_A_TRIAL, "filter", NF_INET_PRE_ROUTING,
     EXPRESSIONS(META(NFT_META_TIME_NS), NETWORK_ORDER_U64, IS_AT_LEAST_U64(1), ACCEPT)},
    {"key cgroup of the meta expression", "CONFIG_CGROUP_NET_CLASSID", TO_TELL_SESSIONS, "filter",
     NF_INET_LOCAL_IN, EXPRESSIONS(META(NFT_META_CGROUP), IS_AT_LEAST(0), ACCEPT)},
    {"key ipsec of the meta expression", "CONFIG_XFRM", TO_TELL_SESSIONS, "filter",
     NF_INET_LOCAL_IN, EXPRESSIONS(META(NFT_META_SECPATH), IS_U8(1), ACCEPT)},
};

enum { FEATURES = sizeof features / sizeof *features };

static struct netwriter writer;

static void put_table(const char *name, uint32_t flags)
{
    batch_message(&writer, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    netwriter_text(&writer, NFTA_TABLE_NAME, name);
    if (flags)
        netwriter_u32(&writer, NFTA_TABLE_FLAGS, flags);
    netwriter_end(&writer);
}

static int try_table(int fd, const char *name, uint32_t flags)
{
    batch_begin(&writer);
    put_table(name, flags);
    return batch_try(&writer, fd);
}

/* A kernel that knows the message looks for the table first. To another it is invalid. */
static bool knows_destroy(int fd)
{
    batch_begin(&writer);
    batch_message(&writer, TABLE_DESTROY_ELEMENT, 0);
    netwriter_text(&writer, NFTA_SET_ELEM_LIST_TABLE, SCRATCH);
    netwriter_text(&writer, NFTA_SET_ELEM_LIST_SET, CHAIN);
    netwriter_end(&writer);
    return batch_try(&writer, fd) == ENOENT;
}

static int try_feature(int fd, const struct feature *f)
{
    size_t hook;

    batch_begin(&writer);
    put_table(SCRATCH, 0);
    batch_message(&writer, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    netwriter_text(&writer, NFTA_CHAIN_TABLE, SCRATCH);
    netwriter_text(&writer, NFTA_CHAIN_NAME, CHAIN);
    hook = netwriter_open(&writer, NFTA_CHAIN_HOOK);
    netwriter_u32(&writer, NFTA_HOOK_HOOKNUM, f->hook);
    netwriter_u32(&writer, NFTA_HOOK_PRIORITY, 0);
    netwriter_close(&writer, hook);
    netwriter_text(&writer, NFTA_CHAIN_TYPE, f->type);
    netwriter_end(&writer);
    expression_write_rule(&writer, SCRATCH, CHAIN, f->rule);
    return batch_try(&writer, fd);
}

/* Tries feature by feature which one does not work, and names it in *why. Whether all do. */
static bool name_missing(int fd, unsigned wishes, struct error *why)
{
    for (int i = 0; i < FEATURES; i++) {
        const struct feature *f = &features[i];
        int error = f->wishes & ~wishes ? 0 : try_feature(fd, f);

        if (error != 0)
            return error_set(why, "the %s does not work in this kernel's nf_tables (%s); it "
                                  "needs %s: load or install that", f->name, strerror(error),
                             f->origin);
    }
    return true;
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
    if (try_table(fd, TABLE_NAME, 0) != EPERM)
        return true;
    process = find_owner();
    read_name(process, name, sizeof name);
    *is_served = setup->mode == HELPER_PROBE && strcmp(name, "portsmithd") == 0;
    return *is_served ||
           error_set(why, "the nftables table inet " TABLE_NAME " belongs to %s (process %u), and "
                          "nobody else can change it: end that", name, process);
}

/* ---- all of it ----------------------------------------------------------- */

static bool has_tables(int fd, struct error *why)
{
    int error = try_table(fd, SCRATCH, 0);

    if (error == EPERM)
        return error_set(why, "this process may not change the kernel's nf_tables: it needs "
                              "CAP_NET_ADMIN where the network namespace was made");
    return error == 0 ||
           error_set(why, "this kernel has no tables of nf_tables for the family inet (%s): load "
                          "the module nf_tables, or install a kernel with CONFIG_NF_TABLES_INET",
                     strerror(error == ENOTSOCK ? EPROTONOSUPPORT : error));
}

static unsigned wishes(const struct helper_setup *setup, const struct table_form *form)
{
    return (setup->close_with_reset ? TO_REJECT : 0) | (setup->sends_on ? TO_SEND_ON : 0) |
           (setup->trial_end ? TO_END_A_TRIAL : 0) | (form->counts ? TO_COUNT : 0);
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
    const int owned = try_table(fd, SCRATCH, TABLE_OWNED);
    bool is_served;
    int error;

    *form = (struct table_form){.counts = form->counts, .is_owned = owned == 0};
    if (may_pass(owned))
        return give_up(owned, why);
    if (!has_tables(fd, why) || !is_free(fd, setup, &is_served, why))
        return PROBE_UNUSABLE;
    form->destroys = knows_destroy(fd);
    if (is_served)
        return name_missing(fd, wishes(setup, form), why) ? PROBE_USABLE : PROBE_UNUSABLE;
    batch_begin(&writer);
    table_write(&writer, setup, form);
    error = batch_try(&writer, fd);
    if (may_pass(error))
        return give_up(error, why);
    if (error != 0 && name_missing(fd, wishes(setup, form), why))
        error_set(why, "this kernel does not take the nftables table inet " TABLE_NAME ": %s",
                  strerror(error));
    return error == 0 ? PROBE_USABLE : PROBE_UNUSABLE;
}

bool nftprobe_sessions(int fd, struct table_form *form, struct error *why)
{
    form->tells_sessions =
        kernel_finds_sockets(why) && name_missing(fd, TO_TELL_SESSIONS, why);
    return form->tells_sessions;
}
