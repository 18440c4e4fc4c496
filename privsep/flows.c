#include "flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

enum {
    QUESTION_SIZE = 512,
    ANSWER_SIZE = 32768, /* the most that the kernel puts into one (netlink_recvmsg) */
    SECONDS_MAX = 1,     /* for all of the answers to one question */
    AT_ONCE = 32,        /* connections ended at a time, ... */
    ROUNDS = 64,         /* ... so often */
    NAME_SIZE = 192,     /* attributes that name a flow: an IPv6 tuple, zone, id */
};

/* Which fields of a tuple the kernel's filter is to compare; since Linux 5.8, in
 * net/netfilter/nf_internals.h. Older ones tell of all flows. */
enum { COMPARE_SOURCE = 1 << 0, COMPARE_PROTOCOL = 1 << 3, COMPARE_PORT = 1 << 5 };

/* Sockets with a connection that can be ended. */
enum { LIVE_STATES = 0xfff & ~(1 << TCP_LISTEN | 1 << TCP_CLOSE | 1 << TCP_TIME_WAIT) };

/* A message that is being written. */
union question {
    struct nlmsghdr header;
    uint8_t bytes[QUESTION_SIZE];
};

struct span {
    const uint8_t *bytes; /* NULL: there is none */
    size_t size;
};

typedef void answer_handler(void *into, struct span answer);

/* Whom and what a question is about. */
struct way {
    const struct address *from;
    const struct service *to;
};

/* Messages and attributes alike begin at multiples of four (NLMSG_ALIGN, NLA_ALIGN). */
static size_t aligned(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

/* ---- questions ---------------------------------------------------------- */

static void begin(union question *q, unsigned type, unsigned flags)
{
    memset(q, 0, sizeof *q);
    q->header.nlmsg_len = NLMSG_HDRLEN;
    q->header.nlmsg_type = (uint16_t)type;
    q->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
}

/* Everything that is put fits: it is ours, or was cut to NAME_SIZE. */
static void put(union question *q, const void *bytes, size_t size)
{
    memcpy(q->bytes + q->header.nlmsg_len, bytes, size);
    q->header.nlmsg_len += (uint32_t)aligned(size);
}

static void put_attribute(union question *q, unsigned type, const void *bytes, size_t size)
{
    const struct nlattr header = {.nla_len = (uint16_t)(sizeof(struct nlattr) + size),
                                  .nla_type = (uint16_t)type};

    put(q, &header, sizeof header);
    put(q, bytes, size);
}

/* Opens an attribute that holds others; returns where it began, for end_nest. */
static uint32_t begin_nest(union question *q, unsigned type)
{
    uint32_t at = q->header.nlmsg_len;

    put_attribute(q, type | NLA_F_NESTED, "", 0);
    return at;
}

static void end_nest(union question *q, uint32_t at)
{
    const uint16_t size = (uint16_t)(q->header.nlmsg_len - at);

    memcpy(q->bytes + at + offsetof(struct nlattr, nla_len), &size, sizeof size);
}

/* ---- answers ------------------------------------------------------------ */

static int give_up(int *fd)
{
    close(*fd);
    *fd = -1;
    return EIO;
}

/* The number behind the header of NLMSG_ERROR and NLMSG_DONE, as errno has it. */
static int number_in(struct span payload)
{
    int number = -EIO;

    if (payload.size >= sizeof number)
        memcpy(&number, payload.bytes, sizeof number);
    return -number;
}

/* What one datagram says; -1: there is more to come, else an errno. */
static int read_datagram(struct span from, uint32_t sequence, answer_handler *handle, void *into)
{
    struct nlmsghdr header;

    while (from.size >= sizeof header) {
        struct span payload;
        size_t step;

        memcpy(&header, from.bytes, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > from.size)
            return EIO;
        payload = (struct span){from.bytes + sizeof header, header.nlmsg_len - sizeof header};
        if (header.nlmsg_seq != sequence)
            return EIO;
        if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE)
            return number_in(payload);
        if (handle)
            handle(into, payload);
        step = aligned(header.nlmsg_len);
        if (step >= from.size)
            break;
        from = (struct span){from.bytes + step, from.size - step};
    }
    return -1;
}

/* The next datagram of the kernel's, which has put it there before send(2), or the
 * recv(2) before this one, returned. False when there is none, or it is cut. */
static bool receive(int fd, uint8_t *bytes, struct span *got)
{
    struct sockaddr_nl sender = {0};
    struct iovec part = {.iov_base = bytes, .iov_len = ANSWER_SIZE};
    struct msghdr header = {
        .msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;

    do
        n = recvmsg(fd, &header, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    *got = (struct span){bytes, n > 0 ? (size_t)n : 0};
    return n > 0 && !(header.msg_flags & MSG_TRUNC) && header.msg_namelen == sizeof sender &&
           sender.nl_pid == 0;
}

/* Asks, and hands on all answers. 0, or the errno that tells why not. */
static int ask(struct flows *flows, int *fd, union question *q, answer_handler *handle, void *into)
{
    static uint8_t bytes[ANSWER_SIZE];
    int64_t until = clock_boot_ns() + (int64_t)SECONDS_MAX * NSEC_PER_SEC;
    int result = -1;

    if (*fd < 0)
        return EOPNOTSUPP;
    q->header.nlmsg_seq = ++flows->sequence;
    if (send(*fd, q, q->header.nlmsg_len, MSG_DONTWAIT) != (ssize_t)q->header.nlmsg_len)
        return give_up(fd);
    while (result < 0) {
        struct span got;

        if (clock_boot_ns() > until || !receive(*fd, bytes, &got))
            return give_up(fd);
        result = read_datagram(got, q->header.nlmsg_seq, handle, into);
    }
    /* An end that is none would leave answers to be taken for the next question's. */
    return result == EIO ? give_up(fd) : result;
}

/* ---- attributes --------------------------------------------------------- */

/* The first attribute of a type, the header included; none: NULL. */
static struct span find_whole(struct span in, unsigned type)
{
    struct nlattr header;

    while (in.bytes && in.size >= sizeof header) {
        size_t step;

        memcpy(&header, in.bytes, sizeof header);
        if (header.nla_len < sizeof header || header.nla_len > in.size)
            break;
        if ((header.nla_type & NLA_TYPE_MASK) == type)
            return (struct span){in.bytes, header.nla_len};
        step = aligned(header.nla_len);
        if (step >= in.size)
            break;
        in = (struct span){in.bytes + step, in.size - step};
    }
    return (struct span){NULL, 0};
}

static struct span find(struct span in, unsigned type)
{
    struct span whole = find_whole(in, type);
    const size_t header = sizeof(struct nlattr);

    return whole.bytes ? (struct span){whole.bytes + header, whole.size - header} : whole;
}

/* False unless the attribute is there and has this size. */
static bool read_attribute(struct span in, unsigned type, void *to, size_t size)
{
    struct span found = find(in, type);

    if (!found.bytes || found.size != size)
        return false;
    memcpy(to, found.bytes, size);
    return true;
}

/* ---- connection tracking ------------------------------------------------ */

struct entry {
    struct flow flow;
    bool is_made; /* not merely attempted */
    bool is_over; /* kept for a while, for stragglers */
};

static bool read_source(struct span tuple, struct address *from)
{
    struct span ip = find(tuple, CTA_TUPLE_IP);
    uint8_t v4[4];

    if (read_attribute(ip, CTA_IP_V4_SRC, v4, sizeof v4)) {
        *from = address_from_ipv4(v4);
        return true;
    }
    return read_attribute(ip, CTA_IP_V6_SRC, from->bytes, sizeof from->bytes);
}

static bool read_service(struct span tuple, struct service *to)
{
    struct span protocol = find(tuple, CTA_TUPLE_PROTO);

    if (!read_attribute(protocol, CTA_PROTO_NUM, &to->protocol, sizeof to->protocol) ||
        !read_attribute(protocol, CTA_PROTO_DST_PORT, &to->port, sizeof to->port))
        return false;
    to->port = ntohs(to->port);
    return true;
}

static bool is_over(struct span attributes)
{
    struct span tcp = find(find(attributes, CTA_PROTOINFO), CTA_PROTOINFO_TCP);
    uint8_t state;

    return read_attribute(tcp, CTA_PROTOINFO_TCP_STATE, &state, sizeof state) &&
           (state == TCP_CONNTRACK_TIME_WAIT || state == TCP_CONNTRACK_CLOSE);
}

static struct span attributes_of(struct span answer)
{
    size_t header = sizeof(struct nfgenmsg);

    return answer.size < header ? (struct span){NULL, 0}
                                : (struct span){answer.bytes + header, answer.size - header};
}

static bool read_entry(struct span attributes, struct entry *entry)
{
    struct span tuple = find(attributes, CTA_TUPLE_ORIG);
    struct flow *flow = &entry->flow;
    uint32_t status;

    *entry = (struct entry){0};
    if (!read_source(tuple, &flow->from) || !read_service(tuple, &flow->to) ||
        !read_attribute(attributes, CTA_ID, &flow->id, sizeof flow->id) ||
        !read_attribute(attributes, CTA_STATUS, &status, sizeof status))
        return false;
    status = ntohl(status);
    entry->is_made = status & (flow->to.protocol == IPPROTO_TCP ? IPS_ASSURED : IPS_SEEN_REPLY);
    entry->is_over = is_over(attributes);
    return true;
}

/* Filtered here too: the kernel may be too old to do it. */
static bool is_on(const struct entry *entry, const struct way *way)
{
    return address_equal(&entry->flow.from, way->from) &&
           service_compare(&entry->flow.to, way->to) == 0;
}

static void put_header(union question *q, const struct address *from)
{
    const struct nfgenmsg header = {.nfgen_family = address_is_ipv4(from) ? AF_INET : AF_INET6};

    put(q, &header, sizeof header);
}

static void put_tuple(union question *q, const struct way *way)
{
    const uint16_t port = htons(way->to->port);
    uint32_t tuple = begin_nest(q, CTA_TUPLE_ORIG), part = begin_nest(q, CTA_TUPLE_IP);

    if (address_is_ipv4(way->from))
        put_attribute(q, CTA_IP_V4_SRC, way->from->bytes + 12, 4);
    end_nest(q, part);
    part = begin_nest(q, CTA_TUPLE_PROTO);
    put_attribute(q, CTA_PROTO_NUM, &way->to->protocol, sizeof way->to->protocol);
    put_attribute(q, CTA_PROTO_DST_PORT, &port, sizeof port);
    end_nest(q, part);
    end_nest(q, tuple);
}

/* Asks for the entries on a way. */
static int ask_conntrack(struct flows *flows, const struct way *way, answer_handler *handle,
                         void *into)
{
    /* Of IPv6 the kernel (seen in 6.18) leaves out the source that it should find. */
    const uint32_t source = address_is_ipv4(way->from) ? COMPARE_SOURCE : 0;
    const uint32_t compared = source | COMPARE_PROTOCOL | COMPARE_PORT;
    union question q;
    uint32_t filter;

    begin(&q, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP);
    put_header(&q, way->from);
    put_tuple(&q, way);
    filter = begin_nest(&q, CTA_FILTER);
    put_attribute(&q, CTA_FILTER_ORIG_FLAGS, &compared, sizeof compared);
    end_nest(&q, filter);
    return ask(flows, &flows->conntrack, &q, handle, into);
}

static bool explain_conntrack(int error, struct error *why)
{
    return error == 0 || error_set(why, "the kernel does not tell of its connections "
                                        "(nf_conntrack_netlink): %s", strerror(error));
}

struct each {
    struct way way;
    flow_handler *handle;
    void *into;
};

static void pass_on(void *into, struct span answer)
{
    const struct each *each = into;
    struct entry entry;

    if (read_entry(attributes_of(answer), &entry) && is_on(&entry, &each->way) && entry.is_made)
        each->handle(each->into, &entry.flow);
}

bool helper_flows_each(struct flows *flows, const struct address *from, const struct service *to,
                       flow_handler *handle, void *into, struct error *why)
{
    struct each each = {{from, to}, handle, into};

    return explain_conntrack(ask_conntrack(flows, &each.way, pass_on, &each), why);
}

/* ---- ending flows ------------------------------------------------------- */

/* The attributes by which the kernel knows a flow, as it gave them. */
struct name {
    uint8_t bytes[NAME_SIZE];
    size_t size;
};

struct named {
    struct way way;
    struct name names[AT_ONCE];
    size_t count;
};

static void add_to_name(struct name *name, struct span attributes, unsigned type)
{
    struct span whole = find_whole(attributes, type);

    if (!whole.bytes || aligned(whole.size) > NAME_SIZE - name->size)
        return;
    memcpy(name->bytes + name->size, whole.bytes, whole.size);
    name->size += aligned(whole.size);
}

static void note_name(void *into, struct span answer)
{
    struct span attributes = attributes_of(answer);
    struct named *named = into;
    struct entry entry;

    if (named->count == AT_ONCE || !read_entry(attributes, &entry) ||
        !is_on(&entry, &named->way) || entry.is_over)
        return;
    named->names[named->count] = (struct name){0};
    add_to_name(&named->names[named->count], attributes, CTA_TUPLE_ORIG);
    add_to_name(&named->names[named->count], attributes, CTA_ZONE);
    add_to_name(&named->names[named->count], attributes, CTA_ID);
    named->count++;
}

static int forget(struct flows *flows, const struct address *from, const struct name *name)
{
    union question q;

    begin(&q, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, NLM_F_ACK);
    put_header(&q, from);
    put(&q, name->bytes, name->size);
    return ask(flows, &flows->conntrack, &q, NULL, NULL);
}

/* Up to AT_ONCE of them; an errno, ENOENT once there is none. */
static int forget_some(struct flows *flows, const struct way *way, unsigned *ended)
{
    struct named named = {.way = *way};
    int error = ask_conntrack(flows, way, note_name, &named);

    if (error == 0 && named.count == 0)
        return ENOENT;
    for (size_t i = 0; error == 0 && i < named.count; i++) {
        error = forget(flows, way->from, &named.names[i]);
        *ended += error == 0;
        if (error == ENOENT) /* it has ended by itself */
            error = 0;
    }
    return error;
}

/* ---- ending sockets ----------------------------------------------------- */

struct peers {
    struct way way;
    struct inet_diag_req_v2 found[AT_ONCE];
    size_t count;
};

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
        !address_equal(&peer, peers->way.from))
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

    begin(&q, SOCK_DESTROY, NLM_F_ACK);
    put(&q, socket, sizeof *socket);
    return ask(flows, &flows->sockets, &q, NULL, NULL);
}

/* As forget_some, of one family's sockets. */
static int destroy_some(struct flows *flows, const struct way *way, uint8_t family,
                        unsigned *ended)
{
    const struct inet_diag_req_v2 wanted = {.sdiag_family = family,
                                            .sdiag_protocol = IPPROTO_TCP,
                                            .idiag_states = LIVE_STATES,
                                            .id.idiag_sport = htons(way->to->port)};
    struct peers peers = {.way = *way};
    union question q;
    int error;

    begin(&q, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
    put(&q, &wanted, sizeof wanted);
    error = ask(flows, &flows->sockets, &q, note_socket, &peers);
    if (error == ENOENT) /* there is no tcp_diag */
        return EOPNOTSUPP;
    if (error == 0 && peers.count == 0)
        return ENOENT;
    for (size_t i = 0; error == 0 && i < peers.count; i++) {
        error = destroy(flows, &peers.found[i]);
        *ended += error == 0;
        if (error == ENOENT)
            error = 0;
    }
    return error;
}

static bool destroy_all(struct flows *flows, const struct way *way, uint8_t family,
                        unsigned *ended, struct error *why)
{
    int error = 0;

    for (int i = 0; error == 0 && i < ROUNDS; i++)
        error = destroy_some(flows, way, family, ended);
    return error == ENOENT || error_set(why, "the kernel does not end connections of this host "
                                             "(CONFIG_INET_DIAG_DESTROY): %s",
                                        error ? strerror(error) : "there are too many");
}

bool helper_flows_end(struct flows *flows, const struct address *from, const struct service *to,
                      unsigned *ended, struct error *why)
{
    const struct way way = {from, to};
    bool done = true;
    int error = 0;

    *ended = 0;
    if (to->protocol == IPPROTO_TCP) {
        /* A socket for both families has IPv4 peers too. */
        if (address_is_ipv4(from))
            done = destroy_all(flows, &way, AF_INET, ended, why);
        done = destroy_all(flows, &way, AF_INET6, ended, why) && done;
    }
    for (int i = 0; error == 0 && i < ROUNDS; i++)
        error = forget_some(flows, &way, ended);
    if (error == ENOENT)
        return done;
    return error ? explain_conntrack(error, why)
                 : error_set(why, "there are too many connections");
}

/* ---- the sockets -------------------------------------------------------- */

/* To the kernel alone: nobody else's messages are sent here by it. */
static int open_netlink(int protocol)
{
    static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&kernel, sizeof kernel) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void helper_flows_open(struct flows *flows)
{
    *flows = (struct flows){.conntrack = open_netlink(NETLINK_NETFILTER),
                            .sockets = open_netlink(NETLINK_SOCK_DIAG)};
}

void helper_flows_close(struct flows *flows)
{
    if (flows->conntrack >= 0)
        close(flows->conntrack);
    if (flows->sockets >= 0)
        close(flows->sockets);
    flows->conntrack = flows->sockets = -1;
}
