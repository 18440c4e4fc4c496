#include "privsep/cut/tracked.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

#include "privsep/flows.h"

enum {
    AT_ONCE = 4096,  /* flows forgotten after a walk */
    NAME_SIZE = 128, /* bytes of the attributes that name a flow: an IPv6 tuple, zone, id */
};

/* Which fields of a tuple the kernel's filter is to compare: since Linux 5.8, in
 * net/netfilter/nf_internals.h. */
enum { COMPARE_SOURCE = 1 << 0, COMPARE_PROTOCOL = 1 << 3, COMPARE_PORT = 1 << 5 };

/* With IPv6 the kernel (seen in 6.18) leaves out the very source that it should find: there it does
 * not compare the source. A port means something with its protocol alone. */
static uint32_t compared(enum family family, const struct shared *shared)
{
    uint32_t fields = family == IPV4 && shared->address ? COMPARE_SOURCE : 0;

    if (shared->protocol)
        fields |= COMPARE_PROTOCOL | (shared->port ? COMPARE_PORT : 0);
    return fields;
}

void tracked_question(union question *q, enum family family, const struct shared *shared)
{
    const uint32_t fields = compared(family, shared);
    const uint16_t port = htons(shared->port);
    uint32_t nest, part;

    flows_begin(q, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family);
    if (fields == 0)
        return;
    nest = netlink_begin_nest(q, CTA_TUPLE_ORIG);
    if (fields & COMPARE_SOURCE) {
        part = netlink_begin_nest(q, CTA_TUPLE_IP);
        netlink_put_attribute(q, CTA_IP_V4_SRC, shared->address->bytes + 12, 4);
        netlink_end_nest(q, part);
    }
    if (fields & COMPARE_PROTOCOL) {
        part = netlink_begin_nest(q, CTA_TUPLE_PROTO);
        netlink_put_attribute(q, CTA_PROTO_NUM, &shared->protocol, sizeof shared->protocol);
        if (fields & COMPARE_PORT)
            netlink_put_attribute(q, CTA_PROTO_DST_PORT, &port, sizeof port);
        netlink_end_nest(q, part);
    }
    netlink_end_nest(q, nest);
    nest = netlink_begin_nest(q, CTA_FILTER);
    netlink_put_attribute(q, CTA_FILTER_ORIG_FLAGS, &fields, sizeof fields);
    netlink_end_nest(q, nest);
}

/* The attributes by which the kernel knows a flow, as it gave them. */
struct name {
    uint8_t bytes[NAME_SIZE];
    size_t size;
    bool is_over;
};

struct named {
    const struct doors *doors;
    struct name names[AT_ONCE];
    size_t count;
};

static void add_to_name(struct name *name, struct span attributes, unsigned type)
{
    struct span whole = netlink_find_whole(attributes, type);

    if (!whole.bytes || netlink_aligned(whole.size) > NAME_SIZE - name->size)
        return;
    memcpy(name->bytes + name->size, whole.bytes, whole.size);
    name->size += netlink_aligned(whole.size);
}

static void note_name(void *into, struct span answer)
{
    struct span attributes = flows_attributes(answer);
    struct named *named = into;
    struct name *name = &named->names[named->count];
    struct flow flow;

    if (named->count == AT_ONCE || !flows_read(answer, &flow) ||
        !doors_have(named->doors, &flow.from, &flow.to))
        return;
    *name = (struct name){.is_over = flow.is_over};
    add_to_name(name, attributes, CTA_TUPLE_ORIG);
    add_to_name(name, attributes, CTA_ZONE);
    add_to_name(name, attributes, CTA_ID);
    named->count++;
}

static int forget(int *conntrack, enum family family, const struct name *name)
{
    union question q;

    flows_begin(&q, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, family);
    netlink_put(&q, name->bytes, name->size);
    return netlink_ask(conntrack, &q, NULL, NULL);
}

static int forget_family(int *conntrack, const struct doors *doors, enum family family,
                         int64_t until, uint32_t *found, uint32_t *ended)
{
    static struct named named;
    struct shared shared = {0};
    union question q;
    int error;

    for (size_t i = 0; i < doors->count; i++)
        if (address_family(&doors->items[i].address) == family)
            doors_share(&shared, &doors->items[i]);
    if (shared.met == 0)
        return 0;
    named.doors = doors;
    named.count = 0;
    tracked_question(&q, family, &shared);
    error = netlink_ask_until(conntrack, &q, until, note_name, &named);
    *found += (uint32_t)named.count;
    for (size_t i = 0; error == 0 && i < named.count; i++) {
        error = forget(conntrack, family, &named.names[i]);
        *ended += error == 0 && !named.names[i].is_over;
        if (error == ENOENT) /* the flow has ended by itself */
            error = 0;
    }
    return error;
}

int tracked_forget(int *conntrack, const struct doors *doors, int64_t until, uint32_t *found,
                   uint32_t *ended)
{
    int error = forget_family(conntrack, doors, IPV4, until, found, ended);

    return error ? error : forget_family(conntrack, doors, IPV6, until, found, ended);
}
