/* Ends connections: the kernel's entries in connection tracking, and this host's sockets. */
#include "privsep/cut/cut.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    AT_ONCE = 32,      /* connections ended at a time, */
    ROUNDS = 64,       /* and how often that is done */
    TRIES = 16,        /* until no connection comes back */
    REFUSED_MAX = 256, /* sockets that the kernel does not end; then the others are left, too */
    NAME_SIZE = 192,   /* bytes of the attributes that name a flow: an IPv6 tuple, zone, id */
};

/* The states of sockets with a connection that can be ended. */
enum { LIVE_STATES = 0xfff & ~(1 << TCP_LISTEN | 1 << TCP_CLOSE | 1 << TCP_TIME_WAIT) };

/* ---- connection tracking ------------------------------------------------ */

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
    struct span attributes = flows_attributes(answer);
    struct named *named = into;
    struct name *name = &named->names[named->count];
    struct flow flow;

    if (named->count == AT_ONCE || !flows_read(answer, &flow) || !flow_is_on(&flow, &named->way))
        return;
    *name = (struct name){.is_over = flow.is_over};
    add_to_name(name, attributes, CTA_TUPLE_ORIG);
    add_to_name(name, attributes, CTA_ZONE);
    add_to_name(name, attributes, CTA_ID);
    named->count++;
}

/* Has connection tracking forget up to AT_ONCE flows. Returns an errno, ENOENT once there is
 * none. Flows that are over are among them: for as long as such a flow is known, whoever has
 * a SYN cookie of it gets in with that again. */
static int forget_some(struct cut *cut, const struct way *way, unsigned *ended)
{
    struct named named = {.way = *way};
    int error = flows_ask(&cut->conntrack, way, note_name, &named);

    if (error == 0 && named.count == 0)
        return ENOENT;
    for (size_t i = 0; error == 0 && i < named.count; i++) {
        const struct name *name = &named.names[i];
        union question q;

        flows_begin(&q, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, address_family(way->from));
        netlink_put(&q, name->bytes, name->size);
        error = netlink_ask(&cut->conntrack, &q, NULL, NULL);
        *ended += error == 0 && !name->is_over;
        if (error == ENOENT) /* the flow has ended by itself */
            error = 0;
    }
    return error;
}

/* ---- sockets ------------------------------------------------------------ */

/* The sockets that the kernel would not end, and which it goes on telling of: before Linux
 * 6.11 or so, those that have no process any more. */
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

static struct address peer_of(const struct inet_diag_msg *socket)
{
    const uint8_t *bytes = (const uint8_t *)socket->id.idiag_dst;
    struct address peer;

    if (socket->idiag_family == AF_INET)
        return address_from_ipv4(bytes);
    memcpy(peer.bytes, bytes, sizeof peer.bytes);
    return peer;
}

/* A socket is noted with its cookie. The place of a socket that has gone may be another's, and
 * where none matches, the kernel would take the listening socket. */
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

static int find_peers(struct cut *cut, struct peers *peers, uint8_t family)
{
    const struct inet_diag_req_v2 wanted = {.sdiag_family = family,
                                            .sdiag_protocol = IPPROTO_TCP,
                                            .idiag_states = LIVE_STATES,
                                            .id.idiag_sport = htons(peers->way.to->port)};
    union question q;
    int error;

    netlink_begin(&q, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
    netlink_put(&q, &wanted, sizeof wanted);
    error = netlink_ask(&cut->sockets, &q, note_socket, peers);
    return error == ENOENT ? EOPNOTSUPP : error; /* there is no tcp_diag */
}

/* Ends up to AT_ONCE sockets of one family. Returns an errno, ENOENT once there is none. A
 * socket that the kernel refuses to end counts as none. */
static int destroy_some(struct cut *cut, const struct way *way, uint8_t family,
                        struct refused *refused, unsigned *ended)
{
    struct peers peers = {.way = *way, .refused = refused};
    int error = find_peers(cut, &peers, family);

    if (error == 0 && (peers.count == 0 || refused->count == REFUSED_MAX))
        return ENOENT;
    for (size_t i = 0; error == 0 && i < peers.count; i++) {
        const struct inet_diag_req_v2 *socket = &peers.found[i];
        union question q;
        int result;

        netlink_begin(&q, SOCK_DESTROY, NLM_F_ACK);
        netlink_put(&q, socket, sizeof *socket);
        result = netlink_ask(&cut->sockets, &q, NULL, NULL);
        *ended += result == 0;
        if (result == 0 || result == ENOENT) /* the socket may have ended by itself */
            continue;
        refused->error = result;
        if (refused->count < REFUSED_MAX)
            memcpy(refused->cookies[refused->count++], socket->id.idiag_cookie,
                   sizeof *refused->cookies);
    }
    return error;
}

static bool destroy_all(struct cut *cut, const struct way *way, uint8_t family,
                        unsigned *ended, struct error *why)
{
    const unsigned before = *ended;
    struct refused refused = {.count = 0};
    int error = 0;

    for (int i = 0; error == 0 && i < ROUNDS; i++)
        error = destroy_some(cut, way, family, &refused, ended);
    if (refused.count > 0 && *ended > before)
        return error_set(why, "the kernel did not end %zu of the connections of this host: %s",
                         refused.count, strerror(refused.error));
    if (refused.count > 0)
        error = refused.error;
    return error == ENOENT || error_set(why, "the kernel does not end connections of this host "
                                             "(CONFIG_INET_DIAG_DESTROY): %s",
                                        error ? strerror(error) : "there are too many");
}

static bool destroy_sockets(struct cut *cut, const struct way *way, unsigned *ended,
                            struct error *why)
{
    bool done = true;

    if (way->to->protocol != IPPROTO_TCP)
        return true;
    /* A socket for both families has IPv4 peers too. */
    if (address_is_ipv4(way->from))
        done = destroy_all(cut, way, AF_INET, ended, why);
    return destroy_all(cut, way, AF_INET6, ended, why) && done;
}

/* ---- both --------------------------------------------------------------- */

/* Sockets go first, so that NAT still leads the resets to the other end. For as long as a flow
 * is known, over or not, whoever has a SYN cookie makes another socket of it; and for as long
 * as there is a socket, its packets make another flow. So both are ended again and again,
 * until there is neither. */
bool cut_connections(struct cut *cut, const struct way *way, unsigned *ended, struct error *why)
{
    int error = 0;

    *ended = 0;
    for (int i = 0; i < TRIES; i++) {
        const unsigned before = *ended;
        const bool done = destroy_sockets(cut, way, ended, why);

        if (done && error == ENOENT && *ended == before)
            return true;
        error = 0;
        for (int j = 0; error == 0 && j < ROUNDS; j++)
            error = forget_some(cut, way, ended);
        if (error != 0 && error != ENOENT)
            return flows_explain(error, why);
        if (!done)
            return false;
    }
    return error_set(why, "there are too many connections");
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
