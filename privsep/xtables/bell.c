/* Hears of changes to nftables, and who made them. */
#include "privsep/xtables/bell.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "privsep/netlink.h"

/* Bytes of notifications that may wait: as many as the kernel sends when some thousand rules are
 * rewritten, in one transaction. Where more are sent than fit, some are lost, and another
 * program's change may be among them: then the bell rings and the rules are written anew, which
 * again is more than fits. */
enum { ROOM = 16 << 20 };

int bell_open(struct error *why)
{
    static const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
    int group = NFNLGRP_NFTABLES;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);

    if (fd >= 0 && bind(fd, (const struct sockaddr *)&any, sizeof any) == 0 &&
        setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0) {
        netlink_make_room(fd, ROOM);
        return fd;
    }
    error_set(why, "cannot listen for nftables changes: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool is_own(uint32_t sender, const uint32_t *own, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (sender == own[i])
            return true;
    return false;
}

/* Reads which process asked for a transaction. The transaction's last notification names it
 * (nf_tables_fill_gen_info). A process may call itself anything. */
static void read_ringer(struct span message, struct bell_ringer *ringer)
{
    struct span attributes, name;
    uint32_t pid;

    if (message.size < sizeof(struct nfgenmsg))
        return;
    attributes = (struct span){message.bytes + sizeof(struct nfgenmsg),
                               message.size - sizeof(struct nfgenmsg)};
    if (!netlink_read(attributes, NFTA_GEN_PROC_PID, &pid, sizeof pid))
        return;
    name = netlink_find(attributes, NFTA_GEN_PROC_NAME);
    *ringer = (struct bell_ringer){.pid = ntohl(pid)};
    for (size_t i = 0; i < name.size && i < BELL_NAME_SIZE - 1 && name.bytes[i] != '\0'; i++)
        ringer->name[i] = isgraph(name.bytes[i]) ? (char)name.bytes[i] : '?';
}

/* Whether a notification among these is about another program's change. It carries the port id of
 * the socket that asked for the change. libmnl lets the kernel choose that, and the kernel chooses
 * the process id (netlink(7)). */
static bool has_foreign(const uint8_t *bytes, size_t size, const uint32_t *own, size_t count,
                        struct bell_ringer *last)
{
    struct nlmsghdr header;
    bool found = false;

    while (size >= sizeof header) {
        size_t step;

        memcpy(&header, bytes, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > size)
            return true;
        if (!is_own(header.nlmsg_pid, own, count)) {
            found = true;
            if (header.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN))
                read_ringer((struct span){bytes + sizeof header, header.nlmsg_len - sizeof header},
                            last);
        }
        step = NLMSG_ALIGN(header.nlmsg_len);
        if (step >= size)
            break;
        bytes += step;
        size -= step;
    }
    return found;
}

bool bell_rang(int fd, const uint32_t *own, size_t count, struct bell_ringer *last)
{
    enum { MESSAGES_MAX = 4096 }; /* a flood of changes must not hold us here */
    uint8_t bytes[16384];
    bool rang = false;

    for (int i = 0; i < MESSAGES_MAX; i++) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == ENOBUFS) {
            *last = (struct bell_ringer){.pid = 0};
            rang = true;
            continue;
        }
        if (n <= 0)
            break;
        rang = has_foreign(bytes, (size_t)n, own, count, last) || rang;
    }
    return rang;
}
