#include "privsep/prepare/news.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "privsep/flows.h"
#include "privsep/netlink.h"

enum { ROOM = 16 << 20 /* bytes, for some 26,000 connections */ };

/* ---- what the kernel leaves out ----------------------------------------- */

/* Put the offset of an attribute into the register A. FIND looks from the offset in A on, FIND_IN
 * inside of the attribute at the offset in A. A is 0 if there is none (linux/filter.h). */
#define FIND(type) \
    BPF_STMT(BPF_LDX | BPF_IMM, type), \
    BPF_STMT(BPF_LD | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR))
#define FIND_IN(type) \
    BPF_STMT(BPF_LDX | BPF_IMM, type), \
    BPF_STMT(BPF_LD | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR_NEST))

/* Puts the value of the attribute at the offset in A into A. */
#define LOAD(size) \
    BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_LD | BPF_IND | (size), sizeof(struct nlattr))

#define ATTRIBUTES BPF_STMT(BPF_LD | BPF_IMM, NLMSG_HDRLEN + sizeof(struct nfgenmsg))
#define KEEP(place) BPF_STMT(BPF_ST, place)
#define TAKE(place) BPF_STMT(BPF_LD | BPF_MEM, place)
#define REJECT BPF_STMT(BPF_RET | BPF_K, 0)
#define ACCEPT BPF_STMT(BPF_RET | BPF_K, ~0u)
#define UNLESS(comparison, value) BPF_JUMP(BPF_JMP | (comparison) | BPF_K, value, 1, 0)

enum { PORT, PROTOCOL, STATUS }; /* places in the filter's memory */

/* Accepts what is no news but an answer, which has a number. Puts protocol and port of a
 * connection that was just made into A, and rejects any other: as flows_read tells them apart. */
static const struct sock_filter just_made[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_seq)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), ACCEPT,
    ATTRIBUTES, FIND(CTA_TUPLE_ORIG), FIND_IN(CTA_TUPLE_PROTO), KEEP(PROTOCOL),
    FIND_IN(CTA_PROTO_DST_PORT), LOAD(BPF_H), KEEP(PORT),
    TAKE(PROTOCOL), FIND_IN(CTA_PROTO_NUM), LOAD(BPF_B), KEEP(PROTOCOL),
    ATTRIBUTES, FIND(CTA_STATUS), LOAD(BPF_W), KEEP(STATUS),
    TAKE(PROTOCOL), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 5),

    TAKE(STATUS), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, IPS_SEEN_REPLY | IPS_ASSURED),
    UNLESS(BPF_JEQ, IPS_SEEN_REPLY), REJECT, BPF_STMT(BPF_JMP | BPF_JA, 18),

    TAKE(STATUS), UNLESS(BPF_JSET, IPS_ASSURED), REJECT,
    ATTRIBUTES, FIND(CTA_PROTOINFO), UNLESS(BPF_JGT, 0), REJECT,
    FIND_IN(CTA_PROTOINFO_TCP), UNLESS(BPF_JGT, 0), REJECT,
    FIND_IN(CTA_PROTOINFO_TCP_STATE), LOAD(BPF_B), UNLESS(BPF_JEQ, TCP_CONNTRACK_ESTABLISHED),
    REJECT,

    BPF_STMT(BPF_LDX | BPF_MEM, PORT), TAKE(PROTOCOL), BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 16),
    BPF_STMT(BPF_ALU | BPF_OR | BPF_X, 0),
};

enum {
    JUST_MADE = sizeof just_made / sizeof *just_made,
    SERVICES_MAX = (BPF_MAXINSNS - JUST_MADE - 1) / 2,
};

/* The filter of before, which may have had other services, goes first. */
static void attach_filter(int fd, const struct service *services, size_t count)
{
    struct sock_filter code[BPF_MAXINSNS];
    struct sock_fprog program = {.filter = code};
    unsigned short n = 0;

    for (size_t i = 0; i < JUST_MADE; i++)
        code[n++] = just_made[i];
    for (size_t i = 0; i < count && count <= SERVICES_MAX; i++) {
        const uint32_t service = (uint32_t)services[i].protocol << 16 | services[i].port;

        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, service, 0, 1);
        code[n++] = (struct sock_filter)ACCEPT;
    }
    code[n++] = count <= SERVICES_MAX ? (struct sock_filter)REJECT : (struct sock_filter)ACCEPT;
    program.len = n;
    setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

/* ---- the socket --------------------------------------------------------- */

bool news_try(int *conntrack, struct error *why)
{
    int fd = open("/proc/sys/net/netfilter/nf_conntrack_events", O_RDONLY | O_CLOEXEC);
    char setting; /* of this network namespace */
    bool are_told = fd >= 0 && read(fd, &setting, 1) == 1 && setting != '0';

    if (fd >= 0)
        close(fd);
    return flows_try(conntrack, why) &&
           (are_told ||
            error_set(why, "the kernel does not tell of connections as they are made "
                           "(net.netfilter.nf_conntrack_events is 0, or not there)"));
}

void news_open(int fd, const struct service *services, size_t count)
{
    netlink_make_room(fd, ROOM);
    attach_filter(fd, services, count);
}
