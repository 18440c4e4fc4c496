/* The kernel's connection tracking, asked and read. */
#include "privsep/flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* ---- what the kernel tells ---------------------------------------------- */

static bool read_source(struct span tuple, struct address *from)
{
    struct span ip = netlink_find(tuple, CTA_TUPLE_IP);
    uint8_t v4[4];

    if (netlink_read(ip, CTA_IP_V4_SRC, v4, sizeof v4)) {
        *from = address_from_ipv4(v4);
        return true;
    }
    return netlink_read(ip, CTA_IP_V6_SRC, from->bytes, sizeof from->bytes);
}

static bool read_service(struct span tuple, struct service *to)
{
    struct span protocol = netlink_find(tuple, CTA_TUPLE_PROTO);

    if (!netlink_read(protocol, CTA_PROTO_NUM, &to->protocol, sizeof to->protocol) ||
        !netlink_read(protocol, CTA_PROTO_DST_PORT, &to->port, sizeof to->port))
        return false;
    to->port = ntohs(to->port);
    return true;
}

struct span flows_attributes(struct span message)
{
    size_t header = sizeof(struct nfgenmsg);

    return message.size < header ? (struct span){NULL, 0}
                                 : (struct span){message.bytes + header, message.size - header};
}

bool flows_read(struct span message, struct flow *flow)
{
    struct span attributes = flows_attributes(message);
    struct span tuple = netlink_find(attributes, CTA_TUPLE_ORIG);
    struct span tcp = netlink_find(netlink_find(attributes, CTA_PROTOINFO), CTA_PROTOINFO_TCP);
    uint8_t state = TCP_CONNTRACK_NONE; /* it stays so where the kernel tells no state */
    uint32_t status;

    *flow = (struct flow){0};
    if (!read_source(tuple, &flow->from) || !read_service(tuple, &flow->to) ||
        !netlink_read(attributes, CTA_ID, &flow->id, sizeof flow->id) ||
        !netlink_read(attributes, CTA_STATUS, &status, sizeof status))
        return false;
    netlink_read(tcp, CTA_PROTOINFO_TCP_STATE, &state, sizeof state);
    status = ntohl(status);
    /* In news the kernel tells the state only where that has changed, and TCP becomes
     * established once. UDP is answered for the first time before it is assured. */
    if (flow->to.protocol == IPPROTO_TCP) {
        flow->was_made = status & IPS_ASSURED;
        flow->was_just_made = flow->was_made && state == TCP_CONNTRACK_ESTABLISHED;
    } else {
        flow->was_made = status & IPS_SEEN_REPLY;
        flow->was_just_made = flow->was_made && !(status & IPS_ASSURED);
    }
    flow->is_over = state == TCP_CONNTRACK_TIME_WAIT || state == TCP_CONNTRACK_CLOSE;
    return true;
}

/* ---- what it is asked --------------------------------------------------- */

void flows_begin(union question *q, unsigned type, unsigned flags, enum family family)
{
    const struct nfgenmsg header = {.nfgen_family = family == IPV6 ? AF_INET6 : AF_INET};

    netlink_begin(q, NFNL_SUBSYS_CTNETLINK << 8 | type, flags);
    netlink_put(q, &header, sizeof header);
}

bool flows_explain(int error, struct error *why)
{
    return error == 0 || error_set(why, "the kernel does not tell of its connections "
                                        "(nf_conntrack_netlink): %s", strerror(error));
}

/* The kernel is asked how many connections there are, which it knows without a walk. */
bool flows_try(int *conntrack, struct error *why)
{
    union question q;

    flows_begin(&q, IPCTNL_MSG_CT_GET_STATS, NLM_F_ACK, IPV4);
    return flows_explain(netlink_ask(conntrack, &q, NULL, NULL), why);
}
