#include "privsep/nftables/expression.h"

#include <linux/netlink.h>
#include <string.h>

#include "privsep/nftables/batch.h"

static void write_register(struct netwriter *w, unsigned type, uint32_t number)
{
    netwriter_u32(w, type, NFT_REG32_00 + number);
}

static void write_u8(struct netwriter *w, unsigned type, uint8_t value)
{
    netwriter_attribute(w, type, &value, sizeof value);
}

/* A value within an attribute of its own (NFTA_DATA_VALUE). */
static void write_value(struct netwriter *w, unsigned type, const void *bytes, size_t size)
{
    const size_t at = netwriter_open(w, type);

    netwriter_attribute(w, NFTA_DATA_VALUE, bytes, size);
    netwriter_close(w, at);
}

static void write_meta(struct netwriter *w, const struct expression *e)
{
    write_register(w, NFTA_META_DREG, e->at);
    netwriter_u32(w, NFTA_META_KEY, e->key);
}

static void write_set_meta(struct netwriter *w, const struct expression *e)
{
    netwriter_u32(w, NFTA_META_KEY, e->key);
    write_register(w, NFTA_META_SREG, e->at);
}

static void write_ct(struct netwriter *w, const struct expression *e)
{
    write_register(w, NFTA_CT_DREG, e->at);
    netwriter_u32(w, NFTA_CT_KEY, e->key);
    if (e->size) /* of one direction: IP_CT_DIR_ORIGINAL, which is 0 */
        write_u8(w, NFTA_CT_DIRECTION, 0);
}

static void write_payload(struct netwriter *w, const struct expression *e)
{
    write_register(w, NFTA_PAYLOAD_DREG, e->at);
    netwriter_u32(w, NFTA_PAYLOAD_BASE, e->key);
    netwriter_u32(w, NFTA_PAYLOAD_OFFSET, e->offset);
    netwriter_u32(w, NFTA_PAYLOAD_LEN, e->size);
}

static void write_fib(struct netwriter *w, const struct expression *e)
{
    write_register(w, NFTA_FIB_DREG, e->at);
    netwriter_u32(w, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    netwriter_u32(w, NFTA_FIB_FLAGS, e->key);
}

static void write_mask(struct netwriter *w, const struct expression *e)
{
    uint8_t set[sizeof e->value.bytes] = {0};

    memcpy(set, &e->offset, sizeof e->offset);
    write_register(w, NFTA_BITWISE_SREG, e->at);
    write_register(w, NFTA_BITWISE_DREG, e->at);
    netwriter_u32(w, NFTA_BITWISE_LEN, e->size);
    write_value(w, NFTA_BITWISE_MASK, e->value.bytes, e->size);
    write_value(w, NFTA_BITWISE_XOR, set, e->size);
}

static void write_network_order(struct netwriter *w, const struct expression *e)
{
    write_register(w, NFTA_BYTEORDER_SREG, e->at);
    write_register(w, NFTA_BYTEORDER_DREG, e->at);
    netwriter_u32(w, NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
    netwriter_u32(w, NFTA_BYTEORDER_LEN, e->size);
    netwriter_u32(w, NFTA_BYTEORDER_SIZE, e->size);
}

static void write_compare(struct netwriter *w, const struct expression *e)
{
    write_register(w, NFTA_CMP_SREG, e->at);
    netwriter_u32(w, NFTA_CMP_OP, e->key);
    write_value(w, NFTA_CMP_DATA, e->value.bytes, e->size);
}

static void write_lookup(struct netwriter *w, const struct expression *e)
{
    netwriter_text(w, NFTA_LOOKUP_SET, e->name);
    write_register(w, NFTA_LOOKUP_SREG, e->at);
    if (e->kind == EXPRESSION_MAP)
        write_register(w, NFTA_LOOKUP_DREG, e->at);
    if (e->key)
        netwriter_u32(w, NFTA_LOOKUP_FLAGS, e->key);
}

static void write_verdict(struct netwriter *w, const struct expression *e)
{
    size_t data, verdict;

    netwriter_u32(w, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    data = netwriter_open(w, NFTA_IMMEDIATE_DATA);
    verdict = netwriter_open(w, NFTA_DATA_VERDICT);
    netwriter_u32(w, NFTA_VERDICT_CODE, e->key);
    if (e->name)
        netwriter_text(w, NFTA_VERDICT_CHAIN, e->name);
    netwriter_close(w, verdict);
    netwriter_close(w, data);
}

static void write_reject(struct netwriter *w, const struct expression *e)
{
    netwriter_u32(w, NFTA_REJECT_TYPE, e->key);
    write_u8(w, NFTA_REJECT_ICMP_CODE, e->value.u8);
}

static void write_dnat(struct netwriter *w, const struct expression *e)
{
    netwriter_u32(w, NFTA_NAT_TYPE, NFT_NAT_DNAT);
    netwriter_u32(w, NFTA_NAT_FAMILY, e->key);
    write_register(w, NFTA_NAT_REG_ADDR_MIN, e->at);
    write_register(w, NFTA_NAT_REG_PROTO_MIN, e->offset);
}

static void write_limit(struct netwriter *w, const struct expression *e)
{
    netwriter_u64(w, NFTA_LIMIT_RATE, 1);
    netwriter_u64(w, NFTA_LIMIT_UNIT, e->value.u64);
    netwriter_u32(w, NFTA_LIMIT_BURST, e->size);
    netwriter_u32(w, NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
}

static void write_counter(struct netwriter *w, const struct expression *e)
{
    (void)w, (void)e; /* it begins at 0 */
}

static const struct {
    const char *name; /* the kernel's */
    void (*write)(struct netwriter *w, const struct expression *e);
} kinds[EXPRESSION_KINDS] = {
    [EXPRESSION_META] = {"meta", write_meta},
    [EXPRESSION_SET_META] = {"meta", write_set_meta},
    [EXPRESSION_CT] = {"ct", write_ct},
    [EXPRESSION_PAYLOAD] = {"payload", write_payload},
    [EXPRESSION_FIB] = {"fib", write_fib},
    [EXPRESSION_MASK] = {"bitwise", write_mask},
    [EXPRESSION_NETWORK_ORDER] = {"byteorder", write_network_order},
    [EXPRESSION_COMPARE] = {"cmp", write_compare},
    [EXPRESSION_LOOKUP] = {"lookup", write_lookup},
    [EXPRESSION_MAP] = {"lookup", write_lookup},
    [EXPRESSION_VERDICT] = {"immediate", write_verdict},
    [EXPRESSION_REJECT] = {"reject", write_reject},
    [EXPRESSION_DNAT] = {"nat", write_dnat},
    [EXPRESSION_LIMIT] = {"limit", write_limit},
    [EXPRESSION_COUNTER] = {"counter", write_counter},
};

void expression_write(struct netwriter *w, unsigned type, const struct expression *e)
{
    const size_t whole = netwriter_open(w, type);
    size_t data;

    netwriter_text(w, NFTA_EXPR_NAME, kinds[e->kind].name);
    data = netwriter_open(w, NFTA_EXPR_DATA);
    kinds[e->kind].write(w, e);
    netwriter_close(w, data);
    netwriter_close(w, whole);
}

void expression_write_rule(struct netwriter *w, const char *table, const char *chain,
                           const struct expression *rule)
{
    size_t list;

    batch_message(w, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    netwriter_text(w, NFTA_RULE_TABLE, table);
    netwriter_text(w, NFTA_RULE_CHAIN, chain);
    list = netwriter_open(w, NFTA_RULE_EXPRESSIONS);
    for (; rule->kind != EXPRESSION_NONE; rule++)
        expression_write(w, NFTA_LIST_ELEM, rule);
    netwriter_close(w, list);
    netwriter_end(w);
}
