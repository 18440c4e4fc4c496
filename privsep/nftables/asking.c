#include "privsep/nftables/asking.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

int asking(int *fd, unsigned message, uint8_t family, const char *table, const char *name,
           answer_handler *handle, void *into)
{
    const struct nfgenmsg about = {.nfgen_family = family, .version = NFNETLINK_V0};
    const bool is_of_elements = message == NFT_MSG_GETSETELEM;
    const unsigned of_name = is_of_elements ? (unsigned)NFTA_SET_ELEM_LIST_SET : NFTA_CHAIN_NAME;
    union question q;

    netlink_begin(&q, NFNL_SUBSYS_NFTABLES << 8 | message, is_of_elements ? NLM_F_DUMP : NLM_F_ACK);
    netlink_put(&q, &about, sizeof about);
    /* The number of the attribute is that of NFTA_CHAIN_TABLE and NFTA_SET_ELEM_LIST_TABLE, too. */
    netlink_put_attribute(&q, NFTA_TABLE_NAME, table, strlen(table) + 1);
    if (name)
        netlink_put_attribute(&q, of_name, name, strlen(name) + 1);
    return netlink_ask(fd, &q, handle, into);
}
