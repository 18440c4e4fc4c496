#include "privsep/xtables/ipsetorder.h"

#include <arpa/inet.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

enum {
    HEAD_SIZE = sizeof(struct nlattr),
    NUMBER_SIZE = HEAD_SIZE + 4, /* bytes of an attribute that is a number */
};

static void put(struct ipset_order *order, const void *bytes, size_t size)
{
    memcpy(order->bytes + order->size, bytes, size);
    order->size += NLMSG_ALIGN(size);
}

/* Puts an attribute. One without `bytes` holds those that follow, for `size` bytes. */
static void put_attribute(struct ipset_order *order, unsigned type, const void *bytes, size_t size)
{
    const struct nlattr head = {.nla_len = (uint16_t)(sizeof head + size),
                                .nla_type = (uint16_t)(bytes ? type : type | NLA_F_NESTED)};

    put(order, &head, sizeof head);
    if (bytes)
        put(order, bytes, size);
}

static void put_text(struct ipset_order *order, unsigned type, const char *text)
{
    put_attribute(order, type, text, strlen(text) + 1);
}

/* Puts a number of 1, 2 or 4 bytes. */
static void put_number(struct ipset_order *order, unsigned type, size_t size, size_t value)
{
    const uint32_t number = htonl((uint32_t)value);

    put_attribute(order, size > 1 ? type | NLA_F_NET_BYTEORDER : type,
                  (const uint8_t *)&number + sizeof number - size, size);
}

/* Only the making of a set is exclusive (NLM_F_EXCL): the set must not be there yet. To add an
 * element that is there changes it, and to take out one that is not there is no error. */
static void begin(struct ipset_order *order, unsigned command, const char *name)
{
    const unsigned only_new = command == IPSET_CMD_CREATE ? NLM_F_CREATE | NLM_F_EXCL : 0;
    const struct nlmsghdr header = {.nlmsg_type = (uint16_t)(NFNL_SUBSYS_IPSET << 8 | command),
                                    .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | only_new)};
    const struct nfgenmsg about = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};

    order->size = 0;
    put(order, &header, sizeof header);
    put(order, &about, sizeof about);
    put_number(order, IPSET_ATTR_PROTOCOL, 1, IPSET_PROTOCOL_MIN);
    put_text(order, IPSET_ATTR_SETNAME, name);
}

static void end(struct ipset_order *order)
{
    const uint32_t size = (uint32_t)order->size;

    memcpy(order->bytes, &size, sizeof size);
}

void ipset_order_create(struct ipset_order *order, const char *name, enum family family,
                        size_t capacity)
{
    begin(order, IPSET_CMD_CREATE, name);
    put_text(order, IPSET_ATTR_TYPENAME, "hash:ip,port");
    put_number(order, IPSET_ATTR_REVISION, 1, 1); /* the oldest that ipset(8) knows: 7.17, tried */
    put_number(order, IPSET_ATTR_FAMILY, 1, family == IPV4 ? AF_INET : AF_INET6);
    put_attribute(order, IPSET_ATTR_DATA, NULL, 2 * (size_t)NUMBER_SIZE);
    put_number(order, IPSET_ATTR_TIMEOUT, 4, 1); /* of an element that has none of its own */
    put_number(order, IPSET_ATTR_MAXELEM, 4, capacity);
    end(order);
}

void ipset_order_destroy(struct ipset_order *order, const char *name)
{
    begin(order, IPSET_CMD_DESTROY, name);
    end(order);
}

void ipset_order_swap(struct ipset_order *order, const char *name, const char *other)
{
    begin(order, IPSET_CMD_SWAP, name);
    put_text(order, IPSET_ATTR_SETNAME2, other);
    end(order);
}

static void put_element(struct ipset_order *order, unsigned command, const char *name,
                        enum family family)
{
    static const uint8_t no_address[16];
    const size_t size = family == IPV4 ? 4 : 16;
    const unsigned type = family == IPV4 ? IPSET_ATTR_IPADDR_IPV4 : IPSET_ATTR_IPADDR_IPV6;

    begin(order, command, name);
    put_attribute(order, IPSET_ATTR_DATA, NULL,
                  3 * (size_t)NUMBER_SIZE + 2 * (size_t)HEAD_SIZE + size);
    put_number(order, IPSET_ATTR_TIMEOUT, 4, 0);
    put_number(order, IPSET_ATTR_PROTO, 1, 0);
    put_number(order, IPSET_ATTR_PORT, 2, 0);
    put_attribute(order, IPSET_ATTR_IP, NULL, HEAD_SIZE + size);
    put_attribute(order, type | NLA_F_NET_BYTEORDER, no_address, size);
    end(order);
}

void ipset_order_put(struct ipset_order *order, const char *name, enum family family)
{
    put_element(order, IPSET_CMD_ADD, name, family);
}

void ipset_order_take_out(struct ipset_order *order, const char *name, enum family family)
{
    put_element(order, IPSET_CMD_DEL, name, family);
}
