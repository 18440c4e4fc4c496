#include "privsep/nftables/ability.h"

#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>

#include "privsep/nftables/batch.h"
#include "privsep/nftables/expression.h"

/* The names of what is tried; nothing of them is ever made. */
#define SCRATCH "portsmith-probe"
#define CHAIN "tried"

#define EXPRESSIONS(...) (const struct expression[]){__VA_ARGS__, EXPRESSION_END}

/* Everything that rules are made of and that a kernel may lack, with the names by which an admin
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
    {"fib expression", "the module nft_fib_inet (CONFIG_NFT_FIB_INET)", ABILITY_TO_SHUT, "filter",
     NF_INET_PRE_ROUTING,
     EXPRESSIONS(FIB_TYPE(NFTA_FIB_F_SADDR), IS(RTN_LOCAL),
                 FIB_TYPE(NFTA_FIB_F_DADDR | NFTA_FIB_F_IIF), IS(RTN_LOCAL), ACCEPT)},
    {"limit expression", "the module nft_limit (CONFIG_NFT_LIMIT)", ABILITY_TO_COUNT, "filter",
     NF_INET_PRE_ROUTING, EXPRESSIONS(LIMIT_WEEKLY(3), ACCEPT)},
    {"key iifkind of the meta expression", "Linux 5.1 or later", ABILITY_TO_SHUT, "filter",
     NF_INET_PRE_ROUTING, EXPRESSIONS(META(NFT_META_IIFKIND), IS_TEXT("vrf"), ACCEPT)},
    {"reject expression before routing",
     "Linux 5.9 or later, with the module nft_reject_inet (CONFIG_NFT_REJECT_INET)",
     ABILITY_TO_REJECT, "filter", NF_INET_PRE_ROUTING,
     EXPRESSIONS(META(NFT_META_L4PROTO), IS_U8(IPPROTO_TCP), REJECT_WITH_RESET)},
    {"nat expression", "the modules nft_chain_nat and nft_nat (CONFIG_NFT_NAT)",
     ABILITY_TO_SEND_ON, "nat", NF_INET_PRE_ROUTING,
     EXPRESSIONS(META(NFT_META_NFPROTO), IS_U8(NFPROTO_IPV4),
                 PAYLOAD_AT(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, 0), META(NFT_META_L4PROTO),
                 PAYLOAD_AT(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1), DNAT(NFPROTO_IPV4, 1))},
    {"key time of the meta expression, without which a trial could not end by itself,",
     "Linux 5.4 or later", ABILITY_TO_END_A_TRIAL, "filter", NF_INET_PRE_ROUTING,
     EXPRESSIONS(META(NFT_META_TIME_NS), NETWORK_ORDER_U64, IS_AT_LEAST_U64(1), ACCEPT)},
    {"key cgroup of the meta expression", "a kernel with CONFIG_CGROUP_NET_CLASSID",
     ABILITY_TO_TELL_SESSIONS, "filter", NF_INET_LOCAL_IN,
     EXPRESSIONS(META(NFT_META_CGROUP), IS_AT_LEAST(0), ACCEPT)},
    {"key ipsec of the meta expression", "a kernel with CONFIG_XFRM", ABILITY_TO_TELL_SESSIONS,
     "filter", NF_INET_LOCAL_IN, EXPRESSIONS(META(NFT_META_SECPATH), IS_U8(1), ACCEPT)},
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

int ability_try_table(int fd, const char *name, uint32_t flags)
{
    batch_begin(&writer);
    put_table(name, flags);
    return batch_try(&writer, fd);
}

bool ability_has_tables(int fd, struct error *why)
{
    int error = ability_try_table(fd, SCRATCH, 0);

    if (error == EPERM)
        return error_set(why, "this process may not change the kernel's nf_tables: run it as root, "
                              "with CAP_NET_ADMIN where the network namespace was made");
    return error == 0 ||
           error_set(why, "this kernel has no tables of nf_tables for the family inet (%s): load "
                          "the module nf_tables, or install a kernel with CONFIG_NF_TABLES_INET",
                     strerror(error == ENOTSOCK ? EPROTONOSUPPORT : error));
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

/* Tries feature by feature which one does not work. */
bool ability_has_features(int fd, unsigned wishes, struct error *why)
{
    for (int i = 0; i < FEATURES; i++) {
        const struct feature *f = &features[i];
        int error = f->wishes & ~wishes ? 0 : try_feature(fd, f);

        if (error != 0)
            return error_set(why, "the %s does not work in this kernel's nf_tables (%s): load or "
                                  "install %s", f->name, strerror(error), f->origin);
    }
    return true;
}
