#include "privsep/helper/flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "privsep/netlink.h"

enum {
    AT_ONCE = 32,        /* connections ended at a time, ... */
    ROUNDS = 64,         /* ... so often */
    TRIES = 16,          /* until none comes back */
    REFUSED_MAX = 256,   /* that the kernel does not end; then the others are left, too */
    NAME_SIZE = 192,     /* attributes that name a flow: an IPv6 tuple, zone, id */
};

/* Which fields of a tuple the kernel's filter is to compare; since Linux 5.8, in
 * net/netfilter/nf_internals.h. Older ones tell of all flows. */
enum { COMPARE_SOURCE = 1 << 0, COMPARE_PROTOCOL = 1 << 3, COMPARE_PORT = 1 << 5 };

/* Sockets with a connection that can be ended. */
enum { LIVE_STATES = 0xfff & ~(1 << TCP_LISTEN | 1 << TCP_CLOSE | 1 << TCP_TIME_WAIT) };

/* Whom and what a question is about. */
struct way {
    bool ipv6;
    const struct address *from;
    const struct service *to;
};

/* ---- connection tracking ------------------------------------------------ */

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

/* 0: not TCP's, or not told. */
static uint8_t read_state(struct span attributes)
{
    struct span info = netlink_find(attributes, CTA_PROTOINFO);
    struct span tcp = netlink_find(info, CTA_PROTOINFO_TCP);
    uint8_t state = TCP_CONNTRACK_NONE;

    netlink_read(tcp, CTA_PROTOINFO_TCP_STATE, &state, sizeof state);
    return state;
}

static struct span attributes_of(struct span answer)
{
    size_t header = sizeof(struct nfgenmsg);

    return answer.size < header ? (struct span){NULL, 0}
                                : (struct span){answer.bytes + header, answer.size - header};
}

/* Of changes the kernel tells the state only where that has changed: TCP becomes
 * established once. UDP is answered for the first time before it is assured. */
static bool is_just_made(const struct flow *flow, uint32_t status, uint8_t state)
{
    if (flow->to.protocol == IPPROTO_TCP)
        return (status & IPS_ASSURED) && state == TCP_CONNTRACK_ESTABLISHED;
    return (status & IPS_SEEN_REPLY) && !(status & IPS_ASSURED);
}

bool helper_flows_read(struct span message, struct flow *flow)
{
    struct span attributes = attributes_of(message);
    struct span tuple = netlink_find(attributes, CTA_TUPLE_ORIG);
    const uint8_t state = read_state(attributes);
    uint32_t status;

    *flow = (struct flow){0};
    if (!read_source(tuple, &flow->from) || !read_service(tuple, &flow->to) ||
        !netlink_read(attributes, CTA_ID, &flow->id, sizeof flow->id) ||
        !netlink_read(attributes, CTA_STATUS, &status, sizeof status))
        return false;
    flow->was_just_made = is_just_made(flow, ntohl(status), state);
    flow->is_over = state == TCP_CONNTRACK_TIME_WAIT || state == TCP_CONNTRACK_CLOSE;
    return true;
}

/* Filtered here too: the kernel may be too old to do it. */
static bool is_on(const struct flow *flow, const struct way *way)
{
    return address_equal(&flow->from, way->from) && service_compare(&flow->to, way->to) == 0;
}

static void put_header(union question *q, bool ipv6)
{
    const struct nfgenmsg header = {.nfgen_family = ipv6 ? AF_INET6 : AF_INET};

    netlink_put(q, &header, sizeof header);
}

static void put_service(union question *q, const struct service *to)
{
    const uint16_t port = htons(to->port);
    uint32_t part = netlink_begin_nest(q, CTA_TUPLE_PROTO);

    netlink_put_attribute(q, CTA_PROTO_NUM, &to->protocol, sizeof to->protocol);
    netlink_put_attribute(q, CTA_PROTO_DST_PORT, &port, sizeof port);
    netlink_end_nest(q, part);
}

static void put_source(union question *q, const struct address *from)
{
    uint32_t part = netlink_begin_nest(q, CTA_TUPLE_IP);

    netlink_put_attribute(q, CTA_IP_V4_SRC, from->bytes + 12, 4);
    netlink_end_nest(q, part);
}

/* What the kernel is to compare. Of IPv6 it (seen in 6.18) leaves out the source that it
 * should find. */
static void put_filter(union question *q, const struct way *way)
{
    const uint32_t compared =
        (way->ipv6 ? 0 : COMPARE_SOURCE) | COMPARE_PROTOCOL | COMPARE_PORT;
    uint32_t nest = netlink_begin_nest(q, CTA_TUPLE_ORIG);

    if (!way->ipv6)
        put_source(q, way->from);
    put_service(q, way->to);
    netlink_end_nest(q, nest);
    nest = netlink_begin_nest(q, CTA_FILTER);
    netlink_put_attribute(q, CTA_FILTER_ORIG_FLAGS, &compared, sizeof compared);
    netlink_end_nest(q, nest);
}

/* Asks for the entries on a way. */
static int ask_conntrack(struct flows *flows, const struct way *way, answer_handler *handle,
                         void *into)
{
    union question q;

    netlink_begin(&q, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP);
    put_header(&q, way->ipv6);
    put_filter(&q, way);
    return netlink_ask(&flows->conntrack, &q, handle, into);
}

static bool explain_conntrack(int error, struct error *why)
{
    return error == 0 || error_set(why, "the kernel does not tell of its connections "
                                        "(nf_conntrack_netlink): %s", strerror(error));
}

/* How many there are: that is known without a walk. */
bool helper_flows_try(struct flows *flows, struct error *why)
{
    union question q;

    netlink_begin(&q, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET_STATS, NLM_F_ACK);
    put_header(&q, false);
    return explain_conntrack(netlink_ask(&flows->conntrack, &q, NULL, NULL), why);
}

/* ---- ending flows ------------------------------------------------------- */

/* The attributes by which the kernel knows a flow, as it gave them. */
struct name {
    uint8_t bytes[NAME_SIZE];
    size_t size;
    bool is_over;
};

struct named {
    struct way way;
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
    struct span attributes = attributes_of(answer);
    struct named *named = into;
    struct flow flow;

    if (named->count == AT_ONCE || !helper_flows_read(answer, &flow) ||
        !is_on(&flow, &named->way))
        return;
    named->names[named->count] = (struct name){.is_over = flow.is_over};
    add_to_name(&named->names[named->count], attributes, CTA_TUPLE_ORIG);
    add_to_name(&named->names[named->count], attributes, CTA_ZONE);
    add_to_name(&named->names[named->count], attributes, CTA_ID);
    named->count++;
}

static int forget(struct flows *flows, bool ipv6, const struct name *name)
{
    union question q;

    netlink_begin(&q, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, NLM_F_ACK);
    put_header(&q, ipv6);
    netlink_put(&q, name->bytes, name->size);
    return netlink_ask(&flows->conntrack, &q, NULL, NULL);
}

/* Up to AT_ONCE of them; an errno, ENOENT once there is none. Those that are over, too: for
 * as long as they are known, whoever has a SYN cookie of one gets in with it again. */
static int forget_some(struct flows *flows, const struct way *way, unsigned *ended)
{
    struct named named = {.way = *way};
    int error = ask_conntrack(flows, way, note_name, &named);

    if (error == 0 && named.count == 0)
        return ENOENT;
    for (size_t i = 0; error == 0 && i < named.count; i++) {
        error = forget(flows, way->ipv6, &named.names[i]);
        *ended += error == 0 && !named.names[i].is_over;
        if (error == ENOENT) /* it has ended by itself */
            error = 0;
    }
    return error;
}

/* ---- ending sockets ----------------------------------------------------- */

/* Those that the kernel would not end, which it goes on telling of: before Linux 6.11 or
 * so, those that have no process any more. */
struct refused {
    uint32_t cookies[REFUSED_MAX][2];
    size_t count;
    int error; /* of the last */
};

struct peers {
    struct way way;
    const struct refused *refused;
    struct inet_diag_req_v2 found[AT_ONCE];
    size_t count;
};

static bool was_refused(const struct refused *refused, const struct inet_diag_msg *socket)
{
    for (size_t i = 0; i < refused->count; i++)
        if (memcmp(refused->cookies[i], socket->id.idiag_cookie, sizeof *refused->cookies) == 0)
            return true;
    return false;
}

static void note_refusal(struct refused *refused, const struct inet_diag_req_v2 *socket, int error)
{
    refused->error = error;
    if (refused->count < REFUSED_MAX)
        memcpy(refused->cookies[refused->count++], socket->id.idiag_cookie,
               sizeof *refused->cookies);
}

static struct address peer_of(const struct inet_diag_msg *socket)
{
    const uint8_t *bytes = (const uint8_t *)socket->id.idiag_dst;
    struct address peer;

    if (socket->idiag_family == AF_INET)
        return address_from_ipv4(bytes);
    memcpy(peer.bytes, bytes, sizeof peer.bytes);
    return peer;
}

/* By its cookie too: the place of one that has gone may be another's, and without a
 * match the kernel would take the listening socket. */
static void note_socket(void *into, struct span answer)
{
    struct peers *peers = into;
    struct inet_diag_msg socket;
    struct address peer;

    if (answer.size < sizeof socket || peers->count == AT_ONCE)
        return;
    memcpy(&socket, answer.bytes, sizeof socket);
    peer = peer_of(&socket);
    if (!(1u << (socket.idiag_state & 31) & LIVE_STATES) ||
        ntohs(socket.id.idiag_sport) != peers->way.to->port ||
        !address_equal(&peer, peers->way.from) || was_refused(peers->refused, &socket))
        return;
    peers->found[peers->count++] =
        (struct inet_diag_req_v2){.sdiag_family = socket.idiag_family,
                                  .sdiag_protocol = IPPROTO_TCP,
                                  .idiag_states = LIVE_STATES,
                                  .id = socket.id};
}

static int destroy(struct flows *flows, const struct inet_diag_req_v2 *socket)
{
    union question q;

    netlink_begin(&q, SOCK_DESTROY, NLM_F_ACK);
    netlink_put(&q, socket, sizeof *socket);
    return netlink_ask(&flows->sockets, &q, NULL, NULL);
}

static int find_peers(struct flows *flows, struct peers *peers, uint8_t family)
{
    const struct inet_diag_req_v2 wanted = {.sdiag_family = family,
                                            .sdiag_protocol = IPPROTO_TCP,
                                            .idiag_states = LIVE_STATES,
                                            .id.idiag_sport = htons(peers->way.to->port)};
    union question q;
    int error;

    netlink_begin(&q, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
    netlink_put(&q, &wanted, sizeof wanted);
    error = netlink_ask(&flows->sockets, &q, note_socket, peers);
    return error == ENOENT ? EOPNOTSUPP : error; /* there is no tcp_diag */
}

/* As forget_some, of one family's sockets; one that is refused counts as none. */
static int destroy_some(struct flows *flows, const struct way *way, uint8_t family,
                        struct refused *refused, unsigned *ended)
{
    struct peers peers = {.way = *way, .refused = refused};
    int error = find_peers(flows, &peers, family);

    if (error == 0 && (peers.count == 0 || refused->count == REFUSED_MAX))
        return ENOENT;
    for (size_t i = 0; error == 0 && i < peers.count; i++) {
        int result = destroy(flows, &peers.found[i]);

        *ended += result == 0;
        if (result != 0 && result != ENOENT) /* it has ended by itself */
            note_refusal(refused, &peers.found[i], result);
    }
    return error;
}

static bool destroy_all(struct flows *flows, const struct way *way, uint8_t family,
                        unsigned *ended, struct error *why)
{
    const unsigned before = *ended;
    struct refused refused = {.count = 0};
    int error = 0;

    for (int i = 0; error == 0 && i < ROUNDS; i++)
        error = destroy_some(flows, way, family, &refused, ended);
    if (refused.count > 0 && *ended > before)
        return error_set(why, "the kernel did not end %zu of the connections of this host: %s",
                         refused.count, strerror(refused.error));
    if (refused.count > 0)
        error = refused.error;
    return error == ENOENT || error_set(why, "the kernel does not end connections of this host "
                                             "(CONFIG_INET_DIAG_DESTROY): %s",
                                        error ? strerror(error) : "there are too many");
}

static bool destroy_sockets(struct flows *flows, const struct way *way, unsigned *ended,
                            struct error *why)
{
    bool done = true;

    if (way->to->protocol != IPPROTO_TCP)
        return true;
    /* A socket for both families has IPv4 peers too. */
    if (address_is_ipv4(way->from))
        done = destroy_all(flows, way, AF_INET, ended, why);
    return destroy_all(flows, way, AF_INET6, ended, why) && done;
}

/* Sockets first, so that NAT still leads the resets to the other end. For as long as a flow
 * is known, over or not, whoever has a SYN cookie makes another socket of it; and for as long
 * as there is a socket, its packets make another flow. So again, until there is neither. */
bool helper_flows_end(struct flows *flows, const struct address *from, const struct service *to,
                      unsigned *ended, struct error *why)
{
    const struct way way = {!address_is_ipv4(from), from, to};
    int error = 0;

    *ended = 0;
    for (int i = 0; i < TRIES; i++) {
        const unsigned before = *ended;
        const bool done = destroy_sockets(flows, &way, ended, why);

        if (done && error == ENOENT && *ended == before)
            return true;
        error = 0;
        for (int j = 0; error == 0 && j < ROUNDS; j++)
            error = forget_some(flows, &way, ended);
        if (error != 0 && error != ENOENT)
            return explain_conntrack(error, why);
        if (!done)
            return false;
    }
    return error_set(why, "there are too many connections");
}

/* ---- the sockets -------------------------------------------------------- */

void helper_flows_open(struct flows *flows)
{
    *flows = (struct flows){.conntrack = netlink_open(NETLINK_NETFILTER),
                            .sockets = netlink_open(NETLINK_SOCK_DIAG)};
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void helper_flows_close(struct flows *flows)
{
    close_one(&flows->conntrack);
    close_one(&flows->sockets);
}
