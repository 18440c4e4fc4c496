#include "privsep/cut/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "privsep/netlink.h"

enum { AT_ONCE = 4096 }; /* sockets ended after a walk */

/* The states of sockets with a connection that can be ended. */
enum { LIVE_STATES = 0xfff & ~(1 << TCP_LISTEN | 1 << TCP_CLOSE | 1 << TCP_TIME_WAIT) };

struct peers {
    const struct doors *doors;
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
    struct service service;

    if (answer.size < sizeof socket || peers->count == AT_ONCE)
        return;
    memcpy(&socket, answer.bytes, sizeof socket);
    peer = peer_of(&socket);
    service = (struct service){IPPROTO_TCP, ntohs(socket.id.idiag_sport)};
    if (!(1u << (socket.idiag_state & 31) & LIVE_STATES) ||
        !doors_have(peers->doors, &peer, &service) || was_refused(peers->refused, &socket))
        return;
    peers->found[peers->count++] =
        (struct inet_diag_req_v2){.sdiag_family = socket.idiag_family,
                                  .sdiag_protocol = IPPROTO_TCP,
                                  .idiag_states = LIVE_STATES,
                                  .id = socket.id};
}

/* Asks for the sockets of a family that have this port, or, if it is 0, any. */
static int find_peers(int *sockets, struct peers *peers, uint8_t family, uint16_t port,
                      int64_t until)
{
    const struct inet_diag_req_v2 wanted = {.sdiag_family = family,
                                            .sdiag_protocol = IPPROTO_TCP,
                                            .idiag_states = LIVE_STATES,
                                            .id.idiag_sport = htons(port)};
    union question q;
    int error;

    netlink_begin(&q, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
    netlink_put(&q, &wanted, sizeof wanted);
    error = netlink_ask_until(sockets, &q, until, note_socket, peers);
    return error == ENOENT ? EOPNOTSUPP : error; /* there is no tcp_diag */
}

/* Ends a socket. One that has ended by itself is no failure, and one that the kernel refuses to end
 * is noted. */
static void end_socket(int *sockets, const struct inet_diag_req_v2 *socket,
                       struct refused *refused, uint32_t *ended)
{
    union question q;
    int error;

    netlink_begin(&q, SOCK_DESTROY, NLM_F_ACK);
    netlink_put(&q, socket, sizeof *socket);
    error = netlink_ask(sockets, &q, NULL, NULL);
    *ended += error == 0;
    if (error == 0 || error == ENOENT)
        return;
    refused->error = error;
    if (refused->count < REFUSED_MAX)
        memcpy(refused->cookies[refused->count++], socket->id.idiag_cookie,
               sizeof *refused->cookies);
}

int sockets_end(int *sockets, const struct doors *doors, int64_t until, struct refused *refused,
                uint32_t *found, uint32_t *ended)
{
    static const uint8_t families[] = {AF_INET, AF_INET6}; /* in the latter, IPv4 peers too */
    static struct peers peers;
    struct shared shared = {0};

    for (size_t i = 0; i < doors->count; i++)
        if (doors->items[i].service.protocol == IPPROTO_TCP)
            doors_share(&shared, &doors->items[i]);
    for (size_t f = 0; shared.met > 0 && f < sizeof families; f++) {
        int error;

        peers.doors = doors;
        peers.refused = refused;
        peers.count = 0;
        error = find_peers(sockets, &peers, families[f], shared.port, until);
        if (error != 0)
            return error;
        *found += (uint32_t)peers.count;
        for (size_t i = 0; i < peers.count && refused->count < REFUSED_MAX; i++)
            end_socket(sockets, &peers.found[i], refused, ended);
    }
    return 0;
}
