#include "privsep/xtables/ipset.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/ipset/ip_set_hash.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const char *const ipset_names[FAMILIES] = {"portsmith4", "portsmith6"};
const char *const ipset_scratch = "portsmith-probe";

void ipset_open(struct ipset *set, size_t capacity)
{
    *set = (struct ipset){.fd = netlink_open(NETLINK_NETFILTER), .capacity = capacity};
}

void ipset_close(struct ipset *set)
{
    if (set->fd >= 0)
        close(set->fd);
    set->fd = -1;
}

/* ---- questions ---------------------------------------------------------- */

void ipset_put_text(union question *q, unsigned type, const char *text)
{
    netlink_put_attribute(q, type, text, strlen(text) + 1);
}

void ipset_put_byte(union question *q, unsigned type, unsigned value)
{
    const uint8_t byte = (uint8_t)value;

    netlink_put_attribute(q, type, &byte, sizeof byte);
}

void ipset_put_number(union question *q, unsigned type, size_t value)
{
    const uint32_t number = htonl((uint32_t)value);

    netlink_put_attribute(q, type | NLA_F_NET_BYTEORDER, &number, sizeof number);
}

/* Only the making of a set is exclusive (NLM_F_EXCL): the set must not be there yet. To add an
 * element that is there changes it, and to delete one that is not there is no error. */
void ipset_begin(union question *q, unsigned command, const char *name)
{
    const struct nfgenmsg header = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};
    unsigned only_new = command == IPSET_CMD_CREATE ? NLM_F_CREATE | NLM_F_EXCL : 0;

    netlink_begin(q, NFNL_SUBSYS_IPSET << 8 | command, NLM_F_ACK | only_new);
    netlink_put(q, &header, sizeof header);
    ipset_put_byte(q, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
    ipset_put_text(q, IPSET_ATTR_SETNAME, name);
}

const char *ipset_explain(int error)
{
    switch (error) {
    case IPSET_ERR_HASH_FULL:
        return "the set is full";
    case IPSET_ERR_BUSY:
    case IPSET_ERR_REFERENCED:
        return "a rule refers to it";
    case IPSET_ERR_TYPE_MISMATCH:
        return "another program's set has this name";
    case IPSET_ERR_FIND_TYPE:
        return "the kernel has no hash:ip,port";
    case EINVAL: /* no such subsystem, as nfnetlink has it */
    case EOPNOTSUPP:
        return "the kernel has no ip_set; load or build it";
    default:
        return error < IPSET_ERR_PRIVATE ? strerror(error) : "the kernel does not understand it";
    }
}

bool ipset_ask(struct ipset *set, union question *q, const char *name, struct error *why)
{
    int error = netlink_ask(&set->fd, q, NULL, NULL);

    return error == 0 || error_set(why, "ipset %s: %s", name, ipset_explain(error));
}

int ipset_create(struct ipset *set, const char *name, enum family family)
{
    union question q;
    uint32_t data;

    ipset_begin(&q, IPSET_CMD_CREATE, name);
    ipset_put_text(&q, IPSET_ATTR_TYPENAME, "hash:ip,port");
    ipset_put_byte(&q, IPSET_ATTR_REVISION, 1); /* the oldest that ipset(8) knows: 7.17, tried */
    ipset_put_byte(&q, IPSET_ATTR_FAMILY, family == IPV4 ? AF_INET : AF_INET6);
    data = netlink_begin_nest(&q, IPSET_ATTR_DATA);
    ipset_put_number(&q, IPSET_ATTR_TIMEOUT, 1); /* of an element that has none of its own */
    ipset_put_number(&q, IPSET_ATTR_MAXELEM, set->capacity);
    netlink_end_nest(&q, data);
    return netlink_ask(&set->fd, &q, NULL, NULL);
}

int ipset_destroy(struct ipset *set, const char *name)
{
    union question q;

    ipset_begin(&q, IPSET_CMD_DESTROY, name);
    return netlink_ask(&set->fd, &q, NULL, NULL);
}

/* ---- trying ------------------------------------------------------------- */

bool ipset_make_scratch(struct ipset *set, enum family family, bool *for_good, struct error *why)
{
    int error;

    ipset_remove_scratch(set);
    error = ipset_create(set, ipset_scratch, family);
    *for_good = error == EINVAL || error == EOPNOTSUPP || error == IPSET_ERR_FIND_TYPE;
    return error == 0 || error_set(why, "ipset %s: %s", ipset_scratch, ipset_explain(error));
}

void ipset_remove_scratch(struct ipset *set)
{
    ipset_destroy(set, ipset_scratch);
}
