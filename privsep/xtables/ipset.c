#include "privsep/xtables/ipset.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/ipset/ip_set_hash.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Where the values of an order about an element stand: so many bytes before the address, with
 * which it ends. */
enum { TIMEOUT = 28, PROTOCOL = 20, PORT = 12 };

const char *const ipset_names[FAMILIES] = {"portsmith4", "portsmith6"};

void ipset_open(struct ipset *set)
{
    static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

    set->size = 0;
    set->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
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

static void add(struct ipset *set, const void *bytes, size_t size)
{
    memcpy(set->bytes + set->size, bytes, size);
    set->size += size;
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
    add(set, &last, sizeof last);
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

int ipset_run(struct ipset *set, const void *order, size_t size)
{
    add(set, order, size);
    return ipset_send(set);
}

int ipset_put(struct ipset *set, const void *order, size_t size, const struct address *address,
              const struct service *service, uint32_t timeout)
{
    const size_t length = address_is_ipv4(address) ? 4 : 16;
    const uint32_t seconds = htonl(timeout);
    const uint16_t port = htons(service->port);
    uint8_t *end;

    add(set, order, size);
    end = set->bytes + set->size - length;
    memcpy(end - TIMEOUT, &seconds, sizeof seconds);
    *(end - PROTOCOL) = service->protocol;
    memcpy(end - PORT, &port, sizeof port);
    memcpy(end, address->bytes + sizeof address->bytes - length, length);
    return set->size > sizeof set->bytes - IPSET_ORDER_MAX ? ipset_send(set) : 0;
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

bool ipset_is_absent(int error)
{
    return error == ENOENT || error == EINVAL || error == EOPNOTSUPP;
}

bool ipset_is_done(int error, const char *name, struct error *why)
{
    return error == 0 || error_set(why, "ipset %s: %s", name, explain(error));
}
