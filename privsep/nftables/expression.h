/* Expressions of nf_tables, which rules are made of: a rule is an array of them that ends with
 * EXPRESSION_END. Each macro here is one of them, to be read as `nft --debug=netlink` prints it.
 *
 * What is loaded goes into registers of four bytes, from the one with the number `at` on, which is
 * 0 where none is named. A number is compared as it was loaded: in the host's byte order, but
 * for what comes out of a packet or of connection tracking's tuples. */
#ifndef PORTSMITH_EXPRESSION_H
#define PORTSMITH_EXPRESSION_H

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdint.h>

#include "privsep/netwriter.h"

enum expression_kind {
    EXPRESSION_NONE,
    EXPRESSION_META,
    EXPRESSION_SET_META,
    EXPRESSION_CT,
    EXPRESSION_PAYLOAD,
    EXPRESSION_FIB,
    EXPRESSION_MASK,
    EXPRESSION_NETWORK_ORDER,
    EXPRESSION_COMPARE,
    EXPRESSION_LOOKUP,
    EXPRESSION_MAP,
    EXPRESSION_VERDICT,
    EXPRESSION_REJECT,
    EXPRESSION_DNAT,
    EXPRESSION_LIMIT,
    EXPRESSION_COUNTER,
    EXPRESSION_KINDS
};

struct expression {
    enum expression_kind kind;
    uint32_t key;     /* what of its kind: NFT_META_*, NFT_CT_*, and so on */
    uint32_t at;      /* its first register */
    uint32_t size;    /* bytes */
    uint32_t offset;  /* in a header, bytes; of a mask: the bits that are set; of a nat: the
                         register of the port */
    const char *name; /* of a set, or of a chain */
    union {
        uint8_t u8;
        uint32_t u32;
        uint64_t u64;
        char text[16];
        uint8_t bytes[16];
    } value;
};

#define EXPRESSION_END {.kind = EXPRESSION_NONE}

/* ---- what is loaded ------------------------------------------------------ */

#define META(what) META_AT(what, 0)
#define META_AT(what, where) {.kind = EXPRESSION_META, .key = (what), .at = (where)}
#define CT(what) {.kind = EXPRESSION_CT, .key = (what)}
/* Of the connection's first packet, before any NAT. */
#define CT_ORIGINAL_AT(what, where) {.kind = EXPRESSION_CT, .key = (what), .at = (where), .size = 1}
/* `base` is NFT_PAYLOAD_*_HEADER. */
#define PAYLOAD_AT(base, from, bytes, where) \
    {.kind = EXPRESSION_PAYLOAD, .key = (base), .offset = (from), .size = (bytes), .at = (where)}
/* The type of an address, by the routing tables: RTN_*. The flags say of which: NFTA_FIB_F_*. */
#define FIB_TYPE(flags) {.kind = EXPRESSION_FIB, .key = (flags)}

/* ---- what is done with it ------------------------------------------------ */

/* Keeps the bits `kept` of four bytes or of one, and then sets others, too. */
#define MASK(kept) MASK_AND_SET(kept, 0)
#define MASK_AND_SET(kept, set) \
    {.kind = EXPRESSION_MASK, .size = 4, .value.u32 = (kept), .offset = (set)}
#define MASK_U8(kept) {.kind = EXPRESSION_MASK, .size = 1, .value.u8 = (kept)}
/* Of sixteen bytes those that are given. */
#define MASK_ADDRESS(...) {.kind = EXPRESSION_MASK, .size = 16, .value.bytes = {__VA_ARGS__}}
/* Eight bytes, so that they can be compared by their size. */
#define NETWORK_ORDER_U64 {.kind = EXPRESSION_NETWORK_ORDER, .size = 8}

#define IS(number) {.kind = EXPRESSION_COMPARE, .key = NFT_CMP_EQ, .size = 4, .value.u32 = (number)}
#define IS_NOT(number) \
    {.kind = EXPRESSION_COMPARE, .key = NFT_CMP_NEQ, .size = 4, .value.u32 = (number)}
#define IS_AT_LEAST(number) \
    {.kind = EXPRESSION_COMPARE, .key = NFT_CMP_GTE, .size = 4, .value.u32 = (number)}
#define IS_U8(number) \
    {.kind = EXPRESSION_COMPARE, .key = NFT_CMP_EQ, .size = 1, .value.u8 = (number)}
#define IS_NOT_U8(number) \
    {.kind = EXPRESSION_COMPARE, .key = NFT_CMP_NEQ, .size = 1, .value.u8 = (number)}
/* Two bytes of a packet. */
#define IS_PORT(number) \
    {.kind = EXPRESSION_COMPARE, .key = NFT_CMP_EQ, .size = 2, \
     .value.bytes = {(number) >> 8, (number) & 0xff}}
/* An address that begins with these bytes, and has zeros then. */
#define IS_ADDRESS(...) \
    {.kind = EXPRESSION_COMPARE, .key = NFT_CMP_EQ, .size = 16, .value.bytes = {__VA_ARGS__}}
/* In network byte order already. */
#define IS_AT_LEAST_U64(number) \
    {.kind = EXPRESSION_COMPARE, .key = NFT_CMP_GTE, .size = 8, .value.u64 = (number)}
#define IS_BELOW_U64(number) \
    {.kind = EXPRESSION_COMPARE, .key = NFT_CMP_LT, .size = 8, .value.u64 = (number)}
#define IS_TEXT(what) \
    {.kind = EXPRESSION_COMPARE, .key = NFT_CMP_EQ, .size = 16, .value.text = (what)}

/* What begins at register 0 is in a set, or is not; the value that a map has for it goes there. */
#define IN_SET(set) {.kind = EXPRESSION_LOOKUP, .name = (set)}
#define NOT_IN_SET(set) {.kind = EXPRESSION_LOOKUP, .name = (set), .key = NFT_LOOKUP_F_INV}
#define MAPPED_BY(map) {.kind = EXPRESSION_MAP, .name = (map)}

/* ---- what becomes of the packet ------------------------------------------ */

#define SET_META(what) {.kind = EXPRESSION_SET_META, .key = (what)}
#define ACCEPT {.kind = EXPRESSION_VERDICT, .key = NF_ACCEPT}
#define DROP {.kind = EXPRESSION_VERDICT, .key = NF_DROP}
#define RETURN {.kind = EXPRESSION_VERDICT, .key = (uint32_t)NFT_RETURN}
#define JUMP(chain) {.kind = EXPRESSION_VERDICT, .key = (uint32_t)NFT_JUMP, .name = (chain)}
#define GOTO(chain) {.kind = EXPRESSION_VERDICT, .key = (uint32_t)NFT_GOTO, .name = (chain)}
#define REJECT_WITH_RESET {.kind = EXPRESSION_REJECT, .key = NFT_REJECT_TCP_RST}
/* Port unreachable, of either family. */
#define REJECT \
    {.kind = EXPRESSION_REJECT, .key = NFT_REJECT_ICMPX_UNREACH, \
     .value.u8 = NFT_REJECT_ICMPX_PORT_UNREACH}
/* To the address at register 0, of NFPROTO_*, and to the port at another. */
#define DNAT(family, port) {.kind = EXPRESSION_DNAT, .key = (family), .offset = (port)}

/* So many packets, and one more each week: nft(8) knows no longer time. */
#define LIMIT_WEEKLY(packets) \
    {.kind = EXPRESSION_LIMIT, .size = (packets), .value.u64 = UINT64_C(7) * 24 * 60 * 60}

#define COUNTER {.kind = EXPRESSION_COUNTER}

/* ---- what rules often ask ------------------------------------------------ */

/* meta l4proto . th dport */
#define SERVICE_AT(where) \
    META_AT(NFT_META_L4PROTO, where), PAYLOAD_AT(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, (where) + 1)
#define TCP META(NFT_META_L4PROTO), IS_U8(IPPROTO_TCP)

enum {
    ESTABLISHED = 1 << 1, /* NF_CT_STATE_BIT */
    RELATED = 1 << 2,
    NEW = 1 << 3,
    UNTRACKED = 1 << 6, /* NF_CT_STATE_UNTRACKED_BIT */
};
#define STATE_AMONG(states) CT(NFT_CT_STATE), MASK(states), IS_NOT(0)

/* ---- writing ------------------------------------------------------------- */

/* Writes one expression as an attribute: NFTA_LIST_ELEM in a rule's list, NFTA_SET_EXPR,
 * NFTA_SET_ELEM_EXPR. */
void expression_write(struct netwriter *w, unsigned type, const struct expression *e);

/* Writes the message that appends a rule to a chain. */
void expression_write_rule(struct netwriter *w, const char *table, const char *chain,
                           const struct expression *rule);

#endif
