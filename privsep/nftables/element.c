#include "privsep/nftables/element.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <sodium.h>
#include <string.h>

#include "privsep/nftables/batch.h"

enum {
    REFILL = 604800,     /* seconds until a limit admits one packet more. nft prints no longer unit
                            than a week */
    COMMENT = 0,         /* the type of userdata that nft shows as a comment (libnftnl) */
    COMMENT_SIZE = 2 * KEY_ID_SIZE + 1,
};

/* ---- the parts of an element --------------------------------------------- */

/* An address, in four or sixteen bytes, and then numbers, each padded to four. */
struct fields {
    uint8_t bytes[sizeof(struct address) + 2 * sizeof(uint32_t)];
    size_t size;
};

static void put_address(struct fields *f, const struct address *a)
{
    const size_t size = address_is_ipv4(a) ? 4 : sizeof a->bytes;

    memcpy(f->bytes + f->size, a->bytes + sizeof a->bytes - size, size);
    f->size += size;
}

/* What pads the number is zero. */
static void put_field(struct fields *f, const void *bytes, size_t size)
{
    memcpy(f->bytes + f->size, bytes, size);
    f->size += sizeof(uint32_t);
}

static void write_fields(struct netwriter *w, unsigned type, const struct fields *f)
{
    const size_t nest = netwriter_open(w, type);

    netwriter_attribute(w, NFTA_DATA_VALUE, f->bytes, f->size);
    netwriter_close(w, nest);
}

static void write_key(struct netwriter *w, const struct element *e)
{
    const uint16_t port = htons(e->service.port);
    struct fields f = {.size = 0};

    put_address(&f, &e->address);
    put_field(&f, &e->service.protocol, sizeof e->service.protocol);
    put_field(&f, &port, sizeof port);
    write_fields(w, NFTA_SET_ELEM_KEY, &f);
}

static void write_destination(struct netwriter *w, const struct element *e)
{
    const uint16_t port = htons(e->destination_port);
    struct fields f = {.size = 0};

    put_address(&f, &e->destination);
    put_field(&f, &port, sizeof port);
    write_fields(w, NFTA_SET_ELEM_DATA, &f);
}

/* What is spent admits what is more than a packet a nanosecond: nothing. */
static void write_limit(struct netwriter *w, unsigned type, const struct element *e)
{
    const size_t nest = netwriter_open(w, type);
    size_t data;

    netwriter_text(w, NFTA_EXPR_NAME, "limit");
    data = netwriter_open(w, NFTA_EXPR_DATA);
    netwriter_u64(w, NFTA_LIMIT_RATE, e->is_spent ? 1000000000 : 1);
    netwriter_u64(w, NFTA_LIMIT_UNIT, e->is_spent ? 1 : REFILL);
    netwriter_u32(w, NFTA_LIMIT_BURST, e->packets);
    netwriter_u32(w, NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
    netwriter_u32(w, NFTA_LIMIT_FLAGS, e->is_spent ? NFT_LIMIT_F_INV : 0);
    netwriter_close(w, data);
    netwriter_close(w, nest);
}

/* Each packet that meets the element takes one of those that it admits. The kernel tells nobody how
 * many are left, but what a counter has, which comes behind the limit. */
static void write_budget(struct netwriter *w, const struct element *e)
{
    size_t list, counter;

    if (e->set != TABLE_COUNTED) {
        write_limit(w, NFTA_SET_ELEM_EXPR, e);
        return;
    }
    list = netwriter_open(w, NFTA_SET_ELEM_EXPRESSIONS);
    write_limit(w, NFTA_LIST_ELEM, e);
    counter = netwriter_open(w, NFTA_LIST_ELEM);
    netwriter_text(w, NFTA_EXPR_NAME, "counter");
    netwriter_close(w, netwriter_open(w, NFTA_EXPR_DATA));
    netwriter_close(w, counter);
    netwriter_close(w, list);
}

static void write_comment(struct netwriter *w, const uint8_t key_id[static KEY_ID_SIZE])
{
    uint8_t userdata[2 + COMMENT_SIZE] = {COMMENT, COMMENT_SIZE};

    sodium_bin2hex((char *)userdata + 2, COMMENT_SIZE, key_id, KEY_ID_SIZE);
    netwriter_attribute(w, NFTA_SET_ELEM_USERDATA, userdata, sizeof userdata);
}

/* ---- messages ------------------------------------------------------------- */

/* Writes a message about one element: its key alone, or all of it. */
static void write_message(struct netwriter *w, unsigned message, const struct element *e,
                          bool is_whole)
{
    size_t elements, element;

    batch_message(w, message, message == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0);
    netwriter_text(w, NFTA_SET_ELEM_LIST_TABLE, TABLE_NAME);
    netwriter_text(w, NFTA_SET_ELEM_LIST_SET, table_sets[e->set][address_family(&e->address)]);
    elements = netwriter_open(w, NFTA_SET_ELEM_LIST_ELEMENTS);
    element = netwriter_open(w, NFTA_LIST_ELEM);
    write_key(w, e);
    if (is_whole) {
        if (e->set == TABLE_SENDING)
            write_destination(w, e);
        netwriter_u64(w, NFTA_SET_ELEM_TIMEOUT, e->timeout);
        write_comment(w, e->key_id);
        if (e->packets)
            write_budget(w, e);
    }
    netwriter_close(w, element);
    netwriter_close(w, elements);
    netwriter_end(w);
}

void element_add(struct netwriter *w, const struct element *element)
{
    write_message(w, NFT_MSG_NEWSETELEM, element, true);
}

/* An older kernel refuses to take out what is not there. So it is put in first. */
void element_remove(struct netwriter *w, const struct element *element, bool destroys)
{
    if (!destroys)
        element_add(w, element);
    write_message(w, destroys ? TABLE_DESTROY_ELEMENT : NFT_MSG_DELSETELEM, element, false);
}

void element_put(struct netwriter *w, const struct element *element, bool destroys)
{
    element_remove(w, element, destroys);
    element_add(w, element);
}
