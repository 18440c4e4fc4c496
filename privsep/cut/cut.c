#include "privsep/cut/cut.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "privsep/cut/sockets.h"
#include "privsep/cut/tracked.h"

enum { TRIES = 16 }; /* until no connection comes back */

static void tell(struct cut_result *result, enum cut_trouble trouble, int error)
{
    result->trouble = trouble;
    result->error = (uint32_t)error;
}

/* Tells what became of the sockets, once connection tracking has forgotten all. */
static void tell_of_sockets(struct cut_result *result, const struct refused *refused, int error,
                            uint32_t ended)
{
    result->left = (uint32_t)refused->count;
    if (refused->count > 0)
        tell(result, ended > 0 ? CUT_REFUSED : CUT_NO_SOCKETS, refused->error);
    else if (error != 0)
        tell(result, CUT_NO_SOCKETS, error);
}

/* Sockets go first, so that NAT still leads the resets to the other end. For as long as a flow
 * is known, over or not, whoever has a SYN cookie makes another socket of it; and for as long
 * as there is a socket, its packets make another flow. So both are ended again and again,
 * until there is neither: no flow, and then no socket. */
void cut_connections(struct cut *cut, const struct doors *doors, int64_t until,
                     struct cut_result *result)
{
    struct refused refused = {.count = 0};
    uint32_t sockets_ended = 0, flows_ended = 0;
    bool has_flows = true;

    *result = (struct cut_result){0};
    for (int i = 0; i < TRIES && clock_boot_ns() < until; i++) {
        uint32_t sockets = 0, flows = 0;
        const int unended = sockets_end(&cut->sockets, doors, until, &refused, &sockets,
                                        &sockets_ended);
        int untracked;

        if (!has_flows && (unended != 0 || sockets == 0 || refused.count == REFUSED_MAX)) {
            result->ended = sockets_ended + flows_ended;
            tell_of_sockets(result, &refused, unended, sockets_ended);
            return;
        }
        untracked = tracked_forget(&cut->conntrack, doors, until, &flows, &flows_ended);
        has_flows = flows > 0;
        result->ended = sockets_ended + flows_ended;
        if (untracked != 0) {
            tell(result, CUT_UNTRACKED, untracked);
            return;
        }
    }
    tell(result, CUT_TOO_MANY, 0);
}

/* The socket's other reader gets the answer. */
void cut_ask(int news, const struct cut_door *door, struct cut_result *result)
{
    struct shared shared = {0};
    union question q;

    *result = (struct cut_result){0};
    doors_share(&shared, door);
    tracked_question(&q, address_family(&door->address), &shared);
    q.header.nlmsg_seq = door->id;
    if (send(news, &q, q.header.nlmsg_len, MSG_DONTWAIT) != (ssize_t)q.header.nlmsg_len)
        tell(result, CUT_UNTRACKED, errno);
}

void cut_open(struct cut *cut)
{
    *cut = (struct cut){.conntrack = netlink_open(NETLINK_NETFILTER),
                        .sockets = netlink_open(NETLINK_SOCK_DIAG)};
}

void cut_close(struct cut *cut)
{
    if (cut->conntrack >= 0)
        close(cut->conntrack);
    if (cut->sockets >= 0)
        close(cut->sockets);
    *cut = (struct cut){-1, -1};
}
