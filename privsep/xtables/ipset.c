#include "privsep/xtables/ipset.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/ipset/ip_set_hash.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ORDER_MAX = 256, /* bytes of an order and what is sent behind all orders, with room to spare */
    HEAD_SIZE = sizeof(struct nlattr),
    NUMBER_SIZE = HEAD_SIZE + 4, /* bytes of an attribute that is a number */
};

const char *const ipset_names[FAMILIES] = {"portsmith4", "portsmith6"};

void ipset_open(struct ipset *set, size_t capacity)
{
    static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

    *set = (struct ipset){.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER),
                          .capacity = capacity};
    /* A connected socket hears the kernel alone, and no other process. */
    if (set->fd >= 0 && connect(set->fd, (const struct sockaddr *)&kernel, sizeof kernel) != 0)
        ipset_close(set);
}

void ipset_close(struct ipset *set)
{
    if (set->fd >= 0)
        close(set->fd);
    set->fd = -1;
}

/* ---- orders ------------------------------------------------------------- */

static void put(struct ipset *set, const void *bytes, size_t size)
{
    memcpy(set->bytes + set->size, bytes, size);
    set->size += NLMSG_ALIGN(size);
}

/* Puts an attribute. One without `bytes` holds those that follow, for `size` bytes. */
static void put_attribute(struct ipset *set, unsigned type, const void *bytes, size_t size)
{
    const struct nlattr head = {.nla_len = (uint16_t)(sizeof head + size),
                                .nla_type = (uint16_t)(bytes ? type : type | NLA_F_NESTED)};

    put(set, &head, sizeof head);
    if (bytes)
        put(set, bytes, size);
}

static void put_text(struct ipset *set, unsigned type, const char *text)
{
    put_attribute(set, type, text, strlen(text) + 1);
}

/* Puts a number of 1, 2 or 4 bytes. */
static void put_number(struct ipset *set, unsigned type, size_t size, size_t value)
{
    const uint32_t number = htonl((uint32_t)value);

    put_attribute(set, size > 1 ? type | NLA_F_NET_BYTEORDER : type,
                  (const uint8_t *)&number + sizeof number - size, size);
}

/* Only the making of a set is exclusive (NLM_F_EXCL): the set must not be there yet. To add an
 * element that is there changes it, and to take out one that is not there is no error. */
static void begin(struct ipset *set, unsigned command, const char *name)
{
    const unsigned only_new = command == IPSET_CMD_CREATE ? NLM_F_CREATE | NLM_F_EXCL : 0;
    const struct nlmsghdr header = {.nlmsg_type = (uint16_t)(NFNL_SUBSYS_IPSET << 8 | command),
                                    .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | only_new)};
    const struct nfgenmsg about = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};

    set->at = set->size;
    put(set, &header, sizeof header);
    put(set, &about, sizeof about);
    put_number(set, IPSET_ATTR_PROTOCOL, 1, IPSET_PROTOCOL_MIN);
    put_text(set, IPSET_ATTR_SETNAME, name);
}

static void end(struct ipset *set)
{
    const uint32_t size = (uint32_t)(set->size - set->at);

    memcpy(set->bytes + set->at, &size, sizeof size);
}

/* The kernel answers each order that it does not follow; and what stands behind the orders, as
 * that asks for an answer. All answers wait when send(2) returns. */
int ipset_send(struct ipset *set)
{
    static struct nlmsghdr last = {.nlmsg_len = sizeof last, .nlmsg_type = NLMSG_NOOP,
                                   .nlmsg_flags = NLM_F_ACK};
    struct {
        struct nlmsghdr header;
        int32_t error;
    } answer;
    const size_t size = set->size + sizeof last;
    bool is_answered;
    int error = 0;

    last.nlmsg_seq++;
    put(set, &last, sizeof last);
    set->size = 0;
    if (set->fd < 0)
        return EOPNOTSUPP;
    is_answered = send(set->fd, set->bytes, size, MSG_DONTWAIT) == (ssize_t)size;
    do {
        is_answered = is_answered &&
                      recv(set->fd, &answer, sizeof answer, MSG_DONTWAIT) == sizeof answer &&
                      answer.header.nlmsg_type == NLMSG_ERROR && answer.error <= 0 &&
                      answer.error > INT32_MIN;
        if (!is_answered) {
            ipset_close(set);
            return EIO;
        }
        if (error == 0)
            error = -answer.error;
    } while (answer.header.nlmsg_seq != last.nlmsg_seq);
    return error;
}

static int send_one(struct ipset *set)
{
    end(set);
    return ipset_send(set);
}

int ipset_create(struct ipset *set, const char *name, enum family family)
{
    begin(set, IPSET_CMD_CREATE, name);
    put_text(set, IPSET_ATTR_TYPENAME, "hash:ip,port");
    put_number(set, IPSET_ATTR_REVISION, 1, 1); /* the oldest that ipset(8) knows: 7.17, tried */
    put_number(set, IPSET_ATTR_FAMILY, 1, family == IPV4 ? AF_INET : AF_INET6);
    put_attribute(set, IPSET_ATTR_DATA, NULL, 2 * (size_t)NUMBER_SIZE);
    put_number(set, IPSET_ATTR_TIMEOUT, 4, 1); /* of an element that has none of its own */
    put_number(set, IPSET_ATTR_MAXELEM, 4, set->capacity);
    return send_one(set);
}

int ipset_destroy(struct ipset *set, const char *name)
{
    begin(set, IPSET_CMD_DESTROY, name);
    return send_one(set);
}

int ipset_swap(struct ipset *set, const char *name, const char *other)
{
    begin(set, IPSET_CMD_SWAP, name);
    put_text(set, IPSET_ATTR_SETNAME2, other);
    return send_one(set);
}

int ipset_put(struct ipset *set, const char *name, const struct address *address,
              const struct service *service, uint32_t timeout)
{
    const bool is_ipv4 = address_is_ipv4(address);
    const size_t size = is_ipv4 ? 4 : 16;
    const size_t nested = 3 * (size_t)NUMBER_SIZE + 2 * (size_t)HEAD_SIZE + size;

    begin(set, timeout ? IPSET_CMD_ADD : IPSET_CMD_DEL, name);
    put_attribute(set, IPSET_ATTR_DATA, NULL, nested);
    put_number(set, IPSET_ATTR_TIMEOUT, 4, timeout);
    put_number(set, IPSET_ATTR_PROTO, 1, service->protocol);
    put_number(set, IPSET_ATTR_PORT, 2, service->port);
    put_attribute(set, IPSET_ATTR_IP, NULL, HEAD_SIZE + size);
    put_attribute(set, is_ipv4 ? IPSET_ATTR_IPADDR_IPV4 | NLA_F_NET_BYTEORDER
                               : IPSET_ATTR_IPADDR_IPV6 | NLA_F_NET_BYTEORDER,
                  address->bytes + sizeof address->bytes - size, size);
    end(set);
    return set->size > sizeof set->bytes - ORDER_MAX ? ipset_send(set) : 0;
}

/* ---- errors ------------------------------------------------------------- */

static const char *explain(int error)
{
    if (error == IPSET_ERR_HASH_FULL)
        return "the set is full";
    if (error == IPSET_ERR_BUSY || error == IPSET_ERR_REFERENCED)
        return "a rule refers to it";
    if (error == IPSET_ERR_TYPE_MISMATCH)
        return "another program's set has this name";
    if (error == IPSET_ERR_FIND_TYPE)
        return "the kernel has no hash:ip,port";
    if (error == EINVAL || error == EOPNOTSUPP) /* no such subsystem, as nfnetlink has it */
        return "the kernel has no ip_set; load or build it";
    return error < IPSET_ERR_PRIVATE ? strerror(error) : "the kernel does not understand it";
}

bool ipset_is_done(int error, const char *name, struct error *why)
{
    return error == 0 || error_set(why, "ipset %s: %s", name, explain(error));
}
