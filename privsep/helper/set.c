/* Keeps the sets of grants as the table of grants is. */
#include "privsep/helper/set.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

enum {
    ELEMENT_SIZE = 64,      /* bytes that an element takes in a question, at most: headers,
                               IPv6 address, port, timeout */
    TIMEOUT_MAX = 2147483,  /* seconds: IPSET_MAX_TIMEOUT */
};

/* A set that is filled anew has this name until it takes the old set's place. */
static const char *const next_name = "portsmith-next";

bool helper_set_holds(const struct grant *grant)
{
    return grant->connections == 0 && grant->destination_port == 0;
}

/* ---- elements ----------------------------------------------------------- */

struct elements {
    struct ipset *set;
    const char *name;
    unsigned command; /* IPSET_CMD_ADD or IPSET_CMD_DEL */
    union question q;
    uint32_t data, count;
};

static void begin_elements(struct elements *e)
{
    ipset_begin(&e->q, e->command, e->name);
    ipset_put_number(&e->q, IPSET_ATTR_LINENO, 0); /* several elements want a line number */
    e->data = netlink_begin_nest(&e->q, IPSET_ATTR_ADT);
    e->count = 0;
}

static bool end_elements(struct elements *e, struct error *why)
{
    netlink_end_nest(&e->q, e->data);
    return e->count == 0 || ipset_ask(e->set, &e->q, e->name, why);
}

static void put_address(union question *q, const struct address *address)
{
    uint32_t nest = netlink_begin_nest(q, IPSET_ATTR_IP);

    if (address_is_ipv4(address))
        netlink_put_attribute(q, IPSET_ATTR_IPADDR_IPV4 | NLA_F_NET_BYTEORDER,
                              address->bytes + 12, 4);
    else
        netlink_put_attribute(q, IPSET_ATTR_IPADDR_IPV6 | NLA_F_NET_BYTEORDER,
                              address->bytes, sizeof address->bytes);
    netlink_end_nest(q, nest);
}

/* Puts an element into the question, to end at `deadline` (CLOCK_BOOTTIME, nanoseconds). When no
 * more elements fit, it asks the question and begins a new one. */
static bool put_element(struct elements *e, const struct door *door, int64_t deadline,
                        struct error *why)
{
    const int64_t left = (deadline - clock_boot_ns()) / NSEC_PER_SEC;
    const uint16_t port = htons(door->service.port);
    uint32_t nest;

    if (netlink_room(&e->q) < ELEMENT_SIZE) {
        if (!end_elements(e, why))
            return false;
        begin_elements(e);
    }
    nest = netlink_begin_nest(&e->q, IPSET_ATTR_DATA);
    put_address(&e->q, &door->address);
    ipset_put_byte(&e->q, IPSET_ATTR_PROTO, door->service.protocol);
    netlink_put_attribute(&e->q, IPSET_ATTR_PORT | NLA_F_NET_BYTEORDER, &port,
                          sizeof port);
    /* The least timeout is a second: an element with a timeout of zero would never end. */
    if (e->command == IPSET_CMD_ADD)
        ipset_put_number(&e->q, IPSET_ATTR_TIMEOUT,
                         left < 1 ? 1 : left > TIMEOUT_MAX ? TIMEOUT_MAX : (size_t)left);
    netlink_end_nest(&e->q, nest);
    e->count++;
    return true;
}

/* ---- what the set is to hold -------------------------------------------- */

static bool is_element_of(const struct grant *grant, enum family family)
{
    return helper_set_holds(grant) && address_family(&grant->address) == family;
}

/* Returns the latest end of all grants of a door, of whichever profile; 0: the door has none. */
static int64_t latest_end(const struct grants *grants, const struct door *door)
{
    const struct grant *grant = NULL;
    int64_t latest = 0;

    while ((grant = helper_grants_next_of_door(grants, door, grant)))
        if (helper_set_holds(grant) && grant->deadline > latest)
            latest = grant->deadline;
    return latest;
}

/* Whether a grant ends so soon that its element is not put in again, as the element would outlive
 * the grant by up to a second. */
static bool ends_within_a_second(int64_t deadline)
{
    return deadline - clock_boot_ns() < NSEC_PER_SEC;
}

static int by_deadline(const void *a, const void *b)
{
    const struct grant *one = *(const struct grant *const *)a;
    const struct grant *other = *(const struct grant *const *)b;

    return (one->deadline > other->deadline) - (one->deadline < other->deadline);
}

/* Puts all grants in, in the order of their ends. Of several grants of a door the last one that is
 * put in counts. */
static bool put_all(struct elements *e, enum family family, const struct grants *grants,
                    struct error *why)
{
    const struct grant **sorted = calloc(grants->count + 1, sizeof *sorted);
    bool done = true;

    if (!sorted)
        return error_set(why, "no memory for %zu grants", grants->count);
    for (size_t i = 0; i < grants->count; i++)
        sorted[i] = &grants->items[i];
    qsort(sorted, grants->count, sizeof *sorted, by_deadline);
    begin_elements(e);
    for (size_t i = 0; done && i < grants->count; i++) {
        const struct door door = {sorted[i]->address, sorted[i]->service};

        if (is_element_of(sorted[i], family) &&
            (sorted[i]->touched || !ends_within_a_second(sorted[i]->deadline)))
            done = put_element(e, &door, sorted[i]->deadline, why);
    }
    free(sorted);
    return done && end_elements(e, why);
}

static bool put_touched(struct elements *e, enum family family, const struct grants *grants,
                        struct error *why)
{
    struct grants_cursor cursor = helper_grants_begin(grants);
    const struct grant *grant;

    begin_elements(e);
    while ((grant = helper_grants_next_touched(grants, &cursor))) {
        const struct door door = {grant->address, grant->service};

        if (is_element_of(grant, family) &&
            !put_element(e, &door, latest_end(grants, &door), why))
            return false;
    }
    return end_elements(e, why);
}

/* Takes out the doors that no grant has any more (IPSET_CMD_DEL), or puts in again those
 * that another grant has (IPSET_CMD_ADD). */
static bool put_gone(struct elements *e, enum family family, const struct grants *grants,
                     struct error *why)
{
    begin_elements(e);
    for (size_t i = 0; i < grants->gone_count; i++) {
        const struct door *door = &grants->gone[i];
        int64_t end = latest_end(grants, door);

        if (ends_within_a_second(end))
            end = 0;
        if (address_family(&door->address) == family &&
            (end != 0) == (e->command == IPSET_CMD_ADD) && !put_element(e, door, end, why))
            return false;
    }
    return end_elements(e, why);
}

bool helper_set_update(struct ipset *set, enum family family, const struct grants *grants,
                       struct error *why)
{
    struct elements add = {.set = set, .name = ipset_names[family],
                           .command = IPSET_CMD_ADD};
    struct elements remove = {.set = set, .name = ipset_names[family],
                              .command = IPSET_CMD_DEL};

    if (grants->gone_lost[family])
        return helper_set_fill(set, family, grants, why);
    return put_gone(&remove, family, grants, why) && put_gone(&add, family, grants, why) &&
           put_touched(&add, family, grants, why);
}

bool helper_set_fill(struct ipset *set, enum family family, const struct grants *grants,
                     struct error *why)
{
    struct elements all = {.set = set, .name = next_name, .command = IPSET_CMD_ADD};
    const char *name = ipset_names[family];
    union question swap;
    bool done;
    int error;

    ipset_destroy(set, next_name); /* a helper that was killed while it filled one left it */
    error = ipset_create(set, name, family);
    if (error != 0 && error != EEXIST)
        return error_set(why, "ipset %s: %s", name, ipset_explain(error));
    /* A set of that name that is still there is not used: it may hold doors that are closed by
     * now. */
    error = ipset_create(set, next_name, family);
    if (error != 0)
        return error_set(why, "ipset %s: %s", next_name, ipset_explain(error));
    ipset_begin(&swap, IPSET_CMD_SWAP, next_name);
    ipset_put_text(&swap, IPSET_ATTR_SETNAME2, name);
    done = put_all(&all, family, grants, why) && ipset_ask(set, &swap, name, why);
    ipset_destroy(set, next_name);
    return done;
}

bool helper_set_remove(struct ipset *set, enum family family, struct error *why)
{
    int error = ipset_destroy(set, ipset_names[family]);

    ipset_destroy(set, next_name);
    return error == 0 || error == ENOENT || error == EINVAL || error == EOPNOTSUPP ||
           error_set(why, "ipset %s cannot be removed: %s", ipset_names[family],
                     ipset_explain(error));
}
