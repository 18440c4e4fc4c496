#include "client/send.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "client/counter.h"
#include "client/echo.h"
#include "client/source.h"
#include "client/syn.h"

/* A packet that netfilter drops on its way out is an EPERM for its sender
 * (nf_hook_slow in the kernel's net/netfilter/core.c). */
static bool explain_send(struct error *why, int error)
{
    if (error == EPERM)
        return error_set(why, "%s by a firewall on this machine: let UDP to the knock port out",
                         strerror(error));
    return error_set(why, "%s", strerror(error));
}

static bool send_udp(const struct target *target, const struct address *from,
                     const uint8_t *bytes, size_t size, struct error *why)
{
    int fd = source_connect(target, SOCK_DGRAM, 0, from);
    bool sent = (fd >= 0 && send(fd, bytes, size, 0) == (ssize_t)size) ||
                explain_send(why, errno);

    if (fd >= 0)
        close(fd);
    return sent;
}

/* What names its address opens to that, wherever it leaves from: then the kernel chooses,
 * for a datagram may take another uplink than a connection does. Otherwise the server
 * takes the address that it sees. */
static void send_datagram(struct sending *s)
{
    const struct address *from = s->request.has_address ? NULL : &s->source;

    switch (s->transport) {
    case TRANSPORT_TCP_SYN:
        s->sent = syn_send(&s->target, from, s->datagram, s->size, &s->why);
        break;
    case TRANSPORT_ICMP:
        s->sent = echo_send(&s->target, from, s->datagram, s->size, &s->why);
        break;
    default:
        s->sent = send_udp(&s->target, from, s->datagram, s->size, &s->why);
    }
}

static unsigned send_all(struct sending *sendings, unsigned count)
{
    unsigned sent = 0;

    for (unsigned i = 0; i < count; i++) {
        if (sendings[i].size > 0)
            send_datagram(&sendings[i]);
        sent += sendings[i].sent;
    }
    return sent;
}

/* ---- where connections leave from ---------------------------------------- */

enum {
    PORT_OF_SSH = 22, /* where only the profile knows the services */
    LOOKS = 16,       /* where it is by chance, one of two sources is missed in 1 of 32,768 */
};

/* That one connects to. */
static uint16_t port_of(const struct request *r)
{
    for (unsigned i = 0; i < r->service_count; i++)
        if (r->services[i].protocol == IPPROTO_TCP)
            return r->services[i].port;
    return PORT_OF_SSH;
}

static bool find_source(const struct sending *s, struct address *source, struct error *why)
{
    return source_of_tcp(&s->target, port_of(&s->request), source, why);
}

static bool is_among(const struct sending *ways, unsigned count, const struct address *source)
{
    for (unsigned i = 0; i < count; i++)
        if (address_equal(&ways[i].source, source))
            return true;
    return false;
}

/* Makes as many of `plain` as there are addresses that connections to its target leave
 * from, or one where there is no way; `room` of them at most. Returns how many. */
static unsigned add_ways(struct sending *ways, unsigned room, const struct sending *plain)
{
    unsigned count = 0;

    for (unsigned i = 0; i < LOOKS && count < room; i++) {
        struct sending *s = &ways[count];

        *s = *plain;
        s->is_new = find_source(s, &s->source, &s->why);
        if (!is_among(ways, count, &s->source))
            count++;
    }
    return count;
}

/* True if there is a way. If it leaves from another address by now, the datagram, which
 * knows nothing of that, is gone. */
static bool follow_source(struct sending *s)
{
    struct address found;

    for (unsigned i = 0; i < LOOKS; i++) {
        if (!find_source(s, &found, &s->why))
            return false;
        if (address_equal(&found, &s->source))
            return true;
    }
    s->source = found;
    s->size = 0;
    return true;
}

/* ---- signing ------------------------------------------------------------- */

static void choose_address(struct sending *s)
{
    static const struct address none;

    if (!s->signs_source)
        return;
    s->request.has_address = s->target.may_sign && address_is_global(&s->source);
    s->request.address = s->request.has_address ? s->source : none;
}

static bool see_the_same(const struct sending *a, const struct sending *b)
{
    return a->target.to.ss_family == b->target.to.ss_family &&
           address_equal(&a->source, &b->source) &&
           a->request.has_address == b->request.has_address &&
           address_equal(&a->request.address, &b->request.address);
}

/* That of those before which see the same, or NULL. */
static const struct sending *find_twin(const struct sending *sendings, unsigned i)
{
    for (unsigned j = 0; j < i; j++)
        if (sendings[j].is_new && see_the_same(&sendings[j], &sendings[i]))
            return &sendings[j];
    return NULL;
}

/* Signs those that are new, with counters from `highest` down. The first has the highest:
 * where a profile has room for one grant, the newest knock says where it is, and one
 * connects to the first address first. */
static void sign_new(struct sending *sendings, unsigned count, const struct knocker *knocker,
                     uint64_t highest)
{
    for (unsigned i = 0; i < count; i++) {
        struct sending *s = &sendings[i];
        const struct sending *twin;

        if (!s->is_new)
            continue;
        choose_address(s);
        twin = find_twin(sendings, i);
        s->request.counter = twin ? twin->request.counter : highest--;
        s->size = knock_make(s->datagram, knocker, &s->request);
    }
}

unsigned send_knocks(struct sending sendings[static SENDINGS_MAX], unsigned *made,
                     const struct target *targets, unsigned count,
                     const struct knocker *knocker, const struct request *request,
                     bool sign_source)
{
    *made = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct sending plain = {.target = targets[i], .transport = knocker->transport,
                                      .signs_source = sign_source, .request = *request};
        unsigned targets_left = count - 1 - i;

        *made += add_ways(&sendings[*made], SENDINGS_MAX - targets_left - *made, &plain);
    }
    sign_new(sendings, *made, knocker, request->counter + SENDINGS_MAX - 1);
    return send_all(sendings, *made);
}

/* ---- again --------------------------------------------------------------- */

/* Signs those that have a way but no datagram. Where no counter can be had they stay
 * without one, for the next time. */
static void sign_missing(struct sending *sendings, unsigned count, const struct knocker *knocker)
{
    unsigned missing = 0;
    uint64_t first;
    struct error warning, why;

    for (unsigned i = 0; i < count; i++)
        missing += sendings[i].is_new;
    if (missing == 0)
        return;
    if (counter_take_own(missing, &first, &warning, &why)) {
        sign_new(sendings, count, knocker, first + missing - 1);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        if (sendings[i].is_new)
            sendings[i].why = why;
}

unsigned send_knocks_again(struct sending *sendings, unsigned count,
                           const struct knocker *knocker)
{
    for (unsigned i = 0; i < count; i++) {
        struct sending *s = &sendings[i];

        s->sent = false;
        s->is_new = follow_source(s) && s->size == 0;
    }
    sign_missing(sendings, count, knocker);
    return send_all(sendings, count);
}

bool send_knock_anew(struct sending *sending, const struct knocker *knocker)
{
    sending->size = 0;
    return send_knocks_again(sending, 1, knocker) > 0;
}

/* What the kernel alone says is no more than a name of the error. */
const char *send_advice(const struct sending *s)
{
    return strpbrk(s->why.text, ":;") ? "" : "; check this machine's network and firewall";
}
