#include "privsep/prepare/budgets.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privsep/flows.h"
#include "privsep/nftables/asking.h"
#include "privsep/nftables/table.h"

struct budget {
    struct door door; /* its address and service */
    uint32_t left;    /* packets */
};

/* By door. */
static struct budget *budgets;
static size_t count;

static int compare(const void *a, const void *b)
{
    const struct door *one = &((const struct budget *)a)->door;
    const struct door *other = &((const struct budget *)b)->door;
    int order = memcmp(one->address.bytes, other->address.bytes, sizeof one->address.bytes);

    return order ? order : service_compare(&one->service, &other->service);
}

static struct budget *find(const struct door *door)
{
    const struct budget wanted = {.door = *door};

    return count ? bsearch(&wanted, budgets, count, sizeof wanted, compare) : NULL;
}

/* ---- the kernel's elements ------------------------------------------------ */

/* Reads the address and the service of a key: each is padded to a multiple of four bytes. */
static bool read_door(struct span key, struct door *door)
{
    const size_t address = key.size - 8;
    uint16_t port;

    if (key.size != 4 + 8 && key.size != sizeof door->address + 8)
        return false;
    if (address == 4)
        door->address = address_from_ipv4(key.bytes);
    else
        memcpy(door->address.bytes, key.bytes, sizeof door->address.bytes);
    memcpy(&port, key.bytes + address + 4, sizeof port);
    door->service = (struct service){key.bytes[address], ntohs(port)};
    return true;
}

/* Returns what is behind an attribute in a list. */
static struct span behind(struct span list, struct span whole)
{
    const size_t end = (size_t)(whole.bytes - list.bytes) + netlink_aligned(whole.size);

    return end >= list.size ? (struct span){NULL, 0}
                            : (struct span){list.bytes + end, list.size - end};
}

/* Reads what is left by a limit and the counter behind it (element.c). */
static bool read_left(struct span expressions, uint32_t *left)
{
    struct span whole = netlink_find_whole(expressions, NFTA_LIST_ELEM);
    struct span limit = netlink_find(netlink_find(expressions, NFTA_LIST_ELEM), NFTA_EXPR_DATA);
    struct span counter;
    uint32_t burst, flags = 0;
    uint64_t packets;

    if (!whole.bytes)
        return false;
    counter = netlink_find(netlink_find(behind(expressions, whole), NFTA_LIST_ELEM),
                           NFTA_EXPR_DATA);
    if (!netlink_read(limit, NFTA_LIMIT_BURST, &burst, sizeof burst) ||
        !netlink_read(counter, NFTA_COUNTER_PACKETS, &packets, sizeof packets))
        return false;
    netlink_read(limit, NFTA_LIMIT_FLAGS, &flags, sizeof flags);
    burst = ntohl(burst);
    packets = be64toh(packets);
    *left = (ntohl(flags) & NFT_LIMIT_F_INV) || packets >= burst ? 0 : burst - (uint32_t)packets;
    return true;
}

static void take_element(struct span element)
{
    struct span key = netlink_find(netlink_find(element, NFTA_SET_ELEM_KEY), NFTA_DATA_VALUE);
    struct budget *budget;
    struct door door;
    uint32_t left;

    if (!read_door(key, &door) ||
        !read_left(netlink_find(element, NFTA_SET_ELEM_EXPRESSIONS), &left))
        return;
    budget = find(&door);
    if (budget)
        budget->left = left;
}

static void take_elements(void *into, struct span answer)
{
    struct span list = netlink_find(flows_attributes(answer), NFTA_SET_ELEM_LIST_ELEMENTS), whole;

    (void)into;
    while ((whole = netlink_find_whole(list, NFTA_LIST_ELEM)).bytes) {
        take_element(netlink_find(list, NFTA_LIST_ELEM));
        list = behind(list, whole);
    }
}

/* ---- all of it ------------------------------------------------------------- */

void budgets_note(const struct grants *grants)
{
    int fd = netlink_open(NETLINK_NETFILTER);

    free(budgets);
    count = 0;
    budgets = calloc(grants->count + 1, sizeof *budgets);
    for (size_t i = 0; budgets && i < grants->count; i++)
        if (grants->items[i].connections)
            budgets[count++] = (struct budget){helper_grants_door(&grants->items[i]), UINT32_MAX};
    if (count > 0)
        qsort(budgets, count, sizeof *budgets, compare);
    for (enum family family = IPV4; family < FAMILIES && count > 0; family++)
        asking(&fd, NFT_MSG_GETSETELEM, NFPROTO_INET, TABLE_NAME, table_sets[TABLE_COUNTED][family],
               take_elements, NULL);
    if (fd >= 0)
        close(fd);
}

uint32_t budgets_left(const struct door *door)
{
    const struct budget *budget = find(door);

    return budget ? budget->left : UINT32_MAX;
}
