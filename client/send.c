#include "client/send.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "client/counter.h"
#include "client/echo.h"
#include "client/sign.h"
#include "client/source.h"
#include "client/syn.h"

static bool send_udp(const struct target *target, const struct address *from,
                     const uint8_t *bytes, size_t size, struct error *why)
{
    int fd = source_connect(target, SOCK_DGRAM, 0, from);
    bool sent = fd >= 0 && send(fd, bytes, size, 0) == (ssize_t)size;

    /* Where netfilter drops a packet on its way out, its sender gets EPERM (nf_hook_slow in the
     * kernel's net/netfilter/core.c). */
    if (!sent)
        error_set(why, "%s%s", strerror(errno),
                  errno == EPERM ? " by a firewall on this machine: let UDP to the knock port out"
                                 : "");
    if (fd >= 0)
        close(fd);
    return sent;
}

/* Sends the datagram. One that names the address opens to that, wherever it leaves from: then
 * the kernel chooses the uplink. Otherwise the server opens to the address that it sees, so the
 * datagram must leave from where connections do. */
static void send_datagram(struct sending *s)
{
    const struct address *from = s->request.has_address ? NULL : &s->source;

    switch (s->transport) {
    case TRANSPORTS: /* is none */
    case TRANSPORT_UDP:
        s->sent = send_udp(&s->target, from, s->datagram, s->size, &s->why);
        break;
    case TRANSPORT_TCP_SYN:
        s->sent = syn_send(&s->target, from, s->datagram, s->size, &s->why);
        break;
    case TRANSPORT_ICMP:
        s->sent = echo_send(&s->target, from, s->datagram, s->size, &s->why);
        break;
    }
}

static unsigned count_sent(const struct sending *sendings, unsigned count)
{
    unsigned sent = 0;

    for (unsigned i = 0; i < count; i++)
        sent += sendings[i].sent;
    return sent;
}

/* ---- where connections leave from ---------------------------------------- */

enum {
    PORT_OF_SSH = 22, /* stands for the port where only the profile knows the services */
    LOOKS = 16,       /* if the kernel chooses by chance, 16 looks miss one of two sources once in
                         32,768 times */
};

/* Stores the source of a connection to the first TCP service. False with the reason. */
static bool find_source(const struct sending *s, struct address *source, struct error *why)
{
    const struct request *r = &s->request;
    uint16_t port = 0;

    for (unsigned i = 0; i < r->service_count && port == 0; i++)
        if (r->services[i].protocol == IPPROTO_TCP)
            port = r->services[i].port;
    return source_of_tcp(&s->target, port ? port : PORT_OF_SSH, source, why);
}

static bool is_among(const struct sending *ways, unsigned count, const struct address *source)
{
    for (unsigned i = 0; i < count; i++)
        if (address_equal(&ways[i].source, source))
            return true;
    return false;
}

/* Copies `plain` once for each address that connections to its target leave from, `room` times at
 * most. Where there is no way to the target, there is one copy. Returns how many there are. */
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

/* Looks where connections to the target leave from now. If that is another address, the datagram
 * is dropped, as it was made for the old one. False with the reason if there is no way. */
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

/* Has the new sendings that are to sign their source name it. Those that sign no address name the
 * member of the group that they go to. */
static void name_places(struct sending *sendings, unsigned count)
{
    static const struct address none;

    for (unsigned i = 0; i < count; i++) {
        struct sending *s = &sendings[i];

        if (!s->is_new)
            continue;
        if (s->signs_source) {
            s->request.has_address = s->target.may_sign && address_is_global(&s->source);
            s->request.address = s->request.has_address ? s->source : none;
        }
        if (s->request.has_address)
            memset(s->request.member, 0, MEMBER_SIZE);
        else
            memcpy(s->request.member, s->target.member, MEMBER_SIZE);
    }
}

/* Whether the new sendings ask for the same, leave from the same address and are of the same
 * family. */
static bool are_twins(const struct sending *a, const struct sending *b)
{
    return a->is_new && b->is_new && a->target.to.ss_family == b->target.to.ss_family &&
           address_equal(&a->source, &b->source) &&
           a->request.has_address == b->request.has_address &&
           address_equal(&a->request.address, &b->request.address) &&
           memcmp(a->request.member, b->request.member, MEMBER_SIZE) == 0;
}

/* The sending before `s` whose signature that shares. NULL if there is none. */
static const struct sending *find_signed_twin(const struct sending *sendings,
                                              const struct sending *s)
{
    for (const struct sending *twin = sendings; twin < s; twin++)
        if (twin->size > 0 && are_twins(twin, s))
            return twin;
    return NULL;
}

/* Has the request signed, or shares the signature of the twin. False with the reason in s->why. */
static bool obtain_signature(struct sending *s, const struct sending *twin, struct knocker *knocker)
{
    if (!twin)
        return knock_sign(&s->signature, knocker, &s->request, &s->why);
    s->request.counter = twin->request.counter;
    s->signature = twin->signature;
    return true;
}

/* Signs and sends the new sendings, with counters from `highest` down. The first sending has the
 * highest counter: where a profile has room for one grant, the newest knock decides where that is,
 * and the first address is the one that connections try first. Each is sent at once, as somebody may
 * have to be asked for the next. */
static void send_new(struct sending *sendings, unsigned count, struct knocker *knocker,
                     uint64_t highest)
{
    const struct sending *refused = NULL;

    name_places(sendings, count);
    for (struct sending *s = sendings; s < sendings + count; s++) {
        const struct sending *twin = find_signed_twin(sendings, s);

        if (!s->is_new)
            continue;
        if (!twin && refused) {
            s->is_refused = true;
            s->why = refused->why;
            continue;
        }
        if (!twin)
            s->request.counter = highest--;
        s->is_refused = !obtain_signature(s, twin, knocker);
        if (s->is_refused) {
            refused = s;
            continue;
        }
        s->size = knock_seal(s->datagram, knocker, &s->request, &s->signature);
        send_datagram(s);
    }
}

/* Drops all but the first sending that has a way, and its twins. Returns how many are left. */
static unsigned keep_one_request(struct sending *sendings, unsigned count)
{
    struct sending first = sendings[0];
    unsigned kept = 0;

    name_places(sendings, count);
    for (unsigned i = 0; i < count; i++) {
        if (kept == 0)
            first = sendings[i];
        if (are_twins(&sendings[i], &first))
            sendings[kept++] = sendings[i];
    }
    return kept > 0 ? kept : 1;
}

unsigned send_knocks(struct sending sendings[static SENDINGS_MAX], unsigned *made,
                     const struct target *targets, unsigned count, struct knocker *knocker,
                     const struct request *request, bool sign_source)
{
    *made = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct sending plain = {.target = targets[i], .transport = knocker->transport,
                                      .signs_source = sign_source, .request = *request};
        unsigned targets_left = count - 1 - i;

        *made += add_ways(&sendings[*made], SENDINGS_MAX - targets_left - *made, &plain);
    }
    if (knocker->signer.form == SIGNER_SECURITY_KEY)
        *made = keep_one_request(sendings, *made);
    send_new(sendings, *made, knocker, request->counter + SENDINGS_MAX - 1);
    return count_sent(sendings, *made);
}

/* ---- again --------------------------------------------------------------- */

/* Signs and sends the new sendings, which have a way but no datagram. If no counter can be had, they stay
 * without a datagram until the next time. */
static void send_missing(struct sending *sendings, unsigned count, struct knocker *knocker)
{
    unsigned missing = 0;
    uint64_t first;
    struct error warning, why;

    for (unsigned i = 0; i < count; i++)
        missing += sendings[i].is_new;
    if (missing == 0)
        return;
    if (counter_take_own(missing, &first, &warning, &why)) {
        send_new(sendings, count, knocker, first + missing - 1);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        if (sendings[i].is_new)
            sendings[i].why = why;
}

unsigned send_knocks_again(struct sending *sendings, unsigned count, struct knocker *knocker)
{
    for (unsigned i = 0; i < count; i++) {
        struct sending *s = &sendings[i];

        s->sent = false;
        s->is_new = follow_source(s) && s->size == 0 && !s->is_refused;
        if (s->size > 0)
            send_datagram(s);
    }
    send_missing(sendings, count, knocker);
    return count_sent(sendings, count);
}

bool send_knock_anew(struct sending *sending, struct knocker *knocker)
{
    sending->size = 0;
    return send_knocks_again(sending, 1, knocker) > 0;
}

bool send_was_refused(const struct sending *s)
{
    return s->is_new && s->is_refused;
}

const struct sending *send_to_blame(const struct sending *sendings, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (sendings[i].is_refused)
            return &sendings[i];
    return sendings;
}

/* A reason that is the kernel's alone is no more than the name of an error. */
const char *send_advice(const struct sending *s)
{
    bool says_itself = s->is_refused || strpbrk(s->why.text, ":;");

    return says_itself ? "" : "; check this machine's network and firewall";
}
