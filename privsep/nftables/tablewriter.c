#include "privsep/nftables/tablewriter.h"

#include <endian.h>
#include <linux/netlink.h>
#include <string.h>

#include "privsep/nftables/batch.h"

/* NFT_MSG_DESTROYCHAIN and _DESTROYSET: the headers may be older than the kernel. */
enum { DESTROYCHAIN = 27, DESTROYSET = 29 };

static void begin(struct netwriter *w, const char *table, unsigned message, unsigned flags)
{
    batch_message(w, message, flags);
    netwriter_text(w, NFTA_TABLE_NAME, table); /* in sets and chains, too */
}

/* The first message has no flags: so it means any table of this name, and makes one if there is
 * none. */
void tablewriter_remove(struct netwriter *w, const char *table)
{
    begin(w, table, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    netwriter_end(w);
    begin(w, table, NFT_MSG_DELTABLE, 0);
    netwriter_end(w);
}

void tablewriter_table(struct netwriter *w, const char *table, uint32_t flags)
{
    begin(w, table, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    netwriter_u32(w, NFTA_TABLE_FLAGS, flags);
    netwriter_end(w);
}

void tablewriter_replace(struct netwriter *w, const char *table, uint32_t flags)
{
    tablewriter_remove(w, table);
    tablewriter_table(w, table, flags);
}

void tablewriter_remove_rules(struct netwriter *w, const char *table)
{
    begin(w, table, NFT_MSG_DELRULE, 0);
    netwriter_end(w);
}

void tablewriter_destroy_set(struct netwriter *w, const char *table, const char *name)
{
    begin(w, table, DESTROYSET, 0);
    netwriter_text(w, NFTA_SET_NAME, name);
    netwriter_end(w);
}

void tablewriter_destroy_chain(struct netwriter *w, const char *table, const char *name)
{
    begin(w, table, DESTROYCHAIN, 0);
    netwriter_text(w, NFTA_CHAIN_NAME, name);
    netwriter_end(w);
}

void tablewriter_set(struct netwriter *w, const char *table, const struct tablewriter_set *set)
{
    size_t at;

    begin(w, table, NFT_MSG_NEWSET, NLM_F_CREATE);
    netwriter_text(w, NFTA_SET_NAME, set->name);
    netwriter_u32(w, NFTA_SET_FLAGS, set->flags);
    netwriter_u32(w, NFTA_SET_KEY_TYPE, set->key_type);
    netwriter_u32(w, NFTA_SET_KEY_LEN, set->key_size);
    if (set->data_type) {
        netwriter_u32(w, NFTA_SET_DATA_TYPE, set->data_type);
        netwriter_u32(w, NFTA_SET_DATA_LEN, set->data_size);
    }
    at = netwriter_open(w, NFTA_SET_DESC);
    netwriter_u32(w, NFTA_SET_DESC_SIZE, set->room);
    netwriter_close(w, at);
    netwriter_u32(w, NFTA_SET_ID, set->id);
    if (set->each) {
        at = netwriter_open(w, NFTA_SET_EXPRESSIONS);
        for (const struct expression *each = set->each; each->kind != EXPRESSION_NONE; each++)
            expression_write(w, NFTA_LIST_ELEM, each);
        netwriter_close(w, at);
    }
    netwriter_end(w);
}

void tablewriter_constants(struct netwriter *w, const char *table,
                           const struct tablewriter_set *set, const void *keys)
{
    size_t list, element, key;

    tablewriter_set(w, table, set);
    begin(w, table, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
    netwriter_text(w, NFTA_SET_ELEM_LIST_SET, set->name);
    list = netwriter_open(w, NFTA_SET_ELEM_LIST_ELEMENTS);
    for (size_t i = 0; i < set->room; i++) {
        element = netwriter_open(w, NFTA_LIST_ELEM);
        key = netwriter_open(w, NFTA_SET_ELEM_KEY);
        netwriter_attribute(w, NFTA_DATA_VALUE, (const uint8_t *)keys + i * set->key_size,
                            set->key_size);
        netwriter_close(w, key);
        netwriter_close(w, element);
    }
    netwriter_close(w, list);
    netwriter_end(w);
}

void tablewriter_services(struct netwriter *w, const char *table, const char *set, uint32_t id,
                          const struct service *services, size_t count)
{
    struct {
        uint32_t protocol; /* one byte, and zeros */
        uint16_t port, zero;
    } keys[SHUT_SERVICES] = {0};

    for (size_t i = 0; i < count; i++) {
        memcpy(&keys[i].protocol, &services[i].protocol, 1);
        keys[i].port = htobe16(services[i].port);
    }
    tablewriter_constants(w, table,
                          &(struct tablewriter_set){
                              .name = set, .flags = NFT_SET_CONSTANT,
                              .key_type = TYPE_OF_TWO(TYPE_PROTOCOL, TYPE_PORT),
                              .key_size = sizeof *keys, .room = (uint32_t)count, .id = id},
                          keys);
}

void tablewriter_chain(struct netwriter *w, const char *table, const char *name)
{
    begin(w, table, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    netwriter_text(w, NFTA_CHAIN_NAME, name);
    netwriter_end(w);
}

void tablewriter_base_chain(struct netwriter *w, const char *table, const char *name,
                            const char *type, unsigned hook, int priority)
{
    size_t at;

    begin(w, table, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    netwriter_text(w, NFTA_CHAIN_NAME, name);
    at = netwriter_open(w, NFTA_CHAIN_HOOK);
    netwriter_u32(w, NFTA_HOOK_HOOKNUM, hook);
    netwriter_u32(w, NFTA_HOOK_PRIORITY, (uint32_t)priority);
    netwriter_close(w, at);
    netwriter_u32(w, NFTA_CHAIN_POLICY, NF_ACCEPT);
    netwriter_text(w, NFTA_CHAIN_TYPE, type);
    netwriter_end(w);
}
